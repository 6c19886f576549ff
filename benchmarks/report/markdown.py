"""The report: Markdown with tables and plots beside them, and the facts that the numbers hang on.

Knows tables and plots' names; measures nothing and judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.report.tables import Table, make_tables
from benchmarks.samples import Results, total

FILE = "report.md"
_TITLE = "# Benchmarks\n\nMedians over the rounds of one run, with the lowest and highest round in brackets.\n"
_CAPTIONS = {
    "throughput_latency.png": "Texts a second against latency for ever more clients",
    "cpu.png": "CPU seconds per 1,000 texts; black lines: range of the rounds",
    "padding.png": "Share of tokens that were padding; black lines: range of the rounds",
    "tokens.png": "CPU time per token by length of text",
    "memory.png": "Resident memory over requests of random lengths",
}


def write(results: Results, folder: Path) -> Path:
    """Writes the report and its plots into a folder, and gives the report's file."""
    from benchmarks.report.plots import draw  # noqa: PLC0415 (only a run needs matplotlib)

    folder.mkdir(parents=True, exist_ok=True)
    drawn = draw(results, folder)
    file = folder / FILE
    file.write_text(render(results, drawn), encoding="utf-8")
    return file


def render(results: Results, plots: frozenset[str] = frozenset()) -> str:
    """Makes the report's text. `plots`: the files that are there."""
    parts = [_TITLE, _render_facts(results.facts)]
    if results.missing:
        parts.append("## Not run\n\n" + "".join(f"- {title}: {why}\n" for title, why in results.missing.items()))
    parts += [_render_table(table, plots) for table in make_tables(results)]
    parts.append("## Notes\n\n" + "".join(f"- {note}\n" for note in _notes(results)))
    return "\n".join(parts)


def _render_facts(facts: Mapping[str, str]) -> str:
    return "| | |\n| --- | --- |\n" + "".join(f"| {name} | {_cell(value)} |\n" for name, value in facts.items())


def _render_table(table: Table, plots: frozenset[str]) -> str:
    lines = [f"## {table.title}", ""]
    if table.note:
        lines += [table.note, ""]
    lines.append(_line(table.header))
    lines.append(_line(["---" if index < table.texts else "--:" for index in range(len(table.header))]))
    lines += [_line(row) for row in table.rows]
    for plot in table.plot.split():
        if plot in plots:
            lines += ["", f"![{_CAPTIONS[plot]}]({plot})"]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _notes(results: Results) -> Iterator[str]:
    """Tells how it was measured, as far as this run measured it, and what went otherwise than planned."""
    yield "Texts are made of common words, one token each; every target gets the same ones, serialized beforehand."
    yield (
        "All targets are loaded at once and asked one after the other. The load generator is a process of its own, on "
        "the same cores."
    )
    others = [sample.values["others_cores"] for sample in results.samples if "others_cores" in sample.values]
    generator = [sample.values["generator_cores"] for sample in results.samples if "generator_cores" in sample.values]
    if generator:
        yield (
            f"The load generator used at most {max(generator):.2f} cores, and the targets that were not asked at most "
            f"{max(others):.2f} together."
        )
    for sample in results.samples:
        if sample.part == "agreement":
            title = results.titles[sample.target]
            yield (
                f"{title} gave the same class as bare OpenVINO for {sample.values['equal']:.0f} of "
                f"{sample.values['of']:.0f} texts."
            )
    yield f"Calls that failed: {total(results.samples, 'errors'):.0f}."
    yield from dict.fromkeys(results.notes)
