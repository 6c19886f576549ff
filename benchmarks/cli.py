"""The command of the benchmarks: flags become options, and a run becomes a report.

Knows flags and the order of things; must not know how anything is measured or drawn.
"""

from __future__ import annotations

import shlex
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks import machine
from benchmarks.bench import Bench
from benchmarks.options import PARTS, PRECISIONS, TARGETS, Options
from benchmarks.parts import interference, latency, memory, open_loop, throughput, tokens
from benchmarks.processes import ProcessError
from benchmarks.report import markdown, terminal
from benchmarks.samples import Results
from benchmarks.targets.base import ROOT, Model
from benchmarks.texts import MIXES

_WORK = ROOT / "build" / "bench"
_ROUND_PARTS = {
    throughput.PART: throughput.measure,
    latency.PART: latency.measure,
    open_loop.PART: open_loop.measure,
    interference.PART: interference.measure,
    tokens.PART: tokens.measure,
}


class _Names(click.ParamType[tuple[str, ...]]):
    """Names out of a set, separated by commas."""

    name = "names"

    def __init__(self, known: tuple[str, ...]) -> None:
        self._known = known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        names = tuple(value.split(",")) if isinstance(value, str) else tuple(value)
        for name in names:
            if name not in self._known:
                self.fail(f"{name!r} is none of {', '.join(self._known)}", param, ctx)
        return tuple(dict.fromkeys(names))


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": True})
@click.option("--targets", type=_Names(TARGETS), default=",".join(TARGETS), help="What to measure.")
@click.option("--only", "parts", type=_Names(PARTS), default=",".join(PARTS), help="Which measurements to make.")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="auto",
    help="Precision of every target; auto: bf16 where the processor has it, else f32; int8: a version that holds it.",
)
@click.option(
    "--repository", type=click.Path(path_type=Path), default=Path("model_repository"), help="Where models are."
)
@click.option("--model", "model_name", default="sentiment_en", help="Name of the model.")
@click.option("--version", type=int, show_default="the newest of the precision", help="Version of the model.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, help="Rounds; medians are over these.")
@click.option("--texts", type=click.IntRange(min=64), default=600, help="Texts in a measurement of throughput.")
@click.option(
    "--mix", "mixes", type=_Names(tuple(MIXES)), default="mixed,short,long",
    help="Mixes of texts; the first serves where one is enough.",
)  # fmt: skip
@click.option("--seconds", type=float, default=2.0, help="Length of a closed loop that time bounds.")
@click.option("--open-seconds", type=float, default=6.0, help="Length of an open loop.")
@click.option("--arrivals", type=click.Choice(("even", "poisson")), default="even", help="Spacing in an open loop.")
@click.option("--memory-requests", type=int, default=20_000, help="Requests after which memory is compared.")
@click.option("--memory-seconds", type=float, default=120.0, help="Most seconds to watch memory; peers get a third.")
@click.option("--again", is_flag=True, help="Measure nothing: make the last run's report again.")
def main(again: bool, precision: str, repository: Path, model_name: str, version: int | None, **flags: Any) -> None:
    """Measures Sentinova, bare OpenVINO and Sentinova's peers on one model, in one run, and writes a report."""
    # As Ctrl-C: everything that was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    console = Console(highlight=False)
    folder = _WORK / "report"
    file = folder / "results.json"
    if again:
        if not file.exists():
            raise click.ClickException("there is no last run")
        results = Results.read(file)
    else:
        options = Options(**flags, work=_WORK)
        model = _choose_model(repository, model_name, version, precision)
        results = _run(options, model, lambda what: console.print(f"[dim]{what}[/]"))
        results.save(file)
    written = markdown.write(results, folder)
    terminal.show(results, console)
    console.print(f"The report is {written.relative_to(ROOT)}.")


def _run(options: Options, model: Model, say: Any) -> Results:
    """Makes all measurements; what fails in one part is noted, and the others go on."""
    results = Results(facts=_describe(options, model))
    started = time.monotonic()
    with Bench(options, model, results, say) as bench:
        for number in range(1, options.rounds + 1):
            for name, measure in _ROUND_PARTS.items():
                if name in options.parts:
                    _try(results, name, lambda measure=measure, number=number: measure(bench, number))
        if memory.PART in options.parts:
            _try(results, memory.PART, lambda: memory.measure(bench))
    results.facts["took"] = f"{(time.monotonic() - started) / 60:.1f} minutes"
    return results


def _try(results: Results, name: str, measure: Any) -> None:
    try:
        measure()
    except (ProcessError, OSError) as error:
        results.notes.append(f"{name} ended early: {error}")


def _describe(options: Options, model: Model) -> dict[str, str]:
    hint = "" if model.precision == model.hint else f", the rest of the model in {model.hint}"
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        "model": f"{model.name}, version {model.version}: {_describe_files(model)}",
        "precision": f"{model.precision}{hint}, for every target",
        "rounds": f"{options.rounds}, the targets in turn within each",
        **machine.machine_facts(),
    }


def _describe_files(model: Model) -> str:
    files = [
        file for file in sorted(model.folder.iterdir()) if file.suffix in (".pdmodel", ".pdiparams", ".xml", ".bin")
    ]
    return ", ".join(f"{file.name} ({file.stat().st_size / 1e6:.1f} MB)" for file in files)


def _choose_model(repository: Path, name: str, version: int | None, precision: str) -> Model:
    """Finds the version to measure. Raises click.UsageError where there is none of the precision."""
    best = "bf16" if machine.has_bf16() else "f32"
    precision = best if precision == "auto" else precision
    graph = "model.xml" if precision == "int8" else "model.pdmodel"
    if not (repository / name).is_dir():
        raise click.UsageError(f"{repository} has no model {name}")
    found = [int(folder.name) for folder in (repository / name).iterdir() if (folder / graph).exists()]
    if version is None and not found:
        raise click.UsageError(
            f"{repository / name} has no version with {graph}, which {precision} needs: give --version"
        )
    chosen = version or max(found)
    if not (repository / name / str(chosen)).is_dir():
        raise click.UsageError(f"{repository / name} has no version {chosen}")
    if precision == "int8" and chosen not in found:
        raise click.UsageError(f"version {chosen} has no model.xml: int8 is in the file, not in a flag")
    return Model(repository, name, chosen, precision, best if precision == "int8" else precision, machine.cores())
