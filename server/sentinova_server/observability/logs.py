"""Structured logs on standard error: a line an event, for people or as JSON.

Knows form; must not know events: each module names its own.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import structlog


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Which lines are written.

    Attributes:
        error: those of errors.
        warning: those of warnings, where errors are.
        info: those of what happens, where warnings are.
        verbose: all lines, whatever the others say.
    """

    error: bool = True
    warning: bool = True
    info: bool = True
    verbose: bool = False

    @property
    def level(self) -> int:
        """The least severe level written, in numbers of `logging`."""
        if self.verbose:
            return logging.DEBUG
        if not self.error:
            return logging.CRITICAL
        if not self.warning:
            return logging.ERROR
        return logging.INFO if self.info else logging.WARNING


_LEVELS = {
    "debug": LogSettings(verbose=True),
    "info": LogSettings(),
    "warning": LogSettings(info=False),
    "error": LogSettings(info=False, warning=False),
}


class _Log:
    """The process's log: it has one, as it has one standard error."""

    settings = LogSettings()
    observers: ClassVar[list[Callable[[], None]]] = []


def log_settings() -> LogSettings:
    """Gives which lines are written now."""
    return _Log.settings


def change_log_settings(**changes: bool) -> None:
    """Changes some of the settings, from the next line on."""
    _Log.settings = replace(_Log.settings, **changes)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(_Log.settings.level))
    for observer in _Log.observers:
        observer()


def observe_logs(observer: Callable[[], None]) -> None:
    """Has `observer` called after each change: whoever has bound a logger for speed is to bind it anew."""
    _Log.observers.append(observer)


def configure_logs(level: str, form: str) -> None:
    """Sets up structlog for the process.

    Args:
        level: least severe level written: "debug", "info", "warning" or "error".
        form: "json", "console", or "auto": console on a terminal, otherwise json.
    """
    _Log.settings = _LEVELS[level]
    renderer: structlog.typing.Processor
    if form == "console" or (form == "auto" and sys.stderr.isatty()):
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        exceptions: list[structlog.typing.Processor] = []
    else:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
        # Without what variables held: that may be a client's text.
        transformer = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        exceptions = [structlog.processors.ExceptionRenderer(transformer)]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *exceptions,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_Log.settings.level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
