"""The `sentinova-train` command: one subcommand a step.

Knows options and prints results; must not hold the work of a step.
"""

# ruff: noqa: PLC0415 - a step loads only what it needs.

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from sentinova_training import network, preparation, program
from sentinova_training.errors import RecipeError
from sentinova_training.finetuning import Schedule
from sentinova_training.workspace import Workspace

Command = TypeVar("Command", bound=Callable[..., Any])
# How the two shipped versions are made: the network that learns from the raters, and its student, which learns on
# newspaper prose and rated words too.
SHIPPED = (
    "prepare",
    "finetune --layers 6 --sources movie,amazon,tweets --epochs 2 --learning-rate 1e-4",
    "distill --members 2 --epochs 3",
    "export --version 2 --checkpoint finetune",
    "export --version 1 --checkpoint distill",
    "verify --version 2",
    "verify --version 1",
)


class Group(click.Group):
    """Prints a `RecipeError` as one plain message and exits with 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the subcommand."""
        try:
            return super().invoke(ctx)
        except RecipeError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Group)
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=Path("build/training"),
    show_default=True,
    help="Folder for downloads, splits and checkpoints.",
)
@click.option("--run", "run_name", default="sentiment_en", show_default=True, help="Name of the run.")
@click.pass_context
def main(context: click.Context, work: Path, run_name: str) -> None:
    """Train, export and verify a text classifier."""
    context.obj = Workspace(root=work.resolve(), run=run_name)


@main.command()
@click.option("--data", type=click.Path(path_type=Path), help="Your own .tsv or .csv; UTF-8, with a header.")
@click.option("--text-column", default="text", show_default=True)
@click.option("--label-column", default="label", show_default=True)
@click.option("--labels", help="Class names in class order, separated by commas; default: those found, sorted.")
@click.option("--seed", default=20260101, show_default=True, help="Of the split.")
@click.pass_obj
def prepare(
    workspace: Workspace, /, *, data: Path | None, text_column: str, label_column: str, labels: str | None, seed: int
) -> None:
    """Fetch sentences and starting weights, and divide them into splits."""
    if data is None:
        summary = preparation.prepare_builtin(workspace, seed)
    else:
        names = [name.strip() for name in labels.split(",")] if labels else None
        summary = preparation.prepare_table(workspace, data, (text_column, label_column), names, seed)
    for split, rows in summary["counts"].items():
        for source, row in rows.items():
            click.echo(f"{split:9} {source:16} " + "  ".join(f"{key}: {n}" for key, n in row.items()))


def training_options(command: Command) -> Command:
    """The options that `finetune` and `distill` share."""
    for option in (
        click.option("--members", default=2, show_default=True, help="Networks trained side by side."),
        click.option("--threads", default=0, help="Of each member; default: the cores divided among them."),
        click.option("--seed", default=1, show_default=True, help="Of the first member."),
        click.option("--batch-size", default=32, show_default=True),
        click.option("--max-length", default=128, show_default=True, help="Tokens of a text that training reads."),
        click.option("--train-embeddings", is_flag=True, help="Train the word embeddings too."),
    ):
        command = option(command)
    return command


@main.command()
@click.option(
    "--init",
    default=network.PACKAGED_START,
    show_default=True,
    help="Starting weights: 'packaged', a checkpoint of this run, a PaddleNLP model name, or a local folder.",
)
@click.option("--layers", default=0, help="Keep this many of the starting network's lowest layers; 0 keeps all.")
@click.option("--name", default="finetune", show_default=True, help="Name of the checkpoint to leave.")
@click.option("--sources", help="Sources to train on, separated by commas; default: all there are.")
@click.option("--dev-sources", help="Sources to compare candidates on; default: those trained on.")
@click.option("--epochs", default=3, show_default=True)
@click.option("--learning-rate", default=1.5e-4, show_default=True)
@click.option("--dropout", default=0.1, show_default=True)
@training_options
@click.pass_obj
def finetune(
    workspace: Workspace,
    /,
    *,
    init: str,
    layers: int,
    name: str,
    sources: str | None,
    dev_sources: str | None,
    dropout: float,
    members: int,
    threads: int,
    max_length: int,
    **schedule: Any,
) -> None:
    """Train the classifier on the raters' judgements."""
    from sentinova_training import members as training

    assignment = training.Assignment(
        workspace,
        name,
        init=init,
        layers=layers,
        sources=_names(sources),
        dev_sources=_names(dev_sources or sources),
        dropout=dropout,
        max_length=max_length,
        schedule=Schedule(**schedule),
        members=members,
        threads=threads,
    )
    _print_dev(training.run(assignment))


def _names(text: str | None) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else ()


def _print_dev(summary: dict[str, Any]) -> None:
    """Prints what each candidate reached on the dev split."""
    for name, figures in summary["dev"].items():
        mark = "*" if name == summary["chosen"] else " "
        click.echo(f"{mark} {name:20} accuracy {figures['accuracy']:.4f}  nll {figures['nll']:.4f}")


