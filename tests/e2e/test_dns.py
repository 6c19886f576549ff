"""A name, or a list of addresses, that stands for two servers: calls go to both, or to one and then the other.

A server that stops loses none.
"""

import signal
from contextlib import ExitStack
from types import SimpleNamespace

import grpc
import pytest
from polyglot.documented import service_config
from polyglot.languages import BUILD_SECONDS
from polyglot.naming import ADDRESSES, NAME, named, why_not
from polyglot.servers import delayed, free_port, metric, until
from polyglot.traffic import CONCURRENCY, ENOUGH, Traffic, add_models, check_right
from sentinova.v1 import sentiment_service_pb2 as pb
from sentinova.v1 import sentiment_service_pb2_grpc as pb_grpc

pytestmark = pytest.mark.timeout(BUILD_SECONDS)

# A call takes 20 ms at least, four are under way: a client is at work for 8 s at least, and longer while it waits.
REPEAT, DELAY_MICROSECONDS = 320, 20_000


class Twins:
    """Two servers on the same port of two addresses; each can be ended and started again."""

    def __init__(self, start, repository):
        self._start, self._repository, self.port = start, repository, free_port()
        self._contexts = [ExitStack() for _ in ADDRESSES]
        self._pages = [None for _ in ADDRESSES]
        self.running = [None for _ in ADDRESSES]

    def begin(self, number):
        address = ADDRESSES[number]
        flags = ("--host", address, "--port", str(self.port))
        server = self._contexts[number].enter_context(self._start(self._repository, *flags))
        self.running[number] = server
        self._pages[number] = SimpleNamespace(url=server.url.replace(ADDRESSES[0], address))

    def end(self, number):
        assert self.running[number].stop(signal.SIGTERM) == 0
        self.close(number)

    def close(self, number):
        self._contexts[number].close()

    def counts(self, model):
        """Gives how many unary calls each server has answered well since it was started; of one that is gone, none."""
        return [
            metric(page, "sentinova_requests_total", model=model, code="OK") if server.process.poll() is None else 0
            for page, server in zip(self._pages, self.running, strict=True)
        ]


@pytest.fixture(scope="module")
def moved(all_clients, tmp_path_factory, tiny_version, start_server):
    """What came of asking a name without a pause, while first one of its servers was away and then the other.

    With it: how many calls of each client each server had answered before.
    """
    folder = tmp_path_factory.mktemp("names")
    if reason := why_not(folder):
        pytest.skip(reason)
    repository = folder / "repository"
    add_models(all_clients, repository, tiny_version, delayed(DELAY_MICROSECONDS))
    twins = Twins(start_server, repository)
    with ExitStack() as stack, Traffic() as traffic:
        for number in range(len(ADDRESSES)):
            stack.callback(twins.close, number)
            twins.begin(number)
        for client in all_clients:
            runner = client.within(named(client.command, folder))
            traffic.begin(runner, f"{NAME}:{twins.port}", concurrency=CONCURRENCY, repeat=REPEAT)
        traffic.wait_for(lambda name: sum(twins.counts(name)) >= ENOUGH)
        shares = {client.name: twins.counts(client.name) for client in all_clients}
        twins.end(0)
        traffic.wait_for(lambda name: twins.counts(name)[1] >= ENOUGH)
        twins.begin(0)
        twins.end(1)
        return traffic.finish(), shares


@pytest.mark.capability("DNS name of two servers: none lost")
def test_servers_that_come_and_go_lose_no_call(client, moved):
    check_right(moved[0].of(client.name), REPEAT)


@pytest.mark.capability("DNS name of two servers: spread")
def test_calls_are_spread(client, moved):
    share = moved[1][client.name]
    assert min(share) * 4 >= sum(share), share


@pytest.mark.capability("list of addresses: spread", language="stubs")
def test_stubs_spread_their_calls_over_a_list_of_addresses(tiny, start_server):
    request = pb.AnalyzeSentimentRequest(document=pb.Document(text="good"))
    with (
        start_server(tiny) as one,
        start_server(tiny) as other,
        grpc.insecure_channel(f"ipv4:{one.address},{other.address}", [service_config()]) as channel,
    ):
        stub = pb_grpc.SentimentServiceStub(channel)
        # A connection that is not there yet gets no calls: until both are.
        until(
            lambda: (
                stub.AnalyzeSentiment(request, wait_for_ready=True, timeout=30)
                and [metric(server, "sentinova_requests_total", code="OK") for server in (one, other)]
            ),
            lambda counts: min(counts) >= ENOUGH,
        )
