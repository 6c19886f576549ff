"""The `tune` command: finds out how a model version runs best on this host, and puts that into its config.

Knows the order of the steps, and what is said about them; must not know how any of them is done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from sentinova_server.errors import LoadError
from sentinova_server.repository.config import CONFIG_FILE, ModelConfig, Precision, read_config
from sentinova_server.repository.config_edit import ConfigChange, EditError, format_change
from sentinova_server.repository.config_file import write_change
from sentinova_server.repository.policy import choose_versions
from sentinova_server.repository.scanner import find_model, list_versions
from sentinova_server.runtime.engine import Engine, count_cores
from sentinova_server.runtime.preparation import Preparation
from sentinova_server.runtime.text_table import USUAL_LABEL_COLUMN, read_texts
from sentinova_server.runtime.tokenizer import TextTokenizer
from sentinova_server.serving.trial import Load, TrialError
from sentinova_server.serving.tuning import (
    Choice,
    Objective,
    Result,
    Setup,
    Tuner,
    choose_best,
    choose_streams,
    count_trials,
    find_change,
)
from sentinova_server.serving.workload import Workload, WorkloadError, draw_documents, tokenize_documents
from sentinova_server.settings import TuneSettings


class TuneError(Exception):
    """What ended the command; says what to do."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found out.

    Attributes:
        model: the model's name.
        version: the version that was tried.
        objective: what the best setup is best at.
        texts: what was tried with.
        results: of all setups, the most documents a second first.
        choice: the best one, and whether it is worth a change.
        change: what the config needs for it; nothing where the present setup is kept.
        refused: precisions that could not be tried, with the reason.
    """

    model: str
    version: int
    objective: Objective
    texts: Workload
    results: Sequence[Result]
    choice: Choice
    change: ConfigChange
    refused: Sequence[str]

    @property
    def lines(self) -> list[str]:
        """The lines for config.pbtxt."""
        return format_change(self.change)


def tune(settings: TuneSettings, model: str, version: int | None, *, as_json: bool) -> None:
    """Tries a version of a model in many setups, says what came of it, and writes the best one if asked for.

    Raises:
        LoadError: there is no such model or version, or it cannot be served, or the texts cannot be read.
        TuneError: the model failed on a document, or the config cannot be changed safely; nothing was written.
    """
    folder = find_model(settings.model_repository, model)
    config = read_config(folder)
    number = choose_version(folder, config, version)
    texts = None
    if settings.data is not None:
        texts = [row.text for row in read_texts(settings.data, settings.text_column, USUAL_LABEL_COLUMN)]
    preparation = Preparation(folder / str(number), config, number, _make_engine(settings))
    with closing(Tuner(preparation, default_tokens=settings.max_batch_tokens)) as tuner:
        workload = _make_workload(tuner.model.tokenizer, settings.data, texts)
        click.echo(f"Trying {model} version {number} with {workload.origin}.", err=True)
        outcome = _try_all(settings, tuner, model, number, workload)
    file = folder / CONFIG_FILE
    note, problem = _write(file, config, outcome.change) if settings.write and outcome.choice.pays else ("", "")
    if as_json:
        _show_json(outcome, written=bool(note))
    else:
        _show(outcome, f"For {file}:" if settings.write else f"Put this into {file}, or let --write do it:")
    if note:
        click.echo(note, err=as_json)
    if problem:
        raise TuneError(f"{file}: {problem}. Nothing was changed: put the lines in by hand")


def _make_engine(settings: TuneSettings) -> Engine:
    return Engine(
        streams=settings.inference_streams,
        threads=settings.inference_threads,
        latency_threads=settings.latency_threads,
        rewrites=settings.graph_rewrites,
        precision=Precision(settings.precision),
    )


def _write(file: Path, config: ModelConfig, change: ConfigChange) -> tuple[str, str]:
    """Changes the config; gives what was done, or why nothing was, in words."""
    try:
        taken = write_change(file, config, change)
    except EditError as error:
        return "", str(error)
    note = f"Written to {file}. Servers read it when they start."
    if taken:
        note += " The recipe's line is taken out of it: `sentinova-train export` leaves the file alone from now on."
    return note, ""


def choose_version(folder: Path, config: ModelConfig, version: int | None) -> int:
    """Gives the version to try: the one asked for, or the highest that is served.

    Raises:
        LoadError: there is none.
    """
    versions = list_versions(folder)
    if version is not None:
        if version not in versions:
            raise LoadError(folder, f"has no version {version}, only {versions}")
        return version
    served = choose_versions(versions, config.version_policy)
    if not served:
        raise LoadError(folder, f"has no version to serve: add a numbered folder, or see {CONFIG_FILE}")
    return served[-1]


def _make_workload(tokenizer: TextTokenizer, file: Path | None, texts: Sequence[str] | None) -> Workload:
    if file is None or texts is None:
        return draw_documents(tokenizer)
    try:
        return tokenize_documents(tokenizer, texts, file.name)
    except WorkloadError as error:
        raise LoadError(file, str(error)) from error


def _try_all(settings: TuneSettings, tuner: Tuner, model: str, version: int, workload: Workload) -> Outcome:
    """Tries streams and precisions first, and then the tokens of a batch with the best of these."""
    objective = Objective(settings.objective)
    load = Load(workload.documents, settings.concurrency, settings.seconds)
    cores = settings.inference_threads or count_cores()
    with _progress("loading", 1) as advance:
        refused = tuner.load(choose_streams(cores))
        advance(1)
    try:
        forms = tuner.forms()
        with _progress("trying streams and precision", count_trials(forms)) as advance:
            tuner.measure(forms, load, lambda: advance(1))
        budgets = tuner.budgets(choose_best(tuner.results, tuner.present, objective).best.setup)
        with _progress("trying tokens in a batch", count_trials(budgets)) as advance:
            tuner.measure(budgets, load, lambda: advance(1))
    except TrialError as error:
        raise TuneError(f"{model} version {version} fails on a document: {error}") from error
    choice = choose_best(tuner.results, tuner.present, objective)
    change = find_change(tuner.present, choice.best.setup, version) if choice.pays else ConfigChange()
    return Outcome(
        model=model,
        version=version,
        objective=objective,
        texts=workload,
        results=tuner.results,
        choice=choice,
        change=change,
        refused=refused,
    )


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows a bar on stderr, where that is a terminal; gives the function that moves it on."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)


def _show(outcome: Outcome, advice: str) -> None:
    """Prints what was found out; the advice is what to do with the lines."""
    choice = outcome.choice
    # Narrow: a terminal of 80 columns holds it.
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="")
    table.add_column("")
    table.add_column("streams", justify="right", min_width=7)
    table.add_column("precision", min_width=9)
    for title in ("batch\ntokens", "docs/s", "±", "tokens/s", "p50 ms", "p99 ms", "CPU s\n/1,000"):
        table.add_column(title, justify="right")
    for result in outcome.results:
        setup, median = result.setup, result.median
        spread = result.spread(Objective.THROUGHPUT) / median.documents_per_second / 2
        mark = _mark(choice, setup)
        table.add_row(
            mark,
            str(setup.streams),
            setup.precision.value,
            str(setup.max_batch_tokens),
            f"{median.documents_per_second:,.0f}",
            f"{spread:.0%}",
            f"{median.tokens_per_second:,.0f}",
            _format_ms(median.p50),
            _format_ms(median.p99),
            f"{median.cpu_seconds * 1e3:.2f}",
            style="bold" if mark else None,
        )
    Console().print(table)
    for refused in outcome.refused:
        click.echo(f"Not tried: {refused}")
    click.echo(describe_choice(outcome))
    for line in [advice, *(f"  {line}" for line in outcome.lines)] if outcome.lines else []:
        click.echo(line)


def _mark(choice: Choice, setup: Setup) -> str:
    if choice.pays and setup == choice.best.setup:
        return "best"
    return "now" if setup == choice.present.setup else ""


def _format_ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}" if seconds < 0.1 else f"{seconds * 1e3:,.0f}"


def describe_choice(outcome: Outcome) -> str:
    """Says what is to be done, and why."""
    choice = outcome.choice
    what = "documents a second" if outcome.objective is Objective.THROUGHPUT else "p99"
    if choice.pays:
        return f"The best is better by {choice.gain:.1%} in {what}; trials of one setup differ by {choice.spread:.1%}."
    if choice.gain <= 0:
        return "Keep what you have: nothing that was tried is better."
    return (
        f"Keep what you have: the best is better by {choice.gain:.1%} in {what}, and trials of one setup differ by "
        f"{choice.spread:.1%}. Longer trials (--seconds), on a host that does nothing else, tell more."
    )


def _show_json(outcome: Outcome, *, written: bool) -> None:
    choice, texts = outcome.choice, outcome.texts
    click.echo(
        json.dumps(
            {
                "model": outcome.model,
                "version": outcome.version,
                "objective": outcome.objective.value,
                "texts": {
                    "origin": texts.origin,
                    "count": len(texts.documents),
                    "mean_tokens": round(texts.mean_tokens, 1),
                    "p99_tokens": round(texts.p99_tokens, 1),
                },
                "trials": [_describe_result(result, choice) for result in outcome.results],
                "refused": list(outcome.refused),
                "keep": not choice.pays,
                "gain": round(choice.gain, 4),
                "spread": round(choice.spread, 4),
                "lines": outcome.lines,
                "written": written,
            },
            indent=2,
        )
    )


def _describe_result(result: Result, choice: Choice) -> dict[str, Any]:
    setup, median = result.setup, result.median
    return {
        "streams": setup.streams,
        "precision": setup.precision.value,
        "max_batch_tokens": setup.max_batch_tokens,
        "documents_per_second": round(median.documents_per_second, 2),
        "documents_per_second_rounds": [round(one.documents_per_second, 2) for one in result.rounds],
        "tokens_per_second": round(median.tokens_per_second, 1),
        "p50_ms": round(median.p50 * 1e3, 3),
        "p99_ms": round(median.p99 * 1e3, 3),
        "cpu_seconds_per_1000_documents": round(median.cpu_seconds * 1e3, 4),
        "present": setup == choice.present.setup,
        "best": choice.pays and setup == choice.best.setup,
    }
