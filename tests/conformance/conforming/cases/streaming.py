"""ModelStreamInfer: errors in their place, order, the mark of the last answer, and the ends of streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conforming.case import Case
from conforming.clients import FINAL, client_input, stream, stream_aio
from conforming.observations import Observation, answer, answered, observe
from conforming.requests import Output, ones, raw_input, request, texts, typed_input
from conforming.targets import CALL_SECONDS, Target

TITLE = "Streams"

_MARK = {FINAL: True}


def _read(response: Any) -> Observation:
    if not response.error_message:
        return answer(response.infer_response, 4)
    found: Observation = {"error": True}
    return {**found, "id": response.infer_response.id} if response.infer_response.id else found


def _good(request_id: str, model: str = "batched", value: float = 2.0, version: str = "1") -> Observation:
    found = answered(
        model, ["OUTPUT0", "FP32", [1, 2], [value, value]], version=version, request_id=request_id, parameters=_MARK
    )
    del found["code"]
    return found


def _bad(request_id: str) -> Observation:
    return {"error": True, "id": request_id}


def _stream(
    name: str,
    messages: Sequence[Any],
    answers: Sequence[Observation],
    headers: Sequence[tuple[str, str]] = (),
    *,
    code: str = "OK",
    deadly: bool = False,
) -> Case:
    """Makes a case of a stream that is half-closed once all messages are sent."""

    def run(target: Target) -> Observation:
        found: list[Observation] = []

        def read() -> Observation:
            replies = target.stub.ModelStreamInfer(iter(messages), timeout=CALL_SECONDS / 3, metadata=headers)
            found.extend(_read(reply) for reply in replies)
            return {}

        return {**observe(read), "answers": found}

    return Case(f"stream/{name}", run, {"code": code, "answers": list(answers)}, deadly=deadly)


def _order(name: str, models: Sequence[str]) -> Case:
    """Makes a case of many requests at once to models by turns."""
    count = 200
    messages = [ones(models[i % len(models)], request_id=str(i)) for i in range(count)]

    def run(target: Target) -> Observation:
        replies = list(target.stub.ModelStreamInfer(iter(messages), timeout=CALL_SECONDS))
        ids = [int(reply.infer_response.id) for reply in replies]
        errors = sum(bool(reply.error_message) for reply in replies)
        return {
            "all answered": sorted(ids) == list(range(count)),
            "in order": ids == list(range(count)),
            "errors": errors,
        }

    return Case(f"stream/{name}", run, {"all answered": True, "in order": True, "errors": 0})


def _client(name: str, ask: Any) -> Case:
    def run(target: Target) -> Observation:
        given = [client_input("INPUT0", "FP32", [1, 2], [1.0, 1.0])]
        requests = [
            {"model_name": model, "inputs": given, "request_id": model} for model in ("batched", "nope", "versions")
        ]
        return {"answers": ask(target, requests)}

    answers = [_good("batched"), {"error": True}, _good("versions", "versions", 20.0, "2")]
    return Case(f"stream/{name}", run, {"answers": answers})


def _cancelled(target: Target) -> Observation:
    """Gives up a stream with requests under way, and infers after it."""
    replies = target.stub.ModelStreamInfer(
        iter([ones("batched", request_id=str(i)) for i in range(50)]), timeout=CALL_SECONDS
    )
    next(replies)
    replies.cancel()
    return observe(lambda: answer(target.stub.ModelInfer(ones("batched"), timeout=CALL_SECONDS)))


_NOPE = ones("nope", request_id="2")
_SHAPE = request("batched", raw_input("INPUT0", "FP32", [1, 3], [1, 1]), request_id="2")
_STRICT = [("triton_grpc_error", "true")]


def _between(name: str, bad: Any, **more: Any) -> Case:
    """Makes a case of a bad request between two good ones."""
    return _stream(
        f"error/{name}", [ones("batched", request_id="1"), bad, ones("batched", request_id="3")],
        [_good("1"), _bad("2"), _good("3")], **more,
    )  # fmt: skip


CASES = [
    _stream("nothing sent", [], []),
    _stream("one", [ones("batched", request_id="1")], [_good("1")]),
    _stream("three", [ones("batched", request_id=str(i)) for i in range(3)], [_good(str(i)) for i in range(3)]),
    _stream("equal ids", [ones("batched", request_id="1")] * 2, [_good("1")] * 2),
    _stream(
        "several models and versions",
        [ones("versions", request_id="a", version="1"), ones("versions", request_id="b"), texts("good", request_id="c", outputs=["LABEL"])],
        [_good("a", "versions", 10.0), _good("b", "versions", 20.0, "2"),
         {"model": "text", "version": "1", "outputs": [["LABEL", "BYTES", [1, 1], ["positive"]]], "id": "c", "parameters": _MARK}],
    ),
    _between("unknown model", _NOPE),
    _between("unknown version", ones("batched", version="9", request_id="2")),
    _between("version that is no number", ones("batched", version="abc", request_id="2")),
    _between("size", _SHAPE),
    _between("unknown output", ones("batched", outputs=["NOPE"], request_id="2")),
    _between("classification", ones("batched", outputs=[Output("OUTPUT0", {"classification": 0})], request_id="2")),
    _between("reserved parameter", ones("batched", parameters={"triton_x": 1}, request_id="2")),
    _between("raw and typed", request("batched", typed_input("INPUT0", "FP32", [1, 2], [1.0, 1.0]), more_raw=[bytes(8)], request_id="2")),
    _between("text that is not UTF-8", texts(b"\xff", request_id="2")),
    _stream("error/without id", [ones("nope")], [{"error": True}]),
    _stream("error/first of all", [_NOPE, ones("batched", request_id="3")], [_bad("2"), _good("3")]),
    _stream("error/alone, asking for the mark", [ones("nope", request_id="2", parameters={"triton_enable_empty_final_response": True})], [_bad("2")]),
    *[
        _stream(f"triton_enable_empty_final_response/{value}", [ones("batched", request_id="1", parameters={"triton_enable_empty_final_response": value})], [_good("1")])
        for value in (True, False)
    ],
    _stream("triton_grpc_error/good requests", [ones("batched", request_id="1")], [_good("1")], _STRICT),
    _stream("triton_grpc_error/unknown model", [ones("batched", request_id="1"), _NOPE], [_good("1")], _STRICT, code="NOT_FOUND", deadly=True),
    _stream("triton_grpc_error/size", [ones("batched", request_id="1"), _SHAPE], [_good("1")], _STRICT, code="INVALID_ARGUMENT", deadly=True),
    _stream("triton_grpc_error/another value", [_NOPE, ones("batched", request_id="3")], [_bad("2"), _good("3")], [("triton_grpc_error", "1")]),
    _order("many at once, one model", ["batched"]),
    _order("many at once, three models", ["batched", "versions", "identity_fp32"]),
    _client("client", stream),
    _client("asyncio client", stream_aio),
    Case("stream/cancelled", _cancelled, answered("batched", ["OUTPUT0", "FP32", [1, 2], [2.0, 2.0]])),
]  # fmt: skip
