"""A text that comes alone runs in a second form of its model, and gets the score that it gets among others."""

from pathlib import Path

import pytest
from sentinova import Client
from sentinova_server.runtime.engine import count_cores

REPOSITORY = Path(__file__).resolve().parents[2] / "model_repository"
TWO_STREAMS = ("--precision", "f32", "--inference-streams", "2", "--inference-threads", "2")


@pytest.mark.skipif(count_cores() < 2, reason="one core: there is nothing to spread a text over")
def test_a_lone_text_gets_the_scores_that_it_gets_in_a_batch(start_server, golden_cases):
    texts = [case["text"] for case in golden_cases]
    with start_server(REPOSITORY, *TWO_STREAMS) as server, Client(server.address) as client:
        loaded = {log["version"]: log for log in server.logs if log["event"] == "version_available"}
        assert {version: (log["streams"], log["latency_threads"]) for version, log in loaded.items()} == {
            1: (2, 2),
            2: (2, 2),
        }
        for version in loaded:
            together = [result.scores for result in client.analyze_batch(texts, version=version)]
            alone = [client.analyze(text, version=version).scores for text in texts]
            for one, among, text in zip(alone, together, texts, strict=True):
                # As much as scores in float32 depend on what else is in a batch.
                assert one == pytest.approx(among, abs=5e-6), text[:60]


@pytest.mark.parametrize("flags", [("--latency-threads", "0"), ("--inference-streams", "1")])
def test_there_is_no_second_form_where_none_is_wanted_or_gains(start_server, tiny_repository, flags):
    with start_server(tiny_repository, *TWO_STREAMS, *flags) as server, Client(server.address) as client:
        assert server.wait_for("version_available")["latency_threads"] == 0
        assert client.analyze("good film").label == "positive"