@main.command()
@click.option("--teacher", default="finetune", show_default=True, help="Checkpoint of this run to learn from.")
@click.option("--layers", default=3, show_default=True, help="Depth of the student.")
@click.option("--sources", help="Sources to learn on, separated by commas; default: all there are.")
@click.option("--epochs", default=4, show_default=True)
@click.option("--learning-rate", default=3e-4, show_default=True)
@click.option("--dropout", default=0.0, show_default=True)
@training_options
@click.pass_obj
def distill(
    workspace: Workspace,
    /,
    *,
    teacher: str,
    layers: int,
    sources: str | None,
    dropout: float,
    members: int,
    threads: int,
    max_length: int,
    **schedule: Any,
) -> None:
    """Train a shallower classifier to give the answers of a trained one."""
    from sentinova_training import members as training

    judged = tuple(workspace.read_summary(teacher)["sources"])
    assignment = training.Assignment(
        workspace,
        "distill",
        teacher=teacher,
        layers=layers,
        sources=_names(sources),
        dev_sources=judged,
        dropout=dropout,
        max_length=max_length,
        schedule=Schedule(**schedule),
        members=members,
        threads=threads,
    )
    _print_dev(training.run(assignment))


def repository_options(command: Command) -> Command:
    """The options that name a version folder."""
    for option in (
        click.option("--version", type=click.IntRange(min=1), required=True, help="Number of the version."),
        click.option("--model", default="sentiment_en", show_default=True, help="Name of the model."),
        click.option(
            "--repository",
            type=click.Path(path_type=Path),
            default=Path("model_repository"),
            show_default=True,
            help="Folder of all models.",
        ),
    ):
        command = option(command)
    return command


@main.command()
@click.option("--checkpoint", default="finetune", show_default=True, help="Checkpoint of this run to export.")
@click.option("--note", default="", help="A sentence for the model card, below the accuracies.")
@repository_options
@click.pass_obj
def export(workspace: Workspace, /, *, checkpoint: str, note: str, repository: Path, model: str, version: int) -> None:
    """Write a version folder that the server loads, and calibrate its scores."""
    from sentinova_training import export as exporting

    program.use_program_format()
    network.threads(os.cpu_count() or 1)
    target = exporting.Target(workspace, checkpoint, repository.resolve(), model, version, note)
    summary = exporting.run(target)
    temperature = summary["calibration"]["temperature"]
    click.echo(f"{model} {version}: {sum(summary['bytes'].values()) / 1e6:.1f} MB, temperature {temperature}")
    if not summary["config_written"]:
        click.echo(f"config.pbtxt is yours: set temperature.{version} to {temperature} in it yourself", err=True)


@main.command()
@repository_options
@click.pass_obj
def verify(workspace: Workspace, repository: Path, model: str, version: int) -> None:
    """Compare a version folder with Paddle's logits through OpenVINO, and measure its accuracy."""
    from sentinova_training import card, verification

    network.threads(os.cpu_count() or 1)
    folder = repository.resolve() / model / str(version)
    summary = verification.run(workspace, folder, version)
    step = workspace.read_summary(f"export-{version}")["checkpoint"]
    card.write(folder / "MODEL_CARD.md", workspace, version, step)
    golden = summary["golden"]
    click.echo(f"{golden['cases']} golden texts: at most {golden['max_difference']:.2g} off Paddle's logits")
    for name, row in {**summary["sources"], **summary["groups"]}.items():
        low, high = row["interval"]
        click.echo(f"{name:16} {row['accuracy']:.4f} ({low:.4f} to {high:.4f}) of {row['texts']}  ece {row['ece']:.3f}")


@main.command()
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Model repository to write them to; their version 1 is replaced.",
)
def examples(folder: Path) -> None:
    """Write small models that take plain tensors, with random weights and golden values, to try a server on."""
    program.use_program_format()
    network.threads(1)  # so that sums are always taken in the same order
    from sentinova_training.examples import export as exporting

    for summary in exporting.run(folder.resolve()):
        agreement = f"{summary.cases} golden cases, OpenVINO at most {summary.max_difference:.1g} off Paddle"
        click.echo(f"{summary.name:18} {summary.size / 1e3:4.0f} kB  {agreement}")


@main.command(name="all")
@click.option("--model", default="sentiment_en", show_default=True, help="Name of the model.")
@click.option(
    "--repository",
    type=click.Path(path_type=Path),
    default=Path("model_repository"),
    show_default=True,
    help="Folder of all models.",
)
@click.pass_obj
def every(workspace: Workspace, model: str, repository: Path) -> None:
    """Run every step with the settings of the two shipped versions.

    Each step has a process of its own: Paddle takes its flags and its thread count once, when it is imported.
    """
    place = ["--model", model, "--repository", str(repository)]
    for step in SHIPPED:
        click.secho(f"sentinova-train {step}", bold=True)
        arguments = step.split() + (place if step.startswith(("export", "verify")) else [])
        common = ["--work", str(workspace.root), "--run", workspace.run]
        command = [sys.executable, "-m", "sentinova_training.cli", *common, *arguments]
        code = subprocess.run(command, check=False).returncode  # noqa: S603 - the constants above
        if code != 0:
            raise click.exceptions.Exit(code)


if __name__ == "__main__":
    main()
