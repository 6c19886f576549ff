"""Every document is computed or dropped, once; nothing starts while live work needs the machine."""

import asyncio
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova_server.errors import Reason, ServingError
from sentinova_server.serving.activity import Activity
from sentinova_server.serving.agreement import Answer
from sentinova_server.serving.analysis import Analysis, LongText
from sentinova_server.serving.background import BackgroundDocument, BackgroundLimits, BackgroundWork
from structlog.testing import capture_logs

ANALYSIS = Analysis((0.25, 0.75), 1, 1, False, 0.0, 0.0, 1.0, 1, ())


class HandClock:
    now = 100.0

    def __call__(self):
        return self.now


class HandClassifier:
    """Its batches are finished by hand, or at once; `most` documents fit in one."""

    labels = ("negative", "positive")

    def __init__(self, bench, most=100):
        self.bench, self.most, self.batches = bench, most, []

    async def analyze_in_background(self, texts, long_text):
        assert self.bench.activity.is_idle  # the one thing that live work relies on
        assert not self.bench.running  # one batch at a time
        turn = asyncio.get_running_loop().create_future()
        self.batches.append((list(texts), long_text))
        self.bench.running.append(turn)
        try:
            await turn
        finally:
            self.bench.running.remove(turn)
        return [ANALYSIS for _ in texts[: self.most]]


class Bench:
    """The background with all it needs."""

    def __init__(self, **limits):
        self.activity, self.clock = Activity(1), HandClock()
        self.background = BackgroundWork(self.activity, self.clock, BackgroundLimits(**limits))
        self.versions = {("m", 1): HandClassifier(self)}
        self.running, self.outcomes, self.leases = [], [], 0

    @contextmanager
    def lease(self, model, version):
        if (model, version) not in self.versions:
            raise ServingError(Reason.VERSION_NOT_FOUND, "gone")
        self.leases += 1
        try:
            yield self
        finally:
            self.leases -= 1

    # What is leased: the bench itself has what serves the only version there is.
    @property
    def served(self):
        return self.versions["m", 1]

    def send(self, text="a", version=1, long_text=LongText.ERROR, done=None):
        """Sends a document; `outcomes` has what becomes of it, at its own place."""
        place = len(self.outcomes)
        self.outcomes.append([])
        done = done or self.outcomes[place].append
        self.background.submit(BackgroundDocument("m", version, self.lease, text, long_text, done))

    async def settle(self):
        for _ in range(8):
            await asyncio.sleep(0)

    async def finish(self, error=None):
        await self.settle()
        [turn] = self.running
        turn.set_exception(error) if error else turn.set_result(None)
        await self.settle()

    async def finish_all(self):
        await self.settle()
        while self.running:
            await self.finish()
        assert self.background.waiting == 0

    def told(self):
        """Gives what was told of each document in one letter: computed, failed, dropped; nothing: not yet."""
        letters = {Answer: "c", ServingError: "f", type(None): "d"}
        return ["".join(letters[type(outcome)] for outcome in own) for own in self.outcomes]

    def texts(self):
        return [texts for texts, _ in self.versions["m", 1].batches]


@pytest.fixture
async def bench():
    return Bench()


async def test_a_document_is_computed_and_who_asked_is_told(bench):
    bench.send("a")
    bench.send("b")
    await bench.finish_all()
    assert bench.texts() == [["a", "b"]]
    assert bench.outcomes == [[Answer(("negative", "positive"), ANALYSIS)]] * 2
    assert bench.leases == 0


async def test_nothing_starts_while_live_work_waits_or_runs_and_one_batch_at_a_time_then(bench):
    bench.activity.batch_started(1)
    bench.versions["m", 1].most = 1
    bench.send("a")
    bench.send("b")
    await bench.settle()
    assert bench.running == []
    assert bench.leases == 0  # a version is not held while its documents wait
    bench.activity.waiting_changed(1)
    bench.activity.batch_ended(1)
    await bench.settle()
    assert bench.running == []
    bench.activity.waiting_changed(-1)
    await bench.settle()
    assert bench.texts() == [["a", "b"]]
    # Live work comes while the batch runs: the next one waits, although the first had no room for "b".
    bench.activity.batch_started(1)
    await bench.finish()
    assert bench.told() == ["c", ""]
    assert (bench.running, bench.leases, bench.background.waiting) == ([], 0, 1)
    bench.activity.batch_ended(1)
    await bench.finish_all()
    assert bench.texts() == [["a", "b"], ["b"]]
    assert bench.told() == ["c", "c"]


async def test_documents_go_in_the_order_in_which_they_came_each_version_and_policy_for_itself(bench):
    bench.versions["m", 2] = bench.versions["m", 1]
    bench.versions["m", 1].most = 2
    bench.activity.batch_started(1)
    for text, version, long_text in [
        ("a", 1, LongText.ERROR),
        ("b", 2, LongText.ERROR),
        ("c", 1, LongText.ERROR),
        ("d", 1, LongText.TRUNCATE),
        ("e", 1, LongText.ERROR),
    ]:
        bench.clock.now += 1
        bench.send(text, version, long_text)
    bench.activity.batch_ended(1)
    await bench.finish_all()
    assert bench.texts() == [["a", "c", "e"], ["b"], ["d"], ["e"]]
    assert [long_text for _, long_text in bench.versions["m", 1].batches][2] is LongText.TRUNCATE
    assert bench.told() == ["c"] * 5


