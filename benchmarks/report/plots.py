"""Plots of results, as PNG. Knows matplotlib and colours; measures nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from benchmarks.accounting import spread
from benchmarks.parts import latency, memory, throughput, tokens
from benchmarks.report.tables import WAYS, format_number
from benchmarks.samples import Results

# Okabe and Ito's colours, which colour-blind readers tell apart; the ceiling is grey.
_COLOURS = {
    "sentinova": "#0072B2", "triton": "#D55E00", "mlserver": "#009E73", "paddle": "#CC79A7", "bare": "#7F7F7F",
}  # fmt: skip
_MARKS = {"sentinova": "o", "triton": "s", "mlserver": "^", "paddle": "D", "bare": "v"}
# Keeps a line from running through a number.
_HALO: dict[str, Any] = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
_STYLE: dict[Any, Any] = {
    "font.size": 10, "axes.titlesize": 11, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#E4E4E4",
    "axes.axisbelow": True, "figure.dpi": 150, "savefig.bbox": "tight", "legend.frameon": False,
}  # fmt: skip


def draw(results: Results, folder: Path) -> frozenset[str]:
    """Draws every plot that the results are enough for, and gives their files' names."""
    plots: dict[str, tuple[str, Callable[[Results, Figure], None]]] = {
        "throughput_latency.png": (latency.SWEEP, draw_throughput_latency),
        "cpu.png": (throughput.PART, draw_cpu),
        "padding.png": (throughput.PART, draw_padding),
        "tokens.png": (tokens.PART, draw_tokens),
        "memory.png": (memory.PART, draw_memory),
    }
    drawn = set()
    with plt.rc_context(_STYLE):
        for name, (part, make) in plots.items():
            # A plot of an earlier run must not stand beside this report.
            (folder / name).unlink(missing_ok=True)
            if results.cases(part):
                figure = plt.figure(layout="constrained")
                make(results, figure)
                figure.savefig(folder / name)
                plt.close(figure)
                drawn.add(name)
    return frozenset(drawn)


def draw_throughput_latency(results: Results, figure: Figure) -> None:
    """Texts a second against p50 and p99, a point for each number of clients."""
    sweep = results.cases(latency.SWEEP)
    figure.set_size_inches(10, 4.2)
    panels = figure.subplots(1, 2, sharey=True)
    for panel, share in zip(panels, ("p50", "p99"), strict=True):
        for target in results.targets(latency.SWEEP):
            speeds = _medians(results, latency.SWEEP, sweep, target, "texts_per_s")
            waits = _medians(results, latency.SWEEP, sweep, target, f"{share}_ms")
            panel.plot(
                speeds,
                waits,
                color=_COLOURS[target],
                marker=_MARKS[target],
                label=results.titles[target],
                linewidth=1.8,
            )
            for clients, x, y in zip(sweep, speeds, waits, strict=True):
                panel.annotate(
                    clients,
                    (x, y),
                    (6, -12),
                    textcoords="offset points",
                    fontsize=8,
                    color=_COLOURS[target],
                    bbox=_HALO,
                )
        _mark_ceiling(results, panel)
        panel.set(title=f"{share} latency", yscale="log", xlim=(0, None))
        _plain_log(panel)
    panels[0].set_ylabel("milliseconds")
    figure.supxlabel("texts a second (the small numbers: clients)", fontsize=10)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=10)


def draw_cpu(results: Results, figure: Figure) -> None:
    """CPU seconds per 1,000 texts for each way of asking, for the first mix."""
    _draw_bars(results, figure, "cpu_s_per_1000", "CPU seconds per 1,000 texts (load generator not included)", 1.0)


def draw_padding(results: Results, figure: Figure) -> None:
    """Share of padding for each way of asking, for the first mix."""
    _draw_bars(results, figure, "padding", "padding, % of the tokens that the model read", 100.0)
    figure.axes[0].set_xlim(0, 100)
    figure.axes[0].xaxis.set_major_formatter(PercentFormatter(decimals=0))


