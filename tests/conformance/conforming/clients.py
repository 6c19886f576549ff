"""The real client's ways to infer: its blocking calls, its callbacks, its asyncio calls, and its streams.

Knows the client library; must not know what a case is about.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput, InferResult
from tritonclient.grpc import aio as aio_client

from conforming.datatypes import NUMPY_TYPES
from conforming.observations import Observation, answer
from conforming.targets import CALL_SECONDS, Target

FINAL = "triton_final_response"


def client_input(name: str, datatype: str, shape: Sequence[int], values: Sequence[Any]) -> InferInput:
    """Makes an input as a program with numpy arrays does."""
    given = InferInput(name, list(shape), datatype)
    if datatype == "BYTES":
        array = np.array([value.encode() for value in values], np.object_)
    else:
        array = np.array(values, ml_dtypes.bfloat16 if datatype == "BF16" else NUMPY_TYPES[datatype])
    given.set_data_from_numpy(array.reshape(shape))
    return given


def client_output(name: str, classes: int = 0) -> InferRequestedOutput:
    """Makes a requested output."""
    return InferRequestedOutput(name, class_count=classes)


def infer_sync(target: Target, **request: Any) -> Observation:
    """Infers with a blocking call."""
    return read_result(target.client.infer(client_timeout=CALL_SECONDS, **request))


def infer_callback(target: Target, **request: Any) -> Observation:
    """Infers with a call that tells its result to a callback."""
    results: queue.Queue[Any] = queue.Queue()
    target.client.async_infer(
        callback=lambda result, error: results.put((result, error)), client_timeout=CALL_SECONDS, **request
    )
    result, error = results.get(timeout=CALL_SECONDS)
    if error is not None:
        raise error
    return read_result(result)


def infer_aio(target: Target, **request: Any) -> Observation:
    """Infers with a call of the asyncio client."""

    async def ask() -> InferResult:
        async with aio_client.InferenceServerClient(target.address) as client:
            return await client.infer(client_timeout=CALL_SECONDS, **request)

    return read_result(asyncio.run(ask()))


def infer_stream(target: Target, **request: Any) -> Observation:
    """Infers with a stream of one request."""
    [found] = stream(target, [request])
    # Every answer of a stream says that it is the last one to its request.
    assert found.pop("parameters") == {FINAL: True}
    return found


def stream(target: Target, requests: Sequence[dict[str, Any]]) -> list[Observation]:
    """Sends requests down one stream of the blocking client; gives what was observed of each, as they arrive."""
    results: queue.Queue[Any] = queue.Queue()
    # A client has one stream at a time: each case gets a client of its own.
    with InferenceServerClient(target.address) as client:
        client.start_stream(lambda result, error: results.put((result, error)), CALL_SECONDS)
        for request in requests:
            client.async_stream_infer(**request)
        found = [_read_either(*results.get(timeout=CALL_SECONDS)) for _ in requests]
        client.stop_stream()
    assert results.empty(), "the stream ended with an error, or gave more answers than requests"
    return found


def stream_aio(target: Target, requests: Iterable[dict[str, Any]]) -> list[Observation]:
    """Sends requests down one stream of the asyncio client; gives what was observed of each, as they arrive."""

    async def feed() -> AsyncIterator[dict[str, Any]]:
        for request in requests:
            yield request

    async def ask() -> list[Observation]:
        async with aio_client.InferenceServerClient(target.address) as client:
            return [_read_either(*pair) async for pair in client.stream_infer(feed(), CALL_SECONDS)]

    return asyncio.run(ask())


WAYS: dict[str, Callable[..., Observation]] = {
    "sync": infer_sync,
    "callback": infer_callback,
    "aio": infer_aio,
    "stream": infer_stream,
}


def read_result(result: InferResult) -> Observation:
    """Gives what a model answered, and checks that the arrays which the client makes of it hold the same."""
    found = answer(result.get_response())
    for name, datatype, shape, values in found["outputs"]:
        array = result.as_numpy(name)
        flat = array.ravel().tolist()
        elements = [one.decode("utf-8", "backslashreplace") for one in flat] if datatype == "BYTES" else flat
        assert (list(array.shape), elements) == (shape, values), f"the client reads {array!r} from {values}"
    return found


def _read_either(result: InferResult | None, error: Exception | None) -> Observation:
    if error is None:
        assert result is not None
        return read_result(result)
    assert str(error), "an error without a message"
    return {"error": True}
