"""A real server that keeps answers gives the same ones, whichever call asks, and says what it kept."""

import urllib.request

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sentinova.v1 import sentiment_service_pb2 as pb

TEXTS = ["good film", "bad", "the film not good"]


def cache_metrics(server):
    """Gives the cache's metrics of each model, by name."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as response:
        text = response.read().decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith("sentinova_cache_") and not sample.name.endswith("_created"):
                name = sample.name.removeprefix("sentinova_cache_")
                found.setdefault(sample.labels["model"], {})[name] = sample.value
    return found


@pytest.fixture
def repository(tiny_repository, tiny_version):
    """A repository of two equal models: `tiny` keeps its answers, `plain` does not."""
    (tiny_repository / "tiny" / "config.pbtxt").write_text("response_cache { enable: true }\n")
    tiny_version(tiny_repository / "plain" / "1")
    return tiny_repository


def unary(stubs, text, model, **config):
    config = pb.AnalysisConfig(model=model, **config)
    request = pb.AnalyzeSentimentRequest(document=pb.Document(text=text), config=config)
    return stubs.sentiment.AnalyzeSentiment(request, timeout=30).result


def batch(stubs, texts, model):
    documents = [pb.Document(text=text) for text in texts]
    request = pb.BatchAnalyzeSentimentRequest(documents=documents, config=pb.AnalysisConfig(model=model))
    return stubs.sentiment.BatchAnalyzeSentiment(request, timeout=30).results


def stream(stubs, texts, model):
    messages = [pb.StreamAnalyzeSentimentRequest(config=pb.AnalysisConfig(model=model))]
    messages += [pb.StreamAnalyzeSentimentRequest(document=pb.Document(id=text, text=text)) for text in texts]
    return {answer.id: answer.result for answer in stubs.sentiment.StreamAnalyzeSentiment(iter(messages), timeout=30)}


def answer(result):
    """Gives all of a result that does not depend on who gave it, and when."""
    return result.label, result.score, list(map(str, result.scores)), result.token_count, result.truncated


def took_no_time(result):
    times = result.timings
    return not any(part.ToNanoseconds() for part in (times.tokenization, times.queue, times.inference))


def test_unary_batch_and_stream_share_the_answers_that_are_kept(start_server, repository, connect_to):
    with start_server(repository) as server, connect_to(server.address) as stubs:
        expected = {text: answer(unary(stubs, text, "plain")) for text in TEXTS}
        first = unary(stubs, TEXTS[0], "tiny")
        assert first.timings.inference.ToNanoseconds() > 0
        again = unary(stubs, TEXTS[0], "tiny")
        [kept, new] = [item.result for item in batch(stubs, TEXTS[:2], "tiny")]
        streamed = stream(stubs, TEXTS, "tiny")
        last = unary(stubs, TEXTS[2], "tiny")
        found = cache_metrics(server)
    assert [answer(result) for result in (first, again, kept)] == [expected[TEXTS[0]]] * 3
    assert answer(new) == expected[TEXTS[1]]
    assert {text: answer(result) for text, result in streamed.items()} == expected
    assert answer(last) == expected[TEXTS[2]]
    assert all(took_no_time(result) for result in (again, kept, streamed[TEXTS[0]], streamed[TEXTS[1]], last))
    assert not any(took_no_time(result) for result in (first, new, streamed[TEXTS[2]]))
    assert (first.model.name, again.model.name, again.model.version) == ("tiny", "tiny", 1)
    size = found["tiny"].pop("bytes")
    assert 3 * 300 < size < 3 * 1000
    counts = {"hits_total": 5, "misses_total": 3, "shared_total": 0, "evictions_total": 0, "entries": 3}
    assert found == {"tiny": counts}  # and nothing of the other model


def test_equal_documents_of_a_batch_are_inferred_once_and_errors_every_time(start_server, repository, connect_to):
    with start_server(repository) as server, connect_to(server.address) as stubs:
        for _ in range(2):
            results = batch(stubs, ["good"] * 20 + ["", "the " * 100, ""], "tiny")
            assert {str(answer(item.result)) for item in results[:20]} == {str(answer(unary(stubs, "good", "plain")))}
            fields = [item.error.details[1].value for item in results[20:]]
            assert [
                f"documents[{index}].text".encode() in field for index, field in zip((20, 21, 22), fields, strict=True)
            ]
        with pytest.raises(grpc.RpcError) as error:
            unary(stubs, "the " * 100, "tiny")
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert unary(stubs, "the " * 100, "tiny", long_text_policy=pb.LONG_TEXT_POLICY_TRUNCATE).truncated
        found = cache_metrics(server)["tiny"]
    assert (found["hits_total"], found["shared_total"]) == (20, 19)
    assert found["misses_total"] == 1 + 2 * 3 + 1 + 1
    assert found["entries"] == 2


@pytest.mark.parametrize(("size", "entries"), [("0", 0), ("1800", 2)])
def test_the_bytes_are_the_operators_choice(start_server, repository, connect_to, size, entries):
    texts = ["good", "bad", "film", "not"]
    with start_server(repository, "--response-cache-bytes", size) as server, connect_to(server.address) as stubs:
        for text in texts * 2:
            assert answer(unary(stubs, text, "tiny")) == answer(unary(stubs, text, "plain"))
        found = cache_metrics(server)["tiny"]
    assert found["bytes"] <= int(size)
    # Each text comes when it has just been evicted.
    expected = {
        "hits_total": 0,
        "misses_total": 8,
        "entries": entries,
        "evictions_total": (8 - entries) if entries else 0,
    }
    assert {name: found[name] for name in expected} == expected
