"""The `sentinova models` commands: show, watch and change the models of a server.

Knows the command line. Must not know gRPC: it calls the client, and `sentinova.model_display` shows what comes back.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable
from contextlib import closing
from typing import Any, BinaryIO

import click

from sentinova import display, model_display
from sentinova.client import Client
from sentinova.errors import SentinovaError
from sentinova.options import UTF8, connected, connected_for_good, connected_for_loading, parsed
from sentinova.renewal import watch_again
from sentinova.report import EXIT_CODES, explain
from sentinova.results import CanaryLimits, ModelInfo
from sentinova.traffic import VersionName, parse_number, parse_version, parse_weights

_COUNT = click.IntRange(1, 2**32 - 1)
_SHARE = click.FloatRange(min=0, max=1)


@click.group()
def models() -> None:
    """Show, watch and change the models of the server.

    \b
    Examples:
      sentinova models list
      sentinova models watch
      sentinova models weights sentiment_en 1=90 2=10
    """  # noqa: D301  (\b is click's mark for lines to keep)


@models.command("list", epilog=EXIT_CODES)
@connected
def list_models(client: Client, as_json: bool) -> None:
    """List the models with their versions and states.

    \b
    Examples:
      sentinova models list
      sentinova models list --json | jq .default_version
    """  # noqa: D301
    _show(client.list_models(), as_json)


@models.command("show", epilog=EXIT_CODES)
@click.argument("name", type=UTF8)
@connected
def show_model(client: Client, name: str, as_json: bool) -> None:
    """Show everything about the model NAME.

    Its versions with their states, labels and share of the traffic, their inputs and outputs, and how versions compare.

    \b
    Examples:
      sentinova models show sentiment_en
    """  # noqa: D301
    model = client.get_model(name)
    if as_json:
        display.echo_json(model_display.model_json(model))
    else:
        model_display.show_model(model)


@models.command("load", epilog=EXIT_CODES)
@click.argument("name", type=UTF8)
@click.option(
    "--version",
    type=UTF8,
    callback=parsed(parse_number),
    metavar="N",
    help="A version to load beside those that the policy chooses.",
)
@click.option(
    "--config",
    type=click.File("rb"),
    metavar="FILE",
    help="A config.pbtxt to take the place of the model's own until its next load; - is the standard input.",
)
@connected_for_loading
def load_model(client: Client, name: str, *, config: BinaryIO | None, as_json: bool, **choice: Any) -> None:
    """Load the model NAME as its folder is now.

    Ends when it is loaded. With --version, also a version that the version policy does not choose, or that was unloaded
    or rolled back.

    \b
    Examples:
      sentinova models load sentiment_en
      sentinova models load sentiment_en --version 1
      sentinova models load sentiment_en --config tried.pbtxt
    """  # noqa: D301
    _show([client.load_model(name, config=_text(config), **choice)], as_json)


@models.command("unload", epilog=EXIT_CODES)
@click.argument("name", type=UTF8)
@click.option(
    "--version",
    type=UTF8,
    callback=parsed(parse_number),
    metavar="N",
    help="This version alone.  [default: the whole model]",
)
@connected_for_loading
def unload_model(client: Client, name: str, *, as_json: bool, **choice: Any) -> None:
    """Unload the model NAME, or one version of it.

    Ends when its requests have ended and it is gone from memory.

    \b
    Examples:
      sentinova models unload sentiment_en
      sentinova models unload sentiment_en --version 1
    """  # noqa: D301
    _show([client.unload_model(name, **choice)], as_json)


@models.command("reload", epilog=EXIT_CODES)
@connected_for_loading
def reload_repository(client: Client, timeout: float, as_json: bool) -> None:
    """Have the server look at its model repository.

    Ends when its models are as their folders are. `sentinova models list` tells what could not be loaded.

    \b
    Examples:
      sentinova models reload
      sentinova models reload --timeout 1800
    """  # noqa: D301
    _show(client.reload_repository(timeout=timeout), as_json)


@models.command("label", epilog=EXIT_CODES)
@click.argument("name", type=UTF8)
@click.argument("label", type=UTF8)
@click.argument("version", type=UTF8, callback=parsed(parse_number), required=False)
@click.option("--delete", is_flag=True, help="Take the label away, in place of VERSION.")
@connected
def set_label(client: Client, name: str, label: str, *, version: int | None, delete: bool, as_json: bool) -> None:
    """Give LABEL to a version of the model NAME.

    The version must be available. The label is taken from the version that had it.

    \b
    Examples:
      sentinova models label sentiment_en stable 2
      sentinova models label sentiment_en stable --delete
    """  # noqa: D301
    if delete == (version is not None):
        raise click.UsageError("Give either VERSION or --delete.")
    model = client.delete_label(name, label) if version is None else client.set_label(name, label, version)
    _show([model], as_json)


@models.command("weights", epilog=EXIT_CODES)
@click.argument("name", type=UTF8)
@click.argument("weights", nargs=-1, type=UTF8, metavar="[VERSION=PERCENT]...", callback=parsed(parse_weights))
@click.option("--clear", is_flag=True, help="No weights: the default version gets all.")
@click.option("--max-error-rate", type=_SHARE, metavar="SHARE", help="Canaries may fail on so many, 0 to 1.")
@click.option("--max-disagreement", type=_SHARE, metavar="SHARE", help="Canaries may differ in so many labels, 0 to 1.")
@click.option("--min-documents", type=_COUNT, metavar="COUNT", help="Documents to look at before a canary is judged.")
@connected
def set_weights(
    client: Client, name: str, weights: dict[VersionName, int] | None, *, clear: bool, as_json: bool, **limits: Any
) -> None:
    """Share the traffic of the model NAME.

    The requests that ask for no version are shared between versions, by number or label; 100 percent in all. A version
    with a smaller share than another is a canary: it is rolled back by itself when it passes a limit, one of those
    given here or, where none is, those of the model's config.pbtxt.

    \b
    Examples:
      sentinova models weights sentiment_en 1=90 2=10
      sentinova models weights sentiment_en stable=95 canary=5 --max-error-rate 0.01 --min-documents 500
      sentinova models weights sentiment_en --clear
    """  # noqa: D301
    if clear == bool(weights):
        raise click.UsageError("Give either VERSION=PERCENT, as in 1=90 2=10, or --clear.")
    limited = any(each is not None for each in limits.values())
    if clear and limited:
        raise click.UsageError("--clear leaves no canary to limit.")
    _show([client.set_weights(name, weights or {}, limits=CanaryLimits(**limits) if limited else None)], as_json)


@models.command("shadow", epilog=EXIT_CODES)
@click.argument("name", type=UTF8)
@click.argument("version", type=UTF8, required=False, callback=parsed(parse_version))
@click.option("--off", is_flag=True, help="No shadow, in place of VERSION.")
@click.option("--percent", type=click.IntRange(1, 100), metavar="P", help="Part of the documents.  [default: 100]")
@connected
def set_shadow(
    client: Client, name: str, version: VersionName | None, *, off: bool, percent: int | None, as_json: bool
) -> None:
    """Try VERSION of the model NAME, unseen.

    The version (a number or a label) computes what others answer, and nobody sees what it says. `sentinova models show`
    tells how the answers of the two compare.

    \b
    Examples:
      sentinova models shadow sentiment_en 2 --percent 10
      sentinova models shadow sentiment_en --off
    """  # noqa: D301
    if off == (version is not None):
        raise click.UsageError("Give either VERSION or --off.")
    if off and percent is not None:
        raise click.UsageError("--off leaves no shadow to give --percent of the documents.")
    _show([client.set_shadow(name, version, percent=percent or 100)], as_json)


@models.command("rollback", epilog=EXIT_CODES)
@click.argument("name", type=UTF8)
@connected_for_loading
def rollback_model(client: Client, name: str, timeout: float, as_json: bool) -> None:
    """Go back a version of the model NAME.

    Takes the version that answers by default out of service, and has the one below it answer.

    \b
    Examples:
      sentinova models rollback sentiment_en
    """  # noqa: D301
    done = client.rollback_model(name, timeout=timeout)
    if as_json:
        display.echo_json(model_display.rollback_json(done))
    else:
        click.echo(f"Version {done.from_version} is out of service; version {done.to_version} answers by default.")
        model_display.show_models([done.model])


@models.command("watch", epilog=EXIT_CODES)
@click.argument("names", nargs=-1, type=UTF8, metavar="[NAME]...")
@click.option("--no-reconnect", is_flag=True, help="End when the server ends the watch or goes away.")
@connected_for_good
def watch_models(client: Client, names: tuple[str, ...], no_reconnect: bool, as_json: bool) -> None:
    """Tell every change of the models as it comes.

    First how they (or those named) are, then every change, until Ctrl-C. A line is the time in UTC, model/version, the
    state or the kind of the event, and why. When the server restarts or goes away, the watch begins again as soon as it
    is back, and tells again how things are.

    \b
    Examples:
      sentinova models watch
      sentinova models watch sentiment_en --json | jq -r 'select(.kind == "ROLLBACK") | .message'
    """  # noqa: D301
    begin = functools.partial(client.watch_models, names)
    lines = model_display.EventLines()
    with closing(begin() if no_reconnect else watch_again(begin, _tell_end, time.sleep)) as events:
        for event in events:
            # Both write each line through at once, for whoever reads a pipe.
            if as_json:
                display.echo_json(model_display.event_json(event))
            else:
                display.echo_line(lines.line(event))
    click.echo("sentinova: the server ended the watch", err=True)


def _tell_end(error: SentinovaError | None) -> None:
    address = click.get_current_context().meta.get("sentinova.address")
    cause = "the server ended the watch" if error is None else explain(error, address)
    click.secho(f"sentinova: {cause}\n  The watch begins again when it can; Ctrl-C ends it.", err=True, fg="yellow")


def _text(file: BinaryIO | None) -> str | None:
    """Reads a config file; an empty one would stand for the model's own."""
    if file is None:
        return None
    try:
        text = file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{file.name} is not UTF-8: {error}", param_hint="--config") from error
    if not text.strip():
        raise click.BadParameter(f"{file.name} is empty.", param_hint="--config")
    return text


def _show(found: Iterable[ModelInfo], as_json: bool) -> None:
    shown = list(found)
    if as_json:
        for model in shown:
            display.echo_json(model_display.model_json(model))
    elif shown:
        model_display.show_models(shown)
    else:
        click.echo("The server has no models.", err=True)
