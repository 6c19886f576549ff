"""Schedules, percentiles and coordinated omission."""

import itertools
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.accounting import correct_omission, percentile, plan_arrivals, spread

LATENCIES = st.lists(st.floats(0.0001, 10), min_size=1, max_size=50)


def test_even_arrivals_are_one_interval_apart():
    assert plan_arrivals(4, 1) == [0, 0.25, 0.5, 0.75]


@pytest.mark.parametrize("arrivals", ["even", "poisson"])
@pytest.mark.parametrize(("rate", "seconds"), [(0.1, 1), (37.5, 2), (1000, 3)])
def test_arrivals_keep_rate_and_time(arrivals: str, rate: float, seconds: float):
    times = plan_arrivals(rate, seconds, arrivals, seed=3)
    assert len(times) == max(1, math.floor(rate * seconds))
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= max(seconds, 1 / rate)
    assert times == plan_arrivals(rate, seconds, arrivals, seed=3)


def test_poisson_arrivals_are_uneven_and_differ_by_seed():
    times = plan_arrivals(100, 10, "poisson")
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    # The standard deviation of a Poisson process's gaps is their mean.
    assert statistics.stdev(gaps) == pytest.approx(0.01, rel=0.2)
    assert times != plan_arrivals(100, 10, "poisson", seed=2)


@pytest.mark.parametrize(("share", "expected"), [(0, 1), (0.5, 2.5), (0.99, 3.97), (1, 4)])
def test_percentiles_are_interpolated(share: float, expected: float):
    assert percentile([4, 1, 3, 2], share) == pytest.approx(expected)


def test_the_percentile_of_nothing_is_not_a_number():
    assert math.isnan(percentile([], 0.5))


@given(LATENCIES, st.floats(0, 1))
def test_a_percentile_lies_among_the_values(values: list[float], share: float):
    # Interpolation rounds.
    assert min(values) * (1 - 1e-9) <= percentile(values, share) <= max(values) * (1 + 1e-9)


def test_a_spread_has_the_middle_and_both_ends():
    assert (spread([3, 1, 2]).median, spread([3, 1, 2]).low, spread([3, 1, 2]).high) == (2, 1, 3)


def test_a_late_answer_brings_the_calls_that_it_held_back():
    # While the client waited 1.0 s, it should have called after 0.2, 0.4, 0.6 and 0.8 s.
    assert sorted(correct_omission([0.1, 1.0], 0.2)) == pytest.approx([0.1, 0.2, 0.4, 0.6, 0.8, 1.0])


def test_answers_in_time_are_left_as_they_are():
    assert correct_omission([0.1, 0.2], 0.2) == [0.1, 0.2]
    assert correct_omission([5.0], 0) == [5.0]


@given(LATENCIES, st.floats(0.001, 5))
def test_the_correction_only_adds_and_never_exceeds_the_worst(latencies: list[float], interval: float):
    corrected = correct_omission(latencies, interval)
    assert corrected[: len(latencies)] == latencies
    assert max(corrected) == max(latencies)
    assert min(corrected) > 0
