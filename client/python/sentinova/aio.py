"""The asynchronous client.

Knows how to make calls on an event loop. Conversion, settings and the order of a stream live elsewhere,
shared with `sentinova.client`; the calls about models are in `sentinova.aio_model_control`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from types import TracebackType
from typing import Any, Self

import grpc
from grpc import aio

from sentinova import conversion
from sentinova.aio_calls import Ending, client_errors
from sentinova.aio_model_control import AsyncModelControl
from sentinova.base import (
    MAX_IN_FLIGHT,
    Methods,
    check_in_flight,
    check_only_not_ready,
    health_request,
    is_serving,
    readiness_checks,
)
from sentinova.conversion import LongText
from sentinova.errors import SentinovaError
from sentinova.results import Answer, Sentiment
from sentinova.status import closed_error
from sentinova.v1 import sentiment_service_pb2 as sentiment_pb
from sentinova.window import Ended, Event, InputFailed, Item, Refused, Window


class AsyncClient(AsyncModelControl):
    """A client of a Sentinova server for asyncio: `sentinova.Client`, method for method, with `await`.

    Belongs to the event loop of its first call; connects on that call. Every method raises a `SentinovaError`
    of the class that stands for the status code of the failed call. Cancelling a task cancels the call that
    it awaits.

        async with AsyncClient("127.0.0.1:8001") as client:
            (await client.analyze("A quiet, lovely film.")).label
    """

    _channel: aio.Channel | None = None
    _methods: Methods | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection. What waits for an answer ends with a `CallCancelledError`. May be called twice."""
        self._closed = True
        self._methods = None
        if self._channel is not None:
            channel, self._channel = self._channel, None
            await channel.close()

    async def analyze(
        self,
        text: str,
        *,
        model: str | None = None,
        version: int | None = None,
        label: str | None = None,
        long_text: LongText = "error",
        priority: int = 0,
        routing_key: str = "",
        timeout: float | None = None,
    ) -> Sentiment:
        """Analyzes one text.

        Args:
            text: The text, as plain Unicode.
            model: Name of the model; None: the server's default.
            version: Version of the model; None: what the model's weights choose, or else the highest available.
            label: Label of the version ("stable", "canary"), in place of its number.
            long_text: Whether a text of more tokens than the model reads is an "error", or is cut
                ("truncate").
            priority: Level of priority, 1 the highest; 0: the model's default. Models without levels take only 0.
            routing_key: Where weights choose the version: requests with the same key (of a user, say; at most 256
                bytes) get the same one. Empty: each call is chosen for by itself.
            timeout: Deadline in seconds; None: the client's.

        Raises:
            ValueError: `version` and `label` are both given.
            SentinovaError: The text was not analyzed.
        """
        config = conversion.analysis_config(
            model, version, label, long_text, priority=priority, routing_key=routing_key
        )
        request = sentiment_pb.AnalyzeSentimentRequest(document=conversion.document(text), config=config)
        response = await self._call(self._open().analyze, request, timeout)
        return conversion.sentiment(response.result)

    async def analyze_batch(
        self,
        texts: Iterable[str],
        *,
        model: str | None = None,
        version: int | None = None,
        label: str | None = None,
        long_text: LongText = "error",
        priority: int = 0,
        routing_key: str = "",
        timeout: float | None = None,
    ) -> list[Sentiment | SentinovaError]:
        """Analyzes a list of texts in one call, which one version answers.

        Args:
            texts: The texts; the server limits their number (1,024 unless set otherwise).
            model: Name of the model; None: the server's default.
            version: Version of the model; None: what the model's weights choose, or else the highest available.
            label: Label of the version ("stable", "canary"), in place of its number.
            long_text: Whether a text of more tokens than the model reads is an "error", or is cut
                ("truncate").
            priority: Level of priority, 1 the highest; 0: the model's default. Models without levels take only 0.
            routing_key: Where weights choose the version: requests with the same key (of a user, say; at most 256
                bytes) get the same one. Empty: each call is chosen for by itself.
            timeout: Deadline in seconds; None: the client's.

        Returns:
            For each text, in order, its sentiment, or the error (not raised) that says why there is none.

        Raises:
            ValueError: `version` and `label` are both given.
            SentinovaError: The call as a whole failed.
        """
        config = conversion.analysis_config(
            model, version, label, long_text, priority=priority, routing_key=routing_key
        )
        request, outcomes = conversion.batch_request(texts, config)
        response = sentiment_pb.BatchAnalyzeSentimentResponse()
        if request.documents:
            response = await self._call(self._open().analyze_batch, request, timeout)
        return conversion.batch_outcomes(response, outcomes)

    def stream(
        self,
        texts: Iterable[Item] | AsyncIterable[Item],
        *,
        model: str | None = None,
        version: int | None = None,
        label: str | None = None,
        long_text: LongText = "error",
        priority: int = 0,
        routing_key: str = "",
        timeout: float | None = None,
        ordered: bool = False,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> AsyncGenerator[Answer, None]:
        """Analyzes texts as they come, in one call, in bounded memory.

        Answers come as soon as they are ready, in any order; match them by `index` or `id`. The input is read
        by another task, never more than `max_in_flight` documents ahead of the answers taken. Closing the
        iterator (`contextlib.aclosing` does it at a known place; letting go of it does it too) cancels the
        call.

        Args:
            texts: Texts, or pairs of an id of yours and a text; an ordinary iterable that does not block, or
                an asynchronous one. May be endless.
            model: Name of the model; None: the server's default.
            version: Version of the model; None: what the model's weights choose, or else the highest available.
            label: Label of the version ("stable", "canary"), in place of its number.
            long_text: Whether a text of more tokens than the model reads is an "error", or is cut
                ("truncate").
            priority: Level of priority, 1 the highest; 0: the model's default. Models without levels take only 0.
            routing_key: Where weights choose the version: requests with the same key (of a user, say; at most 256
                bytes) get the same one. Empty: each text is chosen for by itself.
            timeout: The longest wait in seconds for the next answer while documents wait; None: the client's.
            ordered: Give the answers in the order of the input, held back where they come early.
            max_in_flight: The most documents read and not yet handed out as answers.

        Yields:
            One answer for each text, which holds its sentiment or its error.

        Raises:
            ValueError: `version` and `label` are both given.
            SentinovaError: The stream as a whole failed; the documents not yet answered have no answer.
            Exception: Whatever iterating over `texts` raised, after the answers for what was read until then.
        """
        if isinstance(texts, str):
            raise TypeError("texts must be an iterable of texts, not one string")
        check_in_flight(max_in_flight)
        config = conversion.analysis_config(
            model, version, label, long_text, priority=priority, routing_key=routing_key
        )
        window = Window(time.monotonic, self._limit(timeout), ordered=ordered)
        return self._answers(_Exchange(window, texts, config, max_in_flight))

    async def is_ready(self, *, timeout: float | None = None) -> bool:
        """Asks the server whether it takes requests. A server that cannot be reached is not ready.

        Args:
            timeout: Deadline in seconds; None: the client's.
        """
        try:
            return is_serving(await self._call(self._open().check_health, health_request(), timeout))
        except SentinovaError as error:
            check_only_not_ready(error)
            return False

    async def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Waits until the server takes requests.

        Args:
            timeout: The longest wait in seconds.

        Raises:
            DeadlineExceededError: The server was not ready in that time.
        """
        for limit, pause in readiness_checks(timeout, time.monotonic):
            if await self.is_ready(timeout=limit):
                return
            await asyncio.sleep(pause)

    def _open(self) -> Methods:
        if self._closed:
            raise RuntimeError("the client is closed")
        if self._methods is None:
            address, options = self._connection.address, self._connection.options()
            if self._credentials is None:
                self._channel = aio.insecure_channel(address, options)
            else:
                self._channel = aio.secure_channel(address, self._credentials, options)
            self._methods = Methods(self._channel)
        return self._methods

    async def _call(self, method: Any, request: Any, timeout: float | None) -> Any:
        retry = self._retry(method, timeout)
        while True:
            try:
                with client_errors():
                    response = await method(request, timeout=retry.left, metadata=self._connection.metadata)
            except SentinovaError as error:
                pause = retry.pause_after(error, reached=self._reached)
                if pause is None:
                    raise
                await asyncio.sleep(pause)
                self._open()  # raises where the client was closed meanwhile
            else:
                self._reached = True
                return response

    async def _answers(self, exchange: _Exchange) -> AsyncGenerator[Answer, None]:
        call = self._open().stream(exchange.requests(), metadata=self._connection.metadata)
        receiver = asyncio.create_task(exchange.receive(call, Ending(call)), name="sentinova-stream")
        try:
            async for answer in exchange.answers():
                yield answer
        finally:
            call.cancel()
            receiver.cancel()
            await asyncio.gather(receiver, return_exceptions=True)


class _Exchange:
    """Both directions of one stream: requests are made in gRPC's task, answers taken in the caller's."""

    def __init__(
        self,
        window: Window,
        texts: Iterable[Item] | AsyncIterable[Item],
        config: sentiment_pb.AnalysisConfig,
        max_in_flight: int,
    ) -> None:
        self._window = window
        self._texts = texts
        self._config = config
        self._places = asyncio.Semaphore(max_in_flight)
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    async def requests(self) -> AsyncIterator[sentiment_pb.StreamAnalyzeSentimentRequest]:
        """Gives what to send; takes a place in the window before it reads on."""
        yield sentiment_pb.StreamAnalyzeSentimentRequest(config=self._config)
        try:
            texts = aiter(self._texts) if isinstance(self._texts, AsyncIterable) else _each(self._texts)
            while await self._places.acquire():
                try:
                    item = await anext(texts)
                except StopAsyncIteration:
                    break
                entry = self._window.admit(item)
                if isinstance(entry, Refused):
                    self._events.put_nowait(entry)
                else:
                    yield entry
        except Exception as error:  # (the caller's own error, raised again in the caller's task)
            self._events.put_nowait(InputFailed(error))
            return
        self._window.end_input()

    async def receive(self, call: AsyncIterable[sentiment_pb.StreamAnalyzeSentimentResponse], ending: Ending) -> None:
        """Takes in what the server sends, until the call ends."""
        try:
            async for response in call:
                self._events.put_nowait(response)
            self._events.put_nowait(Ended())
        except grpc.RpcError as failure:
            self._events.put_nowait(Ended(await ending.error(failure)))
        except asyncio.CancelledError:
            # gRPC's word for a closed channel. Where the stream was left instead, nobody reads on.
            self._events.put_nowait(Ended(closed_error()))
            raise

    async def answers(self) -> AsyncIterator[Answer]:
        """Hands out the answers; frees a place in the window for each."""
        while not isinstance(event := await self._next_event(), Ended):
            for answer in self._window.settle(event):
                self._places.release()
                yield answer
        self._window.settle(event)

    async def _next_event(self) -> Event:
        while True:
            if not self._events.empty():
                return self._events.get_nowait()
            try:
                async with asyncio.timeout(self._window.patience()):
                    return await self._events.get()
            except TimeoutError:
                continue


async def _each(texts: Iterable[Item]) -> AsyncIterator[Item]:
    for text in texts:
        yield text
