"""The analysis of very many texts: order, bounds, what is tried again and what is not. No server, and no real waits."""

from __future__ import annotations

import itertools
import threading
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova import (
    CallCancelledError,
    DeadlineExceededError,
    FieldViolation,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)
from sentinova.scoring import CALLS, TEXTS_PER_CALL, Entry, Scorer, batches, describe

FULL = ResourceExhaustedError("the queue is full", reason="QUEUE_FULL", retry_after=0.001)
AWAY = UnavailableError("connection refused")
TOO_LARGE = ResourceExhaustedError("SERVER: Received message larger than max (99 vs. 9)")
TOO_MANY = InvalidArgumentError(
    "too many", reason="INVALID_FIELD", field_violations=(FieldViolation("documents", "…"),)
)
EMPTY = InvalidArgumentError("document.text is empty", reason="TEXT_EMPTY")


def entries(texts, size=1):
    return [Entry(number, text, size) for number, text in enumerate(texts)]


def score(analyze, texts, patience=60.0, **settings):
    with closing(Scorer(analyze, patience, **settings).score(entries(texts))) as scored:
        return list(itertools.chain.from_iterable(scored))


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr("sentinova.scoring.waits", lambda: itertools.repeat(0.001))


class Failing:
    """Answers with the texts themselves, and fails as it is told: calls as a whole, or single texts."""

    def __init__(self, calls=(), texts=None) -> None:
        self.calls = list(calls)
        self.texts = {text: list(errors) for text, errors in (texts or {}).items()}
        self.lock = threading.Lock()
        self.sizes = []

    def __call__(self, texts):
        with self.lock:
            self.sizes.append(len(texts))
            if self.calls and (error := self.calls.pop(0)) is not None:
                raise error
            return [self.texts[text].pop(0) if self.texts.get(text) else text for text in texts]


@given(sizes=st.lists(st.integers(0, 30)), count=st.integers(1, 5), most=st.integers(1, 40))
def test_batches_are_in_order_and_within_their_bounds(sizes, count, most):
    made = [Entry(number, "text", size) for number, size in enumerate(sizes)]
    cut = list(batches(made, count, most))
    assert [each for batch in cut for each in batch] == made
    for batch in cut:
        assert 1 <= len(batch) <= count
        assert len(batch) == 1 or sum(each.size for each in batch) <= most


def test_answers_come_in_the_order_of_the_input():
    first_may_end = threading.Event()

    def analyze(texts):
        if texts[0] == "0":
            assert first_may_end.wait(60)
        elif texts[0] == str(TEXTS_PER_CALL):
            first_may_end.set()
        return texts

    texts = [str(number) for number in range(1000)]
    assert score(analyze, texts) == list(enumerate(texts))


def test_no_more_is_read_than_is_in_flight():
    read = itertools.count()
    latest = 0

    def endless():
        nonlocal latest
        for latest in read:
            yield Entry(latest, "text", 1)

    with closing(Scorer(lambda texts: texts, None).score(endless())) as scored:
        for given_out, _ in enumerate(itertools.islice(scored, 20), start=1):
            # The last one read begins the next batch.
            assert latest <= (given_out + CALLS) * TEXTS_PER_CALL


def test_what_cannot_be_sent_is_not_sent():
    texts = ["a", EMPTY, "b"]
    assert score(lambda sent: [each.upper() for each in sent], texts) == [(0, "A"), (1, EMPTY), (2, "B")]


def test_texts_that_the_server_has_no_place_for_are_sent_again_alone():
    analyze = Failing(texts={"b": [FULL, FULL], "c": [FULL]})
    told = []
    assert score(analyze, ["a", "b", "c"], tell=told.append) == [(0, "a"), (1, "b"), (2, "c")]
    assert analyze.sizes == [3, 2, 1]
    assert told == [FULL, FULL]


def test_what_fails_for_good_is_the_answer():
    analyze = Failing(texts={"a": [EMPTY], "b": [InternalError("it broke", reason="INFERENCE_FAILED")]})
    outcomes = dict(score(analyze, ["a", "b", "c"]))
    assert (outcomes[0], outcomes[1].reason, outcomes[2]) == (EMPTY, "INFERENCE_FAILED", "c")
    assert analyze.sizes == [3]


def test_a_server_that_went_away_is_waited_for():
    texts = [str(number) for number in range(TEXTS_PER_CALL * 3)]
    stopping = CallCancelledError("the server stops")
    analyze = Failing([None, AWAY, AWAY, FULL, DeadlineExceededError("too slow"), stopping])
    assert score(Scored(analyze), texts) == list(enumerate(texts))


