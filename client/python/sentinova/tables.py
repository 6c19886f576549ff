"""Tables in files: rows of CSV, TSV and JSON Lines files, read one by one, and written again with columns added.

Knows bytes, lines and formats, and says where a file is not what it should be. Must not know the client, the terminal,
or what the added columns mean.

Formats: RFC 4180 for CSV (as Python's csv module reads it; TSV is the same with tabs), https://jsonlines.org for JSON
Lines. All are UTF-8, with or without a byte order mark.
"""

from __future__ import annotations

import csv
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

Format = Literal["csv", "tsv", "jsonl"]
Cell = str | float | None

LONGEST_LINE = 16 << 20  # bytes; what is longer is not held in memory
MOST_COLUMNS = 10_000  # different keys in the objects of a file

_SUFFIXES: dict[str, Format] = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_DELIMITERS = {"csv": ",", "tsv": "\t"}
_BOM = "\ufeff"


class TableError(Exception):
    """A file is not the table that it should be.

    Args:
        message: What is wrong.
        line: Number of the line, from 1; None: the file as a whole.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line:,}: {message}")


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file between two rows.

    Attributes:
        offset: Bytes before it.
        line: Lines before it.
    """

    offset: int = 0
    line: int = 0


class Number(str):
    """A number of a JSON file, as it is written there: reading it could lose digits."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Row(ABC):
    """One row.

    Attributes:
        line: Number of its first line, from 1.
        size: Bytes that it takes up in the file.
        after: Where the next one begins.
    """

    line: int
    size: int
    after: Place

    @abstractmethod
    def value(self, column: str, columns: Sequence[str]) -> Any:
        """Gives what stands in a column; None: nothing."""

    @abstractmethod
    def cells(self, columns: Sequence[str]) -> list[str]:
        """Gives what stands in the columns, as text."""

    @abstractmethod
    def json(self, columns: Sequence[str], added: Mapping[str, Cell]) -> str:
        """Gives the row as a JSON object with more fields."""


@dataclass(frozen=True, slots=True)
class CsvRow(Row):
    """A row of a CSV or TSV file, which may end before its last columns do."""

    fields: list[str]

    def value(self, column: str, columns: Sequence[str]) -> str | None:
        """See `Row`."""
        place = columns.index(column)
        return self.fields[place] if place < len(self.fields) else None

    def cells(self, columns: Sequence[str]) -> list[str]:
        """See `Row`."""
        return self.fields + [""] * (len(columns) - len(self.fields))

    def json(self, columns: Sequence[str], added: Mapping[str, Cell]) -> str:
        """See `Row`."""
        own = zip(columns, self.cells(columns), strict=True)
        return json.dumps({**dict(own), **added}, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class JsonRow(Row):
    """A row of a JSON Lines file: an object, and the text that it was read from."""

    fields: dict[str, Any]
    source: str

    def value(self, column: str, columns: Sequence[str]) -> Any:
        """See `Row`."""
        return self.fields.get(column)

    def cells(self, columns: Sequence[str]) -> list[str]:
        """See `Row`. A list or an object is its JSON; null and what is missing are empty."""
        return [_cell(self.fields.get(each)) for each in columns]

    def json(self, columns: Sequence[str], added: Mapping[str, Cell]) -> str:
        """See `Row`. The row's own text is kept as it is."""
        own = self.source[:-1].rstrip()
        more = json.dumps(added, ensure_ascii=False)[1:]
        return f"{own}{', ' if self.fields else ''}{more}"


class Lines:
    """The lines of a file from a place on, as text; knows how far it is.

    Args:
        file: The file.
        place: Where to begin.
        note: Is given the bytes of each line.

    Raises:
        TableError: A line is not UTF-8, or longer than `LONGEST_LINE`.
    """

    def __init__(self, file: BinaryIO, place: Place, note: Callable[[bytes], object] | None = None) -> None:
        self._file = file
        self._note = note
        self.place = place
        self.byte_order_mark = False
        file.seek(place.offset)

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._file.readline(LONGEST_LINE + 1)
        if not line:
            raise StopIteration
        if self._note is not None:
            self._note(line)
        start = self.place
        number = start.line + 1
        if len(line) > LONGEST_LINE:
            raise TableError(f"it is longer than {LONGEST_LINE:,} bytes", number)
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise TableError(_not_utf8(line, error), number) from None
        self.place = Place(start.offset + len(line), number)
        if not start.offset and text.startswith(_BOM):
            self.byte_order_mark = True
            return text[1:]
        return text


class Reader(ABC):
    """Reads the rows of one format."""

    @abstractmethod
    def rows(self, lines: Lines) -> Iterator[Row]:
        """Gives the rows; blank lines are passed over.

        Raises:
            TableError: A line is not of the format.
        """


