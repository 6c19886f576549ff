"""The bound on waiting, levels and deadlines, in simulated time: an hour passes in no time, and to the tick.

The clock is the event loop's own, which jumps to the next timer whenever there is nothing left to do. All times are
whole ticks of 1/1024 s, so that sums of them are exact and bounds can be asserted without a tolerance.
"""

import asyncio
import gc
import math
import selectors
import weakref
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentinova_server.errors import Reason, ServingError
from sentinova_server.serving.packing import BatchLimits
from sentinova_server.serving.scheduler import Scheduler, SchedulerLimits

TICK = 1 / 1024
SECOND = 1024


class SimulatedSelector(selectors.DefaultSelector):
    """Where the loop would sleep, its time passes instead."""

    now = 0.0

    def select(self, timeout=None):
        events = super().select(0)
        if not events and timeout != 0:
            assert timeout is not None, (
                "nothing will ever happen again: somebody waits for an answer that does not come"
            )
            self.now += timeout
        return events


class SimulatedLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self.selector = SimulatedSelector()
        super().__init__(self.selector)

    def time(self):
        return self.selector.now


def simulate(scenario):
    """Runs a scenario in simulated time; an error that nobody sees, as a document answered twice, is one of the test."""
    unseen = []
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: unseen.append(context))
        result = runner.run(scenario)
    assert unseen == []
    return result


@dataclass(eq=False)
class Batch:
    number: int  # place among all that happens
    documents: list
    started: float
    ended: float = math.inf


@dataclass(eq=False)
class Sent:
    """A document, and what became of it."""

    index: int
    level: int
    length: int
    deadline: float | None
    number: int = -1  # place of its coming among all that happens
    came: float = math.inf
    batches: list = field(default_factory=list)
    outcome: object = None
    left: float = math.inf
    left_number: float = math.inf
    cancelled_number: float = math.inf
    task: asyncio.Task | None = None

    @property
    def start_number(self):
        return self.batches[0].number if self.batches else math.inf


class World:
    """A scheduler, its model, and a record of all that happens."""

    def __init__(self, *, tokens=64, ticks=(4,), faults=(), parallelism=1, queue_size=10_000, **limits):
        self.loop = asyncio.get_running_loop()
        self.parallelism, self.ticks, self.faults = parallelism, ticks, faults
        self.limits = SchedulerLimits(BatchLimits(tokens), queue_size, **limits)
        self.scheduler = Scheduler(self, self.limits, self, self.loop.time)
        self.sent, self.batches = [], []
        self.running = self.queue = self.happened = self.under_way = 0

    # What the scheduler needs of a model.

    def padded_length(self, tokens):
        return -(-tokens // 16) * 16

    def batch_tokens(self, lengths):
        return len(lengths) * self.padded_length(max(lengths))

    def submit(self, batch, *, alone=False):
        number = len(self.batches)
        fault = self.faults[number % len(self.faults)] if self.faults else None
        documents = [self.sent[ids[0]] for ids in batch]
        self.batches.append(Batch(self.count(), documents, self.loop.time()))
        for document in documents:
            document.batches.append(self.batches[-1])
        if fault == "refuse":
            self.batches[-1].ended = self.loop.time()
            raise RuntimeError("the model is closed")
        assert self.running < self.parallelism
        self.running += 1
        future = Future()
        self.loop.call_later(self.ticks[number % len(self.ticks)] * TICK, self.end, self.batches[-1], future, fault)
        return future

    def end(self, batch, future, fault):
        self.running -= 1
        batch.ended = self.loop.time()
        rows = [[each.index, each.length] for each in batch.documents]
        if fault == "cancel":
            future.cancel()
        elif fault == "fail":
            future.set_exception(RuntimeError("the model failed"))
        else:
            future.set_result(np.array(rows[1:] if fault == "miscount" else rows, np.float32))

    # Who is told of batches and the queue's length.

    def batch_started(self, *, alone):
        self.under_way += 1
        assert self.under_way <= self.parallelism

    def batch_ended(self, *, alone):
        self.under_way -= 1
        assert self.under_way >= 0

    def batch_done(self, documents, tokens, padded_tokens, seconds):
        assert 0 < tokens <= padded_tokens
        assert documents > 0
        assert seconds > 0

    def queue_changed(self, documents):
        assert documents >= 0
        self.queue = documents

    # What tests do.

    def count(self):
        self.happened += 1
        return self.happened

    def send(self, length=16, level=0, deadline=None):
        """Sends a document; its deadline is in ticks from now."""
        end = None if deadline is None else self.loop.time() + deadline * TICK
        document = Sent(len(self.sent), level, length, end)
        self.sent.append(document)
        document.task = asyncio.create_task(self._follow(document))
        return document

    async def _follow(self, document):
        document.number, document.came = self.count(), self.loop.time()
        ids = [document.index] * document.length
        try:
            document.outcome = await self.scheduler.infer(ids, document.deadline, document.level)
        except ServingError as error:
            document.outcome = error
        except asyncio.CancelledError:
            document.outcome = "cancelled"
        document.left, document.left_number = self.loop.time(), self.count()

    def cancel(self, document):
        if document.task.cancel():
            document.cancelled_number = min(document.cancelled_number, self.count())

    async def settle(self):
        for _ in range(8):
            await asyncio.sleep(0)

    async def wait(self, ticks):
        await asyncio.sleep(ticks * TICK)
        await self.settle()

    async def finish(self):
        """Waits until everything has been answered and the model has nothing to do."""
        ends = await asyncio.gather(*(document.task for document in self.sent), return_exceptions=True)
        # One that is cancelled before it has come ends with the error itself.
        assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ends)
        while self.running:
            await self.wait(1)
        await self.settle()
        assert self.scheduler.waiting == self.queue == self.under_way == 0


