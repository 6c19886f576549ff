"""`sentinova analyze --file`: the options that name a table, and what is said when it is scored or cannot be.

Knows the command line. Must not know formats or checkpoints: `sentinova.file_scoring` does the work.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from sentinova.checkpoint import BusyError, CheckpointError, OtherWorkError, Part
from sentinova.client import Client
from sentinova.file_display import FileWatch, show_summary
from sentinova.file_scoring import INPUT, Task, score_file
from sentinova.options import ATTEMPTS, UTF8, Command
from sentinova.report import ExitCode
from sentinova.tables import Format, TableError, delimiter_of, format_of

NOTE = "sentinova.note"  # where a command leaves in the context what is to be said after its failure

_FORMATS = click.Choice(["csv", "tsv", "jsonl"])
_FORMATS_OF_NAMES = "its name must end in .csv, .tsv, .tab, .jsonl or .ndjson"


class FileFailure(click.ClickException):
    """A file is the matter, not the server."""

    exit_code = ExitCode.USAGE


def _added(name: str) -> Callable[[Command], Command]:
    help_text = f"Name of the added {name}."
    return click.option(f"--{name}-column", type=UTF8, default=name, show_default=True, metavar="NAME", help=help_text)


_OPTIONS: dict[str, Callable[[Command], Command]] = {
    "column": click.option("--column", type=UTF8, metavar="NAME", help="The column of --file that holds the texts."),
    "out": click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="The file to make of --file."),
    "overwrite": click.option("--overwrite", is_flag=True, help="Replace --out where it is there already."),
    "restart": click.option("--restart", is_flag=True, help="Begin anew, in place of going on with a part of --out."),
    "form": click.option("--format", "form", type=_FORMATS, help="Format of --file.  [default: as its name ends]"),
    "out_form": click.option("--out-format", "out_form", type=_FORMATS, help="Format of --out.  [default: likewise]"),
    "delimiter": click.option(
        "--delimiter", type=UTF8, metavar="C", help="What separates the fields of --file.  [default: comma or tab]"
    ),
    "label_column": _added("label"),
    "score_column": _added("score"),
    "error_column": _added("error"),
}


def tabled(command: Command) -> Command:
    """Gives a command the options that name a table to score: it gets them as `task`, None where there is no --file."""

    @functools.wraps(command)
    def wrapper(*args: Any, file: Path | None, **given: Any) -> Any:
        own = {name: given.pop(name) for name in _OPTIONS}
        if file is None:
            _check_none_given()
            return command(*args, task=None, **given)
        click.get_current_context().meta[ATTEMPTS] = 1  # `sentinova.scoring` knows better when to try again
        return command(*args, task=_task(file, **own), **given)

    path = click.Path(exists=True, dir_okay=False, path_type=Path)
    file_option = click.option("--file", type=path, metavar="FILE", help="Score the rows of a file: CSV, TSV or JSONL.")
    given: Command = wrapper
    for option in reversed(_OPTIONS.values()):
        given = option(given)
    return file_option(given)


def score_table(client: Client, task: Task, choice: Mapping[str, Any], *, as_json: bool) -> int:
    """Scores a table, and says how it went.

    Args:
        client: The client.
        task: What is to be done.
        choice: Options of `analyze_batch` that say which model answers, and how.
        as_json: Write what was done as a JSON object to the standard output.

    Returns:
        The number of rows that failed.

    Raises:
        FileFailure: A file is the matter.
        SentinovaError: The server failed.
    """
    # The place that a text has in the server's queue changes no answer.
    lasting = {f"--{name.replace('_', '-')}": value for name, value in choice.items() if name != "priority"}
    analyze = functools.partial(client.analyze_batch, **choice)
    watch = FileWatch()
    try:
        done = score_file(task, analyze, choice=lasting, patience=client.timeout, watch=watch)
    except (TableError, CheckpointError, OSError) as error:
        raise FileFailure(_explain(error, task) + _kept(watch, task)) from error
    except BaseException:
        click.get_current_context().meta[NOTE] = _kept(watch, task).strip()
        raise
    show_summary(task.out, done, start=watch.start, as_json=as_json)
    return sum(done.failures.values())


def _task(
    file: Path, *, column: str | None, out: Path | None, overwrite: bool, restart: bool, form: Format | None,
    out_form: Format | None, delimiter: str | None, label_column: str, score_column: str, error_column: str,
) -> Task:  # fmt: skip
    if column is None or out is None:
        raise click.UsageError("--file needs --column and --out.")
    form = form or format_of(file)
    if form is None:
        raise click.UsageError(f"--format: say what {file} is; where it is not given, {_FORMATS_OF_NAMES}.")
    added = (label_column, score_column, error_column)
    if len(set(added)) < len(added) or not all(added):
        raise click.UsageError("--label-column, --score-column and --error-column must have three names.")
    _check_paths(file, out, overwrite=overwrite)
    return Task(
        file=file,
        out=out,
        column=column,
        form=form,
        out_form=out_form or format_of(out) or form,
        delimiter=_delimiter(delimiter, form),
        added=added,
        restart=restart,
    )


def _delimiter(given: str | None, form: Format) -> str | None:
    if form == "jsonl":
        if given is not None:
            raise click.UsageError("--delimiter: there is none in JSON Lines.")
        return None
    delimiter = delimiter_of(form) if given is None else given.replace("\\t", "\t")
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise click.UsageError(f"--delimiter: {given!r} is not one character that can separate fields.")
    return delimiter


def _check_paths(file: Path, out: Path, *, overwrite: bool) -> None:
    if not file.is_file():
        raise click.UsageError(f"--file: {file} is not a regular file, and has to be read twice.")
    target = out.resolve()
    if not target.parent.is_dir():
        raise click.UsageError(f"--out: there is no folder {target.parent}.")
    part = Part.paths(target)
    if any(each.exists() and each.samefile(file) for each in (target, *part)):
        raise click.UsageError("--out: it must be another file than --file.")
    if not target.exists():
        return
    if not target.is_file():
        raise click.UsageError(f"--out: {out} is not a regular file.")
    if not overwrite:
        raise click.UsageError(f"--out: {out} is there already; --overwrite replaces it.")


def _check_none_given() -> None:
    context = click.get_current_context()
    for parameter in context.command.params:
        if parameter.name in _OPTIONS and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{parameter.opts[0]} goes with --file.")


def _explain(error: Exception, task: Task) -> str:
    if isinstance(error, OtherWorkError):
        if INPUT in error.differences:
            return f"{task.file} has changed since its scoring began; --restart begins anew."
        was = ", ".join(f"{name} was {value!r}" for name, value in error.differences.items())
        return f"The scoring began with other options: {was}. Give them again, or --restart to begin anew."
    if isinstance(error, BusyError):
        return f"{error}."
    if isinstance(error, CheckpointError):
        return f"{error}; --restart begins anew."
    if isinstance(error, OSError):
        return f"{error.filename or task.out}: {error.strerror or error}"
    return f"{task.file}: {error}"


def _kept(watch: FileWatch, task: Task) -> str:
    """Says what an interrupted run leaves; empty where that is nothing."""
    if not watch.done.rows:
        return ""
    part = Part.paths(task.out)[0]
    done = f"{watch.done.rows:,} of {watch.rows:,} rows are done and kept in {part}"
    return f"\n{done}: the same command goes on with the rest."
