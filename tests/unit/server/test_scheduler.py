"""The queue answers every document exactly once, in bounded turns, and lets none hang."""

import asyncio
from concurrent.futures import Future

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentinova_server.errors import Reason, ServingError
from sentinova_server.serving.packing import BatchLimits
from sentinova_server.serving.scheduler import Scheduler, SchedulerLimits


class HandModel:
    """A model whose batches are finished by hand; logits are the first id and the length of each document."""

    parallelism = 1

    def __init__(self):
        self.batches, self.alone = [], []

    def padded_length(self, tokens):
        return -(-tokens // 16) * 16

    def batch_tokens(self, lengths):
        return len(lengths) * self.padded_length(max(lengths))

    def submit(self, batch, *, alone=False):
        future = Future()
        self.alone.append(alone)
        self.batches.append(([list(ids) for ids in batch], future))
        return future

    def finish(self, error=None):
        batch, future = next(item for item in self.batches if not item[1].done())
        if error:
            future.set_exception(error)
        else:
            future.set_result(np.array([[ids[0], len(ids)] for ids in batch], np.float32))


class Observed:
    def __init__(self):
        self.batches, self.queue, self.running = [], 0, 0
        self.started, self.ended = [], []

    def batch_started(self, *, alone):
        self.running += 1
        self.started.append(alone)

    def batch_ended(self, *, alone):
        self.running -= 1
        self.ended.append(alone)

    def batch_done(self, documents, tokens, padded_tokens, seconds):
        self.batches.append((documents, tokens, padded_tokens))

    def queue_changed(self, documents):
        self.queue = documents


class HandClock:
    now = 100.0

    def __call__(self):
        return self.now


class Bench:
    """A scheduler with all it needs."""

    def __init__(self, *, tokens=512, queue_size=1000, max_delay=0.0):
        self.model, self.observed, self.clock = HandModel(), Observed(), HandClock()
        limits = SchedulerLimits(BatchLimits(tokens), queue_size, max_delay)
        self.scheduler = Scheduler(self.model, limits, self.observed, self.clock)

    def send(self, first, length=8, deadline=None):
        return asyncio.create_task(self.scheduler.infer([first] * length, deadline))

    async def settle(self):
        for _ in range(5):
            await asyncio.sleep(0)

    async def finish_all(self):
        for _ in range(10_000):
            await self.settle()
            if all(future.done() for _, future in self.model.batches):
                return
            self.model.finish()
        raise AssertionError("batches do not end")


async def test_documents_that_come_together_share_a_batch():
    bench = Bench()
    tasks = [bench.send(i) for i in range(5)]
    await bench.finish_all()
    assert [batch for batch, _ in bench.model.batches] == [[[i] * 8 for i in range(5)]]
    assert [task.result().output[0] for task in tasks] == [0, 1, 2, 3, 4]
    assert bench.observed.batches == [(5, 40, 80)]


async def test_a_busy_model_gathers_what_comes_meanwhile():
    bench = Bench()
    first = bench.send(1)
    await bench.settle()
    later = [bench.send(i) for i in (2, 3)]
    await bench.settle()
    assert len(bench.model.batches) == 1
    assert bench.scheduler.waiting == bench.observed.queue == 2
    assert bench.observed.running == 1
    bench.clock.now += 2
    await bench.finish_all()
    assert first.result().inference_seconds == 2
    assert [task.result().queue_seconds for task in later] == [2, 2]
    assert [task.result().batch_tokens for task in (first, *later)] == [8, 16, 16]
    assert bench.observed.queue == bench.observed.running == 0


async def test_a_batch_is_alone_where_nothing_runs_and_nothing_waits():
    bench = Bench()
    together = [bench.send(i) for i in range(5)]
    await bench.settle()
    assert bench.model.alone == [True]
    bench.model.finish()
    await asyncio.gather(*together)
    # What comes once all is done is alone again.
    await bench.finish_all()
    again = bench.send(1)
    await bench.finish_all()
    assert bench.model.alone == [True, True]
    assert again.done()


async def test_a_batch_beside_one_that_runs_is_not_alone():
    bench = Bench()
    bench.model.parallelism = 2
    first = bench.send(1)
    await bench.settle()
    second = bench.send(2)
    await bench.settle()
    assert len(bench.model.batches) == 2
    assert bench.model.alone == bench.observed.started == [True, False]
    await bench.finish_all()
    assert bench.observed.ended == [True, False]
    assert first.done()
    assert second.done()


async def test_a_batch_behind_which_others_wait_is_not_alone():
    bench = Bench(tokens=32)
    tasks = [bench.send(i, 16) for i in range(5)]
    await bench.finish_all()
    # The last one leaves when the model is idle and the queue empty, but the one before it did not.
    assert [len(batch) for batch, _ in bench.model.batches] == [2, 2, 1]
    assert bench.model.alone == [False, False, False]
    assert all(task.done() for task in tasks)


async def test_after_company_two_batches_come_by_themselves_before_one_has_all_cores():
    bench = Bench(tokens=16)
    bench.model.parallelism = 2
    together = [bench.send(i, 16) for i in range(2)]
    await bench.finish_all()
    for i in range(4):
        bench.send(i)
        await bench.finish_all()
    assert bench.model.alone == [False, False, False, False, True, True]
    assert all(task.done() for task in together)


async def test_documents_of_a_failed_batch_have_each_other_for_company():
    bench = Bench()
    tasks = [bench.send(i) for i in range(2)]
    await bench.settle()
    bench.model.finish(RuntimeError("no"))
    await bench.finish_all()
    assert [len(batch) for batch, _ in bench.model.batches] == [2, 1, 1]
    assert bench.model.alone == [True, False, False]
    assert [task.result().output[0] for task in tasks] == [0, 1]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 600), min_size=1, max_size=80))
