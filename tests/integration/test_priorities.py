"""Levels of priority and the queue timeout of a model's config.pbtxt, on a real server."""

from __future__ import annotations

import pytest
from sentinova import Client, DeadlineExceededError, InvalidArgumentError

LEVELS = """
dynamic_batching {
  priority_levels: 2 default_priority_level: 2
  default_queue_policy { default_timeout_microseconds: 60000000 }
}
"""

# Over before a document's batch can start.
NO_TIME = "dynamic_batching { default_queue_policy { default_timeout_microseconds: 1 } }"


@pytest.fixture(scope="module")
def client(tmp_path_factory, tiny_version, start_server):
    repository = tmp_path_factory.mktemp("repository")
    for name, config in (("levels", LEVELS), ("plain", ""), ("no_time", NO_TIME)):
        tiny_version(repository / name / "1")
        (repository / name / "config.pbtxt").write_text(config)
    with start_server(repository) as server, Client(server.address) as client:
        yield client


def calls(client, **options):
    """Makes a call of each kind with one text; gives the labels."""
    yield lambda: client.analyze("good", **options).label
    yield lambda: client.analyze_batch(["good"], **options)[0].label
    yield lambda: next(client.stream(["good"], **options)).unwrap().label


@pytest.mark.parametrize(("model", "priority"), [("levels", 0), ("levels", 1), ("levels", 2), ("plain", 0)])
def test_a_level_that_the_model_has_is_answered(client, model, priority):
    for call in calls(client, model=model, priority=priority):
        assert call() == "positive"


@pytest.mark.parametrize(
    ("model", "priority", "told"),
    [
        ("levels", 3, "config.priority is 3; this model takes 1, the highest, to 2, or 0 for its default level"),
        ("plain", 1, "config.priority is 1; this model takes 0: it has no levels"),
    ],
)
def test_a_level_that_the_model_has_not_is_refused_as_a_whole(client, model, priority, told):
    for call in calls(client, model=model, priority=priority):
        with pytest.raises(InvalidArgumentError) as caught:
            call()
        assert caught.value.reason == "INVALID_FIELD"
        assert [violation.field for violation in caught.value.field_violations] == ["config.priority"]
        assert told in str(caught.value)
        assert client.analyze("bad", model=model).label == "negative"


def test_a_document_that_waits_for_longer_than_the_model_lets_it_is_answered_so(client):
    with pytest.raises(DeadlineExceededError) as caught:
        client.analyze("good", model="no_time")
    assert caught.value.reason == "DEADLINE_EXCEEDED"
    assert "as long as this model lets it" in str(caught.value)
