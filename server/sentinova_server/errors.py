"""The errors that parts of the server raise to each other.

Knows reasons and plain data; must not know gRPC: `rpc.status` turns these into what a client sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path


class Reason(StrEnum):
    """Why a request was not answered: the `reason` of the `google.rpc.ErrorInfo` that the client gets."""

    TEXT_EMPTY = "TEXT_EMPTY"
    TEXT_TOO_LONG = "TEXT_TOO_LONG"
    INVALID_FIELD = "INVALID_FIELD"
    NOT_A_TEXT_MODEL = "NOT_A_TEXT_MODEL"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    VERSION_NOT_FOUND = "VERSION_NOT_FOUND"
    LABEL_NOT_FOUND = "LABEL_NOT_FOUND"
    MODEL_FAILED = "MODEL_FAILED"
    MODEL_CONTROL_DISABLED = "MODEL_CONTROL_DISABLED"
    VERSION_NOT_AVAILABLE = "VERSION_NOT_AVAILABLE"
    LAST_VERSION = "LAST_VERSION"
    NO_PREVIOUS_VERSION = "NO_PREVIOUS_VERSION"
    MEMORY_BUDGET = "MEMORY_BUDGET"
    WATCH_TOO_SLOW = "WATCH_TOO_SLOW"
    MODEL_LOADING = "MODEL_LOADING"
    SERVER_DRAINING = "SERVER_DRAINING"
    QUEUE_FULL = "QUEUE_FULL"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    INFERENCE_FAILED = "INFERENCE_FAILED"
    INTERNAL = "INTERNAL"


class ServingError(Exception):
    """A request that cannot be answered.

    Attributes:
        reason: why, for machines.
        message: why and what to do, for people. Shown to the client.
        field: path of the request field at fault, as in `document.text`; empty where none is.
        metadata: more for machines, as in the model's name.
        retry_after: seconds after which trying again may help; None where it will not.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        field: str = "",
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field
        self.metadata = dict(metadata or {})
        self.retry_after = retry_after

    def renamed(self, old: str, new: str) -> ServingError:
        """Gives the same error about what has another name in the request: `documents[2].text` for `document.text`."""
        renamed = ServingError(
            self.reason,
            self.message.replace(old, new),
            field=self.field.replace(old, new, 1),
            metadata=self.metadata,
            retry_after=self.retry_after,
        )
        renamed.__cause__ = self.__cause__
        return renamed


class LoadError(Exception):
    """A model, a version or a file of it that cannot be used.

    Attributes:
        file: the file or folder at fault.
        message: what is wrong with it and how to mend it.
    """

    def __init__(self, file: Path, message: str) -> None:
        super().__init__(f"{file}: {message}")
        self.file = file
        self.message = message
