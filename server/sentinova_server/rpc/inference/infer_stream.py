"""A stream of inference requests: many at once, answered in the order in which they came.

Knows the stream's messages and their order; must not know how a request is answered.

An error is told in the reply of its request, and the stream goes on; where the client has asked for it by the header
`triton_grpc_error: true`, the stream ends with the error's own status instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog

from sentinova_server.errors import Reason, ServingError
from sentinova_server.rpc.call import Context
from sentinova_server.rpc.decoding import Undecodable
from sentinova_server.rpc.inference import grpc_service_pb2 as pb
from sentinova_server.rpc.inference.parameters import FINAL

_log = structlog.get_logger()

_STATUS_HEADER = "triton_grpc_error"

Infer = Callable[[pb.ModelInferRequest], Awaitable[pb.ModelInferResponse]]
Response = pb.ModelStreamInferResponse
# The answer of one request: what it is, or will be.
_Pending = asyncio.Task[pb.ModelInferResponse]


def wants_status(context: Context) -> bool:
    """Tells whether the client wants a stream to end with the status of the first error."""
    metadata = context.invocation_metadata() or ()
    return any(key == _STATUS_HEADER and value == "true" for key, value in metadata)


async def answer_in_order(
    requests: AsyncIterator[pb.ModelInferRequest | Undecodable], infer: Infer, limit: int, *, end_at_error: bool
) -> AsyncIterator[Response]:
    """Answers every request of a stream, in order.

    Args:
        requests: the messages; gRPC gives no further one while this does not ask for it.
        infer: answers one request, or raises ServingError.
        limit: most requests read and not yet handed to gRPC as answers.
        end_at_error: whether the first error ends the stream.

    Raises:
        ServingError: the first error, where that ends the stream.
    """
    pending: asyncio.Queue[tuple[str, _Pending] | None] = asyncio.Queue()
    slots = asyncio.Semaphore(limit)

    async def read() -> None:
        try:
            async for request in requests:
                await slots.acquire()
                name = "" if isinstance(request, Undecodable) else request.id
                pending.put_nowait((name, asyncio.create_task(_answer(request, infer))))
        finally:
            pending.put_nowait(None)

    reader = asyncio.create_task(read())
    current: _Pending | None = None
    try:
        while (item := await pending.get()) is not None:
            request_id, current = item
            try:
                response = Response(infer_response=await current)
                response.infer_response.parameters[FINAL].bool_param = True
            except ServingError as error:
                if end_at_error:
                    raise
                response = Response(error_message=error.message or error.reason.value)
                response.infer_response.id = request_id
            yield response
            slots.release()
        await reader
    finally:
        reader.cancel()
        if current is not None:
            current.cancel()
        while not pending.empty():
            if (item := pending.get_nowait()) is not None:
                item[1].cancel()


async def _answer(request: pb.ModelInferRequest | Undecodable, infer: Infer) -> pb.ModelInferResponse:
    if isinstance(request, Undecodable):
        raise request.error
    try:
        return await infer(request)
    except ServingError as error:
        if error.__cause__ is not None:
            _log.error("request_failed", request=request.id[:100], exc_info=error.__cause__)
        raise
    except Exception as error:  # a defect must not end the stream of the others
        _log.error("unexpected_error", request=request.id[:100], exc_info=error)
        raise ServingError(Reason.INTERNAL, "internal error; the server's log has the cause") from None
