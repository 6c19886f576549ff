"""Whether live work leaves room is told rightly, and whoever waits for room is woken when there is some."""

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova_server.observability.metrics import Metrics
from sentinova_server.repository.config import ModelConfig
from sentinova_server.runtime.tokenizer import TokenizedText
from sentinova_server.serving.activity import Activity
from sentinova_server.serving.analysis import LongText, TextClassifier
from sentinova_server.serving.packing import BatchLimits
from sentinova_server.serving.scheduler import SchedulerLimits


async def settle():
    for _ in range(8):
        await asyncio.sleep(0)


def test_there_is_room_while_a_core_is_free_and_nobody_waits():
    activity = Activity(2)
    assert activity.is_idle
    activity.batch_started(1)
    assert activity.is_idle
    activity.batch_started(1)
    assert not activity.is_idle
    activity.batch_ended(1)
    activity.waiting_changed(3)
    assert not activity.is_idle
    activity.waiting_changed(-2)
    assert not activity.is_idle
    activity.waiting_changed(-1)
    assert activity.is_idle


@pytest.mark.parametrize(("cores", "parallelism", "taken"), [(8, 8, 1), (8, 1, 8), (8, 4, 2), (2, 4, 1), (1, 1, 1)])
def test_a_batch_takes_its_part_of_the_cores(cores, parallelism, taken):
    assert Activity(cores).cores_of(parallelism) == taken


async def test_who_waits_is_woken_when_there_is_room_and_not_before():
    activity = Activity(1)
    await activity.wait_until_idle()  # at once
    activity.batch_started(1)
    waiting = [asyncio.create_task(activity.wait_until_idle()) for _ in range(2)]
    await settle()
    activity.waiting_changed(1)
    activity.batch_ended(1)
    await settle()
    assert not any(task.done() for task in waiting)
    activity.waiting_changed(-1)
    # Room for a moment only, within one turn of the loop: not room.
    activity.batch_started(1)
    await settle()
    assert not any(task.done() for task in waiting)
    activity.batch_ended(1)
    await settle()
    assert all(task.done() for task in waiting)


@given(st.lists(st.sampled_from(["start", "end", "come", "go", "turn"]), max_size=60), st.integers(1, 3))
def test_whatever_happens_a_waiter_goes_on_with_the_first_turn_that_has_room(steps, cores):
    async def scenario():
        activity, busy, waiting = Activity(cores), 0, 0
        waiter = None
        for step in [*steps, *["end"] * 60, *["go"] * 60, "turn"]:
            if step == "start" and busy < cores:
                busy += 1
                activity.batch_started(1)
            elif step == "end" and busy:
                busy -= 1
                activity.batch_ended(1)
            elif step == "come":
                waiting += 1
                activity.waiting_changed(+1)
            elif step == "go" and waiting:
                waiting -= 1
                activity.waiting_changed(-1)
            elif step == "turn":
                waiter = waiter or asyncio.create_task(activity.wait_until_idle())
                await settle()
                assert waiter.done() == activity.is_idle == (not waiting and busy < cores)
                waiter = None if waiter.done() else waiter
        assert waiter is None

    asyncio.run(scenario())


class HandModel:
    """A model whose batches are finished by hand; one token a word."""

    labels, max_tokens, parallelism, latency_threads = ("negative", "positive"), 64, 1, 0

    def __init__(self):
        self.tokenizer, self.batches = self, []

    def tokenize(self, text, truncate=False):
        words = text.split()
        return TokenizedText(list(range(len(words))), False, len(words), is_empty=not words)

    def padded_length(self, tokens):
        return tokens

    def batch_tokens(self, lengths):
        return len(lengths) * max(lengths)

    def submit(self, batch, *, alone=False):
        future = asyncio.get_running_loop().create_future()
        self.batches.append((len(batch), future))
        return future

    def finish(self, error=None):
        size, future = next(item for item in self.batches if not item[1].done())
        if error:
            future.set_exception(error)
        else:
            future.set_result(np.zeros((size, 2), np.float32))


class Recorded(Activity):
    """Keeps what it is told, too."""

    def __init__(self, cores):
        super().__init__(cores)
        self.running = self.queued = 0

    def batch_started(self, cores):
        super().batch_started(cores)
        self.running += cores

    def batch_ended(self, cores):
        super().batch_ended(cores)
        self.running -= cores

    def waiting_changed(self, documents):
        super().waiting_changed(documents)
        self.queued += documents


async def test_a_batch_that_comes_alone_takes_the_cores_of_its_threads():
    activity, model = Recorded(4), HandModel()
    model.parallelism, model.latency_threads = 4, 3
    limits = SchedulerLimits(BatchLimits(16), 100)
    options = {"config": ModelConfig("m"), "max_text_bytes": 1000, "metrics": Metrics(), "activity": activity}
    classifier = TextClassifier("m", 1, model, limits, **options)
    first = asyncio.create_task(classifier.analyze("a b", LongText.ERROR, None))
    await settle()
    assert activity.running == 3
    second = asyncio.create_task(classifier.analyze("a b", LongText.ERROR, None))
    await settle()
    assert (activity.running, activity.is_idle) == (4, False)
    model.finish()
    await settle()
    assert (activity.running, activity.is_idle) == (1, True)
    model.finish()
    await asyncio.gather(first, second)
    await settle()
    assert activity.running == 0


async def test_a_classifier_tells_of_its_batches_and_its_queue_also_where_they_fail_or_are_cancelled():
    activity, models = Recorded(4), [HandModel(), HandModel()]
    limits = SchedulerLimits(BatchLimits(16), 100)
    options = {"config": ModelConfig("m"), "max_text_bytes": 1000, "metrics": Metrics(), "activity": activity}
    one, two = (TextClassifier(f"m{i}", 1, model, limits, **options) for i, model in enumerate(models))
    tasks = [asyncio.create_task(one.analyze("a b", LongText.ERROR, None)) for _ in range(8)]
    await settle()
    tasks += [asyncio.create_task(one.analyze("a b", LongText.ERROR, None)) for _ in range(3)]
    tasks += [asyncio.create_task(two.analyze("a b", LongText.ERROR, None))]
    await settle()
    # One batch at a time: each takes all four cores.
    assert (activity.running, activity.queued) == (8, 3)
    tasks[8].cancel()
    await settle()
    assert (activity.running, activity.queued) == (8, 2)
    models[1].finish()
    await settle()
    assert (activity.running, activity.queued) == (4, 2)
    models[0].finish(RuntimeError("a batch fails"))
    await settle()
    assert (activity.running, activity.queued) == (4, 9)  # the first of eight runs alone, the others wait
    while activity.running:
        models[0].finish()
        await settle()
    assert activity.queued == 0
    assert activity.is_idle
    await asyncio.gather(*tasks, return_exceptions=True)
