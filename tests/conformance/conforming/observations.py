"""What a case observes, as plain data that can be compared, written as JSON and read by people.

Knows answers and errors; must not know requests, servers or what is expected.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.utils import InferenceServerException

from conforming.datatypes import unpack
from conforming.requests import get_parameters

# Values are numbers, texts, booleans, lists and dicts of these.
Observation = dict[str, Any]
_LONGEST = 1 << 20


def observe(call: Callable[[], Observation], *words: str) -> Observation:
    """Makes a call, and gives what it gives, or how it failed.

    Args:
        call: the call.
        words: what the message of an error should name; the observation says which of them it does.
    """
    try:
        return {"code": "OK", **call()}
    except grpc.RpcError as error:
        return _failure(error.code().name, error.details() or "", words)
    except InferenceServerException as error:
        return _failure(str(error.status()).removeprefix("StatusCode."), error.message() or "", words)


def answer(response: pb.ModelInferResponse, digits: int = 0) -> Observation:
    """Gives what a model answered: `[name, datatype, shape, elements]` of each output, in their order.

    Args:
        response: the answer.
        digits: decimals that floats are rounded to; 0: they are not.
    """
    assert len(response.raw_output_contents) == len(response.outputs), "not every output has raw contents"
    outputs = [
        [one.name, one.datatype, list(one.shape), _elements(one.datatype, raw, digits)]
        for one, raw in zip(response.outputs, response.raw_output_contents, strict=True)
    ]
    found: Observation = {"model": response.model_name, "version": response.model_version, "outputs": outputs}
    if response.id:
        found["id"] = response.id
    if response.parameters:
        found["parameters"] = get_parameters(response.parameters)
    return found


def answered(
    model: str, *outputs: Sequence[Any], version: str = "1", request_id: str = "", parameters: dict | None = None
) -> Observation:
    """Gives the observation of a good answer."""
    found: Observation = {"code": "OK", "model": model, "version": version, "outputs": [list(one) for one in outputs]}
    if request_id:
        found["id"] = request_id
    if parameters:
        found["parameters"] = parameters
    return found


def refused(code: str, *words: str) -> Observation:
    """Gives the observation of an error whose message has all these words."""
    return {"code": code, "names": list(words)} if words else {"code": code}


def digest(raw: bytes) -> str:
    """Gives what stands for raw contents that are too long to be written out."""
    return f"{len(raw)} bytes, CRC-32 {zlib.crc32(raw):08x}"


def _elements(datatype: str, raw: bytes, digits: int) -> Any:
    if len(raw) > _LONGEST:
        return digest(raw)
    return [_plain(value, digits) for value in unpack(datatype, raw)]


def _failure(code: str, message: str, words: Sequence[str]) -> Observation:
    return {"code": code, "names": [word for word in words if word in message]} if words else {"code": code}


def _plain(value: Any, digits: int) -> Any:
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return str(value)
    return round(value, digits) if digits else value