def test_every_document_is_answered_once_with_its_own_logits(lengths):
    async def scenario():
        bench = Bench()
        tasks = [bench.send(i, length) for i, length in enumerate(lengths)]
        await bench.finish_all()
        for i, (task, length) in enumerate(zip(tasks, lengths, strict=True)):
            assert task.result().output.tolist() == [i, length]
        sent = [ids[0] for batch, _ in bench.model.batches for ids in batch]
        assert sorted(sent) == list(range(len(lengths)))

    asyncio.run(scenario())


async def test_a_long_document_waits_for_at_most_the_batches_of_those_before_it():
    bench = Bench(tokens=64)
    blocker = bench.send(0)
    await bench.settle()
    before = [bench.send(1) for _ in range(3)]
    long = bench.send(2, 60)
    await bench.settle()
    batches = 0
    while not long.done():
        # Short ones keep coming, more than the model can take: they must not overtake for ever.
        bench.clock.now += 1
        flood = [bench.send(3) for _ in range(10)]
        await bench.settle()
        bench.model.finish()
        batches += 1
        await bench.settle()
        assert batches <= 3  # the blocker, those that came before it, and itself
    assert flood
    await bench.finish_all()
    await asyncio.gather(blocker, *before)


async def test_a_full_queue_refuses_at_once():
    bench = Bench(queue_size=2)
    first = bench.send(0)
    await bench.settle()
    waiting = [bench.send(1), bench.send(2)]
    await bench.settle()
    with pytest.raises(ServingError) as refused:
        await bench.scheduler.infer([1], None)
    assert refused.value.reason is Reason.QUEUE_FULL
    assert refused.value.retry_after > 0
    await bench.finish_all()
    await asyncio.gather(first, *waiting)


async def test_a_cancelled_document_never_reaches_the_model():
    bench = Bench()
    first = bench.send(0)
    await bench.settle()
    gone, kept = bench.send(1), bench.send(2)
    await bench.settle()
    gone.cancel()
    await bench.settle()
    assert bench.scheduler.waiting == 1
    await bench.finish_all()
    assert [ids[0] for batch, _ in bench.model.batches for ids in batch] == [0, 2]
    assert gone.cancelled()
    await asyncio.gather(first, kept)


async def test_an_expired_document_never_reaches_the_model():
    bench = Bench()
    first = bench.send(0)
    await bench.settle()
    late, kept = bench.send(1, deadline=101.0), bench.send(2, deadline=200.0)
    await bench.settle()
    bench.clock.now = 102.0
    await bench.finish_all()
    assert [ids[0] for batch, _ in bench.model.batches for ids in batch] == [0, 2]
    with pytest.raises(ServingError) as error:
        await late
    assert error.value.reason is Reason.DEADLINE_EXCEEDED
    await asyncio.gather(first, kept)


async def test_a_document_that_the_model_fails_on_fails_alone():
    bench = Bench()
    tasks = [bench.send(i) for i in range(3)]
    await bench.settle()
    bench.model.finish(RuntimeError("batch"))
    await bench.settle()
    assert bench.model.batches[1][0] == [[0] * 8]
    bench.model.finish(RuntimeError("first"))
    await bench.finish_all()
    with pytest.raises(ServingError) as error:
        await tasks[0]
    assert error.value.reason is Reason.INFERENCE_FAILED
    assert str(error.value.__cause__) == "first"
    assert [(await task).output[0] for task in tasks[1:]] == [1, 2]


async def test_documents_of_a_failed_batch_are_not_mixed_with_others_and_can_be_cancelled():
    bench = Bench()
    older = bench.send(9, 40)  # holds the model until the three have gathered
    await bench.settle()
    batch = [bench.send(i) for i in range(3)]
    await bench.settle()
    bench.model.finish()
    await bench.settle()
    await older
    waiting = bench.send(7)
    await bench.settle()
    bench.model.finish(RuntimeError("batch"))
    await bench.settle()
    assert bench.model.batches[2][0] == [[0] * 8]
    assert bench.scheduler.waiting == bench.observed.queue == 3
    batch[1].cancel()
    await bench.settle()
    assert bench.scheduler.waiting == bench.observed.queue == 2
    await bench.finish_all()
    assert [ids for ids, _ in bench.model.batches[2:]] == [[[0] * 8], [[2] * 8], [[7] * 8]]
    await asyncio.gather(batch[0], batch[2], waiting)


async def test_a_batch_that_is_not_full_waits_as_long_as_it_is_told():
    bench = Bench(tokens=32, max_delay=0.01)
    first = bench.send(0)
    await bench.settle()
    assert bench.model.batches == []
    second = bench.send(1)
    await bench.settle()
    assert len(bench.model.batches) == 1  # full: 2 documents of 16 padded tokens
    await bench.finish_all()
    third = bench.send(2)
    await bench.settle()
    assert len(bench.model.batches) == 1
    bench.clock.now += 0.01
    while len(bench.model.batches) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    await bench.finish_all()
    await asyncio.gather(first, second, third)
