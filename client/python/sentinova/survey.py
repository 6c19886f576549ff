"""The look at a whole table before work on it begins: what it holds, and whether it can be done to its last row.

Knows what a table must be like to be given more columns. Must not know what these mean. Reads the file once, in bounded
memory.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from sentinova.tables import MOST_COLUMNS, CsvReader, CsvRow, JsonRow, Lines, Place, Reader, Row, TableError

MOST_SHOWN = 20  # names of columns in a message

_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells in no time that a file has hardly been touched: the file itself, its size, its time."""

    device: int
    inode: int
    size: int
    time: int

    @classmethod
    def of(cls, file: BinaryIO) -> Stamp:
        """Takes the stamp of an open file."""
        found = os.fstat(file.fileno())
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class Survey:
    """What a table holds.

    Attributes:
        columns: Names of its columns, in order; of objects: their keys as they come.
        rows: Number of rows, without the header.
        first: Where its first row begins.
        newline: What ends its first line.
        byte_order_mark: Whether it begins with one.
        sha256: Hash of all its bytes.
        stamp: Its stamp from before it was read.
    """

    columns: tuple[str, ...]
    rows: int
    first: Place
    newline: str
    byte_order_mark: bool
    sha256: str
    stamp: Stamp


def survey(
    file: BinaryIO,
    reader: Reader,
    *,
    column: str,
    added: Sequence[str],
    check: Callable[[Row], None],
    advance: Callable[[int], None],
) -> Survey:
    """Reads a table from its first to its last byte.

    Args:
        file: The file.
        reader: Reads its format.
        column: The column that there must be.
        added: The columns that there must not be.
        check: Raises a TableError where a row cannot be written again.
        advance: Is told how many more bytes have been read.

    Raises:
        TableError: It is not such a table.
    """
    stamp = Stamp.of(file)
    digest = hashlib.sha256()
    ends: list[bytes] = []

    def note(line: bytes) -> None:
        if not ends:
            ends.append(line)
        digest.update(line)
        advance(len(line))

    lines = Lines(file, Place(), note)
    rows = reader.rows(lines)
    table = _CsvColumns(rows, reader.delimiter) if isinstance(reader, CsvReader) else _JsonColumns()
    table.check_header(column, added)
    first = lines.place
    count = 0
    for count, row in enumerate(rows, start=1):  # noqa: B007
        table.take(row, added)
        check(row)
    table.check_end(column)
    newline = "\r\n" if ends and ends[0].endswith(b"\r\n") else "\n"
    return Survey(tuple(table.names), count, first, newline, lines.byte_order_mark, digest.hexdigest(), stamp)


class Guard:
    """Watches that a file stays as it was looked at, while its rows are read."""

    def __init__(self, file: BinaryIO, found: Survey) -> None:
        self._file = file
        self._sha256 = found.sha256
        self._stamp = found.stamp

    def check(self) -> None:
        """Looks at the file's stamp, and at all of its bytes where that is another one.

        Raises:
            TableError: It has changed.
        """
        stamp = Stamp.of(self._file)
        if stamp == self._stamp:
            return
        place = self._file.tell()
        if _sha256_of(self._file) != self._sha256:
            raise TableError("it has changed while it was read")
        self._file.seek(place)
        self._stamp = stamp


def _sha256_of(file: BinaryIO) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(_READ_BYTES):
        digest.update(block)
    return digest.hexdigest()


class _CsvColumns:
    """The columns of a CSV file: its header's."""

    def __init__(self, rows: Iterator[Row], delimiter: str) -> None:
        header = next(rows, None)
        if not isinstance(header, CsvRow):
            raise TableError("it is empty; the first line must name the columns")
        self.names = header.fields
        self._delimiter = delimiter

    def check_header(self, column: str, added: Sequence[str]) -> None:
        if column not in self.names:
            raise TableError(f"it has no column {column!r}, but {_listed(self.names)}{self._hint()}")
        if self.names.count(column) > 1:
            raise TableError(f"it has more than one column {column!r}")
        _check_free(self.names, added)

    def take(self, row: Row, added: Sequence[str]) -> None:
        count = len(row.fields) if isinstance(row, CsvRow) else 0
        if count > len(self.names):
            fix = f"a field that holds {self._delimiter!r} must stand in quotes"
            raise TableError(f"it has {count} fields, and the header {len(self.names)}: {fix}", row.line)

    def check_end(self, column: str) -> None:
        """A header is all that there must be."""

    def _hint(self) -> str:
        only = self.names[0] if len(self.names) == 1 else ""
        others = [each for each in ",;\t|" if each in only]
        return f"; is it separated by {others[0]!r}? Say so with --delimiter" if others else ""


class _JsonColumns:
    """The columns of a JSON Lines file: the keys of all its objects."""

    def __init__(self) -> None:
        self.names: dict[str, None] = {}

    def check_header(self, column: str, added: Sequence[str]) -> None:
        """There is no header."""

    def take(self, row: Row, added: Sequence[str]) -> None:
        if not isinstance(row, JsonRow) or row.fields.keys() <= self.names.keys():
            return
        self.names |= dict.fromkeys(row.fields)
        _check_free(row.fields, added, row.line)
        if len(self.names) > MOST_COLUMNS:
            raise TableError(f"the objects up to here have more than {MOST_COLUMNS:,} different keys", row.line)

    def check_end(self, column: str) -> None:
        if self.names and column not in self.names:
            raise TableError(f"none of its objects has a field {column!r}; they have {_listed(self.names)}")


def _check_free(names: Collection[str], added: Sequence[str], line: int | None = None) -> None:
    for name in added:
        if name in names:
            raise TableError(
                f"it has a column {name!r} already: give the new one another name "
                "with --label-column, --score-column or --error-column",
                line,
            )


def _listed(names: Collection[str]) -> str:
    shown = [repr(each) for each in names]
    more = f" and {len(shown) - MOST_SHOWN} more" if len(shown) > MOST_SHOWN else ""
    return ", ".join(shown[:MOST_SHOWN]) + more
