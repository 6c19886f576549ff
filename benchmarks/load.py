"""The load generator: sends requests that are bytes already, and measures how long each answer takes.

A process of its own, so that its CPU time is told apart from everyone else's. Closed loop: so many clients, each of
which sends when its last answer is there. Open loop: calls at planned times, whatever the answers do, with latencies
measured from the planned time, so that a slow server cannot hold its own measurement back. Knows gRPC and bytes; must
not know what they mean.
"""

from __future__ import annotations

import asyncio
import itertools
import selectors
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc

# Calls share so many connections: more cost more CPU time, and one would be a single queue.
_CONNECTIONS = 4
_CALL_SECONDS = 60.0
_OPTIONS = [
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
    # Each channel gets a connection of its own.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
]

Call = Callable[[bytes], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Track:
    """One kind of call in an open loop.

    Attributes:
        bodies: requests, sent in turn, and again from the first when all are sent.
        times: when each is sent, in seconds since the start.
    """

    bodies: Sequence[bytes]
    times: Sequence[float]


@dataclass(slots=True)
class Load:
    """What came of sending.

    Attributes:
        latencies: seconds, of the calls that were answered; in an open loop a list for each track.
        seconds: from the first call's start to the last one's end.
        cpu_seconds: CPU time that the generator itself used meanwhile.
        errors: calls that failed, by what was said.
        lags: seconds that the generator sent later than planned (open loop).
    """

    latencies: list[list[float]]
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    errors: dict[str, int] = field(default_factory=dict)
    lags: list[float] = field(default_factory=list)

    def failed(self, error: grpc.RpcError) -> None:
        """Counts a failed call."""
        reason = f"{error.code().name}: {error.details()}" if hasattr(error, "code") else repr(error)
        self.errors[reason] = self.errors.get(reason, 0) + 1


class Connections:
    """Some connections to one server, used in turn."""

    def __init__(self, address: str, path: str) -> None:
        self._channels = [grpc.aio.insecure_channel(address, _OPTIONS) for _ in range(_CONNECTIONS)]
        calls: list[Any] = [channel.unary_unary(path) for channel in self._channels]
        self._calls = itertools.cycle(calls)
        self.stream: Any = self._channels[0].stream_stream(path)

    async def __aenter__(self) -> Connections:
        return self

    async def __aexit__(self, *_: object) -> None:
        for channel in self._channels:
            await channel.close()

    def next_call(self) -> Call:
        """Gives the call on the next connection."""
        return partial(next(self._calls), timeout=_CALL_SECONDS)


async def run_closed(connections: Connections, bodies: Sequence[bytes], clients: int, seconds: float) -> Load:
    """Has clients call one after the other: each body once, or again and again for `seconds` where these are not 0."""
    load = Load([[]])
    deadline = time.perf_counter() + seconds
    pending: Iterator[bytes] = itertools.cycle(bodies) if seconds else iter(bodies)

    async def be_client(call: Call) -> None:
        for body in pending:
            started = time.perf_counter()
            if seconds and started >= deadline:
                return
            try:
                await call(body)
            except grpc.RpcError as error:
                load.failed(error)
            else:
                load.latencies[0].append(time.perf_counter() - started)

    with _measured(load):
        await asyncio.gather(*(be_client(connections.next_call()) for _ in range(clients)))
    return load


def run_one(address: str, path: str, bodies: Sequence[bytes], seconds: float) -> Load:
    """Has one client call, as `run_closed` does, that blocks until its answer is there.

    With one call at a time an event loop does nothing but take part in its latency.
    """
    load = Load([[]])
    with grpc.insecure_channel(address, _OPTIONS) as channel:
        call: Any = channel.unary_unary(path)
        grpc.channel_ready_future(channel).result(timeout=_CALL_SECONDS)
        with _measured(load):
            deadline = time.perf_counter() + seconds
            for body in itertools.cycle(bodies) if seconds else bodies:
                started = time.perf_counter()
                if seconds and started >= deadline:
                    break
                try:
                    call(body, timeout=_CALL_SECONDS)
                except grpc.RpcError as error:
                    load.failed(error)
                else:
                    load.latencies[0].append(time.perf_counter() - started)
    return load


async def run_open(connections: Connections, tracks: Sequence[Track]) -> Load:
    """Sends every track's calls at their planned times."""
    load = Load([[] for _ in tracks])
    plan = sorted((at, number, index) for number, track in enumerate(tracks) for index, at in enumerate(track.times))

    async def send(call: Call, body: bytes, due: float, latencies: list[float]) -> None:
        try:
            await call(body)
        except grpc.RpcError as error:
            load.failed(error)
        else:
            latencies.append(time.perf_counter() - due)

    with _measured(load):
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for at, number, index in plan:
                if (wait := started + at - time.perf_counter()) > 0:
                    await asyncio.sleep(wait)
                load.lags.append(max(0.0, time.perf_counter() - started - at))
                bodies = tracks[number].bodies
                body = bodies[index % len(bodies)]
                group.create_task(send(connections.next_call(), body, started + at, load.latencies[number]))
    return load


async def run_stream(connections: Connections, first: Sequence[bytes], bodies: Sequence[bytes], window: int) -> Load:
    """Sends all bodies in one stream, at most `window` of them unanswered; `first` are messages without an answer."""
    load = Load([[]])
    room = asyncio.Semaphore(window)
    # Answers may come in another order, so a time is that between an answer and the oldest unanswered message.
    sent: list[float] = []

    async def messages() -> AsyncIterator[bytes]:
        for body in first:
            yield body
        for body in bodies:
            await room.acquire()
            sent.append(time.perf_counter())
            yield body

    with _measured(load):
        try:
            async for _ in connections.stream(messages(), timeout=_CALL_SECONDS * 5):
                load.latencies[0].append(time.perf_counter() - sent[len(load.latencies[0])])
                room.release()
        except grpc.RpcError as error:
            load.failed(error)
    if missing := len(bodies) - len(load.latencies[0]):
        load.errors["no answer in the stream"] = missing
    return load


class _measured:  # noqa: N801 (reads as a statement)
    """Puts the time and the CPU time that pass into a load."""

    def __init__(self, load: Load) -> None:
        self._load = load

    def __enter__(self) -> None:
        self._cpu, self._started = time.process_time(), time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._load.seconds = time.perf_counter() - self._started
        self._load.cpu_seconds = time.process_time() - self._cpu


class Generator:
    """The operations of the generator's process. Texts once loaded are named by a key, and sent many times."""

    def __init__(self) -> None:
        self._bodies: dict[str, Sequence[bytes]] = {}

    def operations(self) -> dict[str, Callable[..., Any]]:
        """Gives them by name."""
        return {
            "keep": self.keep, "ask": self.ask, "closed": self.closed, "open": self.open, "stream": self.stream,
        }  # fmt: skip

    def keep(self, key: str, bodies: Sequence[bytes]) -> None:
        """Keeps requests for later."""
        self._bodies[key] = bodies

    def ask(self, address: str, path: str, bodies: Sequence[bytes], timeout: float) -> list[bytes]:
        """Makes calls one after the other and gives the answers. Raises grpc.RpcError."""
        with grpc.insecure_channel(address, _OPTIONS) as channel:
            call: Any = channel.unary_unary(path)
            return [call(body, timeout=timeout, wait_for_ready=True) for body in bodies]

    def closed(self, address: str, path: str, key: str, clients: int, seconds: float) -> Load:
        """Runs a closed loop over kept requests; see `run_closed`."""
        bodies = self._bodies[key]
        if clients == 1:
            return run_one(address, path, bodies, seconds)
        return _run(address, path, lambda connections: run_closed(connections, bodies, clients, seconds))

    def open(self, address: str, path: str, plans: Sequence[tuple[str, Sequence[float]]]) -> Load:
        """Runs an open loop: keys of kept requests, each with its times."""
        tracks = [Track(self._bodies[key], times) for key, times in plans]
        return _run(address, path, lambda connections: run_open(connections, tracks))

    def stream(self, address: str, path: str, first: Sequence[bytes], key: str, window: int) -> Load:
        """Sends kept requests in one stream; see `run_stream`."""
        bodies = self._bodies[key]
        return _run(address, path, lambda connections: run_stream(connections, first, bodies, window))


def _run(address: str, path: str, work: Callable[[Connections], Awaitable[Load]]) -> Load:
    async def connect_and_work() -> Load:
        async with Connections(address, path) as connections:
            return await work(connections)

    # select(2) wakes at the microsecond, where asyncio's own choice rounds up to a millisecond.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        return runner.run(connect_and_work())


if __name__ == "__main__":
    # Under its real name: what is pickled here is unpickled in the parent.
    from benchmarks.load import Generator as _Generator
    from benchmarks.worker import serve

    serve(_Generator().operations())
