"""A version's sums add up, whatever comes in what order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova_server.observability.metrics import Metrics
from sentinova_server.serving.statistics import Durations, RequestTimes, VersionStatistics
from sentinova_server.serving.version_meter import VersionMeter

# Whole numbers of 1/1024 s: sums of them are exact.
SECONDS = st.integers(0, 1 << 20).map(lambda ticks: ticks / 1024)
TIMES = st.builds(RequestTimes, *[SECONDS] * 5)


def test_durations_count_and_sum():
    durations = Durations()
    durations.add(0.5)
    durations.add(1.5, count=3)
    assert (durations.count, durations.seconds) == (4, 2.0)


@given(st.lists(st.tuples(st.integers(1, 64), SECONDS)))
def test_batches_by_size_are_all_batches(batches):
    statistics = VersionStatistics(lambda: 0.0)
    for rows, seconds in batches:
        statistics.batch_done(rows, seconds)
    assert statistics.batches == len(batches) == sum(one.count for one in statistics.by_size.values())
    assert statistics.rows == sum(size * one.count for size, one in statistics.by_size.items())
    assert sum(one.seconds for one in statistics.by_size.values()) == sum(seconds for _, seconds in batches)
    assert set(statistics.by_size) == {rows for rows, _ in batches}


@given(st.lists(st.one_of(TIMES, SECONDS)))
def test_requests_are_counted_as_answered_or_failed_and_never_both(ends):
    now = iter(range(1, len(ends) + 1))
    statistics = VersionStatistics(lambda: float(next(now)))
    for end in ends:
        if isinstance(end, RequestTimes):
            statistics.answered(end)
        else:
            statistics.failed(end)
    answered = [end for end in ends if isinstance(end, RequestTimes)]
    failed = [end for end in ends if not isinstance(end, RequestTimes)]
    assert (statistics.requests.count, statistics.failures.count) == (len(answered), len(failed))
    assert statistics.requests.seconds == sum(one.total for one in answered)
    assert statistics.failures.seconds == sum(failed)
    for part in ("queue", "prepare", "infer", "finish"):
        durations = getattr(statistics, part)
        assert durations.count == len(answered)
        assert durations.seconds == sum(getattr(one, part) for one in answered)
    assert statistics.last == len(ends)


def meter(*, counts_tokens):
    metrics, statistics = Metrics(), VersionStatistics(lambda: 0.0)
    own = VersionMeter(metrics, "m", "1", statistics, counts_tokens=counts_tokens)
    return own, statistics, metrics.registry


def test_of_tensors_rows_are_counted_and_no_tokens():
    own, statistics, registry = meter(counts_tokens=False)
    own.batch_done(documents=2, tokens=7, padded_tokens=7, seconds=0.25)
    assert (statistics.rows, statistics.batches) == (7, 1)
    labels = {"model": "m", "version": "1"}
    assert registry.get_sample_value("sentinova_batch_documents_sum", labels) == 7
    assert registry.get_sample_value("sentinova_batch_tokens_sum", labels) is None
    assert registry.get_sample_value("sentinova_padding_tokens_total", labels) is None


def test_of_texts_documents_are_counted_and_their_tokens_beside():
    own, statistics, registry = meter(counts_tokens=True)
    own.batch_done(documents=2, tokens=7, padded_tokens=16, seconds=0.25)
    assert (statistics.rows, statistics.batches) == (2, 1)
    assert statistics.by_size[2].seconds == pytest.approx(0.25)
    labels = {"model": "m", "version": "1"}
    assert registry.get_sample_value("sentinova_batch_tokens_sum", labels) == 16
    assert registry.get_sample_value("sentinova_padding_tokens_total", labels) == 9