def reason(document):
    return document.outcome.reason if isinstance(document.outcome, ServingError) else None


# The bound.


def count_ahead(world, document, *, faulty):
    """Works out n of the bound from the record."""

    def waits_when_it_comes(other):
        return other.number < document.number < min(other.start_number, other.left_number)

    def comes_while_it_waits(other):
        return document.number < other.number < document.start_number

    def runs_when_it_comes(other):
        return other.start_number < document.number < other.left_number

    equal_or_higher = [other for other in world.sent if other is not document and other.level <= document.level]
    ahead = sum(map(waits_when_it_comes, equal_or_higher))
    ahead += sum(map(comes_while_it_waits, (other for other in equal_or_higher if other.level < document.level)))
    return 2 * ahead + sum(map(runs_when_it_comes, equal_or_higher)) if faulty else ahead


def check_bound(world, document, *, faulty=False):
    """Checks the bound that the scheduler's header states, in batches and in seconds; gives how near it came."""
    ahead = count_ahead(world, document, faulty=faulty)
    own = document.batches[0]
    before = sum(document.number < batch.number < own.number for batch in world.batches)
    assert before <= ahead
    times = [batch.ended - batch.started for batch in world.batches]
    turns = math.ceil((ahead + 1) / world.parallelism)
    assert own.started - document.came <= world.limits.max_delay + turns * max(times)
    return ahead - before


ARRIVALS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 1, 2, 9]),  # ticks after the one before
        st.integers(1, 3),
        st.sampled_from([1, 8, 16, 17, 32, 40, 64, 100]),
    ),
    min_size=1,
    max_size=60,
)
TICKS = st.lists(st.integers(1, 12) | st.just(50), min_size=1, max_size=5)


async def run_arrivals(arrivals, **options):
    world = World(priority_levels=3, default_priority=2, **options)
    for pause, level, length in arrivals:
        if pause:
            await asyncio.sleep(pause * TICK)
        world.send(length, level)
    await world.finish()
    return world


@settings(max_examples=150, deadline=None)
@given(ARRIVALS, TICKS, st.integers(1, 3), st.sampled_from([0, 3]))
def test_every_document_starts_within_the_bound(arrivals, ticks, parallelism, delay):
    world = simulate(run_arrivals(arrivals, ticks=ticks, parallelism=parallelism, max_delay=delay * TICK))
    for document in world.sent:
        assert document.outcome.output.tolist() == [document.index, document.length]
        check_bound(world, document)


