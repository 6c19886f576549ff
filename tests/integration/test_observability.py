"""Metrics, health and reflection of a real server."""

import json
import urllib.error
import urllib.request

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from sentinova.v1 import sentiment_service_pb2 as pb

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def get(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as response:
        return response.status, response.headers["Content-Type"], response.read().decode()


def samples(server):
    """Gives all samples, by name and labels."""
    _, _, text = get(f"{server.url}/metrics")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found, name, **labels):
    return found.get((name, tuple(sorted(labels.items()))), 0)


@pytest.fixture
def server(start_server, tiny_repository):
    with start_server(tiny_repository, "--log-level", "debug") as server:
        yield server


def test_calls_and_documents_are_counted(server, connect_to):
    with connect_to(server.address) as stubs:
        ask = stubs.sentiment.AnalyzeSentiment
        for _ in range(3):
            ask(pb.AnalyzeSentimentRequest(document=pb.Document(text="good film")), timeout=30)
        for request in (
            pb.AnalyzeSentimentRequest(document=pb.Document(text="")),
            pb.AnalyzeSentimentRequest(document=pb.Document(text="x"), config=pb.AnalysisConfig(model="evil\nname")),
        ):
            with pytest.raises(grpc.RpcError):
                ask(request, timeout=30)
        documents = [pb.Document(text="good")] * 4 + [pb.Document()]
        stubs.sentiment.BatchAnalyzeSentiment(pb.BatchAnalyzeSentimentRequest(documents=documents), timeout=30)
        messages = [pb.StreamAnalyzeSentimentRequest(document=pb.Document(text="bad"))] * 5
        assert len(list(stubs.sentiment.StreamAnalyzeSentiment(iter(messages), timeout=30))) == 5
    found = samples(server)
    model = {"model": "tiny", "version": "1"}
    unary, batch, stream = "AnalyzeSentiment", "BatchAnalyzeSentiment", "StreamAnalyzeSentiment"
    requests = "sentinova_requests_total"
    assert value(found, requests, **model, method=unary, code="OK") == 3
    assert value(found, requests, **model, method=unary, code="INVALID_ARGUMENT") == 1
    assert value(found, requests, model="", version="", method=unary, code="NOT_FOUND") == 1
    assert value(found, requests, **model, method=batch, code="OK") == 1
    assert value(found, requests, **model, method=stream, code="OK") == 1
    documents = "sentinova_documents_total"
    assert value(found, documents, **model, method=unary, code="OK") == 3
    assert value(found, documents, **model, method=batch, code="OK") == 4
    assert value(found, documents, **model, method=batch, code="INVALID_ARGUMENT") == 1
    assert value(found, documents, **model, method=stream, code="OK") == 5
    assert not any("evil" in str(key) for key in found)
    # Twelve documents went through the model, two were refused before it.
    assert value(found, "sentinova_queue_duration_seconds_count", **model) == 12
    assert value(found, "sentinova_tokenize_duration_seconds_count", **model) == 14
    assert value(found, "sentinova_batch_documents_sum", **model) == 12
    batches = value(found, "sentinova_batch_documents_count", **model)
    assert 5 <= batches <= 12
    for name in ("inference_duration_seconds", "batch_tokens"):
        assert value(found, f"sentinova_{name}_count", **model) == batches
    # Every document is padded to 16 tokens: "good film" has 4, "good" and "bad" have 3.
    assert value(found, "sentinova_batch_tokens_sum", **model) == 12 * 16
    assert value(found, "sentinova_padding_tokens_total", **model) == 12 * 16 - 3 * 4 - 9 * 3
    assert value(found, "sentinova_queued_documents", **model) == 0
    assert value(found, "sentinova_request_duration_seconds_count", **model, method=unary) == 4
    assert value(found, "sentinova_ready") == 1
    assert value(found, "sentinova_model_version_state", **model, state="AVAILABLE") == 1
    assert value(found, "sentinova_model_version_state", **model, state="LOADING") == 0
    [build] = [dict(labels) for name, labels in found if name == "sentinova_build_info"]
    assert build["version"]
    assert build["openvino"].startswith("20")
    assert value(found, "process_resident_memory_bytes") > 0


