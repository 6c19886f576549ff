"""The `sentinova-server` command: flags, environment and config file become settings.

Knows where values come from: flag > environment (SENTINOVA_<FLAG>) > `--config FILE.toml` > default. Must not know what
settings are for.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import click
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from rich.console import Console
from rich.table import Table

from sentinova_server import __version__
from sentinova_server.errors import LoadError
from sentinova_server.observability.logs import configure_logs
from sentinova_server.settings import (
    ModelSettings,
    PublishSettings,
    QuantizeSettings,
    ServerSettings,
    TuneSettings,
)

_S = TypeVar("_S", bound=BaseModel)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="sentinova-server")
def main() -> None:
    """Serves PaddleNLP text classifiers over gRPC, run by OpenVINO on the CPU.

    Every flag is also an environment variable (--http-port: SENTINOVA_HTTP_PORT) and a key of the --config file
    (http_port). The flag wins over the environment, and the environment over the file.
    """


def settings_options(kind: type[BaseModel]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command one option for each setting, and --config."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for name, field in reversed(kind.model_fields.items()):
            command = _option(name, field)(command)
        return click.option(
            "--config",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            envvar="SENTINOVA_CONFIG",
            show_envvar=True,
            callback=_read_config,
            is_eager=True,
            expose_value=False,
            help="TOML file with settings.",
        )(command)

    return decorate


def _option(name: str, field: FieldInfo) -> Callable[[Callable[..., None]], Callable[..., None]]:
    required = field.default is PydanticUndefined
    flag = f"--{name.replace('_', '-')}"
    default = None if required or field.default in (None, "") else field.default
    return click.option(
        f"{flag}/--no-{flag.removeprefix('--')}" if field.annotation is bool else flag,
        name,
        # Text stays text here: pydantic converts and checks every value, wherever it came from.
        type=None if field.annotation is bool else _option_type(field),
        default=default,
        required=required,
        envvar=f"SENTINOVA_{name.upper()}",
        show_default=default is not None,
        metavar=None if field.annotation is bool or _is_choice(field) else _metavar(field),
        help=field.description,
    )


def _is_choice(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is Literal


def _option_type(field: FieldInfo) -> click.ParamType[Any] | type[str]:
    return click.Choice(get_args(field.annotation)) if _is_choice(field) else str


def _metavar(field: FieldInfo) -> str:
    if field.annotation in (int, float):
        return "NUMBER"
    return "TEXT" if field.annotation is str else "PATH"


def _read_config(context: click.Context, _: click.Parameter, file: Path | None) -> None:
    """Makes the file's values the defaults of the options. Raises click.BadParameter where it is no such file."""
    if file is None:
        return
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise click.BadParameter(f"{file}: {error}") from error
    known = {parameter.name for parameter in context.command.params}
    if unknown := sorted(set(values) - known):
        raise click.BadParameter(f"{file}: unknown keys {unknown}; the keys are the flags' names with underscores")
    context.default_map = values


def _make_settings(kind: type[_S], values: dict[str, Any]) -> _S:
    """Checks the values. Raises click.UsageError that names the flag."""
    try:
        return kind(**{name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        problems = [
            f"--{str(problem['loc'][0]).replace('_', '-')}: {problem['msg']}" if problem["loc"] else problem["msg"]
            for problem in error.errors(include_url=False)
        ]
        raise click.UsageError("; ".join(problems)) from error


@main.command()
@settings_options(ServerSettings)
def serve(**values: Any) -> None:
    """Serve a model repository until SIGTERM or Ctrl-C.

    Ends with 0 after a clean stop, 1 where it cannot start or a second signal forces it, 2 for wrong flags.
    """
    settings = _make_settings(ServerSettings, values)
    configure_logs(settings.log_level, settings.log_format)
    # Imported late: `--help` and wrong flags must not wait for OpenVINO.
    from sentinova_server import app  # noqa: PLC0415

    try:
        code = asyncio.run(app.serve(settings))
    except (LoadError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if code:
        # Forced: threads that still run a model must not hold the process.
        sys.stderr.flush()
        os._exit(code)


@main.command()
@settings_options(ModelSettings)
def check(**values: Any) -> None:
    """Load and check every model of a repository, as serve would, and say what was found.

    Ends with 0 where every version can be served, 1 otherwise.
    """
    settings = _make_settings(ModelSettings, values)
    configure_logs("error", settings.log_format)
    from sentinova_server import app  # noqa: PLC0415

    try:
        registry = asyncio.run(app.check(settings))
    except LoadError as error:
        raise click.ClickException(str(error)) from error
    table = Table("model", "version", "state", "message")
    failed = not registry.models
    for model in registry.models:
        if model.message:
            failed = True
            table.add_row(model.name, "", "[red]FAILED[/]", model.message)
        for record in model.versions.values():
            good = record.served is not None
            failed |= not good
            colour = "green" if good else "red"
            table.add_row(model.name, str(record.version), f"[{colour}]{record.state.value}[/]", record.message)
    Console().print(table)
    if failed:
        raise SystemExit(1)


@main.command()
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("model")
@settings_options(PublishSettings)
def publish(source: Path, model: str, **values: Any) -> None:
    """Put the folder SOURCE into a repository as a new version of MODEL, so that no server ever sees half of it.

    Its files are copied out of sight, loaded and checked as serve would do it, and then made visible at once. A model
    that is not there is made. Where SOURCE has a SHA256SUMS, the files must agree with it.

    Ends with 0 where the version was published, 1 where not, 2 for wrong flags.
    """
    settings = _make_settings(PublishSettings, values)
    configure_logs("error", "auto")
    from sentinova_server import publish_command  # noqa: PLC0415

    try:
        publish_command.publish(settings, source, model)
    except (LoadError, OSError) as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.argument("model")
@click.argument("version", type=click.IntRange(min=1))
@settings_options(QuantizeSettings)
def quantize(model: str, version: int, **values: Any) -> None:
    """Make a new version of MODEL that computes in 8-bit integers, out of its version VERSION.

    The new version takes up less memory, answers faster on CPUs with VNNI or AMX, and scores texts a little otherwise:
    how much is measured, and a version that loses too much is not written. Needs the extra `quantize`.

    Ends with 0 where the version was written, 1 where not, 2 for wrong flags.
    """
    settings = _make_settings(QuantizeSettings, values)
    configure_logs("error", "auto")
    from sentinova_server import quantize_command  # noqa: PLC0415
    from sentinova_server.runtime.quantization import QuantizationError  # noqa: PLC0415

    try:
        quantize_command.quantize(settings, model, version)
    except (LoadError, QuantizationError, OSError) as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.argument("model")
@click.option("--version", type=click.IntRange(min=1), help="Version to try; without it, the highest that is served.")
@click.option("--json", is_flag=True, help="Print one JSON object instead of a table.")
@settings_options(TuneSettings)
def tune(model: str, version: int | None, json: bool, **values: Any) -> None:
    """Try how MODEL runs best on this host: streams, precision and tokens in a batch.

    Give the flags that it is served with, and texts like those to come (--data). Takes about two minutes; serve nothing
    on the host meanwhile. What is best is to be better than the present settings by more than the trials of one setup
    differ; otherwise these are kept.

    Ends with 0 where it was found out, and written if asked for; 1 where not, 2 for wrong flags.
    """
    settings = _make_settings(TuneSettings, values)
    configure_logs("error", "auto")
    from sentinova_server import tune_command  # noqa: PLC0415

    try:
        tune_command.tune(settings, model, version, as_json=json)
    except (LoadError, tune_command.TuneError, OSError) as error:
        raise click.ClickException(str(error)) from error
