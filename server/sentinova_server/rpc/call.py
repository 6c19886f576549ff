"""What surrounds every call: request id, errors turned into statuses, a log line, metrics.

Knows calls; must not know what a service does. A service tells which model version answered through `current_call`.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import grpc
import structlog
from google.protobuf.descriptor import Descriptor, ServiceDescriptor

from sentinova_server.errors import Reason, ServingError
from sentinova_server.observability.logs import observe_logs
from sentinova_server.observability.metrics import Metrics
from sentinova_server.rpc.decoding import Undecodable, tolerant
from sentinova_server.rpc.status import DETAILS_KEY, code_of, to_status

_log = structlog.get_logger()

REQUEST_ID_KEY = "x-request-id"
_MAX_REQUEST_ID = 128
_QUIET = frozenset({"OK", "CANCELLED"})

Context = grpc.aio.ServicerContext[Any, Any]
# Typed for synchronous servers only: what a handler holds is not told to the type checker.
Handler = Any


@dataclass(slots=True)
class Call:
    """One call as logs and metrics see it.

    Attributes:
        method: the method's name without its service.
        request_id: the client's own, or one made here.
        model: the model that answers; empty until known.
        version: its version; empty until known.
        started: when the call came, on the monotonic clock.
        code: name of the gRPC code that ends it.
    """

    method: str
    request_id: str
    model: str = ""
    version: str = ""
    started: float = field(default_factory=time.monotonic)
    code: str = "OK"


current_call: ContextVar[Call] = ContextVar("current_call")


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Surrounds the methods of some services; leaves health and reflection as they are."""

    def __init__(self, metrics: Metrics, services: tuple[ServiceDescriptor, ...]) -> None:
        """Makes it.

        Args:
            metrics: where calls are counted.
            services: the services whose methods it surrounds.
        """
        self._metrics = metrics
        self._log = _log.bind()
        observe_logs(self._bind_log)
        self._methods = _input_types(services)
        self._wrapped: dict[str, Handler] = {}
        self._draining = False
        self._running = 0
        self._idle = asyncio.Event()

    def _bind_log(self) -> None:
        # The lazy logger of a module is made anew at each use, which is dear in every call.
        self._log = _log.bind()

    async def drain(self, timeout: float) -> bool:
        """Refuses every new call from now on, and waits for those under way; tells whether they have ended.

        Args:
            timeout: seconds that they get.
        """
        self._draining = True
        if not self._running:
            return True
        self._idle.clear()
        try:
            await asyncio.wait_for(self._idle.wait(), timeout)
        except TimeoutError:
            return False
        return True

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Gives the handler of the called method, surrounded; it is made once a method."""
        path = handler_call_details.method
        if path in self._wrapped:
            return self._wrapped[path]
        handler = await continuation(handler_call_details)
        input_type = self._methods.get(path)
        if handler is None or input_type is None:
            return handler
        self._wrapped[path] = self._wrap(handler, path.rpartition("/")[2], input_type)
        return self._wrapped[path]

    def _wrap(self, handler: Handler, method: str, input_type: Descriptor) -> Handler:
        decode = tolerant(handler.request_deserializer, input_type)
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                self._unary(handler.unary_unary, method), decode, handler.response_serializer
            )
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(_decoded(handler.unary_stream), method), decode, handler.response_serializer
            )
        return grpc.stream_stream_rpc_method_handler(
            self._stream(handler.stream_stream, method), decode, handler.response_serializer
        )

    def _unary(self, behavior: Callable[[Any, Context], Awaitable[Any]], method: str) -> Any:
        async def call(request: Any, context: Context) -> Any:
            with _Surround(self._metrics, self._log, method, context) as surround:
                try:
                    with self._admit():
                        if isinstance(request, Undecodable):
                            raise request.error
                        return await behavior(request, context)
                except Exception as error:
                    await surround.abort(error)

        return call

    def _stream(self, behavior: Callable[[Any, Context], AsyncIterator[Any]], method: str) -> Any:
        async def call(requests: Any, context: Context) -> AsyncIterator[Any]:
            with _Surround(self._metrics, self._log, method, context) as surround:
                try:
                    with self._admit():
                        async for response in behavior(requests, context):
                            yield response
                except Exception as error:
                    await surround.abort(error)

        return call

    @contextmanager
    def _admit(self) -> Iterator[None]:
        """Counts a call while it runs, or refuses it."""
        if self._draining:
            raise ServingError(Reason.SERVER_DRAINING, "the server is stopping: try another one", retry_after=1.0)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()


def _decoded(behavior: Callable[[Any, Context], AsyncIterator[Any]]) -> Callable[[Any, Context], AsyncIterator[Any]]:
    """Gives a method of one request that refuses what could not be decoded."""

    async def call(request: Any, context: Context) -> AsyncIterator[Any]:
        if isinstance(request, Undecodable):
            raise request.error
        async for response in behavior(request, context):
            yield response

    return call


class _Surround:
    """The context of one call: opens its record, and logs and counts it at the end, however it ends."""

    def __init__(self, metrics: Metrics, log: Any, method: str, context: Context) -> None:
        self._metrics = metrics
        self._log = log
        self._context = context
        self._call = Call(method, _request_id(context))
        self._aborted = False

    def __enter__(self) -> _Surround:
        current_call.set(self._call)
        self._context.set_trailing_metadata(((REQUEST_ID_KEY, self._call.request_id),))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        call = self._call
        if error is not None and not self._aborted:
            call.code = "CANCELLED"
        seconds = time.monotonic() - call.started
        metrics = self._metrics
        metrics.child(metrics.requests, call.model, call.version, call.method, call.code).inc()
        metrics.child(metrics.request_seconds, call.model, call.version, call.method).observe(seconds)
        log = self._log.debug if call.code in _QUIET else self._log.info
        log("call", **self._describe(), milliseconds=round(seconds * 1000, 3))

    async def abort(self, error: Exception) -> None:
        """Ends the call with the status of an error; an unknown one is logged whole, and shown to nobody."""
        cause = error.__cause__ if isinstance(error, ServingError) else error
        if not isinstance(error, ServingError):
            error = ServingError(
                Reason.INTERNAL,
                f"internal error; the server's log has the cause under request id {self._call.request_id}",
            )
        status = to_status(error, self._call.request_id)
        code = code_of(error)
        self._call.code = code.name
        self._aborted = True
        if cause is not None:
            _log.error("call_failed", **self._describe(), exc_info=cause)
        await self._context.abort(
            code,
            status.message,
            ((REQUEST_ID_KEY, self._call.request_id), (DETAILS_KEY, status.SerializeToString())),
        )

    def _describe(self) -> dict[str, str]:
        call = self._call
        described = {"request_id": call.request_id, "method": call.method, "code": call.code}
        if call.model:
            described |= {"model": call.model, "version": call.version}
        return described


def _request_id(context: Context) -> str:
    """Takes the client's own request id where it has a sane one, and makes one otherwise."""
    for key, value in context.invocation_metadata() or ():
        if (
            key == REQUEST_ID_KEY
            and isinstance(value, str)
            and 0 < len(value) <= _MAX_REQUEST_ID
            and value.isprintable()
        ):
            return value
    return uuid.uuid4().hex


def _input_types(services: tuple[ServiceDescriptor, ...]) -> dict[str, Descriptor]:
    return {
        f"/{service.full_name}/{method.name}": method.input_type for service in services for method in service.methods
    }
