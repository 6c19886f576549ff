"""What every client is told of texts and of faults, in each way of asking, held against Paddle and the documented errors."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from polyglot.judging import (
    SAME_SCORE,
    SAME_SCORE_IN_BATCHES,
    check_each_once,
    check_error,
    check_result_line,
    check_results,
    differences,
    error_facts,
)
from polyglot.vectors import VERSIONS, errors, texts
from runners.exchange import error
from sentinova.status import error_from_rpc, error_from_status
from sentinova.v1 import sentiment_service_pb2 as pb
from sentinova.v1 import sentiment_service_pb2_grpc as pb_grpc

WAYS = ("unary", "batch", "stream")
FROM_PADDLE = "Largest difference of a score from Paddle's"
BETWEEN_CLIENTS = "Largest difference of a score between two clients"
IN_BATCHES = f"{BETWEEN_CLIENTS}, in batches with other texts"
# What stands around a document that fails, and must be answered all the same.
GOOD = {"id": "good", "text": "good"}


@pytest.mark.capability("build")
def test_build(client):
    """Every language's client and its runner can be built where its tool chain is there."""
    assert client.name


def run_all(client, requests):
    """Runs requests, two at a time; gives the lines of each."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda request: client.run(**request), requests))


def check_texts(client, address, way, vectors, answers, table, *, versions=VERSIONS, **fields):
    """Asks versions for all texts of a file, and keeps what came."""
    requests = [
        {
            "scenario": way,
            "address": address,
            "documents": vectors.documents,
            "config": {"model": vectors.model, "version": version},
            **fields,
        }
        for version in versions
    ]
    told = run_all(client, requests)
    times = fields.get("repeat", 1)
    for version, lines in zip(versions, told, strict=True):
        table.note(FROM_PADDLE, check_results(lines, vectors, vectors.cases, version, times=times))
        answers[client.name, f"{vectors.name} {way} {version}"] = lines


@pytest.mark.parametrize("way", [pytest.param(way, marks=pytest.mark.capability(way)) for way in WAYS])
def test_sentiment(client, shipped_server, way, answers, table):
    check_texts(client, shipped_server.address, way, texts("sentiment"), answers, table)


@pytest.mark.capability("Unicode")
@pytest.mark.parametrize(("way", "version"), [("unary", 2), ("batch", 1), ("stream", 2)])
def test_unicode(client, shipped_server, way, version, answers, table):
    check_texts(client, shipped_server.address, way, texts("unicode"), answers, table, versions=[version])


@pytest.mark.capability("unary, concurrent")
def test_concurrent_calls(client, shipped_server, table):
    check_texts(
        client, shipped_server.address, "unary", texts("sentiment"), {}, table, versions=[2], concurrency=16, repeat=3
    )


@pytest.mark.capability("choice of version, long texts")
def test_long_texts_are_cut_where_that_was_asked_for(client, shipped_server):
    vectors = texts("unicode")
    requests = [
        {
            "scenario": way,
            "address": shipped_server.address,
            "documents": [case.document for case in vectors.truncated],
            "config": {"version": version, "long_text": "truncate"},
        }
        for way, version in zip(WAYS, (1, 2, 1), strict=True)
    ]
    for request, lines in zip(requests, run_all(client, requests), strict=True):
        check_results(lines, vectors, vectors.truncated, request["config"]["version"], truncated=True)


@pytest.mark.capability("choice of version, long texts")
def test_without_a_choice_the_highest_version_answers(client, shipped_server):
    vectors = texts("sentiment")
    lines = client.run("unary", shipped_server.address, documents=vectors.documents[:3])
    check_results(lines, vectors, vectors.cases[:3], max(VERSIONS))


def keys_by_version(address):
    """Finds a routing key for each version, by the stubs."""
    found = {}
    with grpc.insecure_channel(address) as channel:
        stub = pb_grpc.SentimentServiceStub(channel)
        for key in (f"user-{number}" for number in range(64)):
            request = pb.AnalyzeSentimentRequest(
                document=pb.Document(text="good"), config=pb.AnalysisConfig(routing_key=key)
            )
            found.setdefault(stub.AnalyzeSentiment(request, timeout=30).result.model.version, key)
    return found


@pytest.mark.capability("choice of version, long texts")
def test_labels_and_routing_keys_choose(client, routed_server):
    keys = keys_by_version(routed_server.address)
    assert keys.keys() == set(VERSIONS)
    asked = [("unary", {"label": "stable"}, 1), ("batch", {"label": "canary"}, 2), ("stream", {"label": "stable"}, 1)]
    asked += [(way, {"routing_key": key}, version) for version, key in keys.items() for way in ("unary", "batch")]
    requests = [
        {"scenario": way, "address": routed_server.address, "documents": [GOOD], "config": config}
        for way, config, _ in asked
    ]
    for (_, config, version), lines in zip(asked, run_all(client, requests), strict=True):
        line = check_each_once(lines, ["good"])["good"]
        check_result_line(line)
        assert line["version"] == version, config


@pytest.mark.capability("errors")
@pytest.mark.parametrize("way", WAYS)
def test_a_bad_document_fails_alone(client, shipped_server, way, answers):
    # The clients number documents themselves: an id that is too long can only come by the stubs.
    cases = [case for case in errors("documents") if not case.id]
    documents = [GOOD, *(case.document for case in cases)]
    lines = client.run(way, shipped_server.address, documents=documents, config={"version": 1})
    found = check_each_once(lines, [document["id"] for document in documents])
    check_result_line(found["good"])
    for index, case in enumerate(cases, 1):
        check_error(found[case.document["id"]], case, way, index)
    answers[client.name, f"errors {way}"] = [{"id": case.name} | found[case.document["id"]] for case in cases]


@pytest.mark.capability("errors")
def test_a_bad_call_fails_as_a_whole(client, shipped_server, answers):
    # The first in each way that it can be asked; the others in one way each, in turn.
    first, *others = errors("calls")
    asked = [(first, way) for way in first.field]
    asked += [
        (case, next(w for w in (way, *case.field) if w in case.field))
        for case, way in zip(others, itertools.cycle(WAYS))
    ]
    requests = [
        {
            "scenario": way,
            "address": shipped_server.address,
            "documents": [{"id": str(number), "text": case.text} for number in range(max(case.documents, 2))],
            "config": case.config,
        }
        for case, way in asked
    ]
    told = run_all(client, requests)
    for (case, way), request, lines in zip(asked, requests, told, strict=True):
        for line in check_each_once(lines, [document["id"] for document in request["documents"]]).values():
            check_error(line, case, way)
        answers.setdefault((client.name, "errors of calls"), []).append({**lines[0], "id": f"{case.name} {way}"})


@pytest.mark.capability("errors")
@pytest.mark.parametrize("way", ["unary", "stream"])
def test_a_full_queue_says_when_to_come_again(client, waiting_server, way):
    documents = [{"id": str(number), "text": "good"} for number in range(4)]
    config = {"model": "narrow"}
    request = {"documents": documents, "config": config, "concurrency": 4, "timeout_seconds": 1}
    found = check_each_once(client.run(way, waiting_server.address, **request), "0123").values()
    refused = [line for line in found if line["code"] == "RESOURCE_EXHAUSTED"]
    assert [line["reason"] for line in refused] == ["QUEUE_FULL"] * 2, found
    assert all(line["retry_after_seconds"] > 0 for line in refused), refused
    assert sorted(line["code"] for line in found if line not in refused) == ["DEADLINE_EXCEEDED"] * 2


@pytest.mark.capability("same in all languages")
def test_all_languages_are_told_the_same(client, answers, table):
    """Labels bit for bit, scores, and all of an error that is for machines."""
    told = {kind: lines for (name, kind), lines in answers.items() if name == client.name}
    assert told, "the tests that ask must run before"
    others = sorted({name for name, _ in answers} - {client.name})
    if not others:
        pytest.skip("no other language was run")
    for name, kind in itertools.product(others, sorted(told)):
        theirs = answers[name, kind]
        if kind.startswith("errors"):
            assert list(map(error_facts, told[kind])) == list(map(error_facts, theirs)), (name, kind)
            continue
        worst = differences(told[kind], theirs)
        table.note(BETWEEN_CLIENTS if " unary " in kind else IN_BATCHES, worst)
        assert worst <= (SAME_SCORE if " unary " in kind else SAME_SCORE_IN_BATCHES), (name, kind)


@pytest.mark.capability("errors", language="stubs")
@pytest.mark.parametrize("way", WAYS)
def test_an_id_that_is_too_long_fails_alone(shipped_server, way):
    [case] = [case for case in errors("documents") if case.id]
    documents = [pb.Document(**GOOD), pb.Document(**case.document)]
    with grpc.insecure_channel(shipped_server.address) as channel:
        stub = pb_grpc.SentimentServiceStub(channel)
        if way == "unary":
            with pytest.raises(grpc.RpcError) as caught:
                stub.AnalyzeSentiment(pb.AnalyzeSentimentRequest(document=documents[1]), timeout=30)
            failure = error_from_rpc(caught.value)
        else:
            if way == "batch":
                answers = stub.BatchAnalyzeSentiment(
                    pb.BatchAnalyzeSentimentRequest(documents=documents), timeout=30
                ).results
            else:
                requests = [pb.StreamAnalyzeSentimentRequest(document=document) for document in documents]
                answers = stub.StreamAnalyzeSentiment(iter(requests), timeout=30)
            good, bad = sorted(answers, key=lambda answer: answer.HasField("error"))
            assert (good.id, good.result.label) == ("good", "positive")
            failure = error_from_status(bad.error)
    check_error({"id": "", **error(failure)}, case, way, 1)
