"""The version policy chooses what TensorFlow Serving's and Triton's would."""

from hypothesis import given
from hypothesis import strategies as st
from sentinova_server.repository.policy import All, Latest, Specific, choose_versions, missing_versions

VERSIONS = st.sets(st.integers(1, 50))


@given(VERSIONS, st.integers(1, 60))
def test_latest_takes_the_highest(found, count):
    chosen = choose_versions(found, Latest(count))
    assert len(chosen) == min(count, len(found))
    assert all(left < kept for left in found.difference(chosen) for kept in chosen)
    assert chosen == sorted(chosen)


@given(VERSIONS)
def test_all_takes_all(found):
    assert choose_versions(found, All()) == sorted(found)


@given(VERSIONS, st.frozensets(st.integers(1, 50), min_size=1))
def test_specific_takes_and_misses_exactly_what_it_names(found, named):
    policy = Specific(named)
    chosen, missing = choose_versions(found, policy), missing_versions(found, policy)
    assert set(chosen) | set(missing) == named
    assert set(chosen) <= found
    assert not found.intersection(missing)


@given(VERSIONS)
def test_only_specific_misses_versions(found):
    assert missing_versions(found, All()) == missing_versions(found, Latest(3)) == []
