"""The table of differences: what a real Triton gives in each case in which Sentinova differs, and why it does.

Knows the table's file, and writes the page that users read from it; must not know the cases.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conforming.observations import Observation

FILE = Path(__file__).parents[1] / "differences.toml"
PAGE = Path(__file__).parents[3] / "docs" / "kserve-differences.md"
_INTRODUCTION = """\
# Where the KServe service differs from Triton's

Sentinova serves `inference.GRPCInferenceService`, so that clients of Triton and of KServe v2 work with it as they are.
`make conformance` asks Sentinova and a real Triton {version} the same, case by case; where they answer alike, this page
says nothing. Every difference is listed in `tests/conformance/differences.toml`, from which this page is written.
The texts of error messages are each server's own.
"""


@dataclass(frozen=True)
class Reason:
    """Why some cases differ.

    Attributes:
        about: what is asked.
        triton: what Triton does.
        sentinova: what Sentinova does.
        why: why it does.
    """

    about: str
    triton: str
    sentinova: str
    why: str


@dataclass(frozen=True)
class Difference:
    """What Triton gives in a case, and why Sentinova gives something else."""

    triton: Observation
    reason: Reason


def comparable(found: Observation) -> Observation:
    """Leaves out what servers may put in their own words: what the message of an error names."""
    return {key: value for key, value in found.items() if key != "names" or found.get("code") == "OK"}


def read_table() -> dict[str, Any]:
    """Reads the table's file."""
    return tomllib.loads(FILE.read_text())


def read_reasons() -> dict[str, Reason]:
    """Reads the reasons, by their names."""
    return {name: Reason(**row) for name, row in read_table()["reasons"].items()}


def read_differences() -> dict[str, Difference]:
    """Reads the differences, by the case's name."""
    reasons = read_reasons()
    rows = read_table()["differences"].items()
    return {name: Difference(row["triton"], reasons[row["reason"]]) for name, row in rows}


def write_page() -> str:
    """Gives the page of docs that tells users of the differences."""
    lines = [
        _INTRODUCTION.format(version=read_table()["triton"]),
        "| | Triton | Sentinova | why |",
        "| --- | --- | --- | --- |",
    ]
    lines += [f"| {one.about} | {one.triton} | {one.sentinova} | {one.why} |" for one in read_reasons().values()]
    return "\n".join(lines) + "\n"


DIFFERENCES = read_differences()

if __name__ == "__main__":
    PAGE.write_text(write_page())