@settings(max_examples=150, deadline=None)
@given(
    ARRIVALS,
    TICKS,
    st.integers(1, 3),
    st.lists(st.sampled_from([None, "fail"]), min_size=1, max_size=6),
)
def test_every_document_starts_within_the_bound_for_failures_where_batches_fail(arrivals, ticks, parallelism, faults):
    world = simulate(run_arrivals(arrivals, ticks=ticks, parallelism=parallelism, faults=faults))
    for document in world.sent:
        check_bound(world, document, faulty=True)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([32, 48, 64, 500]),
    st.lists(st.sampled_from([8, 16, 17, 33, 64]), min_size=1, max_size=12),
    st.lists(st.sampled_from([8, 16, 17, 33, 64]), min_size=1, max_size=12),
    st.integers(1, 2),
)
def test_a_rare_length_among_a_flood_that_watches_the_model_starts_within_the_bound(rare, before, flood, parallelism):
    async def scenario():
        world = World(parallelism=parallelism)
        world.send(16)
        await world.settle()
        for length in before:
            world.send(length)
        document = world.send(rare)
        while not document.batches:
            # As much as the model can take and more, just before it looks for its next batch.
            started = len(world.batches)
            for length in flood * 4:
                world.send(length)
            while len(world.batches) == started:
                await world.wait(1)
        check_bound(world, document)
        await world.finish()

    simulate(scenario())


@pytest.mark.parametrize("parallelism", [1, 2, 3])
@pytest.mark.parametrize("ahead", [0, 1, 2, 5, 31])
def test_the_bound_is_reached(ahead, parallelism):
    """No smaller bound holds: where no two documents share a batch, the last one waits for exactly as long."""

    async def scenario():
        world = World(tokens=16, ticks=[7], parallelism=parallelism)
        for _ in range(parallelism):
            world.send()
        await world.settle()
        for _ in range(ahead):
            world.send()
        last = world.send()
        await world.finish()
        assert check_bound(world, last) == 0
        assert last.batches[0].started - last.came == math.ceil((ahead + 1) / parallelism) * 7 * TICK

    simulate(scenario())


# Levels.


def order_of(world):
    return [[document.index for document in batch.documents] for batch in world.batches]


def test_higher_levels_go_first_and_of_one_level_the_oldest():
    async def scenario():
        world = World(tokens=16, priority_levels=3, default_priority=2)
        world.send(level=3)
        await world.settle()
        for level in (3, 2, 1, 0, 3, 1):  # 0: the default level, 2
            world.send(level=level)
        await world.finish()
        return order_of(world)

    assert simulate(scenario()) == [[0], [3], [6], [2], [4], [1], [5]]


def test_lower_levels_ride_along_in_a_batch_of_higher_ones():
    async def scenario():
        world = World(tokens=64, priority_levels=2, default_priority=2)
        world.send()
        await world.settle()
        for length, level in ((64, 2), (16, 2), (16, 2), (16, 1), (16, 2)):
            world.send(length, level)
        await world.finish()
        return order_of(world)

    # The one of 64 waits, though it is the oldest: it would make the batch of the higher level wider.
    assert simulate(scenario()) == [[0], [4, 2, 3, 5], [1]]


def test_a_document_of_a_failed_batch_does_not_go_before_higher_levels():
    async def scenario():
        world = World(tokens=32, priority_levels=2, default_priority=2, faults=["fail", None, None, None])
        world.send()
        world.send()
        await world.settle()
        world.send(level=1)
        world.send()
        await world.finish()
        return order_of(world)

    # Of their own level the documents of the failed batch are the oldest, and so first; each is alone.
    assert simulate(scenario()) == [[0, 1], [2, 3], [0], [1]]


@pytest.mark.parametrize(("levels", "default", "priority"), [(0, 0, 1), (3, 2, 4), (3, 2, -1)])
def test_a_level_that_is_not_there_is_refused(levels, default, priority):
    async def scenario():
        world = World(priority_levels=levels, default_priority=default)
        with pytest.raises(ServingError) as error:
            await world.scheduler.infer([0] * 8, None, priority)
        return error.value

    error = simulate(scenario())
    assert (error.reason, error.field) == (Reason.INVALID_FIELD, "config.priority")
    assert f"config.priority is {priority}" in error.message
    assert ("0 for its default level" if levels else "no levels") in error.message


