"""Errors of the client: one class for each gRPC status code, with the details that the server gave.

Knows status codes. Must not know protobuf: `sentinova.status` reads the server's details into these classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from grpc import StatusCode


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field of the request that the server refused.

    Attributes:
        field: Path of the field in the request message, `documents[2].text` for example.
        description: What is wrong with it.
        reason: The fault in UPPER_SNAKE_CASE, where the server gave one.
    """

    field: str
    description: str
    reason: str = ""


class SentinovaError(Exception):
    """A call, or one document of a call, that failed.

    Attributes:
        message: What went wrong, in a sentence.
        code: The gRPC status code.
        reason: The cause in UPPER_SNAKE_CASE (`MODEL_NOT_FOUND` for example); empty where the server gave
            none.
        domain: Who gave the reason: "sentinova"; empty where there is none.
        metadata: Particulars of the reason (`{"model": "sentiment_en"}` for example).
        field_violations: The fields of the request that are at fault.
        retry_after: Seconds to wait before trying again; None where the server did not say that waiting
            helps.
    """

    status_code: ClassVar[StatusCode] = StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        domain: str = "",
        metadata: Mapping[str, str] | None = None,
        field_violations: tuple[FieldViolation, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.domain = domain
        self.metadata: dict[str, str] = dict(metadata or {})
        self.field_violations = field_violations
        self.retry_after = retry_after

    @property
    def code(self) -> StatusCode:
        """The gRPC status code."""
        return self.status_code

    def __str__(self) -> str:
        name = f"{self.code.name} ({self.reason})" if self.reason else self.code.name
        return f"{name}: {self.message}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r}, reason={self.reason!r})"


class CallCancelledError(SentinovaError):
    """The call was cancelled."""

    status_code = StatusCode.CANCELLED


class UnknownError(SentinovaError):
    """The server failed without saying how."""

    status_code = StatusCode.UNKNOWN


class InvalidArgumentError(SentinovaError):
    """The request is wrong, whatever the state of the server: empty text, text too long, a bad field."""

    status_code = StatusCode.INVALID_ARGUMENT


class DeadlineExceededError(SentinovaError):
    """The answer did not come in time."""

    status_code = StatusCode.DEADLINE_EXCEEDED


class NotFoundError(SentinovaError):
    """The model, or the version or the label of it, does not exist."""

    status_code = StatusCode.NOT_FOUND


class AlreadyExistsError(SentinovaError):
    """What was to be made exists already."""

    status_code = StatusCode.ALREADY_EXISTS


class PermissionDeniedError(SentinovaError):
    """The caller is known and may not do this."""

    status_code = StatusCode.PERMISSION_DENIED


class ResourceExhaustedError(SentinovaError):
    """The server is overloaded; `retry_after` says how long to wait.

    Or there is no memory for another version (MEMORY_BUDGET), or a message was larger than allowed.
    """

    status_code = StatusCode.RESOURCE_EXHAUSTED


class FailedPreconditionError(SentinovaError):
    """The server is not set up to do this, or the model is not in a state for it: the reason says which."""

    status_code = StatusCode.FAILED_PRECONDITION


class AbortedError(SentinovaError):
    """The call was cut off, by another one or because it was read too slowly; it may be begun again."""

    status_code = StatusCode.ABORTED


class OutOfRangeError(SentinovaError):
    """The request reaches past what there is."""

    status_code = StatusCode.OUT_OF_RANGE


class UnimplementedError(SentinovaError):
    """The server does not have this method: another product, or an older version."""

    status_code = StatusCode.UNIMPLEMENTED


class InternalError(SentinovaError):
    """The server, or the exchange with it, broke a rule of its own."""

    status_code = StatusCode.INTERNAL


class UnavailableError(SentinovaError):
    """The server cannot be reached, is still loading the model, or is shutting down."""

    status_code = StatusCode.UNAVAILABLE


class DataLossError(SentinovaError):
    """Data was lost or damaged."""

    status_code = StatusCode.DATA_LOSS


class UnauthenticatedError(SentinovaError):
    """The caller did not prove who it is."""

    status_code = StatusCode.UNAUTHENTICATED


_BY_CODE: dict[StatusCode, type[SentinovaError]] = {kind.status_code: kind for kind in SentinovaError.__subclasses__()}


def error_class(code: StatusCode) -> type[SentinovaError]:
    """Gives the class that stands for a status code."""
    return _BY_CODE.get(code, UnknownError)