def draw_tokens(results: Results, figure: Figure) -> None:
    """CPU time per token over the length of a text."""
    cases = results.cases(tokens.PART)
    figure.set_size_inches(6.4, 3.8)
    panel = figure.subplots()
    for target in results.targets(tokens.PART):
        lows, middles, highs = _ranges(results, tokens.PART, cases, target, "cpu_us_per_token")
        lengths = [int(case) for case in cases]
        panel.fill_between(lengths, lows, highs, color=_COLOURS[target], alpha=0.18, linewidth=0)
        panel.plot(lengths, middles, color=_COLOURS[target], marker=_MARKS[target], label=results.titles[target])
    panel.set_xscale("log", base=2)
    panel.set_xticks([int(case) for case in cases], cases)
    panel.set(xlabel="tokens in a text", ylabel="CPU microseconds a token", ylim=(0, None))
    panel.set_title("CPU time per token")
    panel.legend()


def draw_memory(results: Results, figure: Figure) -> None:
    """Resident memory over requests."""
    figure.set_size_inches(6.4, 3.8)
    panel = figure.subplots()
    for target in results.targets(memory.PART):
        points = sorted(
            (int(sample.case), sample.values["memory_mb"])
            for sample in results.samples
            if sample.part == memory.PART and sample.target == target
        )
        panel.plot(*zip(*points, strict=True), color=_COLOURS[target], label=results.titles[target], linewidth=1.8)
    if max(map(int, results.cases(memory.PART))) > memory.SETTLED:
        panel.axvline(memory.SETTLED, color="#AAAAAA", linestyle=":", linewidth=1)
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    panel.set(xlabel="requests of random lengths", ylabel="resident MB", ylim=(0, None), xlim=(0, None))
    panel.set_title("Memory of the process tree")
    panel.legend()


def _draw_bars(results: Results, figure: Figure, value: str, label: str, factor: float) -> None:
    """Draws a bar for each way and target of the first mix; the line over its end is the range of the rounds."""
    cases = results.cases(throughput.PART)
    mix = cases[0].partition("/")[0]
    bars = [
        (way, target, spread([factor * found for found in series.values()]))
        for way in WAYS
        for target in results.targets(throughput.PART, f"{mix}/{way}")
        if (series := results.series(throughput.PART, f"{mix}/{way}", target, value))
    ]
    figure.set_size_inches(8, 0.42 * len(bars) + 1.2)
    panel = figure.subplots()
    places = _spaced([way for way, _, _ in bars])
    for place, (_, target, found) in zip(places, bars, strict=True):
        panel.barh(place, found.median, color=_COLOURS[target], height=0.78)
        panel.plot([found.low, found.high], [place, place], color="black", linewidth=1)
        panel.annotate(
            format_number(found.median),
            (found.high, place),
            (5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    panel.set_yticks(places, [results.titles[target] for _, target, _ in bars])
    panel.tick_params(axis="y", length=0)
    panel.grid(visible=False, axis="y")
    panel.invert_yaxis()
    for way in dict.fromkeys(way for way, _, _ in bars):
        top = min(place for place, bar in zip(places, bars, strict=True) if bar[0] == way)
        panel.annotate(
            WAYS[way], (0, top - 0.52), (2, 1), textcoords="offset points", fontsize=8.5, color="#555555", va="bottom"
        )
    panel.set(xlabel=label, xlim=(0, max(found.high for _, _, found in bars) * 1.1))
    panel.set_title(f"{mix.capitalize()} texts", pad=14)


def _spaced(groups: Sequence[str]) -> list[float]:
    """Gives each bar its place, with room for a line of text above each group."""
    places: list[float] = []
    for index, group in enumerate(groups):
        gap = 0.0 if not places else 1.0 if group == groups[index - 1] else 1.75
        places.append((places[-1] if places else 0.0) + gap)
    return places


def _mark_ceiling(results: Results, panel: Axes) -> None:
    mixes = [case for case in results.cases(throughput.PART) if case.endswith("/sorted")]
    series = results.series(throughput.PART, mixes[0], "bare", "texts_per_s") if mixes else {}
    if series:
        top = spread(list(series.values())).median
        panel.axvline(top, color=_COLOURS["bare"], linestyle="--", linewidth=1.2, label="bare OpenVINO, sorted")


def _plain_log(panel: Axes) -> None:
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    panel.yaxis.set_minor_formatter(NullFormatter())


def _medians(results: Results, part: str, cases: Sequence[str], target: str, value: str) -> list[float]:
    return _ranges(results, part, cases, target, value)[1]


def _ranges(
    results: Results, part: str, cases: Sequence[str], target: str, value: str
) -> tuple[list[float], list[float], list[float]]:
    spreads = [spread(list(results.series(part, case, target, value).values())) for case in cases]
    return [found.low for found in spreads], [found.median for found in spreads], [found.high for found in spreads]
