"""The window of a stream, by itself: every order of events, with a clock of the test's own."""

from __future__ import annotations

import pytest
from fake_server import EMPTY
from hypothesis import given
from hypothesis import strategies as st
from sentinova.errors import DeadlineExceededError, InternalError
from sentinova.v1 import sentiment_service_pb2 as pb
from sentinova.window import Ended, Window


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def response(index: int) -> pb.StreamAnalyzeSentimentResponse:
    return pb.StreamAnalyzeSentimentResponse(id=str(index), result=pb.SentimentResult(label=f"label {index}"))


def permutations(most: int):
    return st.integers(1, most).flatmap(lambda count: st.permutations(range(count)))


@given(order=permutations(20), ordered=st.booleans())
def test_each_document_gets_its_own_answer_once(order, ordered):
    window = Window(Clock(), None, ordered=ordered)
    for index in range(len(order)):
        assert window.admit((f"id {index}", "text")).document.id == str(index)
    window.end_input()
    answers = []
    for index in order:
        assert not window.complete
        answers += window.settle(response(index))
    assert window.settle(Ended()) == []
    assert [each.index for each in answers] == (sorted(order) if ordered else list(order))
    assert all(each.id == f"id {each.index}" for each in answers)
    assert all(each.result.label == f"label {each.index}" for each in answers)


@pytest.mark.parametrize("stranger", ["", "1", "-1", "x", "²", "9" * 50])
def test_an_answer_to_nothing_is_refused(stranger):
    window = Window(Clock(), None, ordered=False)
    window.admit("text")
    with pytest.raises(InternalError):
        window.settle(pb.StreamAnalyzeSentimentResponse(id=stranger, error=EMPTY))


def test_a_second_answer_is_refused():
    window = Window(Clock(), None, ordered=False)
    window.admit("text")
    window.settle(response(0))
    with pytest.raises(InternalError):
        window.settle(response(0))


def test_an_answer_without_content_is_an_error_of_its_document():
    window = Window(Clock(), None, ordered=False)
    window.admit("text")
    (answer,) = window.settle(pb.StreamAnalyzeSentimentResponse(id="0"))
    assert answer.error.reason == "UNEXPECTED_ANSWER"


def test_an_end_before_the_end_of_the_input_is_refused():
    with pytest.raises(InternalError, match="STREAM_CUT"):
        Window(Clock(), None, ordered=False).settle(Ended())


def test_patience_counts_from_the_latest_progress():
    clock = Clock()
    window = Window(clock, 10.0, ordered=False)
    clock.now = 100
    assert window.patience() == 10  # nothing waits: there is nothing to be impatient about
    window.admit("first")
    window.admit("second")
    clock.now = 106
    assert window.patience() == 4
    window.settle(response(1))
    clock.now = 115
    assert window.patience() == 1
    clock.now = 116
    with pytest.raises(DeadlineExceededError, match="10 s while 1 documents"):
        window.patience()


def test_without_a_timeout_patience_is_endless():
    window = Window(Clock(), None, ordered=False)
    window.admit("text")
    assert window.patience() is None
