"""How the `sentinova` command shows answers: tables and lines for people, JSON lines for machines.

Knows results, colours and terminals. Must not know clients or options. Models are shown by `sentinova.model_display`.
"""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from sentinova.errors import SentinovaError
from sentinova.results import Answer, Sentiment

LONGEST_SNIPPET = 60  # characters of a text that are shown beside its sentiment

_BAR_WIDTH = 10
_COLOURS = {"positive": "green", "negative": "red", "neutral": "yellow"}
_PLAIN_WIDTH = 120  # columns of a table that does not go to a terminal


def console() -> Console:
    """Makes a console on the standard output; colour only on terminals, and as NO_COLOR says."""
    on_terminal = sys.stdout.isatty()
    return Console(file=sys.stdout, width=None if on_terminal else _PLAIN_WIDTH, highlight=False)


def echo_json(value: dict[str, Any]) -> None:
    """Writes one JSON object on a line of its own."""
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


def answer_json(answer: Answer) -> dict[str, Any]:
    """Gives an answer as a JSON object: index, id, and the fields of the sentiment, or `error`."""
    head: dict[str, Any] = {"index": answer.index, "id": answer.id}
    if answer.result is not None:
        return head | _sentiment_json(answer.result)
    return head | {"error": None if answer.error is None else error_json(answer.error)}


def error_json(error: SentinovaError) -> dict[str, Any]:
    """Gives an error as a JSON object; `retry_after` is in seconds, or null."""
    return {
        "code": error.code.name,
        "reason": error.reason,
        "message": error.message,
        "metadata": error.metadata,
        "field_violations": [asdict(each) for each in error.field_violations],
        "retry_after": error.retry_after,
    }


def show_answers(answers: Iterable[Answer], texts: Iterable[str]) -> None:
    """Shows answers as a table, each beside the start of its text."""
    out = console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("sentiment", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    if out.is_terminal:
        table.add_column("", no_wrap=True)
    table.add_column("text", no_wrap=True, overflow="ellipsis")
    table.add_column("model", no_wrap=True)
    table.add_column("tokens", justify="right", no_wrap=True)
    for answer, text in zip(answers, texts, strict=True):
        cells = _cells(answer, bar_in=out.encoding if out.is_terminal else None)
        table.add_row(*cells[:-2], Text(snippet(text)), *cells[-2:])
    out.print(table)


def answer_line(answer: Answer, text: str) -> str:
    """Gives an answer as a tabbed line: id, label (or the error's reason), score, start of the text."""
    if answer.result is not None:
        label, score = answer.result.label, f"{answer.result.score:.4f}"
        colour = _COLOURS.get(label, "cyan")
    else:
        label, score, colour = _reason(answer.error), "-", "magenta"
    return f"{answer.id}\t{click.style(printable(label), fg=colour)}\t{score}\t{snippet(text)}"


def echo_line(line: str) -> None:
    """Writes a line to the standard output; its colours only where they are wanted."""
    click.echo(line, color=False if os.environ.get("NO_COLOR") else None)


@contextmanager
def progress_bar(total: int, doing: str = "analyzing") -> Iterator[Callable[[int], None]]:
    """Shows a progress bar on the standard error, and gives the function to feed it with bytes done.

    Args:
        total: Bytes in all.
        doing: What is done with them.
    """
    columns = (TextColumn(doing), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(doing, total=total)
        yield lambda size: progress.advance(task, size)


def printable(text: str) -> str:
    """Replaces what could steer a terminal (control and format characters, surrogates) by a space."""
    return "".join(" " if unicodedata.category(each).startswith("C") else each for each in text)


def snippet(text: str) -> str:
    """Gives the start of a text, on one line, safe to print."""
    start = " ".join(printable(text[: 2 * LONGEST_SNIPPET]).split())
    return start if len(start) <= LONGEST_SNIPPET else start[: LONGEST_SNIPPET - 1] + "…"


def bar(score: float, encoding: str = "utf-8") -> str:
    """Draws a score from 0 to 1 as a bar."""
    full, empty = ("█", "░") if encoding.lower().startswith("utf") else ("#", ".")
    length = max(0, min(_BAR_WIDTH, round(score * _BAR_WIDTH)))
    return full * length + empty * (_BAR_WIDTH - length)


def _sentiment_json(result: Sentiment) -> dict[str, Any]:
    value = asdict(result)
    # Scores are 32-bit floats: more than 7 digits would be noise.
    value["score"] = round(result.score, 7)
    value["scores"] = {label: round(score, 7) for label, score in result.scores.items()}
    return value


def _cells(answer: Answer, bar_in: str | None) -> list[Text]:
    result = answer.result
    if result is None:
        empty = [Text("")] * (4 if bar_in else 3)
        return [Text(printable(_reason(answer.error)), style="magenta"), *empty]
    style = _COLOURS.get(result.label, "cyan")
    tokens = f"{result.token_count}{' (cut)' if result.truncated else ''}"
    return [
        Text(printable(result.label), style=style),
        Text(f"{result.score:.4f}"),
        *([Text(bar(result.score, bar_in), style=style)] if bar_in else []),
        Text(printable(f"{result.model}/{result.version}")),
        Text(tokens),
    ]


def _reason(error: SentinovaError | None) -> str:
    return "" if error is None else error.reason or error.code.name
