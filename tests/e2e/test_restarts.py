"""A server that ends in the middle of all clients' work and comes back on the same port: what their callers see."""

import signal

import grpc
import pytest
from polyglot.documented import service_config
from polyglot.judging import check_each_once, check_error_line
from polyglot.languages import BUILD_SECONDS
from polyglot.servers import ReturningServer, add_model, delayed, metric, queued, until
from polyglot.traffic import CONCURRENCY, DOCUMENTS, ENOUGH, TEXTS, Traffic, add_models, check_right, check_right_line
from sentinova.v1 import sentiment_service_pb2 as pb
from sentinova.v1 import sentiment_service_pb2_grpc as pb_grpc

pytestmark = pytest.mark.timeout(BUILD_SECONDS)

WAYS = ("unary", "batch", "stream")
# A call takes 40 ms at least, four are under way: a client is at work for 8 s at least, and longer while it waits.
REPEAT, DELAY_MICROSECONDS = 160, 40_000


@pytest.fixture(scope="module")
def restarted(all_clients, tmp_path_factory, tiny_version, start_server):
    """What came of asking without a pause, while the server was ended by SIGTERM and started again."""
    repository = tmp_path_factory.mktemp("restarted") / "repository"
    add_models(all_clients, repository, tiny_version, delayed(DELAY_MICROSECONDS))
    with ReturningServer(start_server, repository) as server, Traffic() as traffic:
        for client in all_clients:
            traffic.begin(client, server.address, concurrency=CONCURRENCY, repeat=REPEAT)
        traffic.wait_for(
            lambda name: metric(server.server, "sentinova_requests_total", model=name, code="OK") >= ENOUGH
        )
        assert server.end(signal.SIGTERM) == 0
        server.begin()
        return traffic.finish()


@pytest.fixture(scope="module")
def killed(all_clients, tmp_path_factory, tiny_version, start_server):
    """What came of calls that the server held, of every client in every way of asking, as it was killed; then it came back."""
    repository = tmp_path_factory.mktemp("killed") / "repository"
    add_models(all_clients, repository, tiny_version, delayed())
    with ReturningServer(start_server, repository) as server, Traffic() as traffic:
        for client in all_clients:
            for way in WAYS:
                traffic.begin(client, server.address, way, concurrency=len(DOCUMENTS))
            traffic.wait_for(lambda name: queued(server.server, name) == len(DOCUMENTS) * len(WAYS))
        server.end(signal.SIGKILL)
        for client in all_clients:
            (repository / client.name / "config.pbtxt").unlink()
        server.begin()
        return traffic.finish()


@pytest.mark.capability("retry: SIGTERM, restart")
def test_a_restart_is_waited_for(client, restarted):
    check_right(restarted.of(client.name), REPEAT)


@pytest.mark.capability("retry: SIGKILL, restart")
@pytest.mark.parametrize("way", ["unary", "batch"])
def test_calls_that_a_killed_server_held_are_tried_again(client, killed, way):
    check_right(killed.of(client.name, way))


@pytest.mark.capability("stream: SIGKILL, told")
def test_documents_of_a_stream_that_was_cut_have_one_outcome_each(client, killed):
    lines = killed.of(client.name, "stream")
    check_each_once(lines, TEXTS)
    for line in lines:
        if line["outcome"] == "result":  # of a client that opens the stream anew for what has no answer
            check_right_line(line)
        else:
            check_error_line(line)
            assert line["code"] == "UNAVAILABLE", line


@pytest.mark.capability("retry: SIGKILL, restart", language="stubs")
def test_the_documented_service_config_tries_again(tmp_path, tiny_version, start_server):
    folder = add_model(tmp_path, "tiny", tiny_version, delayed())
    request = pb.AnalyzeSentimentRequest(document=pb.Document(text="good"))
    with (
        ReturningServer(start_server, tmp_path) as server,
        grpc.insecure_channel(f"ipv4:{server.address}", [service_config()]) as channel,
    ):
        call = pb_grpc.SentimentServiceStub(channel).AnalyzeSentiment.future(request, timeout=60)
        until(lambda: queued(server.server, "tiny"), lambda count: count == 1)
        server.end(signal.SIGKILL)
        (folder / "config.pbtxt").unlink()
        server.begin()
        assert call.result().result.label == "positive"
