"""What is planned for a model's versions brings it to what its policy asks for, and never leaves it without a version."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova_server.repository.policy import (
    Actions,
    All,
    Held,
    Holding,
    Latest,
    Specific,
    choose_versions,
    plan_actions,
)

LATEST, A, B = Latest(1), "a", "b"


def available(key=A, failed_key=None):
    return Held(Holding.AVAILABLE, key, failed_key)


def failed(key=A):
    return Held(Holding.FAILED, key)


LOADING = Held(Holding.LOADING, A)


@pytest.mark.parametrize(
    ("found", "held", "policy", "more", "actions"),
    [
        pytest.param({}, {}, LATEST, {}, Actions(), id="nothing"),
        pytest.param({1: A, 2: A}, {}, LATEST, {}, Actions(load=(2,)), id="the highest"),
        pytest.param({2: A, 10: A, 1: A}, {}, All(), {}, Actions(load=(1, 2, 10)), id="all"),
        pytest.param({1: A, 2: A}, {1: available()}, LATEST, {}, Actions(load=(2,)), id="the old one waits"),
        pytest.param({1: A, 2: A}, {1: available(), 2: LOADING}, LATEST, {}, Actions(), id="and waits"),
        pytest.param(
            {1: A, 2: A}, {1: available(), 2: available()}, LATEST, {}, Actions(unload=(1,)), id="and is unloaded"
        ),
        pytest.param(
            {1: A, 2: A}, {1: available(), 2: failed()}, LATEST, {}, Actions(), id="a failed one takes nothing"
        ),
        pytest.param({1: A, 2: A}, {2: failed()}, LATEST, {}, Actions(load=(1,)), id="the next lower one instead"),
        pytest.param(
            {1: A, 2: A, 3: A}, {1: available(), 2: failed(), 3: failed()}, Latest(2), {}, Actions(), id="all that load"
        ),
        pytest.param({2: B}, {2: failed()}, LATEST, {}, Actions(load=(2,)), id="another key is tried"),
        pytest.param({2: B}, {2: available()}, LATEST, {}, Actions(reload=(2,)), id="changed files"),
        pytest.param({2: B}, {2: available(A, B)}, LATEST, {}, Actions(), id="changed files that failed"),
        pytest.param({2: "c"}, {2: available(A, B)}, LATEST, {}, Actions(reload=(2,)), id="changed once more"),
        pytest.param({2: A}, {2: available(A, B)}, LATEST, {}, Actions(), id="changed back"),
        pytest.param({2: B}, {2: LOADING}, LATEST, {}, Actions(), id="changed while loading"),
        pytest.param({}, {1: available(), 2: available()}, LATEST, {}, Actions(unload=(1, 2)), id="all are gone"),
        pytest.param({}, {1: available(), 2: LOADING}, LATEST, {}, Actions(), id="all are gone, one is loading"),
        pytest.param({}, {1: available()}, LATEST, {"kept": [1]}, Actions(), id="gone, and kept"),
        pytest.param({1: A}, {1: available(), 2: available()}, LATEST, {}, Actions(unload=(2,)), id="gone"),
        pytest.param({2: A}, {1: available(), 2: failed()}, LATEST, {}, Actions(), id="gone, and the new one failed"),
        pytest.param({1: A}, {2: available()}, LATEST, {}, Actions(load=(1,)), id="gone, and an old one in its place"),
        pytest.param({1: A}, {1: available()}, Specific(frozenset({7})), {}, Actions(), id="a policy of no version"),
        pytest.param(
            {1: A, 2: A, 3: A},
            {1: available(), 2: available()},
            LATEST,
            {"labelled": [1]},
            Actions(load=(3,)),
            id="the default one waits for the new one, though a labelled one is available",
        ),
        pytest.param({1: A, 2: A}, {2: available()}, LATEST, {"labelled": [1]}, Actions(load=(1,)), id="labelled"),
        pytest.param({2: A}, {2: available()}, LATEST, {"labelled": [1]}, Actions(), id="labelled and not there"),
        pytest.param({1: A, 2: A}, {2: available()}, LATEST, {"requested": [1]}, Actions(load=(1,)), id="requested"),
        pytest.param(
            {1: A, 2: A}, {1: available(), 2: available()}, LATEST, {"kept": [1]}, Actions(), id="the previous one kept"
        ),
        pytest.param({1: A, 2: A}, {1: available()}, LATEST, {"excluded": {2: A}}, Actions(), id="rolled back"),
        pytest.param(
            {1: A, 2: B},
            {1: available()},
            LATEST,
            {"excluded": {2: A}},
            Actions(load=(2,)),
            id="rolled back, and changed",
        ),
        pytest.param(
            {1: A, 2: A},
            {1: available()},
            LATEST,
            {"excluded": {2: A}, "requested": [2]},
            Actions(load=(2,)),
            id="rolled back, and asked for",
        ),
        pytest.param(
            {1: A, 2: A},
            {1: available(), 2: available()},
            LATEST,
            {"excluded": {2: A}},
            Actions(unload=(2,)),
            id="rolled back just now",
        ),
        pytest.param({2: A}, {1: available()}, LATEST, {"excluded": {2: A}}, Actions(), id="gone, and rolled back to"),
        pytest.param(
            {2: A}, {2: available()}, LATEST, {"excluded": {2: A}}, Actions(), id="excluded, and the only one"
        ),
        pytest.param({2: A}, {2: failed()}, LATEST, {"requested": [2]}, Actions(), id="asked for, and failed"),
    ],
)
def test_plans(found, held, policy, more, actions):
    assert plan_actions(found, held, policy, **more) == actions


VERSIONS = st.integers(1, 6)
KEYS = st.sampled_from("abc")
POLICIES = (
    st.builds(Latest, st.integers(1, 3))
    | st.just(All())
    | st.builds(Specific, st.frozensets(VERSIONS, min_size=1, max_size=3))
)
HELD = st.one_of(
    st.builds(Held, st.just(Holding.AVAILABLE), KEYS, st.none() | KEYS),
    st.builds(Held, st.sampled_from([Holding.LOADING, Holding.FAILED]), KEYS),
)


@st.composite
def situations(draw):
    """Everything that a plan is made from."""
    return {
        "found": draw(st.dictionaries(VERSIONS, KEYS)),
        "held": draw(st.dictionaries(VERSIONS, HELD)),
        "policy": draw(POLICIES),
        "labelled": draw(st.sets(VERSIONS, max_size=2)),
        "excluded": draw(st.dictionaries(VERSIONS, KEYS, max_size=3)),
        "requested": draw(st.sets(VERSIONS, max_size=2)),
        "kept": draw(st.sets(VERSIONS, max_size=2)),
    }


def is_excluded(situation, version):
    excluded = situation["excluded"].get(version)
    return excluded == situation["found"].get(version) and version not in situation["requested"]


def find_candidates(situation):
    held = situation["held"]
    return {
        version
        for version, key in situation["found"].items()
        if not is_excluded(situation, version) and held.get(version) != Held(Holding.FAILED, key)
    }


def find_desired(situation):
    candidates = find_candidates(situation)
    chosen = choose_versions(candidates, situation["policy"])
    return candidates & {*chosen, *situation["labelled"], *situation["requested"]}


def holding(situation, *kinds):
    return {version for version, held in situation["held"].items() if held.holding in kinds}


@given(situations(), st.randoms(use_true_random=False))
def test_a_plan_is_in_order_and_in_itself_without_contradiction(situation, random):
    actions = plan_actions(**situation)
    parts = [actions.load, actions.reload, actions.unload]
    assert all(list(part) == sorted(set(part)) for part in parts)
    assert sum(map(len, parts)) == len(set().union(*parts))
    for name in ("found", "held", "excluded"):
        items = list(situation[name].items())
        random.shuffle(items)
        situation[name] = dict(items)
    assert plan_actions(**situation) == actions


@given(situations())
def test_a_plan_touches_only_what_it_may(situation):
    actions, found, held = plan_actions(**situation), situation["found"], situation["held"]
    for version in (*actions.load, *actions.reload):
        assert version in found
        assert not is_excluded(situation, version)
    for version in actions.load:
        assert version not in held or (held[version].holding is Holding.FAILED and held[version].key != found[version])
    for version in actions.reload:
        assert held[version].holding is Holding.AVAILABLE
        assert found[version] not in (held[version].key, held[version].failed_key)
    for version in actions.unload:
        assert held[version].holding is Holding.AVAILABLE
        assert version not in situation["kept"]
        assert version not in find_desired(situation)


@given(situations())
def test_a_model_is_never_emptied_while_a_version_is_found(situation):
    serving = holding(situation, Holding.AVAILABLE)
    left = serving.difference(plan_actions(**situation).unload)
    if serving and not left:
        assert not situation["found"]
        assert not holding(situation, Holding.LOADING)


@given(situations())
def test_the_default_version_falls_back_only_when_nothing_is_to_come(situation):
    serving = holding(situation, Holding.AVAILABLE)
    left = serving.difference(plan_actions(**situation).unload)
    if serving and max(left, default=0) < max(serving):
        assert find_desired(situation) <= left


@given(situations(), st.data())
def test_applying_plans_comes_to_an_end_that_is_what_was_asked_for(situation, data):
    """A life: loads end one by one in any order, well or not; a plan is made after each."""
    found, held = situation["found"], situation["held"]
    broken = data.draw(st.sets(st.tuples(VERSIONS, KEYS)), label="broken")
    running = {version: one.key for version, one in held.items() if one.holding is Holding.LOADING}
    tried = Counter((version, key) for version, one in held.items() for key in {one.key, one.failed_key} if key)
    gone = set()
    had_one = bool(holding(situation, Holding.AVAILABLE))
    for _ in range(60):
        actions = plan_actions(**situation)
        for version in (*actions.load, *actions.reload):
            if version not in running:
                assert not tried[version, found[version]], "tried twice"
                assert version not in gone, "loaded again what was just unloaded"
                tried[version, found[version]] += 1
                running[version] = found[version]
        for version in actions.load:
            held[version] = Held(Holding.LOADING, found[version])
        for version in actions.unload:
            del held[version]
            gone.add(version)
            running.pop(version, None)
        if not running:
            break
        version = data.draw(st.sampled_from(sorted(running)), label="ends")
        key, serves = running.pop(version), held[version].holding is Holding.AVAILABLE
        if (version, key) not in broken:
            held[version] = Held(Holding.AVAILABLE, key)
        else:
            held[version] = Held(Holding.AVAILABLE, held[version].key, key) if serves else Held(Holding.FAILED, key)
        if had_one and found:
            assert holding(situation, Holding.AVAILABLE)
    assert plan_actions(**situation) == Actions()
    desired, serving = find_desired(situation), holding(situation, Holding.AVAILABLE)
    assert desired <= serving
    assert all(found[version] in (held[version].key, held[version].failed_key) for version in desired)
    if desired:
        assert serving - desired <= situation["kept"]
