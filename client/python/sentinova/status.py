"""Reading of `google.rpc.Status`: from what travels on the wire to the errors of the client.

Knows the error details of the API (ErrorInfo, BadRequest, RetryInfo). Must not know calls or clients.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from sentinova.errors import CallCancelledError, FieldViolation, SentinovaError, error_class

_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


def error_from_status(status: status_pb2.Status) -> SentinovaError:
    """Makes the error that a `google.rpc.Status` describes. Details of unknown kinds are passed over."""
    fields: dict[str, Any] = {}
    for detail in status.details:
        with suppress(DecodeError):  # a damaged detail must not hide the failure itself
            fields |= _fields_of(detail)
    return error_class(_CODES.get(status.code, grpc.StatusCode.UNKNOWN))(status.message, **fields)


def _fields_of(detail: any_pb2.Any) -> dict[str, Any]:
    """Gives what a detail says, as arguments of an error.

    Raises:
        DecodeError: The detail is damaged.
    """
    if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
        info = error_details_pb2.ErrorInfo.FromString(detail.value)
        return {"reason": info.reason, "domain": info.domain, "metadata": dict(info.metadata)}
    if detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
        bad = error_details_pb2.BadRequest.FromString(detail.value)
        violations = (FieldViolation(each.field, each.description, each.reason) for each in bad.field_violations)
        return {"field_violations": tuple(violations)}
    if detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
        delay = error_details_pb2.RetryInfo.FromString(detail.value).retry_delay
        return {"retry_after": delay.seconds + delay.nanos / 1e9}
    return {}


def error_from_rpc(failure: grpc.RpcError) -> SentinovaError:
    """Makes the error of a failed call, synchronous or asynchronous, with or without details."""
    try:
        status = rpc_status.from_call(failure)  # type: ignore[arg-type]  # every raised RpcError is a Call too
    except Exception:  # (damaged details from a stranger must not hide the failure itself)
        status = None
    if status is not None:
        return error_from_status(status)
    return error_class(failure.code())(failure.details() or "the server gave no reason")


def closed_error() -> SentinovaError:
    """Makes the error of a call whose client was closed before the answer came."""
    return CallCancelledError("the client was closed", reason="CLIENT_CLOSED")