class Scored:
    """Has the first call answered before any other begins."""

    def __init__(self, analyze) -> None:
        self.analyze = analyze
        self.answered = threading.Event()

    def __call__(self, texts):
        if texts[0] != "0":
            assert self.answered.wait(60)
            return self.analyze(texts)
        try:
            return self.analyze(texts)
        finally:
            self.answered.set()


def test_a_server_that_was_never_there_is_not_waited_for():
    analyze = Failing([AWAY])
    with pytest.raises(UnavailableError):
        score(analyze, ["a"])
    assert analyze.sizes == [1]


def test_a_server_that_is_busy_from_the_start_is_waited_for():
    analyze = Failing([FULL, FULL])
    assert score(analyze, ["a"]) == [(0, "a")]
    assert analyze.sizes == [1, 1, 1]


@pytest.mark.parametrize(
    "error",
    [
        NotFoundError("no such model", reason="MODEL_NOT_FOUND"),
        EMPTY,
        InternalError("broke"),
        CallCancelledError("the client was closed", reason="CLIENT_CLOSED"),
    ],
)
def test_a_call_that_fails_for_good_ends_the_work(error):
    with pytest.raises(type(error)):
        score(Failing([None, error]), ["text"] * TEXTS_PER_CALL * 2)


def test_patience_ends():
    now = itertools.count(step=4.0)
    analyze = Failing(texts={"a": [FULL] * 1000})
    with pytest.raises(ResourceExhaustedError):
        score(analyze, ["a"], patience=10.0, clock=lambda: next(now))
    assert len(analyze.sizes) == 3


def test_patience_begins_anew_with_every_answer():
    now = itertools.count(step=2.0)
    analyze = Failing(texts={str(number): [FULL] * number for number in range(30)})
    texts = [str(number) for number in range(30)]
    assert score(analyze, texts, patience=6.0, clock=lambda: next(now)) == list(enumerate(texts))


@pytest.mark.parametrize("error", [TOO_LARGE, TOO_MANY, DeadlineExceededError("too slow")])
def test_a_call_that_is_too_large_or_too_slow_is_cut(error):
    refused = 0

    def analyze(texts):
        nonlocal refused
        if len(texts) > 5:
            refused += 1
            raise error
        return texts

    texts = [str(number) for number in range(TEXTS_PER_CALL * 50)]
    assert score(analyze, texts) == list(enumerate(texts))
    if error is not TOO_LARGE:  # how many bytes there are is another thing for other texts
        assert refused <= 3 * CALLS


def test_a_text_that_takes_too_long_by_itself_ends_the_work():
    def analyze(texts):
        if "b" in texts:
            raise DeadlineExceededError("too slow")
        return texts

    with pytest.raises(DeadlineExceededError):
        score(analyze, list("abc"))


def test_a_server_that_hangs_is_given_up_after_a_few_calls():
    calls = []

    def analyze(texts):
        calls.append(len(texts))
        raise DeadlineExceededError("too slow")

    with pytest.raises(DeadlineExceededError):
        score(analyze, ["text"] * TEXTS_PER_CALL)
    assert calls == [32, 8, 2, 1]


def test_a_text_that_is_too_large_by_itself_fails_alone():
    def analyze(texts):
        if "b" in texts:
            raise TOO_LARGE
        return texts

    assert score(analyze, list("abc")) == [(0, "a"), (1, TOO_LARGE), (2, "c")]


def test_a_failure_of_the_input_ends_the_work():
    def broken():
        yield from entries(["a"] * 10)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        list(Scorer(lambda texts: texts, None).score(broken()))


def test_work_that_is_left_waits_for_nothing_any_more(monkeypatch):
    monkeypatch.setattr("sentinova.scoring.waits", lambda: itertools.repeat(1_000_000))
    told, threads = threading.Event(), []

    def analyze(texts):
        if texts == ["last"]:
            threads.append(threading.current_thread())
            return [FULL]
        return texts

    scorer = Scorer(analyze, None, tell=lambda _: told.set())
    scored = scorer.score(entries(["a"] * TEXTS_PER_CALL + ["last"]))
    next(scored)
    assert told.wait(60)
    scored.close()
    threads[0].join(60)
    assert not threads[0].is_alive()


def test_an_error_is_described_in_a_line():
    assert describe(InternalError("it\nbroke", reason="INFERENCE_FAILED")) == "INFERENCE_FAILED: it broke"
    assert describe(AWAY) == "UNAVAILABLE: connection refused"