async def test_in_a_full_queue_the_oldest_gives_way():
    bench = Bench(documents=3)
    bench.activity.batch_started(1)
    for text in "abcde":
        bench.send(text)
    assert bench.told() == ["d", "d", "", "", ""]
    bench.activity.batch_ended(1)
    await bench.finish_all()
    assert bench.texts() == [["c", "d", "e"]]


async def test_so_it_does_where_there_is_too_much_text():
    bench = Bench(characters=10)
    bench.activity.batch_started(1)
    for text in ("four", "five5", "x", "y" * 11, "sixsix"):
        bench.send(text)
    # One that has no place even alone takes nobody's.
    assert bench.told() == ["d", "d", "", "d", ""]
    assert bench.background.waiting == 2


async def test_documents_that_had_no_place_in_a_batch_do_not_push_the_queue_over_its_bounds():
    bench = Bench(documents=3)
    bench.versions["m", 1].most = 1
    for text in "abc":
        bench.send(text)
    await bench.settle()
    for text in "def":
        bench.send(text)
    await bench.finish()
    assert bench.told() == ["c", "d", "d", "", "", ""]
    await bench.finish_all()


async def test_a_document_that_has_waited_for_too_long_is_dropped(bench):
    bench.activity.batch_started(1)
    bench.send("a")
    bench.clock.now += 4
    bench.send("b")
    bench.clock.now += 6.5
    bench.send("c")  # who comes sees to it
    assert bench.told() == ["d", "", ""]
    bench.clock.now += 4
    bench.activity.batch_ended(1)
    await bench.finish_all()
    assert bench.told() == ["d", "d", "c"]
    assert bench.texts() == [["c"]]


async def test_a_version_that_is_gone_drops_its_documents_and_no_others(bench):
    bench.send("a", version=2)
    bench.send("b")
    with capture_logs() as logs:
        await bench.finish_all()
    assert bench.told() == ["d", "c"]
    assert logs == []  # versions come and go


@pytest.mark.parametrize("error", [RuntimeError("a defect"), ServingError(Reason.INTERNAL, "a defect")])
async def test_a_batch_that_raises_drops_its_documents_and_the_worker_goes_on(bench, error):
    bench.send("a")
    await bench.settle()
    bench.send("b")
    with capture_logs() as logs:
        await bench.finish(error)
    await bench.finish_all()
    assert [line["event"] for line in logs] == ([] if isinstance(error, ServingError) else ["background_failed"])
    assert bench.told() == ["d", "c"]
    assert bench.leases == 0


async def test_errors_of_documents_are_told(bench):
    failure = ServingError(Reason.TEXT_TOO_LONG, "too long")

    async def fail(texts, long_text):
        return [failure, ANALYSIS]

    bench.versions["m", 1].analyze_in_background = fail
    bench.send("a")
    bench.send("b")
    await bench.settle()
    assert bench.outcomes[0] == [failure]
    assert bench.told() == ["f", "c"]


async def test_who_asked_and_raises_harms_nobody(bench):
    def fail(outcome):
        raise RuntimeError("a defect")

    bench.send("a", done=fail)
    bench.send("b")
    await bench.finish_all()
    bench.send("c")
    await bench.finish_all()
    assert bench.told() == ["", "c", "c"]


async def test_a_closed_background_computes_nothing_more(bench):
    bench.send("a")
    await bench.settle()
    bench.send("b")
    await bench.background.close()
    assert (bench.running, bench.leases, bench.background.waiting) == ([], 0, 0)
    bench.send("c")
    await bench.settle()
    assert bench.running == []
    assert bench.told() == ["", "", "d"]
    await bench.background.close()


async def test_one_that_was_never_used_closes():
    await Bench().background.close()


async def test_a_long_text_goes_alone_and_short_ones_in_groups(bench):
    bench.activity.batch_started(1)
    for text in ["x" * 5000, *["y" * 500] * 5, *["z"] * 40]:
        bench.send(text)
    bench.activity.batch_ended(1)
    await bench.finish_all()
    assert [len(texts) for texts in bench.texts()] == [1, 2, 2, 32, 9]


STEPS = st.lists(
    st.tuples(st.just("send"), st.sampled_from([1, 1, 2, 3]), st.integers(1, 12))
    | st.tuples(st.sampled_from(["busy", "room", "turn", "finish", "fail"]))
    | st.tuples(st.just("pass"), st.sampled_from([1.0, 6.0])),
    max_size=80,
)


@given(STEPS, st.integers(1, 4))
def test_whatever_happens_each_document_is_told_of_once_and_the_queue_keeps_its_bounds(steps, most):
    async def scenario():
        bench = Bench(documents=5, characters=30)
        bench.versions["m", 2] = bench.versions["m", 1]  # version 3 is gone
        bench.versions["m", 1].most = most
        busy = 0
        for name, *arguments in [*steps, *[("room",)] * len(steps)]:
            if name == "send":
                bench.send("x" * arguments[1], arguments[0])
                assert bench.background.waiting <= 5
            elif name == "busy":
                busy += 1
                bench.activity.batch_started(1)
            elif name == "room" and busy:
                busy -= 1
                bench.activity.batch_ended(1)
            elif name == "turn":
                await bench.settle()
            elif name == "pass":
                bench.clock.now += arguments[0]
            elif bench.running:
                await bench.finish(RuntimeError("a batch fails") if name == "fail" else None)
        await bench.finish_all()
        assert set(bench.told()) <= {"c", "d"}
        assert bench.leases == 0

    asyncio.run(scenario())
