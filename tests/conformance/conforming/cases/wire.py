"""Below the messages: bytes that are none, fields that nobody knows, compression, sizes, and many calls at once."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tritonclient.grpc import service_pb2 as pb

from conforming.case import Case
from conforming.clients import client_input, infer_sync
from conforming.observations import Observation, answer, answered, observe, refused
from conforming.requests import ones, raw_input, request
from conforming.targets import CALL_SECONDS, Target

TITLE = "Bytes, sizes and many calls"

_SERVICE = "/inference.GRPCInferenceService/"
_GOOD = answered("batched", ["OUTPUT0", "FP32", [1, 2], [2.0, 2.0]])
# Field 999, a text: of a protocol newer than either server.
_UNKNOWN_FIELD = b"\xba\x3e\x05later"
_CALLS = 200


def _bytes(name: str, data: bytes, expected: Observation) -> Case:
    """Makes a case of a ModelInfer whose message is these bytes."""

    def run(target: Target) -> Observation:
        method = target.channel.unary_unary(f"{_SERVICE}ModelInfer", None, pb.ModelInferResponse.FromString)
        return observe(lambda: answer(method(data, timeout=CALL_SECONDS)))

    return Case(f"wire/{name}", run, expected)


def _stream_bytes(target: Target) -> Observation:
    """Sends bytes that are no message between two good ones down a stream."""
    method = target.channel.stream_stream(f"{_SERVICE}ModelStreamInfer", None, pb.ModelStreamInferResponse.FromString)
    found: list[str] = []

    def read() -> Observation:
        messages = [
            ones("batched", request_id="1").SerializeToString(),
            b"\xff\xff",
            ones("batched", request_id="3").SerializeToString(),
        ]
        found.extend(reply.infer_response.id or "error" for reply in method(iter(messages), timeout=CALL_SECONDS))
        return {}

    return {**observe(read), "answers": found}


def _unknown_method(target: Target) -> Observation:
    return observe(lambda: {"got": bool(target.channel.unary_unary(f"{_SERVICE}Nope")(b"", timeout=CALL_SECONDS))})


def _compressed(algorithm: str) -> Case:
    def run(target: Target) -> Observation:
        given = {"inputs": [client_input("INPUT0", "FP32", [1, 2], [1.0, 1.0])], "compression_algorithm": algorithm}
        return observe(lambda: infer_sync(target, model_name="batched", **given))

    return Case(f"wire/{algorithm}", run, _GOOD)


def _huge(target: Target) -> Observation:
    """Sends more than the largest message that Sentinova takes by default, 16 MiB."""
    message = request("identity_uint8", raw_input("INPUT0", "UINT8", [17, 1 << 20], bytes(17 << 20)))
    return observe(
        lambda: {"elements": len(target.stub.ModelInfer(message, timeout=CALL_SECONDS).raw_output_contents[0])}
    )


def _many(target: Target) -> Observation:
    """Has many calls under way at once, of batches that are put together; each must get its own rows back."""
    sizes = [1 + i % 8 for i in range(_CALLS)]
    calls = [
        target.stub.ModelInfer.future(ones("batched", size, 3, float(i)), timeout=CALL_SECONDS)
        for i, size in enumerate(sizes)
    ]
    found: Counter[str] = Counter()
    for i, (size, under_way) in enumerate(zip(sizes, calls, strict=True)):
        [output] = answer(under_way.result())["outputs"]
        found["right" if output == ["OUTPUT0", "FP32", [size, 3], [2.0 * i] * (3 * size)] else "wrong"] += 1
    return {"code": "OK", **found}


_MESSAGE: Any = ones("batched").SerializeToString()

CASES = [
    _bytes("a message", _MESSAGE, _GOOD),
    _bytes("unknown field", _MESSAGE + _UNKNOWN_FIELD, _GOOD),
    _bytes("no bytes", b"", refused("NOT_FOUND")),
    _bytes("no message", b"\xff\xff\xff", refused("INVALID_ARGUMENT")),
    _bytes("cut off", _MESSAGE[:-1], refused("INVALID_ARGUMENT")),
    _bytes("name that is not UTF-8", b"\x0a\x01\xff", refused("INVALID_ARGUMENT")),
    Case("wire/no message in a stream", _stream_bytes, {"code": "OK", "answers": ["1", "error", "3"]}),
    Case("wire/unknown method", _unknown_method, refused("UNIMPLEMENTED")),
    _compressed("gzip"),
    _compressed("deflate"),
    Case("wire/17 MiB", _huge, refused("RESOURCE_EXHAUSTED")),
    Case("wire/many calls at once", _many, {"code": "OK", "right": _CALLS}),
]
