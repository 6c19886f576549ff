"""How the `sentinova` command shows models and their events: tables and lines for people, JSON for machines.

Knows models, colours and terminals. Must not know clients or options.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from sentinova.display import console, printable
from sentinova.results import (
    Comparison,
    EventKind,
    ModelEvent,
    ModelInfo,
    Rollback,
    TensorInfo,
    VersionInfo,
    VersionState,
)

_STATE_COLOURS = {
    VersionState.AVAILABLE: "green",
    VersionState.FAILED: "red",
    VersionState.LOADING: "yellow",
    VersionState.UNLOADING: "yellow",
}
_KIND_COLOURS = {EventKind.TRAFFIC: "cyan", EventKind.ROLLBACK: "magenta", EventKind.WARNING: "red"}
_OF_A_STATE = {EventKind.INITIAL, EventKind.STATE}
_SIZE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_NAME_WIDTH = 24  # columns of model/version in a line of a watch; longer names push the rest to the right
_WORD_WIDTH = 9  # of the longest state

Cell = Callable[[ModelInfo, VersionInfo], str]


def model_json(model: ModelInfo) -> dict[str, Any]:
    """Gives a model as a JSON object; times in ISO 8601."""
    value = asdict(model)
    for version in value["versions"]:
        time = version["state_time"]
        version["state_time"] = None if time is None else time.isoformat()
    return value


def event_json(event: ModelEvent) -> dict[str, Any]:
    """Gives an event of a watch as a JSON object; times in ISO 8601."""
    return asdict(event) | {"time": None if event.time is None else event.time.isoformat()}


def rollback_json(done: Rollback) -> dict[str, Any]:
    """Gives what a rollback did as a JSON object."""
    return {"model": model_json(done.model), "from_version": done.from_version, "to_version": done.to_version}


def show_models(models: Iterable[ModelInfo]) -> None:
    """Shows models as a table with a row for each version; below it messages and comparisons, where there are any."""
    found = list(models)
    console().print(_models_table(found))
    _show_messages(found)
    _show_comparisons(found)


def show_model(model: ModelInfo) -> None:
    """Shows everything about one model."""
    out = console()
    facts = [
        ("model", model.name),
        ("backend", model.backend),
        ("loaded", "" if model.loaded else "no"),
        ("default version", model.default_version or "none"),
        ("weights", ", ".join(f"{version}: {percent}%" for version, percent in model.weights.items())),
        ("shadow", f"version {model.shadow_version}" if model.shadow_version else ""),
        ("message", model.message),
    ]
    out.print(_facts(facts))
    for version in model.versions:
        out.print()
        out.print(_facts(_version_facts(model, version)))
    _show_comparisons([model])


def size(count: int) -> str:
    """Writes a number of bytes with three digits or so: 0 as nothing, 1536 as "1.5 KiB"."""
    if count <= 0:
        return ""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_SIZE_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.{0 if unit == 0 or value >= 99.95 else 1}f} {_SIZE_UNITS[unit]}"


class EventLines:
    """The lines of a watch: time in UTC, model and version, what happened, why.

    Remembers which version answers by default, so that a line can say where that changes.
    """

    def __init__(self) -> None:
        self._defaults: dict[str, int | None] = {}

    def line(self, event: ModelEvent) -> str:
        """Gives the line for the next event, with its colours."""
        time = "-" * 20 if event.time is None else f"{event.time:%Y-%m-%dT%H:%M:%SZ}"
        if event.kind is EventKind.SYNCED:
            return click.style(f"{time}  that is how things are; changes follow", dim=True)
        name = event.model if event.version is None else f"{event.model}/{event.version}"
        word, colour = _word(event)
        rest = "; ".join(filter(None, [printable(event.message), self._default(event)]))
        padding = " " * (_WORD_WIDTH - len(word))
        line = f"{time}  {printable(name):{_NAME_WIDTH}}  {click.style(word, fg=colour)}"
        return f"{line}{padding}  {rest}" if rest else line

    def _default(self, event: ModelEvent) -> str:
        """Says which version answers by default, where that is news."""
        new = event.default_version
        known = event.model in self._defaults
        old = self._defaults.get(event.model)
        self._defaults[event.model] = new
        if event.kind is EventKind.INITIAL:
            return "default" if new is not None and new == event.version else ""
        if new == old and known:
            return ""
        if new is None:
            return "no version answers now" if known else ""
        return f"version {new} answers by default now"


def _word(event: ModelEvent) -> tuple[str, str | None]:
    if event.kind in _OF_A_STATE:
        return ("-", None) if event.state is None else (str(event.state), _STATE_COLOURS.get(event.state))
    return str(event.kind), _KIND_COLOURS.get(event.kind)


def _models_table(models: Sequence[ModelInfo]) -> Table:
    versions = [(model, version) for model in models for version in model.versions]
    columns = [each for each in _COLUMNS if each[0] not in _OPTIONAL or any(each[1](*pair) for pair in versions)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model", no_wrap=True)
    for heading, _ in columns:
        table.add_column(heading, no_wrap=heading not in _WRAPPED)
    for model in models:
        name = Text(printable(model.name))
        if not model.versions:
            state = "-" if model.loaded else "not loaded"
            table.add_row(name, "-", state, *["-"] * (len(columns) - 2))
        for version in model.versions:
            styles = {"state": _STATE_COLOURS.get(version.state, "")}
            cells = (Text(printable(cell(model, version)), styles.get(heading, "")) for heading, cell in columns)
            table.add_row(name, *cells)
    return table


def _traffic(model: ModelInfo, version: VersionInfo) -> str:
    parts = [
        "default" if version.version == model.default_version else "",
        f"{version.weight}%" if version.weight else "",
        "shadow" if version.version == model.shadow_version else "",
    ]
    return ", ".join(filter(None, parts))


# The columns of the table of versions, after the model's name.
_COLUMNS: tuple[tuple[str, Cell], ...] = (
    ("version", lambda _, version: str(version.version)),
    ("state", lambda _, version: str(version.state)),
    ("traffic", _traffic),
    ("labels", lambda _, version: ", ".join(version.version_labels)),
    ("memory", lambda _, version: size(version.memory_bytes)),
    ("classes", lambda _, version: ", ".join(version.labels)),
    ("format", lambda _, version: f"{version.format} {version.precision}".strip()),
)
_OPTIONAL = {"labels", "memory"}  # left out where no version has any
_WRAPPED = {"labels", "classes"}


def _show_messages(models: Iterable[ModelInfo]) -> None:
    """Shows what is wrong with models and versions; below the table, which has no room for sentences."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for model in models:
        told = [(f"{model.name}/{each.version}", each.state_message) for each in model.versions]
        for name, message in [(model.name, model.message), *told]:
            if message:
                table.add_row(Text(printable(name), "bold"), Text(printable(message)))
    if table.row_count:
        out = console()
        out.print()
        out.print(table)


