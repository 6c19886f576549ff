"""The short view for a terminal: throughput beside the ceiling, and the ratios."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.report.tables import Table, ratio_table, throughput_table
from benchmarks.samples import Results


def show(results: Results, console: Console) -> None:
    """Prints it, with what was not run."""
    _show_table(throughput_table(results), (0, 1, 2, 3, 4, 5), console)
    _show_table(ratio_table(results), (0, 1, 2), console)
    for title, why in results.missing.items():
        console.print(f"{title} was not run: {why}")
    for note in dict.fromkeys(results.notes):
        console.print(note)


def _show_table(table: Table, columns: Sequence[int], console: Console) -> None:
    if not table.rows:
        return
    shown = RichTable(title=table.title, title_justify="left")
    for column in columns:
        shown.add_column(table.header[column], justify="left" if column < table.texts else "right")
    for row in table.rows:
        # Medians alone: the report has the ranges.
        shown.add_row(*(row[column].replace("**", "").partition(" (")[0] for column in columns))
    console.print(shown)
