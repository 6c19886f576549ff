"""The `quantize` command: makes a version that computes in 8-bit integers out of one that does not.

Knows the order of the steps, and what is said about them; must not know how any of them is done.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from sentinova_server.errors import LoadError
from sentinova_server.repository.config import CONFIG_FILE, ModelConfig, Precision, read_config
from sentinova_server.repository.config_edit import ConfigChange, EditError, format_change
from sentinova_server.repository.config_file import write_change
from sentinova_server.repository.outlook import describe_serving
from sentinova_server.repository.scanner import find_model, list_versions
from sentinova_server.repository.staging import choose_number, publish_version, stage_version
from sentinova_server.runtime.calibration import Texts, read_golden_texts, read_table
from sentinova_server.runtime.comparison import Comparison, compare_models
from sentinova_server.runtime.engine import OPENVINO_VERSION, Engine
from sentinova_server.runtime.golden import GOLDEN_FILE, compare_scores
from sentinova_server.runtime.preparation import Preparation
from sentinova_server.runtime.quantization import (
    CALIBRATION_PASSES,
    QuantizationError,
    find_nncf_version,
    quantize_graph,
    save_graph,
)
from sentinova_server.runtime.quantized_version import (
    WIDEST_SCORE_TOLERANCE,
    Account,
    choose_score_tolerance,
    copy_companions,
    copy_golden,
    write_card,
)
from sentinova_server.runtime.text_model import TextModel
from sentinova_server.runtime.text_parts import TextModelParts
from sentinova_server.settings import QuantizeSettings

_ADVICE = (
    "Nothing was written. More texts (--samples), texts more like those to come (--data) or another --preset may do"
)


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be made out of what.

    Attributes:
        folder: the model's folder.
        config: its configuration.
        source: the version to quantize.
        target: the version to make.
        versions: those that the folder holds, ascending.
    """

    folder: Path
    config: ModelConfig
    source: int
    target: int
    versions: tuple[int, ...]

    @property
    def source_folder(self) -> Path:
        """The folder of the version to quantize."""
        return self.folder / str(self.source)

    @property
    def temperature(self) -> float:
        """What both versions are measured at: the temperature of the version to quantize."""
        return self.config.temperature(self.source)

    @property
    def lacks_temperature(self) -> bool:
        """Whether the new version would be served at another temperature than it is measured at."""
        return self.config.temperature(self.target) != self.temperature

    @property
    def measured(self) -> ModelConfig:
        """The configuration to measure with: one temperature, and no precision but that asked for."""
        temperatures = {**self.config.temperatures, self.target: self.temperature}
        return replace(self.config, temperatures=temperatures, precisions={})


def quantize(settings: QuantizeSettings, model: str, version: int) -> None:
    """Quantizes a version of a model, and says on stdout what that cost.

    Raises:
        LoadError: a version, a file or a place cannot be used; nothing was written.
        QuantizationError: it cannot be quantized, or loses too much; nothing was written.
    """
    job = plan(settings, model, version)
    made_with = f"NNCF {find_nncf_version()} and OpenVINO {OPENVINO_VERSION.split('-')[0]}"
    parts = TextModelParts.read(job.source_folder, job.config, Engine())
    if parts.graph.quantized:
        raise QuantizationError(f"{job.source_folder}: is quantized already: take the version that it was made from")
    texts = _read_texts(settings, parts)
    click.echo(f"Quantizing {model} version {version} into version {job.target}.")
    click.echo(f"Texts: {texts.origin}; {len(texts.calibrating):,} of them calibrate.")
    with stage_version(job.folder, job.target) as stage:
        comparison, difference, sizes = _make(settings, job, parts, texts, stage)
        _show(job, comparison, sizes)
        refuse_loss(comparison, settings.max_drop)
        tolerance = None if difference is None else choose_score_tolerance(difference)
        account = Account(
            model=model,
            source=version,
            version=job.target,
            command=_describe_command(settings, model, version),
            made_with=made_with,
            preset=settings.preset,
            texts=texts.origin,
            calibrated=len(texts.calibrating),
            comparison=comparison,
            golden_difference=difference,
            score_tolerance=tolerance,
            bytes_before=sizes[0],
            bytes_after=sizes[1],
        )
        write_card(job.source_folder, stage, account)
        if tolerance is not None:
            copy_golden(job.source_folder, stage, quantized_from=version, score_tolerance=tolerance)
        config_note = _carry_temperature(job, write=settings.write_config)
        folder = publish_version(stage, job.target)
    _tell_outcome(job, folder, tolerance, config_note)


def plan(settings: QuantizeSettings, model: str, version: int) -> Job:
    """Finds what is to be quantized, and the number of what comes of it.

    Raises:
        LoadError: there is no such model or version, or the number is taken.
    """
    folder = find_model(settings.model_repository, model)
    versions = list_versions(folder)
    if version not in versions:
        raise LoadError(folder, f"has no version {version}, only {versions}")
    target = choose_number(folder, settings.to)
    return Job(folder, read_config(folder), version, target, tuple(versions))


def _read_texts(settings: QuantizeSettings, parts: TextModelParts) -> Texts:
    if settings.data is None:
        click.echo(
            "Warning: without --data the golden texts are used, which are few: real texts serve better.", err=True
        )
        return read_golden_texts(parts, samples=settings.samples)
    return read_table(
        parts,
        settings.data,
        text_column=settings.text_column,
        label_column=settings.label_column,
        samples=settings.samples,
    )


