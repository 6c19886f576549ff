"""Tables of texts, some with a label: what a model is calibrated with and measured on.

Knows file formats; must not know models. A `.txt` file has a text a line. `.csv` (RFC 4180) and `.tsv` (no quoting, as
its media type has it) begin with a line of column names. `.jsonl` has one object a line.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sentinova_server.errors import LoadError

# What the label's column is called where nobody says; a file without it has no labels.
USUAL_LABEL_COLUMN = "label"
# A field of a table may be a whole document; the csv module stops at 128 KiB by itself.
_MAX_FIELD_CHARS = 1 << 27


@dataclass(frozen=True, slots=True)
class TextRow:
    """One text.

    Attributes:
        text: never blank.
        label: name or number of its class, as the file has it; None: it has none.
        line: where it ends in the file, counted from 1.
    """

    text: str
    label: str | None
    line: int


def read_texts(file: Path, text_column: str, label_column: str) -> list[TextRow]:
    """Reads the texts of a table; rows whose text is blank are left out.

    Args:
        file: its extension tells its format.
        text_column: column, or key, of the text; plain text has none.
        label_column: column, or key, of the label; the usual one may be missing.

    Raises:
        LoadError: the file cannot be read, is not as its extension says, lacks a column or has no text; names it.
    """
    read = _READERS.get(file.suffix.lower())
    if read is None:
        raise LoadError(file, f"is of no known kind: give a file that ends in one of {', '.join(_READERS)}")
    rows = [row for row in read(file, _open(file), text_column, label_column) if row.text.strip()]
    if not rows:
        raise LoadError(file, "has no texts: every line or text field in it is blank")
    return rows


def _open(file: Path) -> io.StringIO:
    """Reads a file whole, its line ends as they are; without the mark that some programs begin UTF-8 with."""
    try:
        content = file.read_bytes()
        return io.StringIO(content.decode("utf-8-sig"), newline="")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise LoadError(file, f"line {line} is not UTF-8 text: convert the file to UTF-8") from error
    except OSError as error:
        raise LoadError(file, f"cannot be read: {error.strerror}") from error


def number_labels(file: Path, rows: Sequence[TextRow], labels: Sequence[str]) -> list[int | None]:
    """Gives the number of each row's class, by name, or by number from 0; None for rows without a label.

    Raises:
        LoadError: a label is none of the model's; names the line.
    """
    numbers = {str(number): number for number in range(len(labels))} | {name: i for i, name in enumerate(labels)}
    found: list[int | None] = []
    for row in rows:
        if row.label is not None and row.label not in numbers:
            raise LoadError(
                file,
                f"line {row.line}: label {row.label!r} is none of the model's: use {', '.join(labels)}, or their "
                f"numbers 0 to {len(labels) - 1}, or leave it empty",
            )
        found.append(None if row.label is None else numbers[row.label])
    return found


def _read_lines(_: Path, lines: Iterator[str], __: str, ___: str) -> Iterator[TextRow]:
    for number, line in enumerate(lines, 1):
        yield TextRow(line.strip("\r\n"), None, number)


def _read_table(file: Path, lines: Iterator[str], text_column: str, label_column: str) -> Iterator[TextRow]:
    usual = csv.field_size_limit(_MAX_FIELD_CHARS)
    if file.suffix.lower() == ".tsv":
        table = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        table = csv.reader(lines, strict=True)
    try:
        header = next(table, [])
        text_index = _find_column(file, header, text_column, "--text-column")
        has_labels = label_column in header or label_column != USUAL_LABEL_COLUMN
        label_index = _find_column(file, header, label_column, "--label-column") if has_labels else None
        for fields in table:
            text = fields[text_index] if text_index < len(fields) else ""
            label = fields[label_index].strip() if label_index is not None and label_index < len(fields) else ""
            yield TextRow(text, label or None, table.line_num)
    except csv.Error as error:
        raise LoadError(file, f"line {table.line_num}: {error}") from error
    finally:
        csv.field_size_limit(usual)


def _find_column(file: Path, header: Sequence[str], name: str, option: str) -> int:
    try:
        return header.index(name)
    except ValueError:
        raise LoadError(file, f"line 1: has no column {name!r}, only {list(header)}: name one by {option}") from None


def _read_objects(file: Path, lines: Iterator[str], text_key: str, label_key: str) -> Iterator[TextRow]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except ValueError as error:
            raise LoadError(file, f"line {number} is not JSON: {error}") from error
        if not isinstance(content, dict) or not isinstance(content.get(text_key), str):
            keys = sorted(content) if isinstance(content, dict) else "no object"
            raise LoadError(
                file, f"line {number}: has no text under the key {text_key!r}, only {keys}: name one by --text-column"
            )
        if label_key not in content and label_key != USUAL_LABEL_COLUMN:
            raise LoadError(
                file, f"line {number}: has no key {label_key!r}, only {sorted(content)}: name one by --label-column"
            )
        label = content.get(label_key)
        yield TextRow(content[text_key], None if label in (None, "") else str(label), number)


_READERS: dict[str, Callable[[Path, Iterator[str], str, str], Iterator[TextRow]]] = {
    ".txt": _read_lines,
    ".csv": _read_table,
    ".tsv": _read_table,
    ".jsonl": _read_objects,
}