def test_in_a_full_queue_the_newest_of_the_lowest_level_gives_way_to_a_higher_one():
    async def scenario():
        world = World(tokens=16, queue_size=3, priority_levels=3, default_priority=3)
        world.send(level=1)
        await world.settle()
        for level in (2, 3, 3):
            world.send(level=level)
        await world.settle()
        for level in (3, 2, 1, 1, 1, 1):
            world.send(level=level)
            await world.settle()
            assert world.queue == 3
        at = world.loop.time()
        await world.finish()
        assert all(document.left == at for document in world.sent if reason(document))
        return [reason(document) for document in world.sent]

    full = Reason.QUEUE_FULL
    # The first of the six is refused; the others take the places of 3, 2, 5 and 1, in this order; the last finds none.
    assert simulate(scenario()) == [None, full, full, full, full, full, None, None, None, full]


# Time.


def test_a_batch_that_is_not_full_waits_as_long_as_it_is_told():
    async def scenario():
        world = World(tokens=32, max_delay=10 * TICK)
        world.send()
        await world.wait(5)
        world.send()  # now it is full: two of 16 padded tokens
        await world.wait(5)
        world.send()
        await world.finish()
        return [(document.came / TICK, document.batches[0].started / TICK) for document in world.sent]

    assert simulate(scenario()) == [(0, 5), (5, 5), (10, 20)]


def test_a_low_level_does_not_wait_anew_with_each_higher_one():
    async def scenario():
        world = World(tokens=160, max_delay=10 * TICK, priority_levels=2, default_priority=2)
        low = world.send(64, level=2)
        await world.wait(8)
        high = world.send(16, level=1)
        await world.finish()
        return [(each.batches[0].started / TICK) for each in (low, high)]

    # The higher one does not wait for ten ticks of its own: the other has waited for as long already.
    assert simulate(scenario()) == [14, 10]


def test_documents_leave_at_the_end_of_the_queue_timeout_however_long_the_batch_before_them_is():
    async def scenario():
        world = World(ticks=[100 * SECOND], queue_timeout=5.0)
        world.send()
        await world.settle()
        first = world.send()
        await world.wait(SECOND)
        second = world.send()
        hasty = world.send(deadline=SECOND // 2)
        patient = world.send(deadline=90 * SECOND)
        await world.wait(7 * SECOND)
        assert world.queue == 0
        await world.finish()
        assert [each.left for each in (first, second, hasty, patient)] == [5, 6, 1.5, 6]
        assert {reason(each) for each in (first, second, hasty, patient)} == {Reason.DEADLINE_EXCEEDED}
        assert [each.outcome.message for each in (first, hasty)] == [
            "the document waited for 5 s, as long as this model lets it",
            "the deadline passed while the document waited",
        ]
        assert [len(batch.documents) for batch in world.batches] == [1]

    simulate(scenario())


def test_the_queue_timeout_is_for_waiting_and_not_for_running():
    async def scenario():
        world = World(ticks=[10 * SECOND, SECOND], queue_timeout=1.5, faults=["fail", None, None, None])
        first, second = world.send(), world.send()  # run for longer than they may wait, and fail together
        await world.finish()
        return [(reason(each), each.left) for each in (first, second)]

    # Tried again one by one: the first at 10 s, for as long as the model takes; the second at 11 s, after waiting for 1 s.
    assert simulate(scenario()) == [(None, 11), (None, 21)]


def test_expired_documents_make_room_in_a_full_queue():
    async def scenario():
        world = World(ticks=[10 * SECOND], queue_size=1)
        world.send()
        await world.settle()
        expired = world.send(deadline=4)
        await world.settle()
        world.loop.selector.now += 4 * TICK  # as where the loop was held up: the timer has not run yet
        fresh = world.send()
        await world.finish()
        return reason(expired), reason(fresh)

    assert simulate(scenario()) == (Reason.DEADLINE_EXCEEDED, None)


def test_a_scheduler_that_is_let_go_is_gone_soon_after_its_last_document():
    """It holds the model, and with it the memory of an unloaded version."""

    async def scenario():
        world = World(queue_timeout=3600.0)
        for _ in range(3):
            world.send(deadline=3600 * SECOND)
        await world.finish()
        scheduler, world.scheduler = weakref.ref(world.scheduler), None
        await world.wait(SECOND)
        return scheduler()

    gc.collect()
    gc.disable()
    try:
        assert simulate(scenario()) is None
    finally:
        gc.enable()


def test_a_document_cancelled_in_the_very_turn_of_its_batch_does_not_reach_the_model():
    async def scenario():
        world = World()
        gone, kept = world.send(), world.send()
        # After they have come, and before the batch that they would be in is made.
        world.loop.call_soon(world.cancel, gone)
        await world.finish()
        world.send()
        world.loop.call_soon(world.cancel, world.sent[-1])
        await world.finish()
        assert gone.outcome == "cancelled"
        assert kept.number < gone.cancelled_number < kept.start_number
        return order_of(world)

    assert simulate(scenario()) == [[1]]


# Whatever happens, every document is answered once.

FAULTS = st.lists(
    st.sampled_from([None, None, None, "fail", "refuse", "cancel", "miscount"]), min_size=1, max_size=8
)  # fmt: skip
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("send"),
            st.sampled_from([1, 16, 17, 32, 64, 100]),
            st.integers(0, 3),
            st.none() | st.integers(-1, 40),
        ),
        st.tuples(st.just("send"), st.just(16), st.integers(0, 3), st.none()),
        st.tuples(st.just("cancel"), st.integers(0, 1 << 16)),
        st.tuples(st.just("wait"), st.integers(0, 12)),
    ),
    min_size=1,
    max_size=80,
)


