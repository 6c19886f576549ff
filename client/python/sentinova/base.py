"""What both clients share: their settings, the server's methods on a channel, and the rules of readiness.

Knows the connection and the names of the methods. Must not make a call: that is where the two clients differ.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf import wrappers_pb2
from grpc import StatusCode

from sentinova.connection import (
    DEFAULT_ADDRESS,
    DEFAULT_LOAD_TIMEOUT,
    DEFAULT_TIMEOUT,
    MOST_ATTEMPTS,
    Connection,
    Metadata,
    Tls,
    check_timeout,
    metadata_pairs,
)
from sentinova.errors import DeadlineExceededError, SentinovaError
from sentinova.retry import Retry
from sentinova.status import closed_error, error_from_rpc
from sentinova.v1 import model_service_pb2_grpc, sentiment_service_pb2_grpc

LONGEST_CHECK = 5.0  # seconds that one health check may take while a client waits for the server to be ready
MAX_IN_FLIGHT = 256

_SERVING = 1  # grpc.health.v1.HealthCheckResponse.ServingStatus
_NOT_READY = {StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED, StatusCode.NOT_FOUND}


class BaseClient(ABC):
    """Settings of a client.

    Args:
        address: `host:port`, `[v6]:port`, `unix:/path` or `dns:///name:port`.
        tls: How to secure the channel; None: no TLS.
        timeout: Default deadline of a call, in seconds; for a stream, the longest wait for the next answer while
            documents wait for theirs. None: no limit. Loading, unloading, reloading and rolling back have 600 s
            where this is less, and a watch of models has no deadline.
        attempts: How often a call is tried while the server cannot be reached, from 1 (no retries) to 5, with
            growing, jittered waits between. More than 1: once the server has answered, or says that it is loading
            or stopping, a call is tried again until its deadline. Streams, watches, and changes other than setting
            a label, weights or a shadow are not retried.
        metadata: Sent with every call, `{"authorization": "Bearer …"}` for example. Keys are lower case.

    Raises:
        ValueError: Where an argument makes no sense.
        OSError: Where a certificate file cannot be read.
    """

    _closed = False
    _reached = False  # whether the server has answered a call

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        tls: Tls | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
        attempts: int = MOST_ATTEMPTS,
        metadata: Metadata | None = None,
    ) -> None:
        self._connection = Connection(address, tls, timeout, attempts, metadata_pairs(metadata))
        self._credentials = self._connection.credentials()
        self._start()

    def _start(self) -> None:  # noqa: B027  (there may be nothing to open)
        """Opens what can be opened without making a call."""

    @property
    def address(self) -> str:
        """Where the server is."""
        return self._connection.address

    @property
    def timeout(self) -> float | None:
        """Default deadline of a call, in seconds; None: there is none."""
        return self._connection.timeout

    def _limit(self, timeout: float | None) -> float | None:
        """Gives the deadline of one call, in seconds: its own, or the client's."""
        check_timeout(timeout)
        return self._connection.timeout if timeout is None else timeout

    def _retry(self, method: Any, timeout: float | None) -> Retry:
        """Begins the attempts at one call."""
        repeated = self._connection.attempts > 1 and method in self._open().repeated
        return Retry(self._limit(timeout), time.monotonic, repeated=repeated)

    def _load_limit(self, timeout: float | None) -> float | None:
        """Gives the deadline of a call that may load or unload versions, in seconds.

        A client's own limit is made for answers; here it counts only where it is longer than 600 s.
        """
        if timeout is not None or self._connection.timeout is None:
            return self._limit(timeout)
        return max(self._connection.timeout, DEFAULT_LOAD_TIMEOUT)

    def _error(self, failure: grpc.RpcError) -> SentinovaError:
        """Makes the error of a failed call; says it where closing the client is what ended the call."""
        error = error_from_rpc(failure)
        return closed_error() if self._closed and error.code is StatusCode.CANCELLED else error

    @abstractmethod
    def _open(self) -> Methods:
        """Gives the methods of the open channel.

        Raises:
            RuntimeError: The client is closed.
        """

    @abstractmethod
    def _call(self, method: Any, request: Any, timeout: float | None) -> Any:
        """Makes a unary call, with the client's deadline where `timeout` is None; gives the response, or its awaitable.

        Raises:
            SentinovaError: The call failed.
        """


class Methods:
    """The server's methods on an open channel, synchronous or asynchronous."""

    def __init__(self, channel: Any) -> None:
        sentiment: Any = sentiment_service_pb2_grpc.SentimentServiceStub(channel)  # type: ignore[no-untyped-call]
        models: Any = model_service_pb2_grpc.ModelServiceStub(channel)  # type: ignore[no-untyped-call]
        self.analyze = sentiment.AnalyzeSentiment
        self.analyze_batch = sentiment.BatchAnalyzeSentiment
        self.stream = sentiment.StreamAnalyzeSentiment
        self.list_models = models.ListModels
        self.get_model = models.GetModel
        self.watch_models = models.WatchModels
        self.load_model = models.LoadModel
        self.unload_model = models.UnloadModel
        self.reload_repository = models.ReloadRepository
        self.set_label = models.SetModelLabel
        self.delete_label = models.DeleteModelLabel
        self.set_weights = models.SetModelWeights
        self.set_shadow = models.SetModelShadow
        self.rollback_model = models.RollbackModel
        # Those that gRPC's service config names, in `connection`: making one twice is as good as once.
        asking = (self.analyze, self.analyze_batch, self.list_models, self.get_model)
        self.repeated = frozenset((*asking, self.set_label, self.set_weights, self.set_shadow))
        # HealthCheckRequest {string service = 1} and HealthCheckResponse {enum status = 1} have the wire
        # format of these two wrappers, which spares the client a dependency.
        self.check_health = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=wrappers_pb2.StringValue.SerializeToString,
            response_deserializer=wrappers_pb2.Int32Value.FromString,
        )


def health_request() -> wrappers_pb2.StringValue:
    """Makes the request that asks for the health of the whole server."""
    return wrappers_pb2.StringValue()


def is_serving(response: wrappers_pb2.Int32Value) -> bool:
    """Reads the answer to a health check."""
    return response.value == _SERVING


def check_only_not_ready(error: SentinovaError) -> None:
    """Lets pass the errors that mean "not ready", and raises the others (no permission, say)."""
    if error.code not in _NOT_READY:
        raise error


def readiness_checks(timeout: float, clock: Callable[[], float]) -> Iterator[tuple[float, float]]:
    """Plans the health checks of a client that waits for its server.

    Yields:
        Pairs of the limit of a check and the pause after it, both in seconds.

    Raises:
        DeadlineExceededError: The time is up.
    """
    end = clock() + timeout
    pause = 0.05
    while (left := end - clock()) > 0:
        yield min(left, LONGEST_CHECK), min(left, pause)
        pause = min(2 * pause, 1.0)
    raise DeadlineExceededError(f"the server was not ready within {timeout:g} s", reason="NOT_READY")


def check_in_flight(count: int) -> None:
    """Checks the limit of unanswered documents of a stream.

    Raises:
        ValueError: Where it is below 1.
    """
    if count < 1:
        raise ValueError(f"max_in_flight must be 1 or more, not {count}")
