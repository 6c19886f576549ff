"""How the calls of the asynchronous client end: what gRPC raises, as errors of the client.

Knows gRPC's asynchronous calls and their faults. Must not know what was called.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from grpc import aio

from sentinova.errors import SentinovaError
from sentinova.status import closed_error, error_from_rpc


@contextmanager
def client_errors() -> Iterator[None]:
    """Raises what ends a call within it as an error of the client.

    Raises:
        SentinovaError: The call failed, or the client was closed meanwhile.
        CancelledError: The task that waits for the call was cancelled.
    """
    try:
        yield
    except grpc.RpcError as failure:
        raise error_from_rpc(failure) from failure
    except asyncio.CancelledError:
        # gRPC says this of a closed channel too, though nobody cancelled the task.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise closed_error() from None


class Ending:
    """How the server ended a call.

    grpc.aio puts a status of its own over the server's when a write fails because the server has ended the call
    (https://github.com/grpc/grpc/issues/36066). The two come in any order; this keeps the server's.
    """

    _OVERWRITTEN = "Internal error from Core"
    _PAUSES = (0.0,) + (0.01,) * 50  # seconds to wait, again and again, for a status that comes second

    def __init__(self, call: aio.Call) -> None:
        self._server: aio.AioRpcError | None = None
        call.add_done_callback(self._note)

    async def error(self, failure: grpc.RpcError) -> SentinovaError | None:
        """Gives the error that the server ended the call with; None where it ended it without one."""
        for pause in self._PAUSES:
            if self._server is not None or failure.details() != self._OVERWRITTEN:
                break
            await asyncio.sleep(pause)
        ending = self._server or failure
        return None if ending.code() is grpc.StatusCode.OK else error_from_rpc(ending)

    def _note(self, call: aio.Call) -> None:
        # The call is done: nothing is waited for.
        details = _done(call.details())
        if details != self._OVERWRITTEN:
            self._server = aio.AioRpcError(_done(call.code()), None, _done(call.trailing_metadata()), details)


def _done(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Gives the value of a coroutine that does not wait."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("the coroutine waits")
