"""Streams of both clients against the fake server: order, errors, bounds, and what happens when either side stops."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading

import pytest
from fake_server import DOWN, FULL, FakeServer
from sentinova import (
    AsyncClient,
    CallCancelledError,
    Client,
    DeadlineExceededError,
    InternalError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)


def test_every_text_gets_its_answer(client):
    texts = [f"{'bad' if number % 3 else 'good'} {number}" for number in range(1000)]
    answers = {each.index: each for each in client.stream(texts)}
    assert sorted(answers) == list(range(1000))
    for index, answer in answers.items():
        assert answer.id == str(index)
        assert answer.unwrap().label == ("negative" if index % 3 else "positive")


def test_no_text_no_answer(client):
    assert list(client.stream([])) == []


def test_answers_come_in_the_order_of_the_server(client, behaviour):
    behaviour.backwards = 4
    assert [each.index for each in client.stream(["x"] * 8)] == [3, 2, 1, 0, 7, 6, 5, 4]


def test_answers_can_be_put_in_order(client, behaviour):
    behaviour.backwards = 4
    assert [each.index for each in client.stream(["x"] * 10, ordered=True)] == list(range(10))


def test_ids_of_the_caller_come_back_even_where_they_repeat(client, behaviour):
    behaviour.backwards = 3
    pairs = [("a", "good"), ("a", "bad"), ("ü" * 300, "good")]
    answers = list(client.stream(pairs))
    assert [(each.index, each.id) for each in answers] == [(2, "ü" * 300), (1, "a"), (0, "a")]
    assert [each.result.label for each in answers] == ["positive", "negative", "positive"]


@pytest.mark.parametrize("ordered", [False, True])
def test_one_bad_text_fails_alone(client, ordered):
    answers = sorted(client.stream(["good", "", "\udc80", "bad"], ordered=ordered), key=lambda each: each.index)
    assert [each.result.label if each.result else each.error.reason for each in answers] == [
        "positive",
        "TEXT_EMPTY",
        "TEXT_NOT_UNICODE",
        "negative",
    ]
    with pytest.raises(type(answers[1].error)):
        answers[1].unwrap()


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("size", [1, 5])
def test_the_input_is_not_read_far_ahead(client, size, ordered):
    read = itertools.count()
    latest = -1

    def endless():
        nonlocal latest
        for latest in read:  # noqa: B007
            yield "good"

    stream = client.stream(endless(), max_in_flight=size, ordered=ordered)
    assert latest == -1
    for taken in range(1, 50):
        next(stream)
        assert latest + 1 <= taken + size
    stream.close()


def test_closing_early_cancels_the_call(client, behaviour):
    stream = client.stream(itertools.repeat("good"))
    next(stream)
    assert not behaviour.stream_over.is_set()
    stream.close()
    assert behaviour.stream_over.wait(60)


def test_letting_go_cancels_the_call(client, behaviour):
    stream = client.stream(itertools.repeat("good"))
    next(stream)
    del stream
    gc.collect()
    if client.runner is not None:
        client.runner.run(asyncio.sleep(0))
    assert behaviour.stream_over.wait(60)


def test_the_failure_of_the_input_comes_after_the_answers(client, behaviour):
    def breaking():
        yield from ["good", "bad"]
        raise KeyError("mine")

    stream = client.stream(breaking())
    assert [next(stream).result.label for _ in range(2)] == ["positive", "negative"]
    with pytest.raises(KeyError, match="mine"):
        next(stream)
    assert behaviour.stream_over.wait(60)


@pytest.mark.parametrize("item", [7, ("id",), ("id", 7), ("a", "b", "c")])
def test_an_item_of_another_kind_is_refused(client, item):
    with pytest.raises(TypeError, match="document"):
        list(client.stream([item]))


def test_a_stream_as_a_whole_can_fail(client):
    with pytest.raises(NotFoundError) as caught:
        list(client.stream(["good"] * 9, model="nope"))
    assert caught.value.reason == "MODEL_NOT_FOUND"


@pytest.mark.parametrize(
    ("failure", "kind"), [(DOWN, UnavailableError), (FULL, ResourceExhaustedError)], ids=["down", "full"]
)
def test_a_stream_is_not_tried_again(client, behaviour, failure, kind):
    behaviour.failures = [failure]
    with pytest.raises(kind) as caught:
        list(client.stream(["good"] * 100))
    assert caught.value.reason in {"MODEL_LOADING", "QUEUE_FULL"}
    assert behaviour.calls["StreamAnalyzeSentiment"] == 1


def test_a_server_that_stops_answering_is_noticed(client, behaviour):
    behaviour.hang = True
    with pytest.raises(DeadlineExceededError, match=r"while [12] documents waited"):
        list(client.stream(["good", "good"], timeout=0.1))


def test_a_document_without_an_answer_is_noticed(client, behaviour):
    behaviour.backwards = 5
    behaviour.answers_short = 1
    with pytest.raises(InternalError, match="STREAM_CUT"):
        list(client.stream(["good", "bad"]))


def test_an_answer_to_nothing_is_noticed(client, behaviour):
    behaviour.wrong_id = True
    with pytest.raises(InternalError, match="UNEXPECTED_ANSWER"):
        list(client.stream(["good"]))


def test_a_server_that_goes_away_ends_the_stream(client, server):
    stream = client.stream(itertools.repeat("good"))
    next(stream)
    server.stop()
    with pytest.raises(UnavailableError):
        for _ in stream:
            pass


async def test_asynchronous_input(server: FakeServer):
    async def texts():
        for number in range(20):
            await asyncio.sleep(0)
            yield f"id {number}", "bad"

    async with AsyncClient(server.address) as client:
        answers = [each async for each in client.stream(texts(), ordered=True, max_in_flight=3)]
    assert [each.id for each in answers] == [f"id {number}" for number in range(20)]


async def test_cancelling_a_task_cancels_its_stream(server: FakeServer):
    async def endless():
        while True:
            await asyncio.sleep(0)
            yield "good"

    started = asyncio.Event()

    async def consume(client):
        async for _ in client.stream(endless()):
            started.set()

    async with AsyncClient(server.address) as client:
        task = asyncio.create_task(consume(client))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.behaviour.stream_over.wait, 60)


async def test_calls_run_side_by_side(server: FakeServer):
    async with AsyncClient(server.address) as client:
        results = await asyncio.gather(*(client.analyze(f"bad {number}") for number in range(50)))
    assert {each.label for each in results} == {"negative"}


async def follow(client: AsyncClient, texts, answered: asyncio.Event) -> None:
    async for _ in client.stream(texts):
        answered.set()


async def test_closing_the_client_ends_a_stream_that_waits_for_an_answer(server: FakeServer):
    server.behaviour.hang = True
    read = asyncio.Event()

    async def texts():
        yield "good"
        read.set()

    client = AsyncClient(server.address, timeout=None)
    task = asyncio.create_task(follow(client, texts(), asyncio.Event()))
    await read.wait()
    await client.close()
    with pytest.raises(CallCancelledError, match="the client was closed"):
        await task


async def test_closing_the_client_ends_a_stream_that_waits_for_a_text(server: FakeServer):
    answered = asyncio.Event()

    async def texts():
        yield "good"
        await asyncio.Event().wait()

    client = AsyncClient(server.address, timeout=None)
    task = asyncio.create_task(follow(client, texts(), answered))
    await answered.wait()
    await client.close()
    with pytest.raises(CallCancelledError, match="the client was closed"):
        await task


def test_closing_the_client_from_another_thread_ends_a_stream_that_waits(server: FakeServer):
    answered, never = threading.Event(), threading.Event()

    def texts():
        yield "good"
        never.wait()

    def exhaust(stream):
        for _ in stream:
            answered.set()

    client = Client(server.address, timeout=None)
    closer = threading.Thread(target=lambda: answered.wait() and client.close())
    closer.start()
    try:
        with pytest.raises(CallCancelledError, match="the client was closed"):
            exhaust(client.stream(texts()))
    finally:
        never.set()
        closer.join()


def test_a_stream_of_a_closed_client_gives_what_came_and_ends(client):
    stream = client.stream(itertools.repeat("good"), timeout=100_000)
    next(stream)
    client.close()
    with pytest.raises(CallCancelledError, match="the client was closed"):
        for _ in stream:
            pass