def test_openmetrics_is_given_to_who_asks_for_it(server):
    status, kind, text = get(f"{server.url}/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert status == 200
    assert kind.startswith("application/openmetrics-text")
    assert list(parse_openmetrics(text))


def test_pages(server):
    assert get(f"{server.url}/livez") == (200, "text/plain; charset=utf-8", "live\n")
    assert get(f"{server.url}/readyz") == (200, "text/plain; charset=utf-8", "ready\n")
    for path in ("/", "/metrics/x", "/favicon.ico", "/../etc/passwd"):
        with pytest.raises(urllib.error.HTTPError) as error:
            get(server.url + path)
        assert error.value.code == 404
        error.value.close()


def test_a_server_without_a_model_is_live_and_not_ready(start_server, tmp_path, connect_to):
    (tmp_path / "broken" / "1").mkdir(parents=True)
    with start_server(tmp_path) as server, connect_to(server.address) as stubs:
        assert get(f"{server.url}/livez")[0] == 200
        with pytest.raises(urllib.error.HTTPError) as error:
            get(f"{server.url}/readyz")
        assert error.value.code == 503
        error.value.close()
        health = health_pb2_grpc.HealthStub(stubs.channel)
        for name in ("", "broken", "sentinova.v1.SentimentService"):
            assert health.Check(health_pb2.HealthCheckRequest(service=name), timeout=30).status == NOT_SERVING
        found = samples(server)
        assert value(found, "sentinova_ready") == 0
        assert value(found, "sentinova_model_version_state", model="broken", version="1", state="FAILED") == 1


def test_health_is_told_for_the_server_its_services_and_its_models(server, connect_to):
    with connect_to(server.address) as stubs:
        health = health_pb2_grpc.HealthStub(stubs.channel)
        for name in ("", "sentinova.v1.SentimentService", "sentinova.v1.ModelService", "tiny"):
            assert health.Check(health_pb2.HealthCheckRequest(service=name), timeout=30).status == SERVING
        with pytest.raises(grpc.RpcError) as error:
            health.Check(health_pb2.HealthCheckRequest(service="nobody"), timeout=30)
        assert error.value.code() is grpc.StatusCode.NOT_FOUND


def test_reflection_describes_every_service(server, connect_to):
    with connect_to(server.address) as stubs:
        database = ProtoReflectionDescriptorDatabase(stubs.channel)
        assert {"sentinova.v1.SentimentService", "sentinova.v1.ModelService", "grpc.health.v1.Health"} <= set(
            database.get_services()
        )
        service = DescriptorPool(database).FindServiceByName("sentinova.v1.SentimentService")
        assert [method.name for method in service.methods] == [
            "AnalyzeSentiment",
            "BatchAnalyzeSentiment",
            "StreamAnalyzeSentiment",
        ]


def test_each_call_has_a_log_line_with_its_id_model_and_version(server, connect_to):
    with connect_to(server.address) as stubs:
        request = pb.AnalyzeSentimentRequest(document=pb.Document(text="a text that nobody should find in a log"))
        stubs.sentiment.AnalyzeSentiment(request, metadata=[("x-request-id", "id-123")], timeout=30)
    server.stop()
    [line] = [entry for entry in server.logs if entry.get("request_id") == "id-123"]
    assert line["milliseconds"] > 0
    del line["milliseconds"], line["timestamp"]
    assert line == {
        "event": "call",
        "level": "debug",
        "request_id": "id-123",
        "method": "AnalyzeSentiment",
        "model": "tiny",
        "version": "1",
        "code": "OK",
    }
    assert "nobody should find" not in json.dumps(server.logs)
