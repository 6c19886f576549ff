"""The Python client of Sentinova: sentiment of text from a Sentinova server, over gRPC.

    from sentinova import Client

    with Client("127.0.0.1:8001") as client:
        print(client.analyze("A quiet, lovely film.").label)

Knows the public names and where they live. Must not import anything heavy: every name is loaded on first use,
so that `import sentinova` (which importing the generated stubs in `sentinova.v1` entails) costs next to
nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sentinova import errors, results
    from sentinova.aio import AsyncClient
    from sentinova.client import Client
    from sentinova.connection import Tls
    from sentinova.errors import (
        AbortedError,
        AlreadyExistsError,
        CallCancelledError,
        DataLossError,
        DeadlineExceededError,
        FailedPreconditionError,
        FieldViolation,
        InternalError,
        InvalidArgumentError,
        NotFoundError,
        OutOfRangeError,
        PermissionDeniedError,
        ResourceExhaustedError,
        SentinovaError,
        UnauthenticatedError,
        UnavailableError,
        UnimplementedError,
        UnknownError,
    )
    from sentinova.results import (
        Answer,
        CanaryLimits,
        Comparison,
        EventKind,
        ModelEvent,
        ModelInfo,
        Rollback,
        Sentiment,
        TensorInfo,
        Timings,
        VersionInfo,
        VersionState,
    )

    __version__: str

__all__ = [
    "AbortedError",
    "AlreadyExistsError",
    "Answer",
    "AsyncClient",
    "CallCancelledError",
    "CanaryLimits",
    "Client",
    "Comparison",
    "DataLossError",
    "DeadlineExceededError",
    "EventKind",
    "FailedPreconditionError",
    "FieldViolation",
    "InternalError",
    "InvalidArgumentError",
    "ModelEvent",
    "ModelInfo",
    "NotFoundError",
    "OutOfRangeError",
    "PermissionDeniedError",
    "ResourceExhaustedError",
    "Rollback",
    "Sentiment",
    "SentinovaError",
    "TensorInfo",
    "Timings",
    "Tls",
    "UnauthenticatedError",
    "UnavailableError",
    "UnimplementedError",
    "UnknownError",
    "VersionInfo",
    "VersionState",
    "__version__",
    "errors",
    "results",
]

_RESULTS = {
    "Answer",
    "CanaryLimits",
    "Comparison",
    "EventKind",
    "ModelEvent",
    "ModelInfo",
    "Rollback",
    "Sentiment",
    "TensorInfo",
    "Timings",
    "VersionInfo",
    "VersionState",
}
_HOMES = {"AsyncClient": "aio", "Client": "client", "Tls": "connection"}


def __getattr__(name: str) -> Any:
    """Loads a public name on its first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "__version__":
        value: Any = _installed_version()
    elif name in {"errors", "results"}:
        value = importlib.import_module(f"{__name__}.{name}")
    else:
        home = _HOMES.get(name) or ("results" if name in _RESULTS else "errors")
        value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _installed_version() -> str:
    """Version of the installed distribution; "0+unknown" where the package was not installed."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  (kept out of the cheap import)

    try:
        return version("sentinova")
    except PackageNotFoundError:
        return "0+unknown"