class CsvReader(Reader):
    """Reads CSV and TSV files.

    Args:
        delimiter: What separates the fields, one character.
    """

    def __init__(self, delimiter: str) -> None:
        self.delimiter = delimiter
        # For the whole process, as the csv module has it: the default refuses texts that a server may well take.
        csv.field_size_limit(LONGEST_LINE)

    def rows(self, lines: Lines) -> Iterator[CsvRow]:
        """See `Reader`. The header is a row too."""
        taken: list[str] = []

        def source() -> Iterator[str]:
            for line in lines:
                taken.append(line)
                yield line

        reader = csv.reader(source(), delimiter=self.delimiter)
        while True:
            start = lines.place
            previous, taken[:] = taken[:], []
            try:
                fields = next(reader, None)
            except csv.Error as error:
                raise TableError(f"it cannot be read: {error}{_fix_of(error)}", start.line + 1) from None
            if fields is None:
                if previous and self._is_open(previous):
                    raise TableError("a quoted field begins here that nothing closes", start.line + 1 - len(previous))
                return
            if fields:
                yield CsvRow(start.line + 1, lines.place.offset - start.offset, lines.place, fields)

    def _is_open(self, record: list[str]) -> bool:
        """Tells whether the last record of a file ends within quotes: then it takes in one more line."""
        return len(list(csv.reader([*record, "\n", "x\n"], delimiter=self.delimiter))) == 1


class JsonReader(Reader):
    """Reads JSON Lines files."""

    def rows(self, lines: Lines) -> Iterator[JsonRow]:
        """See `Reader`."""
        start = lines.place
        for line in lines:
            source = line.strip(" \t\r\n")
            if source:
                size = lines.place.offset - start.offset
                yield JsonRow(lines.place.line, size, lines.place, _object(source, lines.place.line), source)
            start = lines.place


class Writer(ABC):
    """Writes rows of any format in one format, with columns added.

    Args:
        columns: The columns of the input, in order.
        added: The names of the columns that are added.
    """

    def __init__(self, columns: Sequence[str], added: Sequence[str]) -> None:
        self.columns = columns
        self.added = added

    @abstractmethod
    def header(self) -> bytes:
        """Gives what stands before the rows."""

    @abstractmethod
    def line(self, row: Row, values: Sequence[Cell]) -> bytes:
        """Gives a row with the values of the added columns."""


class CsvWriter(Writer):
    """Writes CSV and TSV files.

    Args:
        columns: The columns of the input, in order.
        added: The names of the columns that are added.
        delimiter: What separates the fields.
        newline: What ends a line.
        byte_order_mark: Whether the file begins with one.
    """

    def __init__(
        self, columns: Sequence[str], added: Sequence[str], *, delimiter: str, newline: str, byte_order_mark: bool
    ) -> None:
        super().__init__(columns, added)
        self._byte_order_mark = byte_order_mark
        # A writer of the csv module gives back what `write` does. It quotes what it must, but no carriage return
        # where lines end without one.
        self._writer = csv.writer(_Echo(), delimiter=delimiter, lineterminator=newline)
        self._quoting = csv.writer(_Echo(), delimiter=delimiter, lineterminator=newline, quoting=csv.QUOTE_ALL)

    def header(self) -> bytes:
        """See `Writer`."""
        return (_BOM if self._byte_order_mark else "").encode() + self._record([*self.columns, *self.added])

    def line(self, row: Row, values: Sequence[Cell]) -> bytes:
        """See `Writer`."""
        return self._record(row.cells(self.columns) + ["" if each is None else str(each) for each in values])

    def _record(self, fields: list[str]) -> bytes:
        writer = self._quoting if any("\r" in each for each in fields) else self._writer
        record: str = writer.writerow(fields)
        return record.encode()


class JsonWriter(Writer):
    """Writes JSON Lines files."""

    def header(self) -> bytes:
        """See `Writer`."""
        return b""

    def line(self, row: Row, values: Sequence[Cell]) -> bytes:
        """See `Writer`."""
        return row.json(self.columns, dict(zip(self.added, values, strict=True))).encode() + b"\n"


class _Echo:
    @staticmethod
    def write(text: str) -> str:
        return text


def format_of(path: Path) -> Format | None:
    """Gives the format that a file's name tells; None: it tells none."""
    return _SUFFIXES.get(path.suffix.lower())


def delimiter_of(form: Format) -> str:
    """Gives what separates the fields of a CSV or TSV file where nothing else is said."""
    return _DELIMITERS[form]


def _fix_of(error: csv.Error) -> str:
    return " (is there a quote that nothing closes?)" if "limit" in str(error) else ""


def _object(source: str, line: int) -> dict[str, Any]:
    try:
        value = json.loads(source, parse_float=Number, parse_int=Number, parse_constant=Number)
    except json.JSONDecodeError as error:
        raise TableError(f"it is not JSON: {error.msg} at character {error.pos + 1}", line) from None
    except RecursionError:
        raise TableError("its JSON is nested too deeply", line) from None
    if not isinstance(value, dict):
        raise TableError("it is JSON, but no object: each line must be one, as in {…}", line)
    return value


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, str) else _plain(value)


def _plain(value: Any) -> str:
    """Gives the JSON of a value whose numbers are `Number`s."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        fields = (f"{json.dumps(key, ensure_ascii=False)}: {_plain(each)}" for key, each in value.items())
        return f"{{{', '.join(fields)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_plain, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _not_utf8(line: bytes, error: UnicodeDecodeError) -> str:
    message = f"byte {error.start + 1} of it (0x{line[error.start]:02x}) is not UTF-8"
    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
        return f"{message}; it looks like UTF-16: convert the file, for example with iconv -f UTF-16 -t UTF-8"
    return f"{message}: convert the file, for example with iconv -f WINDOWS-1252 -t UTF-8"
