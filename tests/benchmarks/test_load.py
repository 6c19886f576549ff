"""The load generator against a real gRPC server that answers with what it is sent, and can be made to stall."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from benchmarks.accounting import plan_arrivals
from benchmarks.load import Connections, Track, run_closed, run_one, run_open, run_stream

STALL = b"stall"
STALL_SECONDS = 0.4


class Echo(grpc.GenericRpcHandler):
    """Answers with the request; `STALL` holds up everything for a while, `fail` is refused."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.most_at_once = 0
        self._now = 0
        self._turn = asyncio.Lock()

    def service(self, handler_call_details):
        if handler_call_details.method == "/test/Unary":
            return grpc.unary_unary_rpc_method_handler(self._answer)
        return grpc.stream_stream_rpc_method_handler(self._answer_all)

    async def _answer(self, request: bytes, context) -> bytes:
        self.seen.append(request)
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            if request == b"fail":
                await context.abort(grpc.StatusCode.INTERNAL, "no")
            async with self._turn:
                await asyncio.sleep(STALL_SECONDS if request == STALL else 0.001)
            return request
        finally:
            self._now -= 1

    async def _answer_all(self, requests, context) -> AsyncIterator[bytes]:
        async for request in requests:
            if request != b"first":
                yield await self._answer(request, context)


@pytest.fixture
async def echo():
    handler = Echo()
    server = grpc.aio.server(handlers=(handler,))
    handler.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield handler
    await server.stop(0)


async def test_a_closed_loop_sends_each_request_once_by_so_many_clients(echo):
    async with Connections(echo.address, "/test/Unary") as connections:
        load = await run_closed(connections, [b"%d" % number for number in range(40)], 4, 0)
    assert sorted(echo.seen) == sorted(b"%d" % number for number in range(40))
    assert echo.most_at_once == 4
    assert len(load.latencies[0]) == 40
    assert load.errors == {}
    assert 0 < load.cpu_seconds < load.seconds * 2


async def test_a_closed_loop_may_be_bounded_by_time(echo):
    async with Connections(echo.address, "/test/Unary") as connections:
        load = await run_closed(connections, [b"a"], 2, 0.2)
    assert 0.2 <= load.seconds < 2
    assert len(load.latencies[0]) == len(echo.seen) > 2


async def test_one_client_waits_for_each_answer(echo):
    bodies = [b"%d" % number for number in range(20)] + [b"fail"]
    load = await asyncio.to_thread(run_one, echo.address, "/test/Unary", bodies, 0)
    assert echo.seen == bodies
    assert echo.most_at_once == 1
    assert len(load.latencies[0]) == 20
    assert load.errors == {"INTERNAL: no": 1}
    load = await asyncio.to_thread(run_one, echo.address, "/test/Unary", [b"a"], 0.2)
    assert 0.2 <= load.seconds < 2
    assert len(load.latencies[0]) > 2


async def test_an_open_loop_counts_the_wait_that_a_stall_makes(echo):
    times = plan_arrivals(50, 0.4)
    async with Connections(echo.address, "/test/Unary") as connections:
        load = await run_open(connections, [Track([STALL], times[:1]), Track([b"a"], times[1:])])
    # The calls went out at their times, and wait for the stall's end: the earlier the longer.
    waits = sorted(load.latencies[1], reverse=True)
    assert len(waits) == len(times) - 1
    assert waits[0] > STALL_SECONDS * 0.8
    assert sum(wait > STALL_SECONDS / 4 for wait in waits) > len(waits) / 2
    assert len(load.lags) == len(times)


async def test_a_stream_sends_everything_and_no_more_than_the_window(echo):
    async with Connections(echo.address, "/test/Stream") as connections:
        load = await run_stream(connections, [b"first"], [b"%d" % number for number in range(30)], 5)
    assert len(load.latencies[0]) == 30
    assert load.errors == {}


async def test_calls_that_fail_are_counted_by_what_was_said(echo):
    async with Connections(echo.address, "/test/Unary") as connections:
        load = await run_closed(connections, [b"fail", b"a", b"fail"], 1, 0)
    assert len(load.latencies[0]) == 1
    assert load.errors == {"INTERNAL: no": 2}
