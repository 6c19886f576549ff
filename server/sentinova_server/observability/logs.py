"""Structured logs on standard error: a line an event, for people or as JSON.

Knows form; must not know events: each module names its own.
"""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logs(level: str, form: str) -> None:
    """Sets up structlog for the process.

    Args:
        level: least severe level written: "debug", "info", "warning" or "error".
        form: "json", "console", or "auto": console on a terminal, otherwise json.
    """
    renderer: structlog.typing.Processor
    if form == "console" or (form == "auto" and sys.stderr.isatty()):
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        exceptions: list[structlog.typing.Processor] = []
    else:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
        exceptions = [structlog.processors.dict_tracebacks]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *exceptions,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
