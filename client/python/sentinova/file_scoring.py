"""The scoring of a table in a file: its rows go to the server, and come back into another file with columns added.

Knows how a table, a scorer and a file in the making work together. Must not know the terminal or how calls are made.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from sentinova.checkpoint import Part, Progress
from sentinova.conversion import Outcome
from sentinova.errors import InvalidArgumentError, SentinovaError
from sentinova.scoring import Analyze, Entry, Scorer, describe
from sentinova.survey import Guard, Survey, survey
from sentinova.tables import (
    Cell,
    CsvReader,
    CsvWriter,
    Format,
    JsonReader,
    JsonRow,
    JsonWriter,
    Lines,
    Number,
    Place,
    Reader,
    Row,
    TableError,
    Writer,
    delimiter_of,
)

SCORE_DIGITS = 6  # scores are 32-bit floats, and the last of their digits depend on what else is in a batch

INPUT = "input"  # what names the table's hash where work is compared


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done.

    Attributes:
        file: The table to read.
        out: The file to make; it is there when it is complete.
        column: The column of the texts.
        form: Format of `file`.
        out_form: Format of `out`.
        delimiter: What separates the fields of `file`.
        added: Names of the columns for the label, the score and the error.
        restart: Begin anew where a part of the result is there.
    """

    file: Path
    out: Path
    column: str
    form: Format
    out_form: Format
    delimiter: str | None
    added: tuple[str, str, str]
    restart: bool = False

    def options(self) -> dict[str, Any]:
        """Gives what must be the same for a result to be gone on with, by the names of the command's options."""
        label, score, error = self.added
        return {
            "--column": self.column,
            "--format": self.form,
            "--out-format": self.out_form,
            "--delimiter": self.delimiter,
            "--label-column": label,
            "--score-column": score,
            "--error-column": error,
        }


class Watch(Protocol):
    """Whoever wants to know how far the work is."""

    def surveying(self, size: int) -> AbstractContextManager[Callable[[int], None]]:
        """The file is looked at; gives what is told of each number of bytes more."""

    def scoring(self, rows: int, start: Progress) -> AbstractContextManager[Callable[[Progress], None]]:
        """The rows are analyzed; gives what is told how far that is."""

    def waiting(self, error: SentinovaError) -> None:
        """The server is waited for; called from any thread."""


def score_file(
    task: Task, analyze: Analyze, *, choice: Mapping[str, Any], patience: float | None, watch: Watch
) -> Progress:
    """Scores the table, or the rest of it that an earlier run left.

    Args:
        task: What is to be done.
        analyze: Makes one call.
        choice: What `analyze` was told about the model: another choice does not go on with this one's result.
        patience: Seconds to wait for a server that is away or busy, as of `Scorer`; None: no limit.
        watch: Is told how far it is.

    Returns:
        What all runs together have done.

    Raises:
        TableError: The file is not such a table, or has changed.
        CheckpointError: What is there of the result cannot be gone on with.
        SentinovaError: The server failed. What was done is kept.
        OSError: A file cannot be read or written. What was done is kept.
    """
    with task.file.open("rb") as file:
        reader: Reader = JsonReader() if task.delimiter is None else CsvReader(task.delimiter)
        with watch.surveying(task.file.stat().st_size) as advance:
            found = survey(file, reader, column=task.column, added=task.added, check=_check_of(task), advance=advance)
        writer = _writer(task, found)
        work = {INPUT: found.sha256, **task.options(), **choice}
        start = Progress(offset=found.first.offset, line=found.first.line)
        with Part(task.out.resolve(), work, start, time.monotonic) as part:
            part.open(writer.header(), restart=task.restart)
            scorer = Scorer(analyze, patience, tell=watch.waiting)
            with watch.scoring(found.rows, part.progress) as advanced:
                try:
                    _score(_Run(task, file, reader, found, writer), part, scorer, advanced)
                finally:
                    advanced(part.progress)  # an interruption may come after the writing and before the telling
            part.finish()
        return part.progress


@dataclass(frozen=True, slots=True)
class _Run:
    task: Task
    file: BinaryIO
    reader: Reader
    found: Survey
    writer: Writer

    def entries(self, place: Place) -> Iterator[Entry[Row]]:
        """Gives the rows from a place on, with their texts."""
        for row in self.reader.rows(Lines(self.file, place)):
            yield Entry(row, _text(row.value(self.task.column, self.found.columns)), row.size)


def _score(run: _Run, part: Part, scorer: Scorer, advanced: Callable[[Progress], None]) -> None:
    guard = Guard(run.file, run.found)
    entries = run.entries(Place(part.progress.offset, part.progress.line))
    with closing(scorer.score(entries)) as scores:
        for scored in scores:
            # Rows that were read after a change must not be written.
            guard.check()
            lines = [run.writer.line(row, _values(outcome)) for row, outcome in scored]
            part.append(b"".join(lines), _counted(part.progress, scored))
            advanced(part.progress)
    guard.check()


def _text(value: Any) -> str | SentinovaError:
    if value is None:
        return ""  # which the server refuses as every empty text
    if isinstance(value, str) and not isinstance(value, Number):
        return value
    kind = {Number: "a number", bool: "true or false", list: "a list", dict: "an object"}[type(value)]
    return InvalidArgumentError(f"the field holds {kind}, not a text", reason="TEXT_NOT_STRING")


def _values(outcome: Outcome) -> tuple[Cell, Cell, Cell]:
    if isinstance(outcome, SentinovaError):
        return None, None, describe(outcome)
    return outcome.label, round(outcome.score, SCORE_DIGITS), None


def _counted(progress: Progress, scored: Sequence[tuple[Row, Outcome]]) -> Progress:
    labels, failures, versions = (Counter(each) for each in (progress.labels, progress.failures, progress.versions))
    for _, outcome in scored:
        if isinstance(outcome, SentinovaError):
            failures[outcome.reason or outcome.code.name] += 1
        else:
            labels[outcome.label] += 1
            versions[f"{outcome.model}/{outcome.version}"] += 1
    after = scored[-1][0].after
    return replace(
        progress,
        rows=progress.rows + len(scored),
        offset=after.offset,
        line=after.line,
        labels=dict(labels),
        failures=dict(failures),
        versions=dict(versions),
    )


def _writer(task: Task, found: Survey) -> Writer:
    if task.out_form == "jsonl":
        if task.form != "jsonl" and len(set(found.columns)) < len(found.columns):
            raise TableError("two of its columns have the same name, which a JSON object cannot have")
        return JsonWriter(found.columns, task.added)
    return CsvWriter(
        found.columns,
        task.added,
        delimiter=task.delimiter if task.delimiter and task.form == task.out_form else delimiter_of(task.out_form),
        newline=found.newline,
        byte_order_mark=found.byte_order_mark,
    )


def _check_of(task: Task) -> Callable[[Row], None]:
    """Gives what finds rows that can be read, and not be written."""

    def check(row: Row) -> None:
        names = list(row.fields) if isinstance(row, JsonRow) else []
        try:
            "".join([*names, *row.cells(names)]).encode()
        except UnicodeEncodeError as error:
            code = ord(error.object[error.start])
            raise TableError(f"it holds the lone surrogate U+{code:04X}, which only JSON can carry", row.line) from None

    return check if task.form == "jsonl" and task.out_form != "jsonl" else lambda _: None