def check_outcome(world, document):
    """Checks one document's way from the record."""
    batches, outcome = document.batches, document.outcome
    # Twice at most, and then alone the second time.
    assert len(batches) <= 2
    assert len(batches) < 2 or len(batches[1].documents) == 1
    # No batch starts with a document that has its answer, or whose caller has just been cancelled.
    assert all(batch.number < min(document.left_number, document.cancelled_number) for batch in batches)
    waits = [document.came, *(batch.ended for batch in batches if len(batch.documents) > 1)]
    ends = [math.inf if document.deadline is None else max(document.deadline, wait) for wait in waits]
    if world.limits.queue_timeout:
        ends = [min(end, wait + world.limits.queue_timeout) for end, wait in zip(ends, waits, strict=True)]
    # No batch starts with a document that has expired.
    assert all(batch.started < end for batch, end in zip(batches, ends, strict=False))
    match reason(document):
        case None if outcome == "cancelled":
            pass
        case None:
            assert outcome.output.tolist() == [document.index, document.length]
            assert document.left == batches[-1].ended
            assert outcome.queue_seconds == batches[-1].started - document.came
        case Reason.DEADLINE_EXCEEDED:
            # To the tick, whatever runs meanwhile.
            assert document.left == ends[len(batches)]
        case Reason.INFERENCE_FAILED:
            assert len(batches[-1].documents) == 1
            assert document.left == batches[-1].ended
        case Reason.QUEUE_FULL:
            assert len(batches) < 2
        case other:
            pytest.fail(f"unexpected {other}")


async def run_steps(steps, **options):
    world = World(priority_levels=3, default_priority=2, **options)
    for step, *values in steps:
        if step == "send":
            world.send(*values)
        elif step == "wait":
            await asyncio.sleep(values[0] * TICK)
        elif world.sent:
            world.cancel(world.sent[values[0] % len(world.sent)])
    await world.finish()
    return world


@settings(max_examples=300, deadline=None)
@given(
    STEPS,
    TICKS,
    FAULTS,
    st.integers(1, 3),
    st.sampled_from([2, 5, 10_000]),
    st.sampled_from([0, 5, 20]),
    st.sampled_from([0, 3]),
)
def test_every_document_is_answered_once_whatever_happens(steps, ticks, faults, parallelism, size, timeout, delay):
    world = simulate(
        run_steps(
            steps,
            ticks=ticks,
            faults=faults,
            parallelism=parallelism,
            queue_size=size,
            queue_timeout=timeout * TICK,
            max_delay=delay * TICK,
        )
    )
    for document in world.sent:
        if document.number < 0:
            continue  # cancelled before it was sent
        check_outcome(world, document)
