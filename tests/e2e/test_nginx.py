"""Every client through nginx as deploy/nginx/sentinova.conf has it, with two servers behind."""

import signal
from contextlib import ExitStack

import grpc
import pytest
from polyglot.languages import BUILD_SECONDS
from polyglot.proxy import find_nginx, run_nginx
from polyglot.servers import ReturningServer, delayed, metric
from polyglot.traffic import CONCURRENCY, DOCUMENTS, ENOUGH, Traffic, add_models, check_right
from sentinova.v1 import model_service_pb2 as pb
from sentinova.v1 import model_service_pb2_grpc

pytestmark = [
    pytest.mark.skipif(find_nginx() is None, reason="no `nginx`"),
    pytest.mark.timeout(BUILD_SECONDS),
]

# A call takes 20 ms at least, four are under way: a client is at work for 8 s at least, and longer while a server is gone.
REPEAT, DELAY_MICROSECONDS = 320, 20_000


class Pair:
    """Two servers on one repository, and nginx before them."""

    def __init__(self, address, servers):
        self.address, self.servers = address, servers

    def counts(self, model):
        """Gives how many calls each server has answered well since it was started."""
        return [metric(one.server, "sentinova_requests_total", model=model, code="OK") for one in self.servers]


@pytest.fixture(scope="module")
def pair(all_clients, tmp_path_factory, tiny_version, start_server):
    repository = tmp_path_factory.mktemp("balanced") / "repository"
    add_models(all_clients, repository, tiny_version, delayed(DELAY_MICROSECONDS))
    with ExitStack() as stack:
        servers = [stack.enter_context(ReturningServer(start_server, repository)) for _ in range(2)]
        folder = tmp_path_factory.mktemp("nginx")
        address = stack.enter_context(run_nginx(folder, [server.address for server in servers]))
        yield Pair(address, servers)


@pytest.fixture(scope="module")
def after_stops(pair, all_clients):
    """What came of asking without a pause, while one server was stopped and came back, and then the other one was killed.

    Before each, both servers had had their share of every client's calls.
    """
    before = {client.name: pair.counts(client.name) for client in all_clients}

    def shared(name):
        return min(now - then for now, then in zip(pair.counts(name), before[name], strict=True)) >= ENOUGH

    with Traffic() as traffic:
        for client in all_clients:
            traffic.begin(client, pair.address, concurrency=CONCURRENCY, repeat=REPEAT)
        traffic.wait_for(shared)
        assert pair.servers[0].end(signal.SIGTERM) == 0
        pair.servers[0].begin()
        before |= {client.name: [0, pair.counts(client.name)[1]] for client in all_clients}
        traffic.wait_for(shared)
        pair.servers[1].end(signal.SIGKILL)
        return traffic.finish()


@pytest.mark.capability("nginx: calls, streams, health, models")
@pytest.mark.parametrize("way", ["unary", "batch", "stream"])
def test_every_way_of_asking_works(client, pair, way):
    check_right(client.run(way, pair.address, documents=DOCUMENTS, config={"model": client.name}))


@pytest.mark.capability("nginx: calls, streams, health, models")
def test_health_and_models_come_through(client, pair):
    assert client.run("health", pair.address, config={"model": client.name}) == [
        {"service": "", "status": "SERVING"},
        {"service": client.name, "status": "SERVING"},
    ]
    assert client.name in [line["model"] for line in client.run("models", pair.address)]


@pytest.mark.capability("nginx: spread, SIGTERM, SIGKILL")
def test_calls_are_spread_and_servers_that_end_lose_none(client, after_stops):
    check_right(after_stops.of(client.name), REPEAT)


@pytest.mark.capability("nginx: changes are kept out", language="stubs")
@pytest.mark.parametrize("method", ["LoadModel", "UnloadModel", "SetModelLabel", "DeleteModelLabel", "RollbackModel"])
def test_changes_are_for_each_server_by_itself(pair, method):
    with grpc.insecure_channel(pair.address) as channel:
        call = getattr(model_service_pb2_grpc.ModelServiceStub(channel), method)
        with pytest.raises(grpc.RpcError) as caught:
            call(getattr(pb, f"{method}Request")(name="any"), timeout=20)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.capability("nginx: no server left", language="stubs")
def test_with_no_server_left_the_error_says_so(after_stops, pair):
    pair.servers[0].end(signal.SIGTERM)
    with grpc.insecure_channel(pair.address) as channel, pytest.raises(grpc.RpcError) as caught:
        model_service_pb2_grpc.ModelServiceStub(channel).ListModels(pb.ListModelsRequest(), timeout=20)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert caught.value.details() == "no server could answer"
