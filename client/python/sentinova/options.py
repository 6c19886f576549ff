"""The options that commands of `sentinova` share: where the server is, how long to wait, which version answers.

Knows click and how a `Client` is made. Must not know what a command does with it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sentinova.client import Client
from sentinova.connection import DEFAULT_ADDRESS, DEFAULT_LOAD_TIMEOUT, DEFAULT_TIMEOUT, MOST_ATTEMPTS, Tls
from sentinova.traffic import parse_number

ATTEMPTS = "sentinova.attempts"  # where a command that tries again by itself says that its client need not

Command = Callable[..., Any]
Value = TypeVar("Value")


if TYPE_CHECKING:
    _TextType = click.ParamType[str]
else:
    _TextType = click.ParamType  # which is not generic in every version of click


class Utf8(_TextType):
    """A text that the API can carry: arguments that are not UTF-8 reach Python as lone surrogates."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Gives the text as it is, or says that it is not UTF-8."""
        try:
            str(value).encode()
        except UnicodeEncodeError:
            self.fail(f"{click.format_filename(value)} is not UTF-8.", param, ctx)
        return str(value)


UTF8 = Utf8()


def parsed(parse: Callable[[Any], Value]) -> Callable[[click.Context, click.Parameter, Any], Value | None]:
    """Makes the callback of a parameter, which says what is wrong with its value under the parameter's name.

    Args:
        parse: Reads a value that was given; raises a ValueError where it is wrong.
    """

    def callback(ctx: click.Context, parameter: click.Parameter, value: Any) -> Value | None:
        try:
            return None if value in {None, ()} else parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, parameter) from error

    return callback


def connected(command: Command) -> Command:
    """Gives a command the options that say where the server is and how long to wait, and an open `client`."""
    return _opened(_timeout(DEFAULT_TIMEOUT), command)


def connected_for_loading(command: Command) -> Command:
    """As `connected`, for a command that waits for models: with more time, which it gets as `timeout`."""

    @functools.wraps(command)
    def wrapper(client: Client, **options: Any) -> Any:
        timeout = click.get_current_context().params["timeout"]
        return command(client, timeout=timeout, **options)

    return _opened(_timeout(DEFAULT_LOAD_TIMEOUT), wrapper)


def connected_for_good(command: Command) -> Command:
    """As `connected`, for a command that goes on until it is interrupted: without --timeout."""
    return _opened(lambda inner: inner, command)


def analyzing(command: Command) -> Command:
    """Gives a command the options that say which model answers, and how."""

    @click.option("--model", type=UTF8, metavar="NAME", help="Name of the model.  [default: the server's default]")
    @click.option(
        "--version",
        type=UTF8,
        callback=parsed(parse_number),
        metavar="N",
        help="Version of the model.  [default: what its weights choose, or the highest available]",
    )
    @click.option("--label", type=UTF8, metavar="LABEL", help="Label of the version, in place of --version.")
    @click.option(
        "--routing-key",
        type=UTF8,
        default="",
        metavar="KEY",
        help="Where weights choose the version: the same key, the same version.",
    )
    @click.option(
        "--long-text",
        type=click.Choice(["error", "truncate"]),
        default="error",
        show_default=True,
        help="What happens to a text of more tokens than the model reads.",
    )
    @click.option(
        "--priority",
        type=click.IntRange(min=0, max=2**32 - 1),
        default=0,
        metavar="N",
        help="Level of priority, 1 the highest.  [default: the model's default level]",
    )
    @functools.wraps(command)
    def wrapper(*args: Any, version: int | None, label: str | None, **options: Any) -> Any:
        if version is not None and label is not None:
            raise click.UsageError("--version and --label: give one of them.")
        return command(*args, version=version, label=label, **options)

    return wrapper


def _opened(timeout_option: Callable[[Command], Command], command: Command) -> Command:
    @click.option(
        "--address",
        type=UTF8,
        envvar="SENTINOVA_ADDRESS",
        default=DEFAULT_ADDRESS,
        show_default=True,
        show_envvar=True,
        help="Where the server is: host:port, unix:/path or dns:///host:port.",
    )
    @click.option("--tls", is_flag=True, help="Use TLS, trusting the well-known certificate authorities.")
    @click.option("--tls-ca", type=_pem(), help="Use TLS, trusting the certificates in this PEM file.")
    @click.option("--tls-cert", type=_pem(), help="PEM file with the certificate of this client (mutual TLS).")
    @click.option("--tls-key", type=_pem(), help="PEM file with the key of --tls-cert.")
    @timeout_option
    @click.option("--json", "as_json", is_flag=True, help="Write one JSON object a line, with every field.")
    @functools.wraps(command)
    def wrapper(
        *,
        address: str,
        tls: bool,
        tls_ca: Path | None,
        tls_cert: Path | None,
        tls_key: Path | None,
        timeout: float | None = None,
        **rest: Any,
    ) -> Any:
        meta = click.get_current_context().meta
        meta["sentinova.address"] = address
        try:
            secure = tls or tls_ca or tls_cert or tls_key
            security = Tls(ca=tls_ca, cert=tls_cert, key=tls_key) if secure else None
            client = Client(address, tls=security, timeout=timeout, attempts=meta.get(ATTEMPTS, MOST_ATTEMPTS))
        except (ValueError, OSError) as error:
            raise click.UsageError(str(error)) from error
        with client:
            return command(client, **rest)

    return wrapper


def _timeout(default: float) -> Callable[[Command], Command]:
    return click.option(
        "--timeout",
        type=float,
        default=default,
        show_default=True,
        metavar="SECONDS",
        help="The longest wait for an answer.",
    )


def _pem() -> click.Path:
    return click.Path(exists=True, dir_okay=False, path_type=Path)
