"""The documents of the `sentinova` command: the lines of a file, read one by one.

Knows bytes, lines and text encodings. Must not know the client or the terminal.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO

READ_BYTES = 1 << 16
KEPT_CHARACTERS = 120  # of the start of each line, to be shown beside its answer


class Lines:
    """The lines of a file as documents: pairs of the line's number and its text, without blank lines.

    Keeps the start of each text, and the bytes it stood for, until `take` asks for them.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._pending: dict[str, tuple[str, int]] = {}

    def __iter__(self) -> Iterator[tuple[str, str]]:
        size = 0
        for number, line in enumerate(byte_lines(self._file), start=1):
            size += len(line)
            # Bytes that are not UTF-8 become surrogates, which the client refuses for this one document.
            text = line.decode("utf-8-sig" if number == 1 else "utf-8", "surrogateescape").rstrip("\r\n")
            if not text.strip():
                continue
            self._pending[str(number)] = (text[:KEPT_CHARACTERS], size)
            size = 0
            yield str(number), text

    def take(self, number: str) -> tuple[str, int]:
        """Gives the start of the text of a line, and how many bytes were read for it; forgets both."""
        return self._pending.pop(number)


def byte_lines(file: BinaryIO) -> Iterator[bytes]:
    """Gives the lines of a file, each as soon as it is there.

    Reads the file descriptor itself: a thread that waits in Python's own buffer of the standard input would hold its
    lock, and keep an interrupted program from ending.
    """
    try:
        descriptor = file.fileno()
    except OSError:
        yield from file  # a file in memory
        return
    start: list[bytes] = []
    while block := os.read(descriptor, READ_BYTES):
        *ended, rest = block.split(b"\n")
        for line in ended:
            yield b"".join([*start, line, b"\n"])
            start.clear()
        start.append(rest)
    if last := b"".join(start):
        yield last


def chunks(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """Gives the texts in lists of at most `size`, reading no further than the list that it gives."""
    chunk: list[str] = []
    for text in texts:
        chunk.append(text)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