def refuse_loss(comparison: Comparison, max_drop: float) -> None:
    """Raises QuantizationError where more accuracy is lost than allowed."""
    if comparison.loss <= max_drop:
        return
    if comparison.labelled:
        found = f"accuracy falls from {comparison.accuracy_before:.2f}% to {comparison.accuracy_after:.2f}%"
    else:
        found = f"{comparison.changed} labels change, of which half count as lost"
    lost = f"{comparison.loss:.2f} points on {comparison.texts:,} texts, more than --max-drop {max_drop:g}"
    raise QuantizationError(f"{found}: {lost}. {_ADVICE}")


def _make(
    settings: QuantizeSettings, job: Job, parts: TextModelParts, texts: Texts, stage: Path
) -> tuple[Comparison, float | None, tuple[int, int]]:
    """Quantizes the version into a folder and measures what a server would make of that.

    Returns:
        The comparison on the texts; the largest difference of a golden text's score from Paddle's, None without golden
        texts; and the bytes of the model files before and after.
    """
    with _running(job.source_folder, job, job.source, Precision.F32) as before:
        inputs = [before.make_inputs(ids) for ids in texts.calibrating]
        with _progress("calibrating", CALIBRATION_PASSES * len(inputs)) as advance:
            graph = quantize_graph(parts.graph, inputs, preset=settings.preset, done=lambda: advance(1))
        size = save_graph(graph, stage)
        copy_companions(job.source_folder, stage, job.config.label_filename)
        if parts.golden:
            tolerance = WIDEST_SCORE_TOLERANCE
            copy_golden(job.source_folder, stage, quantized_from=job.source, score_tolerance=tolerance)
        with _running_staged(stage, job) as after:
            with _progress("comparing", 2 * len(texts.compared)) as advance:
                logits = [model.run_texts(texts.compared, advance) for model in (before, after)]
            comparison = compare_models(logits[0], logits[1], texts.truth, job.temperature)
            difference = _measure_golden(job, parts, after)
    files = parts.graph.files
    return comparison, difference, (files.graph.stat().st_size + files.weights.stat().st_size, size)


@contextmanager
def _running(folder: Path, job: Job, version: int, precision: Precision) -> Iterator[TextModel]:
    """Gives a version as a server would run it: rewritten where that is proved, checked and warmed up."""
    model, _ = Preparation(folder, job.measured, version, Engine(precision=precision)).run()
    try:
        yield model
    finally:
        model.close()


@contextmanager
def _running_staged(stage: Path, job: Job) -> Iterator[TextModel]:
    """Gives what was made as a server would run it. Raises QuantizationError where no server could."""
    with ExitStack() as stack:
        try:
            model = stack.enter_context(_running(stage, job, job.target, Precision.AUTO))
        except LoadError as error:
            raise QuantizationError(f"What came of it cannot be served: {error.message}. {_ADVICE}") from error
        yield model


def _measure_golden(job: Job, parts: TextModelParts, model: TextModel) -> float | None:
    """Gives the largest difference of a golden text's score from Paddle's, at each temperature that may be served."""
    if parts.golden is None:
        return None
    wide = parts.golden.model_copy(update={"score_tolerance": WIDEST_SCORE_TOLERANCE})
    logits = model.run_golden(wide)
    return max(
        compare_scores(job.source_folder / GOLDEN_FILE, wide, logits, temperature).max_difference
        for temperature in (job.temperature, job.config.temperature(job.target))
    )


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows a bar on stderr, where that is a terminal; gives the function that moves it on."""
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)


def _carry_temperature(job: Job, *, write: bool) -> str:
    """Sets the new version's temperature in config.pbtxt, where that is needed, asked for and can be done safely.

    Returns:
        What was done or is left to do, in words; empty: nothing.
    """
    if not job.lacks_temperature:
        return ""
    file = job.folder / CONFIG_FILE
    change = ConfigChange(temperatures=((job.target, job.temperature),))
    [line] = format_change(change)
    advice = "--write-config sets it, as this line does"
    if write:
        try:
            taken = write_change(file, job.config, change)
        except EditError as error:
            advice = f"It cannot be changed here, as {error}; set it there"
        else:
            mark = (
                "; the mark of `sentinova-train export` was taken out, so exporting leaves the file alone"
                if taken
                else ""
            )
            return f"Set in {file}{mark}:\n  {line}"
    return f"{file} gives version {job.target} another temperature, and so other scores. {advice}:\n  {line}"


def _describe_command(settings: QuantizeSettings, model: str, version: int) -> str:
    words = ["sentinova-server", "quantize", model, str(version), "--samples", str(settings.samples)]
    words += ["--preset", settings.preset, "--max-drop", f"{settings.max_drop:g}"]
    if settings.data:
        words += ["--data", settings.data.name]
    return shlex.join(words)


def _show(job: Job, comparison: Comparison, sizes: tuple[int, int]) -> None:
    table = Table("", f"version {job.source}, float32", f"version {job.target}, int8")
    if comparison.labelled:
        table.add_row(
            f"accuracy on {comparison.texts:,} texts",
            f"{comparison.accuracy_before:.2f}%",
            f"{comparison.accuracy_after:.2f}%",
        )
    table.add_row("model files", *(f"{size / 1e6:.1f} MB" for size in sizes))
    Console().print(table)
    click.echo(
        f"{comparison.changed:,} of {comparison.texts:,} texts ({comparison.changed_percent:.2f}%) get another label; "
        f"scores differ by {comparison.mean_difference:.4f} in the mean, by {comparison.max_difference:.3f} at most."
    )


def _tell_outcome(job: Job, folder: Path, tolerance: float | None, config_note: str) -> None:
    click.echo(f"Written: {folder}")
    if tolerance is None:
        click.echo(f"There is no {GOLDEN_FILE}: servers do not check the version, nor rewrite its graph to run faster.")
    else:
        click.echo(f"Servers check it against Paddle's scores, within {tolerance:g}.")
    click.echo(describe_serving(job.folder, job.config, job.versions, job.target))
    if config_note:
        click.echo(config_note)
