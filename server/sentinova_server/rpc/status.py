"""Errors as clients see them: `google.rpc.Status` with details.

Knows codes and details; must not know what went wrong.
"""

from __future__ import annotations

import math

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from sentinova_server.errors import Reason, ServingError

DOMAIN = "sentinova"
DETAILS_KEY = "grpc-status-details-bin"
# gRPC sends the message in a header, and peers bound the size of headers (8 KiB by default).
_MAX_MESSAGE = 1024
_MAX_VALUE = 256

_CODES = {
    Reason.TEXT_EMPTY: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.TEXT_TOO_LONG: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.INVALID_FIELD: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.NOT_A_TEXT_MODEL: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.NOT_SUPPORTED: grpc.StatusCode.UNIMPLEMENTED,
    Reason.MODEL_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.VERSION_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.LABEL_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.MODEL_FAILED: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.MODEL_CONTROL_DISABLED: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.VERSION_NOT_AVAILABLE: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.LAST_VERSION: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.NO_PREVIOUS_VERSION: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.MEMORY_BUDGET: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.WATCH_TOO_SLOW: grpc.StatusCode.ABORTED,
    Reason.MODEL_LOADING: grpc.StatusCode.UNAVAILABLE,
    Reason.SERVER_DRAINING: grpc.StatusCode.UNAVAILABLE,
    Reason.QUEUE_FULL: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.DEADLINE_EXCEEDED: grpc.StatusCode.DEADLINE_EXCEEDED,
    Reason.INFERENCE_FAILED: grpc.StatusCode.INTERNAL,
    Reason.INTERNAL: grpc.StatusCode.INTERNAL,
}


def code_of(error: ServingError) -> grpc.StatusCode:
    """Gives the gRPC code of an error."""
    return _CODES[error.reason]


def to_status(error: ServingError, request_id: str = "") -> status_pb2.Status:
    """Makes the status with ErrorInfo, and BadRequest, RetryInfo and RequestInfo where they say something."""
    message = error.message[:_MAX_MESSAGE]
    # They may hold what the client sent, of any length.
    metadata = {key: value[:_MAX_VALUE] for key, value in error.metadata.items()}
    details = [error_details_pb2.ErrorInfo(reason=error.reason.value, domain=DOMAIN, metadata=metadata)]
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field[:_MAX_VALUE], description=message)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_after is not None:
        details.append(error_details_pb2.RetryInfo(retry_delay=to_duration(error.retry_after)))
    if request_id:
        details.append(error_details_pb2.RequestInfo(request_id=request_id))
    status = status_pb2.Status(code=code_pb2.Code.Value(code_of(error).name), message=message)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def to_duration(seconds: float) -> duration_pb2.Duration:
    """Converts seconds, not negative."""
    fraction, whole = math.modf(seconds)
    return duration_pb2.Duration(seconds=int(whole), nanos=int(fraction * 1e9))
