"""The synchronous client.

Knows how to make blocking calls. Conversion, settings and the order of a stream live elsewhere, shared with
`sentinova.aio`; the calls about models are in `sentinova.model_control`.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from types import TracebackType
from typing import Any, Self

import grpc

from sentinova import conversion
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
from sentinova.model_control import ModelControl
from sentinova.results import Answer, Sentiment
from sentinova.v1 import sentiment_service_pb2 as sentiment_pb
from sentinova.window import Ended, Event, InputFailed, Item, Refused, Window


class Client(ModelControl):
    """A client of a Sentinova server. Safe to share between threads; connects on the first call.

    Every method raises a `SentinovaError` of the class that stands for the status code of the failed call.

        with Client("127.0.0.1:8001") as client:
            client.analyze("A quiet, lovely film.").label
    """

    _channel: grpc.Channel
    _methods: Methods

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection. What waits for an answer ends with a `CallCancelledError`. May be called twice."""
        self._closed = True
        self._channel.close()

    def analyze(
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
        return conversion.sentiment(self._call(self._open().analyze, request, timeout).result)

    def analyze_batch(
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
            response = self._call(self._open().analyze_batch, request, timeout)
        return conversion.batch_outcomes(response, outcomes)

    def stream(
        self,
        texts: Iterable[Item],
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
    ) -> Generator[Answer, None, None]:
        """Analyzes texts as they come, in one call, in bounded memory.

        Answers come as soon as they are ready, in any order; match them by `index` or `id`. The input is read
        by another thread, never more than `max_in_flight` documents ahead of the answers taken. Closing the
        iterator (or letting go of it) cancels the call.

        Args:
            texts: Texts, or pairs of an id of yours and a text. May be endless.
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

    def is_ready(self, *, timeout: float | None = None) -> bool:
        """Asks the server whether it takes requests. A server that cannot be reached is not ready.

        Args:
            timeout: Deadline in seconds; None: the client's.
        """
        try:
            return is_serving(self._call(self._open().check_health, health_request(), timeout))
        except SentinovaError as error:
            check_only_not_ready(error)
            return False

    def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Waits until the server takes requests.

        Args:
            timeout: The longest wait in seconds.

        Raises:
            DeadlineExceededError: The server was not ready in that time.
        """
        for limit, pause in readiness_checks(timeout, time.monotonic):
            if self.is_ready(timeout=limit):
                return
            time.sleep(pause)

    def _start(self) -> None:
        address, options = self._connection.address, self._connection.options()
        if self._credentials is None:
            self._channel = grpc.insecure_channel(address, options)
        else:
            self._channel = grpc.secure_channel(address, self._credentials, options)
        self._methods = Methods(self._channel)

    def _open(self) -> Methods:
        if self._closed:
            raise RuntimeError("the client is closed")
        return self._methods

    def _call(self, method: Any, request: Any, timeout: float | None) -> Any:
        retry = self._retry(method, timeout)
        while True:
            try:
                response = method(request, timeout=retry.left, metadata=self._connection.metadata)
            except grpc.RpcError as failure:
                error = self._error(failure)
                pause = retry.pause_after(error, reached=self._reached)
                if pause is None:
                    raise error from failure
                time.sleep(pause)
                self._open()  # raises where the client was closed meanwhile
            else:
                self._reached = True
                return response

    def _answers(self, exchange: _Exchange) -> Generator[Answer, None, None]:
        call = self._open().stream(exchange.requests(), metadata=self._connection.metadata)
        receiver = threading.Thread(
            target=exchange.receive, args=(call, self._error), name="sentinova-stream", daemon=True
        )
        receiver.start()
        try:
            yield from exchange.answers()
        finally:
            exchange.stop()
            call.cancel()


class _Exchange:
    """Both directions of one stream: requests are made in gRPC's thread, answers taken in the caller's."""

    def __init__(
        self, window: Window, texts: Iterable[Item], config: sentiment_pb.AnalysisConfig, max_in_flight: int
    ) -> None:
        self._window = window
        self._texts = texts
        self._config = config
        self._places = threading.Semaphore(max_in_flight)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._stopped = False

    def requests(self) -> Iterator[sentiment_pb.StreamAnalyzeSentimentRequest]:
        """Gives what to send; takes a place in the window before it reads on."""
        yield sentiment_pb.StreamAnalyzeSentimentRequest(config=self._config)
        try:
            texts = iter(self._texts)
            while self._places.acquire() and not self._stopped:
                try:
                    item = next(texts)
                except StopIteration:
                    break
                entry = self._window.admit(item)
                if isinstance(entry, Refused):
                    self._events.put(entry)
                else:
                    yield entry
        except Exception as error:  # (the caller's own error, raised again in the caller's thread)
            self._events.put(InputFailed(error))
            return
        self._window.end_input()

    def receive(
        self,
        call: Iterable[sentiment_pb.StreamAnalyzeSentimentResponse],
        error_of: Callable[[grpc.RpcError], SentinovaError],
    ) -> None:
        """Takes in what the server sends, until the call ends."""
        try:
            for response in call:
                self._events.put(response)
            self._events.put(Ended())
        except grpc.RpcError as failure:
            self._events.put(Ended(error_of(failure)))

    def answers(self) -> Iterator[Answer]:
        """Hands out the answers; frees a place in the window for each."""
        while not isinstance(event := self._next_event(), Ended):
            for answer in self._window.settle(event):
                self._places.release()
                yield answer
        self._window.settle(event)

    def stop(self) -> None:
        """Lets the thread that makes the requests go."""
        self._stopped = True
        self._places.release()

    def _next_event(self) -> Event:
        while True:
            try:
                if not self._events.empty():
                    return self._events.get_nowait()
                return self._events.get(timeout=self._window.patience())
            except queue.Empty:
                continue
