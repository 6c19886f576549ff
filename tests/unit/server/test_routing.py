"""Shares are right, keys stay where they are while a canary grows, and every input has an answer."""

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova_server.serving.routing import choose_version, find_baseline, find_canaries, routing_point

VERSIONS = st.integers(1, 6)
# Any weights, not only those that are 100 in all: of some versions the shares may be taken away.
WEIGHTS = st.dictionaries(VERSIONS, st.integers(0, 100), max_size=5)
AVAILABLE = st.sets(VERSIONS, max_size=6)
# Of model sentiment_en, key user-7.
POINT = 0.7227592730666252
POINTS = st.floats(0, 1, exclude_max=True)


def count(weights, available, points):
    """Gives how many of so many points, evenly spread, each version gets."""
    return Counter(choose_version(weights, available, (i + 0.5) / points) for i in range(points))


@given(WEIGHTS, AVAILABLE)
def test_each_version_gets_its_share_of_the_points(weights, available):
    shares = {version: weight for version, weight in weights.items() if version in available and weight}
    total = sum(shares.values())
    # As many points as percents in all, times three: each share is a whole number of them.
    assert count(weights, available, 3 * total) == {version: 3 * weight for version, weight in shares.items()}


@given(WEIGHTS, AVAILABLE, POINTS)
def test_every_point_has_a_version_that_is_available_and_has_a_share_where_there_is_one(weights, available, point):
    chosen = choose_version(weights, available, point)
    able = {version for version in available if weights.get(version)}
    assert chosen in able if able else chosen is None


@given(WEIGHTS, AVAILABLE)
def test_the_last_point_below_one_has_a_version(weights, available):
    able = {version for version in available if weights.get(version)}
    assert (choose_version(weights, available, 1 - 2**-53) is None) == (not able)


@given(
    st.dictionaries(VERSIONS, st.integers(0, 40), min_size=2, max_size=5),
    st.data(),
    st.lists(POINTS, min_size=1, max_size=50),
)
def test_keys_stay_with_a_version_that_grows_at_the_cost_of_others(weights, data, points):
    grown = dict(weights)
    canary = data.draw(st.sampled_from(sorted(weights)))
    for version in sorted(weights.keys() - {canary}):
        taken = data.draw(st.integers(0, weights[version]))
        grown[version] -= taken
        grown[canary] += taken
    for point in points:
        if choose_version(weights, weights, point) == canary:
            assert choose_version(grown, grown, point) == canary


@pytest.mark.parametrize(("canary", "baseline"), [(2, 1), (1, 2)])
def test_a_canary_only_gains_keys_from_5_over_25_to_100_percent(canary, baseline):
    points = [routing_point("sentiment_en", f"user-{i}") for i in range(2000)]
    before = set()
    for percent in (5, 25, 50, 100):
        weights = {canary: percent, baseline: 100 - percent}
        own = {point for point in points if choose_version(weights, (1, 2), point) == canary}
        assert before <= own
        # 2,000 keys: five standard deviations are at most 56.
        assert abs(len(own) - 20 * percent) <= 56
        before = own
    assert len(before) == 2000


def test_the_highest_version_has_the_first_interval_and_each_interval_ends_before_its_bound():
    points = (0, 0.05 - 2**-40, 0.05, 0.5 - 2**-40, 0.5, 1 - 2**-53)
    assert [choose_version({1: 50, 3: 5, 2: 45}, {1, 2, 3}, point) for point in points] == [3, 3, 2, 2, 1, 1]


def test_the_share_of_what_is_not_available_goes_to_the_others_in_proportion():
    assert count({1: 60, 2: 20, 3: 20}, {1, 2}, 80) == {1: 60, 2: 20}
    assert count({1: 60, 2: 20, 3: 20}, {3}, 80) == {3: 80}


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_point_is_from_0_to_1_and_the_same_each_time(model, key):
    point = routing_point(model, key)
    assert 0 <= point < 1
    assert routing_point(model, key) == point


def test_points_differ_by_model_and_key():
    pairs = [("m", "a"), ("m", "b"), ("n", "a"), ("ma", ""), ("", "ma"), ("m", ""), ("m", "\ud800")]
    assert len({routing_point(*pair) for pair in pairs}) == len(pairs)


def test_points_are_the_same_in_another_process_and_release():
    code = "from sentinova_server.serving.routing import routing_point; print(routing_point('sentiment_en', 'user-7'))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # Where this number changes, every key of every client changes its version at the upgrade.
    assert float(other.stdout) == routing_point("sentiment_en", "user-7") == POINT


@pytest.mark.parametrize(
    ("weights", "available", "baseline", "canaries"),
    [
        ({1: 90, 2: 10}, {1, 2}, 1, [2]),
        ({1: 10, 2: 90}, {1, 2}, 2, [1]),
        ({1: 50, 2: 50}, {1, 2}, 1, [2]),
        ({3: 20, 2: 40, 1: 40}, {1, 2, 3}, 1, [2, 3]),
        ({1: 90, 2: 10}, {2, 3}, 2, []),
        ({1: 100, 2: 0}, {1, 2}, 1, []),
        ({1: 100, 2: 0}, {2}, None, []),
        ({}, {1, 2}, None, []),
    ],
)
def test_the_largest_share_is_the_baseline_and_the_others_are_canaries(weights, available, baseline, canaries):
    assert find_baseline(weights, available) == baseline
    assert find_canaries(weights, available) == canaries
