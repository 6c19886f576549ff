"""Totals, distances and the judgement of a canary."""

import math
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova_server.repository.traffic import CanaryLimits
from sentinova_server.serving.agreement import WINDOW, Agreement, Answer, Window, judge
from sentinova_server.serving.analysis import Analysis

LABELS = ("negative", "neutral", "positive")


def answer(scores, labels=LABELS, *, seconds=0.0, tokens=10, batch_tokens=10):
    best = max(range(len(scores)), key=lambda i: scores[i])
    return Answer(tuple(labels), Analysis(tuple(scores), best, tokens, False, 0.0, 0.0, seconds, batch_tokens, ()))


@st.composite
def answers(draw):
    labels = draw(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=5, unique=True))
    weights = draw(st.lists(st.integers(1, 100), min_size=len(labels), max_size=len(labels)))
    seconds = draw(st.sampled_from([0.0, 0.5, 2.0]))
    return answer([weight / sum(weights) for weight in weights], labels, seconds=seconds)


# Distances


@given(answers(), answers())
def test_a_distance_is_a_metric_between_0_and_1(one, other):
    assert 0 <= one.distance(other) <= 1
    assert one.distance(other) == other.distance(one)
    assert one.distance(one) == 0


@given(answers(), answers(), answers())
def test_no_way_round_is_shorter(one, other, third):
    assert one.distance(third) <= one.distance(other) + other.distance(third) + 1e-12


@given(answers(), st.randoms())
def test_the_order_of_the_labels_does_not_matter(one, rng):
    order = list(range(len(one.labels)))
    rng.shuffle(order)
    other = answer([one.analysis.scores[i] for i in order], [one.labels[i] for i in order])
    assert one.distance(other) == 0
    if one.analysis.scores.count(max(one.analysis.scores)) == 1:
        assert other.label == one.label
        assert Agreement().compare(one, other)


def test_a_label_that_one_does_not_have_has_probability_0_there():
    fine = answer([0.1, 0.6, 0.3])
    coarse = answer([0.3, 0.7], ["positive", "negative"])
    assert fine.distance(coarse) == pytest.approx(0.6)
    agreement = Agreement()
    assert not agreement.compare(coarse, fine)
    assert (agreement.documents, agreement.agreed, agreement.max_distance) == (1, 0, pytest.approx(0.6))


# Totals


@given(st.lists(st.tuples(answers(), answers()), max_size=30))
def test_totals_are_those_of_the_documents(pairs):
    agreement = Agreement()
    for candidate, baseline in pairs:
        agreement.compare(candidate, baseline)
    distances = [candidate.distance(baseline) for candidate, baseline in pairs]
    assert agreement.documents == len(pairs)
    assert agreement.agreed == sum(candidate.label == baseline.label for candidate, baseline in pairs)
    assert agreement.max_distance == max(distances, default=0)
    assert agreement.mean_distance == pytest.approx(math.fsum(distances) / max(1, len(pairs)))
    assert agreement.mean_distance <= agreement.max_distance
    timed = [(c, b) for c, b in pairs if c.analysis.inference_seconds and b.analysis.inference_seconds]
    own, other = (sum(pair[i].analysis.inference_seconds for pair in timed) for i in (0, 1))
    assert agreement.latency_ratio == (pytest.approx(own / other) if timed else 0)


def test_time_is_compared_by_the_token_and_a_batch_is_shared_by_its_documents():
    agreement = Agreement()
    # Alone in its batch: 0.1 s a token. One of ten documents in a batch of 200 tokens: 0.05 s a token.
    agreement.compare(
        answer([1, 0, 0], seconds=2.0, tokens=20, batch_tokens=20),
        answer([1, 0, 0], seconds=10.0, tokens=20, batch_tokens=200),
    )
    assert agreement.latency_ratio == pytest.approx(2)


def test_kept_answers_are_compared_but_not_timed():
    agreement = Agreement()
    agreement.compare(answer([1, 0, 0], seconds=0.0), answer([0, 1, 0], seconds=5.0))
    assert (agreement.documents, agreement.max_distance, agreement.latency_ratio) == (1, 1, 0)


def test_nothing_is_known_of_no_documents():
    agreement = Agreement()
    assert (agreement.documents, agreement.mean_distance, agreement.max_distance, agreement.latency_ratio) == (0,) * 4


# The judgement


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 9))
def test_a_window_holds_the_latest_outcomes(outcomes, repeats):
    window, latest = Window(), deque(maxlen=WINDOW)
    for outcome in outcomes * 30 * repeats:
        window.add(bad=outcome)
        latest.append(outcome)
    assert (len(window), window.bad, window.total) == (len(latest), sum(latest), len(outcomes) * 30 * repeats)


@given(
    st.lists(st.booleans(), max_size=50),
    st.lists(st.booleans(), max_size=50),
    st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    st.sampled_from([None, 0.0, 0.05, 0.5, 1.0]),
    st.integers(0, 30),
)
def test_a_share_over_a_limit_is_told_once_there_are_enough_documents(failures, others, errors, disagreement, least):
    agreement = Agreement()
    for bad in failures:
        agreement.failures.add(bad=bad)
    for bad in others:
        agreement.disagreements.add(bad=bad)
    limits = CanaryLimits(errors, disagreement, least)
    fails = len(failures) >= max(1, least) and sum(failures) > errors * len(failures)
    disagrees = disagreement is not None and len(others) >= max(1, least) and sum(others) > disagreement * len(others)
    assert bool(judge(agreement, limits, 1)) == (fails or disagrees)


def test_the_reason_has_the_numbers():
    agreement = Agreement()
    for i in range(200):
        agreement.disagreements.add(bad=i < 62)
        agreement.failures.add(bad=i < 11)
    limits = CanaryLimits(max_error_rate=0.055, max_disagreement=0.05)
    assert judge(agreement, limits, 1) == (
        "31.0% of 200 documents got another label than from version 1, more than the limit of 5%"
    )
    agreement.failures.add(bad=True)
    assert judge(agreement, limits, 1) == "it failed on 6.0% of 201 documents, more than the limit of 5.5%"


def test_what_was_good_for_long_does_not_live_on_its_past():
    agreement, limits = Agreement(), CanaryLimits(max_error_rate=0.05)
    for _ in range(100_000):
        agreement.failures.add(bad=False)
    for _ in range(50):
        agreement.failures.add(bad=True)
    assert judge(agreement, limits, 1) == ""
    agreement.failures.add(bad=True)
    assert judge(agreement, limits, 1) == "it failed on 5.1% of 1,000 documents, more than the limit of 5%"


def test_more_documents_may_be_asked_for_than_are_looked_at():
    agreement, limits = Agreement(), CanaryLimits(max_error_rate=0.05, min_documents=1500)
    for _ in range(1499):
        agreement.failures.add(bad=True)
    assert judge(agreement, limits, 1) == ""
    agreement.failures.add(bad=True)
    assert judge(agreement, limits, 1).startswith("it failed on 100.0% of 1,000 documents")


def test_what_is_judged_begins_anew_and_the_totals_stay():
    agreement = Agreement()
    for _ in range(100):
        agreement.compare(answer([1, 0, 0]), answer([0, 1, 0]))
        agreement.failures.add(bad=True)
    agreement.restart_windows()
    assert judge(agreement, CanaryLimits(max_disagreement=0.05), 1) == ""
    assert (agreement.documents, agreement.agreed) == (100, 0)
