"""Requests that cannot be decoded: told to the client as its own mistake, with the field at fault.

gRPC's Python server answers a message that does not decode with INTERNAL and no reason. Here such a message reaches
the service as `Undecodable`, which the interceptor, or a stream's own loop, turns into INVALID_ARGUMENT.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf import empty_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from sentinova_server.errors import Reason, ServingError

_LENGTH_DELIMITED = 2


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A message that does not decode, with what the client is told."""

    error: ServingError


def tolerant(deserialize: Callable[[bytes], Any], descriptor: Descriptor) -> Callable[[bytes], Any]:
    """Wraps a deserializer of the given message type: it gives `Undecodable` where the wrapped one raises."""

    def decode(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError:
            return Undecodable(explain(data, descriptor))

    return decode


def explain(data: bytes, descriptor: Descriptor) -> ServingError:
    """Tells why `data` is not a message of the given type: which string is not UTF-8, or that it is no message."""
    field = find_invalid_string(data, descriptor)
    if field:
        return ServingError(
            Reason.INVALID_FIELD, f"{field} is not valid UTF-8: send text encoded as UTF-8", field=field
        )
    return ServingError(Reason.INVALID_FIELD, f"the request is not a valid {descriptor.full_name} message")


def find_invalid_string(data: bytes, descriptor: Descriptor) -> str:
    """Gives the path of the first string field whose bytes are not UTF-8; empty where there is none.

    The bytes are read as a message without fields, so that every one is unknown, and held against `descriptor`.
    """
    message = empty_pb2.Empty()
    try:
        message.ParseFromString(data)
    except DecodeError:
        return ""
    seen: dict[int, int] = {}
    for unknown in UnknownFieldSet(message):  # type: ignore[attr-defined]  # the stub lacks its __iter__
        field = descriptor.fields_by_number.get(unknown.field_number)
        if field is None or unknown.wire_type != _LENGTH_DELIMITED:
            continue
        index = seen[field.number] = seen.get(field.number, -1) + 1
        name = f"{field.name}[{index}]" if field.is_repeated else field.name
        if field.type == FieldDescriptor.TYPE_STRING and not _is_utf8(unknown.data):
            return name
        if field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type is not None:
            inner = find_invalid_string(unknown.data, field.message_type)
            if inner:
                return f"{name}.{inner}"
    return ""


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
