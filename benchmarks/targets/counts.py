"""How many tokens a peer's model has read, told to the benchmark through small files.

Standard library only: the writing side runs inside the peers' processes.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_FORMAT = struct.Struct("<qq")


class TokenCounts:
    """The writing side: two numbers in a file that is mapped into memory, so that writing costs no system call."""

    def __init__(self, file: Path) -> None:
        """Makes the file, with both numbers 0."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(_FORMAT.size))
        with file.open("r+b") as opened:
            self._memory = mmap.mmap(opened.fileno(), _FORMAT.size)

    def add(self, tokens: int, padding: int) -> None:
        """Adds to them. Of two threads at once one may be lost: these are statistics."""
        before = _FORMAT.unpack_from(self._memory)
        _FORMAT.pack_into(self._memory, 0, before[0] + tokens, before[1] + padding)


def read_counts(folder: Path) -> tuple[int, int]:
    """Sums up the files in a folder: tokens, and those of them that were padding."""
    found = [_FORMAT.unpack(file.read_bytes()) for file in folder.glob("*.counts")]
    return sum(tokens for tokens, _ in found), sum(padding for _, padding in found)
