"""How the scoring of a table is shown: bars on a terminal while it runs, and what was done in the end.

Knows terminals. Must not know options or files.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from sentinova import display
from sentinova.checkpoint import Progress
from sentinova.errors import SentinovaError
from sentinova.report import explain


class FileWatch:
    """Shows how far the scoring of a table is: bars where the standard error is a terminal, and what is waited for.

    Attributes:
        rows: Rows in all; 0 until they are known.
        start: How far an earlier run came.
        done: How far this one is.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.start = Progress()
        self.done = Progress()
        self._console = Console(stderr=True, highlight=False)
        self._told = False

    @contextmanager
    def surveying(self, size: int) -> Iterator[Callable[[int], None]]:
        """Shows a bar of the bytes that are looked at."""
        if not sys.stderr.isatty():
            yield lambda _: None
            return
        with display.progress_bar(size, "checking") as advance:
            yield advance

    @contextmanager
    def scoring(self, rows: int, start: Progress) -> Iterator[Callable[[Progress], None]]:
        """Shows a bar of the rows."""
        self.rows, self.start, self.done = rows, start, start
        if start.rows:
            self._console.print(f"going on after row {start.rows:,} of {rows:,}")
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("rows"),
            TimeRemainingColumn(),
        )
        with Bars(*columns, console=self._console, transient=True, disable=not sys.stderr.isatty()) as bars:
            bar = bars.add_task("scoring rows", total=rows, completed=start.rows)

            def advanced(done: Progress) -> None:
                self.done = done
                self._told = False
                failed = sum(done.failures.values())
                bars.update(
                    bar, completed=done.rows, description=f"scoring ({failed:,} failed)" if failed else "scoring"
                )

            yield advanced

    def waiting(self, error: SentinovaError) -> None:
        """Says once, until there are answers again, what is waited for."""
        if not self._told:
            self._told = True
            self._console.print(f"{explain(error)}\n  Trying again.", style="yellow", markup=False, soft_wrap=True)


def show_summary(out: Path, done: Progress, *, start: Progress, as_json: bool) -> None:
    """Says what was done: on the standard error, or as JSON on the standard output.

    Args:
        out: The file that was made.
        done: What all runs together did.
        start: What of that earlier runs did.
        as_json: Write it as JSON.
    """
    if as_json:
        display.echo_json(
            {
                "out": click.format_filename(out),
                "rows": done.rows,
                "rows_of_earlier_runs": start.rows,
                "labels": done.labels,
                "failures": done.failures,
                "versions": done.versions,
            }
        )
        return
    failed = sum(done.failures.values())
    parts = [_counts(done.labels), f"failed {failed:,} ({_counts(done.failures)})" if failed else ""]
    counts = ", ".join(filter(None, parts))
    click.echo(f"{out}: {done.rows:,} rows{': ' if counts else ''}{counts}", err=True)
    if len(done.versions) > 1:
        click.secho(f"More than one version answered: {_counts(done.versions)}", err=True, fg="yellow")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{display.printable(name)} {count:,}" for name, count in sorted(counts.items()))