def _show_comparisons(models: Iterable[ModelInfo]) -> None:
    rows = [(model, each) for model in models for each in model.comparisons]
    if not rows:
        return
    table = Table(box=None, pad_edge=False, header_style="bold", title="comparisons", title_justify="left")
    table.add_column("model", no_wrap=True)
    table.add_column("version", no_wrap=True)
    table.add_column("against", justify="right", no_wrap=True)
    for heading in ("documents", "same label", "distance", "largest", "time", "dropped", "failed"):
        table.add_column(heading, justify="right", no_wrap=True)
    for model, each in rows:
        name = f"{each.version} ({'canary' if each.live else 'shadow'})"
        table.add_row(Text(printable(model.name)), name, *_comparison_cells(each))
    out = console()
    out.print()
    out.print(table)


def _comparison_cells(comparison: Comparison) -> list[str]:
    measured = ["-"] * 4
    if comparison.documents:
        measured = [
            f"{comparison.agreed / comparison.documents:.1%}",
            f"{comparison.mean_distance:.4f}",
            f"{comparison.max_distance:.4f}",
            f"{comparison.latency_ratio:.2f}x" if comparison.latency_ratio else "-",
        ]
    counts = (f"{comparison.dropped:,}", f"{comparison.failed:,}")
    return [str(comparison.baseline), f"{comparison.documents:,}", *measured, *counts]


def _version_facts(model: ModelInfo, version: VersionInfo) -> list[tuple[str, object]]:
    state = f"{version.state}"
    if version.state_time is not None:
        state += f" since {version.state_time:%Y-%m-%d %H:%M:%S} UTC"
    return [
        ("version", version.version),
        ("state", state),
        ("message", version.state_message),
        ("labels", ", ".join(version.version_labels)),
        ("traffic", _traffic(model, version)),
        ("format", version.format),
        ("precision", version.precision),
        ("memory", size(version.memory_bytes)),
        ("classes", ", ".join(version.labels)),
        ("max tokens", version.max_tokens or ""),
        *(("input", _tensor(each)) for each in version.inputs),
        *(("output", _tensor(each)) for each in version.outputs),
    ]


def _tensor(tensor: TensorInfo) -> str:
    shape = ", ".join("?" if size < 0 else str(size) for size in tensor.shape)
    return f"{tensor.name} {tensor.datatype} [{shape}]"


def _facts(facts: Iterable[tuple[str, object]]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True, min_width=15)
    table.add_column(overflow="fold")
    for name, value in facts:
        if value != "":
            table.add_row(name, Text(printable(str(value))))
    return table
