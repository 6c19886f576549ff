"""What OpenVINO says of an error, in one line.

Knows the form of its messages; must not know what failed.
"""

from __future__ import annotations


def last_line(error: RuntimeError) -> str:
    """Gives the part of OpenVINO's message that says what happened: its last line that is not a source location."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith("Exception from ")]
    return (telling or lines or ["no message"])[-1]
