"""The judges themselves: each kind of wrong answer is found, so that a soak that passes says something."""

import numpy as np
import pytest
from soaking.contents import CONTENTS, TEXTS, content_of
from soaking.generator import RECORD
from soaking.ledger import Ledger, find_fallbacks
from soaking.load import Outcome

SCORERS = {content.name: content.positive for content in CONTENTS}


def record(version, content, *, text=0, sequence=0, floor=0, sent=11.0, received=12.0):
    score = content.positive(TEXTS[text])
    return np.array([(0, text, sequence, version, floor, score, sent, sent, received)], RECORD)


@pytest.fixture
def ledger():
    """Version 1 served from 10 to 20, and version 2 from 19 on."""
    ledger = Ledger()
    ledger.open("m", 1, content_of(1).name).opened = 10.0
    ledger.open("m", 2, content_of(2).name).opened = 19.0
    ledger.close("m", 1, 20.0)
    return ledger


def find_wrong(ledger, records):
    return ledger.find_wrong(records, "m", TEXTS, SCORERS, 1e-5)


@pytest.mark.parametrize("text", range(len(TEXTS)))
def test_right_answers_are_right(ledger, text):
    assert not find_wrong(ledger, record(1, content_of(1), text=text))
    assert not find_wrong(ledger, record(1, content_of(1), text=text, sent=19.9, received=99.0))
    assert not find_wrong(ledger, record(2, content_of(2), text=text, sent=5.0, received=19.1))


@pytest.mark.parametrize(
    "wrong",
    [
        record(1, content_of(2)),  # another version's content
        record(1, content_of(3)),  # nobody's content
        record(3, content_of(3)),  # a version that never was
        record(2, content_of(2)),  # before it was put in place
        record(1, content_of(1), sent=20.1, received=21.0),  # after it took no more
    ],
)
def test_wrong_answers_are_found(ledger, wrong):
    assert find_wrong(ledger, wrong)


def test_nobody_can_tell_of_a_content_that_is_unknown(ledger):
    ledger.open("m", 3, None).opened = 10.0
    assert not find_wrong(ledger, record(3, content_of(7)))
    assert find_wrong(ledger, record(3, content_of(7), sent=1.0, received=9.0))


def test_a_fallback_is_found():
    assert not find_fallbacks(record(2, content_of(2), floor=2))
    assert find_fallbacks(record(1, content_of(1), floor=2))


def outcome(records, **changes):
    counts = {"sent": len(records), "answered": len(records), "refused": 0, "bad": 0, "calls": [1]} | changes
    return Outcome(records, TEXTS, ["m"], ["unary"], **counts)


def test_every_document_is_answered_once():
    two = np.concatenate([record(1, content_of(1)), record(1, content_of(1), sequence=1)])
    outcome(two).check_complete()
    for wrong in (
        outcome(two, sent=3),
        outcome(two, bad=1),
        outcome(np.concatenate([two, two[:1]])),
        outcome(two[:1], sent=2, answered=2),
    ):
        with pytest.raises(AssertionError):
            wrong.check_complete()


def test_no_two_contents_answer_alike():
    for text in TEXTS:
        scores = sorted(content.positive(text) for content in CONTENTS)
        assert min(np.diff(scores)) > 1e-3
