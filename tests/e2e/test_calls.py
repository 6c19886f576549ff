"""Deadlines, cancelled calls, large messages, secured channels, health, models and watches, in every language."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from polyglot.judging import check_each_once, check_failed, check_result_line
from polyglot.servers import Certificates, metric, queued, until
from sentinova.v1 import model_service_pb2 as model_pb
from sentinova.v1 import model_service_pb2_grpc

WAYS = ("unary", "batch", "stream")
DOCUMENTS = [{"id": str(number), "text": text} for number, text in enumerate(("good", "bad film", "not good"))]
IDS = [document["id"] for document in DOCUMENTS]
MIB = 1 << 20


@pytest.mark.capability("deadline")
@pytest.mark.parametrize("way", WAYS)
def test_a_deadline_ends_the_wait(client, waiting_server, way):
    lines = client.run(
        way,
        waiting_server.address,
        documents=DOCUMENTS,
        config={"model": "waiting"},
        timeout_seconds=0.5,
        concurrency=len(DOCUMENTS),
    )
    check_failed(lines, IDS, "DEADLINE_EXCEEDED")
    # The server has let go of them, too.
    until(lambda: queued(waiting_server, "waiting"), lambda count: count == 0)


@pytest.mark.capability("cancel")
def test_a_cancelled_call_ends_here_and_there(client, waiting_server):
    def cancelled():
        return metric(waiting_server, "sentinova_requests_total", model="waiting", code="CANCELLED")

    before = cancelled()
    request = {"documents": DOCUMENTS[:1], "config": {"model": "waiting"}, "timeout_seconds": 60}
    with client.start("cancel", waiting_server.address, cancel_after_seconds=2, **request) as run:
        until(lambda: queued(waiting_server, "waiting"), lambda count: count == 1)
        lines = run.finish()
    check_failed(lines, IDS[:1], "CANCELLED")
    until(lambda: queued(waiting_server, "waiting"), lambda count: count == 0)
    until(cancelled, lambda count: count > before)


@pytest.mark.capability("large messages")
def test_an_answer_of_over_four_mebibytes(client, large_server):
    documents = [{"id": str(number), "text": "good" if number % 2 else "bad"} for number in range(1000)]
    found = check_each_once(client.run("batch", large_server.address, documents=documents), map(str, range(1000)))
    for line in found.values():
        check_result_line(line)
        assert line["label"].startswith("positive" if int(line["id"]) % 2 else "negative")
    # A label and two classes with their names: what came over the wire is larger than what gRPC takes by itself.
    assert sum(3 * len(line["label"]) for line in found.values()) > 4 * MIB


@pytest.mark.capability("large messages")
def test_a_request_near_the_limit_and_one_above(client, large_server):
    text = "good " + "x" * 65_000

    def ask(count):
        documents = [{"id": str(number), "text": text} for number in range(count)]
        return client.run("batch", large_server.address, documents=documents), map(str, range(count))

    below = 16 * MIB // (len(text) + 32)
    for line in check_each_once(*ask(below)).values():
        check_result_line(line)
        assert line["label"].startswith("positive")
    check_failed(*ask(below + 2), "RESOURCE_EXHAUSTED")


@pytest.mark.capability("TLS")
def test_tls(client, tls_server, certificates):
    with ThreadPoolExecutor(2) as pool:
        told = pool.map(
            lambda way: client.run(way, tls_server.address, documents=DOCUMENTS, tls=certificates.tls()),
            ("unary", "stream"),
        )
        for lines in told:
            for line in check_each_once(lines, IDS).values():
                check_result_line(line)


def check_refused(client, address, tls):
    """Checks that a client gets no answer: its handshake fails, again and again until its deadline."""
    lines = client.run("unary", address, documents=DOCUMENTS[:1], tls=tls, timeout_seconds=2)
    check_failed(lines, IDS[:1], "UNAVAILABLE", "DEADLINE_EXCEEDED")


@pytest.mark.capability("TLS")
def test_a_server_that_is_not_the_one_expected_is_not_spoken_to(client, tls_server, certificates):
    expectations = (certificates.tls(ca="stranger-ca"), certificates.tls(server_name="other.test"), None)
    with ThreadPoolExecutor(len(expectations)) as pool:
        list(pool.map(lambda tls: check_refused(client, tls_server.address, tls), expectations))


@pytest.mark.capability("mutual TLS")
def test_mutual_tls(client, mutual_server, certificates):
    tls = certificates.tls("client", server_name=Certificates.NAME)
    for scenario in ("unary", "health"):
        lines = client.run(scenario, mutual_server.address, documents=DOCUMENTS, tls=tls)
        if scenario == "health":
            assert lines == [{"service": "", "status": "SERVING"}]
            continue
        for line in check_each_once(lines, IDS).values():
            check_result_line(line)


@pytest.mark.capability("mutual TLS")
def test_a_client_without_a_known_certificate_is_refused(client, mutual_server, certificates):
    with ThreadPoolExecutor(2) as pool:
        identities = (certificates.tls(who, server_name=Certificates.NAME) for who in (None, "stranger"))
        list(pool.map(lambda tls: check_refused(client, mutual_server.address, tls), identities))


@pytest.mark.capability("health")
def test_health(client, shipped_server, unready_server):
    assert client.run("health", shipped_server.address, config={"model": "sentiment_en"}) == [
        {"service": "", "status": "SERVING"},
        {"service": "sentiment_en", "status": "SERVING"},
    ]
    for model, status in (("whole", "SERVING"), ("broken", "NOT_SERVING")):
        assert client.run("health", unready_server.address, config={"model": model}) == [
            {"service": "", "status": "NOT_SERVING"},
            {"service": model, "status": status},
        ]


@pytest.mark.capability("models")
def test_models(client, shipped_server, unready_server):
    def version(number, state="AVAILABLE"):
        return {"version": number, "state": state, "labels": ["negative", "positive"] if state == "AVAILABLE" else []}

    assert client.run("models", shipped_server.address) == [
        {"model": "sentiment_en", "default_version": 2, "versions": [version(1), version(2)]}
    ]
    broken, whole = client.run("models", unready_server.address)
    assert whole == {"model": "whole", "default_version": 1, "versions": [version(1)]}
    assert (broken["model"], broken["versions"]) == ("broken", [version(1, "FAILED")])
    assert not broken["default_version"]


@pytest.mark.capability("watch")
def test_a_watch_tells_what_is_so_and_then_every_change(client, changing_server):
    def kind_is(kind):
        return lambda lines: any(line["kind"] == kind for line in lines)

    with grpc.insecure_channel(changing_server.address) as channel:
        models = model_service_pb2_grpc.ModelServiceStub(channel)
        with client.start("watch", changing_server.address, config={"model": "changing"}, events=5) as run:
            run.wait_for(kind_is("SYNCED"))
            models.LoadModel(model_pb.LoadModelRequest(name="changing", version=2), timeout=30)
            models.SetModelLabel(model_pb.SetModelLabelRequest(name="changing", label="canary", version=1), timeout=30)
            models.UnloadModel(model_pb.UnloadModelRequest(name="changing", version=2), timeout=30)
            lines = run.finish()
        models.DeleteModelLabel(model_pb.DeleteModelLabelRequest(name="changing", label="canary"), timeout=30)
    first = list(itertools.takewhile(lambda line: line["kind"] != "SYNCED", lines))
    assert {(line["kind"], line["model"]) for line in first} == {("INITIAL", "changing")}
    assert (1, "AVAILABLE") in [(line["version"], line["state"]) for line in first]
    # What is about the model as a whole has neither version nor state.
    states = {"UNSPECIFIED": ""}
    told = [
        (line["kind"], line["version"] or 0, states.get(line["state"], line["state"]))
        for line in lines[len(first) + 1 :]
    ]
    assert told == [
        ("STATE", 2, "LOADING"),
        ("STATE", 2, "AVAILABLE"),
        ("TRAFFIC", 0, ""),
        ("STATE", 2, "UNLOADING"),
        ("STATE", 2, "END"),
    ]
    assert {line["model"] for line in lines[len(first) + 1 :]} == {"changing"}
