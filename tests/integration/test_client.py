"""Both Python clients and the `sentinova` command against a real server process."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sentinova import (
    AsyncClient,
    Client,
    InvalidArgumentError,
    NotFoundError,
    SentinovaError,
    UnavailableError,
    VersionState,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def address(tmp_path_factory, tiny_version, start_server):
    repository = tmp_path_factory.mktemp("repository")
    tiny_version(repository / "tiny" / "1")
    with start_server(repository) as server:
        yield server.address


@pytest.fixture
def client(address):
    with Client(address) as client:
        client.wait_until_ready(60)
        yield client


def mixed_texts(count: int) -> list[str]:
    """Texts of 1 to 40 words of the tiny model, no two neighbours alike."""
    words = ["good", "bad", "not", "the", "film"]
    return [" ".join(words[(number + place) % 5] for place in range(1 + number * 7 % 40)) for number in range(count)]


def essence(outcome):
    return (outcome.label, outcome.version, outcome.token_count, outcome.truncated, round(outcome.score, 4))


def test_plain_sentences(client):
    good, bad = client.analyze("the good film"), client.analyze("bad film")
    assert (good.label, bad.label) == ("positive", "negative")
    assert good.model == "tiny"
    assert sum(good.scores.values()) == pytest.approx(1, abs=1e-5)
    assert list(good.scores) == ["negative", "positive"]
    assert good.token_count == 5


def test_one_by_one_in_a_batch_and_in_a_stream_the_answers_are_the_same(client, address):
    texts = mixed_texts(1000)
    streamed = [essence(answer.unwrap()) for answer in client.stream(texts, ordered=True)]
    batched = [essence(each) for each in client.analyze_batch(texts)]

    async def one_by_one():
        async with AsyncClient(address) as other:
            in_stream = [essence(each.unwrap()) async for each in other.stream(texts, ordered=True)]
            alone = await asyncio.gather(*(other.analyze(text) for text in texts))
            return in_stream, [essence(each) for each in alone]

    assert [streamed, streamed] == list(asyncio.run(one_by_one()))
    assert batched == streamed


def test_long_text_is_answered_as_asked(client):
    text = "good " * 500
    with pytest.raises(InvalidArgumentError) as caught:
        client.analyze(text)
    assert caught.value.reason == "TEXT_TOO_LONG"
    cut = client.analyze(text, long_text="truncate")
    assert (cut.truncated, cut.token_count, cut.label) == (True, 64, "positive")


def test_one_bad_text_fails_alone(client):
    texts = ["good", "", "good " * 500, "bad"]
    for outcomes in (
        client.analyze_batch(texts),
        [each.result or each.error for each in client.stream(texts, ordered=True)],
    ):
        kinds = [each.reason if isinstance(each, SentinovaError) else each.label for each in outcomes]
        assert kinds == ["positive", "TEXT_EMPTY", "TEXT_TOO_LONG", "negative"]


@pytest.mark.parametrize(("model", "version"), [("nope", None), ("tiny", 99)])
def test_what_is_not_there_is_not_found(client, model, version):
    expected = "MODEL_NOT_FOUND" if model == "nope" else "VERSION_NOT_FOUND"
    calls = [
        lambda: client.analyze("good", model=model, version=version),
        lambda: client.analyze_batch(["good"], model=model, version=version),
        lambda: list(client.stream(["good"] * 300, model=model, version=version)),
    ]
    for call in calls:
        with pytest.raises(NotFoundError) as caught:
            call()
        assert caught.value.reason == expected


def test_models(client):
    (only,) = client.list_models()
    assert (only.name, only.default_version) == ("tiny", 1)
    assert only.versions[0].state is VersionState.AVAILABLE
    assert only.versions[0].labels == ("negative", "positive")
    assert client.get_model("tiny") == only
    with pytest.raises(NotFoundError):
        client.get_model("nope")


def test_a_stream_that_is_left_early_leaves_the_server_well(client):
    for _ in range(5):
        stream = client.stream(mixed_texts(1000))
        next(stream)
        stream.close()
    assert client.analyze("good").label == "positive"


def test_the_command(address):
    environment = {**os.environ, "SENTINOVA_ADDRESS": address, "PYTHONPATH": os.pathsep.join(sys.path)}
    code = "from sentinova.cli import main; main()"
    command = [sys.executable, "-c", code, "analyze", "--json", "good film", "bad film"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=ROOT)
    assert [json.loads(line)["label"] for line in done.stdout.splitlines()] == ["positive", "negative"]


def test_a_server_that_stops(start_server, tiny_repository):
    with start_server(tiny_repository) as server, Client(server.address, attempts=1) as client:
        assert client.is_ready()
        assert server.stop() == 0
        assert not client.is_ready()
        with pytest.raises(UnavailableError):
            client.analyze("good")
