"""Labels, weights, shadows, canaries and rollbacks, on a real server: who answers, and what is told of it."""

from __future__ import annotations

import grpc
import pytest
from model_watch import until
from rig import WAYS, refusal
from sentinova.v1 import model_service_pb2 as pb
from tiny_models import ALL_VERSIONS, parameter


@pytest.fixture(scope="module")
def rig(new_models, start_rig):
    """A server in explicit mode; each test has a model of its own, but for those that change nothing."""
    models = new_models()
    kinds = {1: "good", 2: "inverted", 3: "wrong", 4: "good"}
    models.add_mixed("shared", kinds, "version_policy { specific { versions: [1, 2, 3] } }\n")
    with start_rig(models, "--model-control-mode", "explicit", "--settle-secs", "0") as rig:
        assert refusal(rig.calls.LoadModel, name="shared").reason == "MODEL_FAILED"  # of version 3
        rig.calls.SetModelLabel(name="shared", label="stable", version=1)
        yield rig


@pytest.fixture
def load(rig, name):
    """Adds a model of the test's own with versions of some kinds, and loads it."""

    def add(kinds, config=ALL_VERSIONS):
        rig.models.add_mixed(name, kinds, config)
        return rig.calls.LoadModel(name=name).model

    return add


@pytest.fixture
def refused(rig):
    """Makes a call that must be refused and change nothing; gives its code, reason and fields."""

    def call(method, **fields):
        before = rig.get("shared")
        given = refusal(getattr(rig.calls, method), **{"name": "shared", **fields})
        assert rig.get("shared") == before
        return given.code, given.reason, given.fields

    return call


def shares(**percents):
    """Makes weights: `shares(v1=90, canary=10)`."""
    return [
        pb.VersionWeight(version=int(name[1:]), percent=percent)
        if name[1:].isdigit()
        else pb.VersionWeight(label=name, percent=percent)
        for name, percent in percents.items()
    ]


def weights_of(model):
    return {share.version: share.percent for share in model.weights}


# Labels


@pytest.mark.parametrize("way", WAYS)
def test_a_label_chooses_the_version(rig, way):
    rig.calls.SetModelLabel(name="shared", label=f"by-{way}", version=1)
    result = rig.ask("shared", way=way, label=f"by-{way}")
    assert (result.model.version, result.label) == (1, "positive")
    # It is taken from the version that had it.
    model = rig.calls.SetModelLabel(name="shared", label=f"by-{way}", version=2).model
    assert f"by-{way}" not in model.versions[0].version_labels
    assert f"by-{way}" in model.versions[1].version_labels
    result = rig.ask("shared", way=way, label=f"by-{way}")
    assert (result.model.version, result.label) == (2, "negative")
    rig.calls.DeleteModelLabel(name="shared", label=f"by-{way}")
    given = refusal(rig.ask, "shared", way=way, label=f"by-{way}")
    assert (given.code, given.reason, given.fields) == ("NOT_FOUND", "LABEL_NOT_FOUND", ("config.label",))
    assert given.metadata == {"model": "shared", "label": f"by-{way}"}
    assert "stable" in given.message  # which labels there are


@pytest.mark.parametrize(
    ("label", "version", "expected"),
    [
        ("", 1, ("INVALID_ARGUMENT", "INVALID_FIELD", ("label",))),
        ("Stable", 1, ("INVALID_ARGUMENT", "INVALID_FIELD", ("label",))),
        ("2nd", 1, ("INVALID_ARGUMENT", "INVALID_FIELD", ("label",))),
        ("a b", 1, ("INVALID_ARGUMENT", "INVALID_FIELD", ("label",))),
        ("x" * 64, 1, ("INVALID_ARGUMENT", "INVALID_FIELD", ("label",))),
        ("stable", 9, ("NOT_FOUND", "VERSION_NOT_FOUND", ("version",))),
        ("stable", 0, ("NOT_FOUND", "VERSION_NOT_FOUND", ("version",))),
        ("stable", 3, ("FAILED_PRECONDITION", "VERSION_NOT_AVAILABLE", ("version",))),
        ("stable", 4, ("NOT_FOUND", "VERSION_NOT_FOUND", ("version",))),
    ],
)
def test_a_label_that_cannot_be_given_is_refused(refused, label, version, expected):
    assert refused("SetModelLabel", label=label, version=version) == expected


def test_labels_may_be_63_characters_long_and_a_version_may_have_many(rig, load, name):
    load({1: "good"})
    for label in ("x" * 63, "a", "a-b_2"):
        rig.calls.SetModelLabel(name=name, label=label, version=1)
        assert rig.asked(name, label=label) == 1
    assert list(rig.get(name).versions[0].version_labels) == ["a", "a-b_2", "x" * 63]


def test_a_label_that_is_not_there_is_not_taken_away(refused):
    assert refused("DeleteModelLabel", label="canary") == ("NOT_FOUND", "LABEL_NOT_FOUND", ("label",))


def test_a_version_that_a_label_names_stays_loaded_whatever_the_policy_says(rig, load, name):
    load({1: "good", 2: "good"})
    rig.calls.SetModelLabel(name=name, label="stable", version=1)
    rig.models.configure(name, "")
    rig.calls.LoadModel(name=name)
    assert (rig.available(name), rig.asked(name, label="stable")) == ([1, 2], 1)
    rig.calls.DeleteModelLabel(name=name, label="stable")
    rig.calls.LoadModel(name=name)
    assert rig.available(name) == [2]


# Weights


def test_weights_share_the_requests_that_name_no_version(rig, load, name):
    load({1: "good", 2: "good"})
    rig.calls.SetModelLabel(name=name, label="canary", version=2)
    model = rig.calls.SetModelWeights(name=name, weights=shares(v1=70, canary=30)).model
    assert weights_of(model) == {1: 70, 2: 30}
    assert [version.weight for version in model.versions] == [70, 30]
    # Six standard deviations to each side: 1 run in 500 million is outside.
    seen = [rig.asked(name) for _ in range(300)]
    assert 42 <= seen.count(2) <= 138
    assert seen.count(1) + seen.count(2) == 300
    assert {rig.asked(name, version=1) for _ in range(20)} == {1}
    assert {rig.asked(name, label="canary") for _ in range(20)} == {2}
    assert not rig.calls.SetModelWeights(name=name).model.weights
    assert {rig.asked(name) for _ in range(20)} == {2}


def test_a_routing_key_gets_the_same_version_every_time(rig, load, name):
    load({1: "good", 2: "good"})
    rig.calls.SetModelWeights(name=name, weights=shares(v1=70, v2=30))
    keys = [f"user-{number}" for number in range(300)]
    chosen = [rig.asked(name, routing_key=key) for key in keys]
    assert 42 <= chosen.count(2) <= 138
    assert [rig.asked(name, routing_key=key) for key in keys] == chosen
    for way in ("batch", "stream"):
        assert [rig.asked(name, way=way, routing_key=key) for key in keys[:40]] == chosen[:40]
    # A larger share of the canary takes no key from it.
    rig.calls.SetModelWeights(name=name, weights=shares(v1=40, v2=60))
    later = [rig.asked(name, routing_key=key) for key in keys]
    assert all(after == 2 for before, after in zip(chosen, later, strict=True) if before == 2)
    assert later.count(2) > chosen.count(2)


def test_the_largest_share_may_be_all_and_the_others_none(rig, load, name):
    load({1: "good", 2: "good"})
    rig.calls.SetModelWeights(name=name, weights=shares(v1=100, v2=0))
    assert {rig.asked(name) for _ in range(50)} == {1}
    assert rig.get(name).default_version == 2


@pytest.mark.parametrize("way", WAYS)
def test_a_routing_key_may_have_256_bytes(rig, way):
    for key in ("x" * 256, "é" * 128):
        assert rig.asked("shared", way=way, routing_key=key) == 2
    for key in ("x" * 257, "é" * 129):
        given = refusal(rig.ask, "shared", way=way, routing_key=key)
        assert (given.code, given.reason, given.fields) == (
            "INVALID_ARGUMENT",
            "INVALID_FIELD",
            ("config.routing_key",),
        )


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (shares(v1=50, v2=49), ("INVALID_ARGUMENT", "INVALID_FIELD", ("weights",))),
        (shares(v1=50, v2=51), ("INVALID_ARGUMENT", "INVALID_FIELD", ("weights",))),
        (shares(v1=0, v2=0), ("INVALID_ARGUMENT", "INVALID_FIELD", ("weights",))),
        (shares(v1=2**32 - 1, v2=101), ("INVALID_ARGUMENT", "INVALID_FIELD", ("weights",))),
        (shares(v1=50, stable=50), ("INVALID_ARGUMENT", "INVALID_FIELD", ("weights[1]",))),
        ([*shares(v1=50), *shares(v1=50)], ("INVALID_ARGUMENT", "INVALID_FIELD", ("weights[1]",))),
        ([*shares(v1=50), pb.VersionWeight(percent=50)], ("INVALID_ARGUMENT", "INVALID_FIELD", ("weights[1]",))),
        (shares(v1=50, v9=50), ("NOT_FOUND", "VERSION_NOT_FOUND", ("weights[1]",))),
        (shares(v1=50, canary=50), ("NOT_FOUND", "LABEL_NOT_FOUND", ("weights[1]",))),
        (shares(v3=50, v1=50), ("FAILED_PRECONDITION", "VERSION_NOT_AVAILABLE", ("weights[0]",))),
    ],
    ids=["99", "101", "nothing", "wrapped", "twice_by_label", "twice", "neither", "unknown", "unknown_label", "failed"],
)
def test_weights_that_cannot_be_are_refused(refused, weights, expected):
    assert refused("SetModelWeights", weights=weights) == expected


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        (pb.CanaryLimits(max_error_rate=1.1), "limits.max_error_rate"),
        (pb.CanaryLimits(max_error_rate=float("nan")), "limits.max_error_rate"),
        (pb.CanaryLimits(max_disagreement=-0.1), "limits.max_disagreement"),
        (pb.CanaryLimits(min_documents=1001), "limits.min_documents"),
    ],
    ids=["error_rate", "no_number", "disagreement", "documents"],
)
def test_limits_that_cannot_be_are_refused(refused, limits, field):
    expected = ("INVALID_ARGUMENT", "INVALID_FIELD", (field,))
    assert refused("SetModelWeights", weights=shares(v1=90, v2=10), limits=limits) == expected


# A shadow


def test_a_shadow_answers_nobody_and_is_compared(rig, load, name):
    load({1: "good", 2: "inverted"})
    rig.calls.SetModelLabel(name=name, label="next", version=2)
    rig.calls.SetModelWeights(name=name, weights=shares(v1=100))
    assert rig.calls.SetModelShadow(name=name, label="next").model.shadow_version == 2
    texts = ["good", "bad film", "the film not good", "the film"] * 5
    for text in texts:
        result = rig.ask(name, text)
        assert (result.model.version, result.scores) == (1, rig.ask("shared", text, version=1).scores)
    [comparison] = until(
        lambda: list(rig.get(name).comparisons),
        lambda found: found and found[0].documents + found[0].dropped == len(texts),
    )
    assert (comparison.version, comparison.baseline, comparison.live, comparison.failed) == (2, 1, False, 0)
    # "the film" has the same scores in both, and what is inverted is another label.
    assert comparison.documents > 0
    assert comparison.agreed <= 5
    assert 0 < comparison.mean_distance <= comparison.max_distance <= 1
    labels = {"model": name, "version": "2", "baseline": "1"}
    counted = {
        outcome: rig.metric("sentinova_comparison_documents_total", **labels, outcome=outcome)
        for outcome in ("agreed", "disagreed", "dropped", "failed")
    }
    assert counted == {
        "agreed": comparison.agreed,
        "disagreed": comparison.documents - comparison.agreed,
        "dropped": comparison.dropped,
        "failed": 0,
    }
    assert rig.metric("sentinova_comparison_max_distance", **labels) == pytest.approx(comparison.max_distance)
    # What it computes is no answer, and is not counted as one.
    method = {"model": name, "method": "AnalyzeSentiment", "code": "OK"}
    assert rig.metric("sentinova_documents_total", version="1", **method) == len(texts)
    assert rig.metric("sentinova_documents_total", version="2", **method) == 0
    ended = rig.calls.SetModelShadow(name=name).model
    assert (ended.shadow_version, len(ended.comparisons)) == (0, 0)


def test_a_shadow_of_a_part_of_the_documents(rig, load, name):
    load({1: "inverted", 2: "good"})
    rig.calls.SetModelShadow(name=name, version=1, percent=30)
    for _ in range(300):
        assert rig.asked(name, "the film") == 2
    # The last one, which alone has other scores: what came before it is compared before it.
    rig.calls.SetModelShadow(name=name, version=1, percent=100)
    rig.ask(name, "good")
    [comparison] = until(lambda: list(rig.get(name).comparisons), lambda found: found[0].max_distance)
    # Six standard deviations to each side; what was dropped was chosen too.
    assert 43 <= comparison.documents + comparison.dropped <= 139
    assert comparison.agreed == comparison.documents - 1


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"version": 9}, ("NOT_FOUND", "VERSION_NOT_FOUND", ("version",))),
        ({"version": 3}, ("FAILED_PRECONDITION", "VERSION_NOT_AVAILABLE", ("version",))),
        ({"label": "canary"}, ("NOT_FOUND", "LABEL_NOT_FOUND", ("label",))),
        ({"version": 1, "percent": 101}, ("INVALID_ARGUMENT", "INVALID_FIELD", ("percent",))),
    ],
    ids=["unknown", "failed", "unknown_label", "percent"],
)
def test_a_shadow_that_cannot_be_is_refused(refused, fields, expected):
    assert refused("SetModelShadow", **fields) == expected


# Canaries


@pytest.mark.parametrize("by", ["call", "config"])
def test_a_canary_that_gives_other_labels_is_rolled_back_by_itself(rig, load, name, by):
    limits = parameter("canary.max_disagreement", "0.2") + parameter("canary.min_documents", "10")
    load({1: "good", 2: "inverted"}, ALL_VERSIONS + (limits if by == "config" else ""))
    chosen = pb.CanaryLimits(max_disagreement=0.2, min_documents=10) if by == "call" else None
    with rig.watch(name) as watch, rig.asking(name) as client:
        rig.calls.SetModelWeights(name=name, weights=shares(v1=60, v2=40), limits=chosen)
        event = watch.wait_for_kind("ROLLBACK")
        watch.wait_for_state(2, "END")
        client.wait_for_more(20)
        assert watch.states(2) == ["UNLOADING", "END"]
        assert watch.states(1) == []
    assert (event.version, event.default_version) == (2, 1)
    for told in ("rolled back by itself", "100.0% of 10 documents got another label than from version 1", "20%"):
        assert told in event.message
        assert told in rig.message(name, 2)
    model = rig.get(name)
    assert (weights_of(model), list(model.comparisons), model.default_version) == ({1: 100}, [], 1)
    assert {version for version, _ in client.answers[:-20]} == {1, 2}
    assert {version for version, _ in client.answers[-20:]} == {1}
    assert rig.metric("sentinova_rollbacks_total", model=name, version="2", cause="canary") == 1
    [line] = rig.logged("rolled_back", model=name)
    assert (line["version"], line["reason"]) == (2, event.message)
    # It stays out until somebody wants it back.
    rig.calls.ReloadRepository()
    assert rig.available(name) == [1]
    rig.calls.LoadModel(name=name, version=2)
    assert rig.available(name) == [1, 2]


def test_a_canary_that_fails_is_rolled_back_by_itself(rig, load, name):
    load({1: "good", 2: "failing"})
    limits = pb.CanaryLimits(max_error_rate=0.1, min_documents=5)
    rig.calls.SetModelWeights(name=name, weights=shares(v1=60, v2=40), limits=limits)
    with rig.watch(name) as watch:
        failed = 0
        while rig.available(name) == [1, 2]:
            try:
                assert rig.asked(name, "good film") == 1
            except grpc.RpcError as error:
                failed += error.code() is grpc.StatusCode.INTERNAL
            assert failed <= 5
        event = watch.wait_for_kind("ROLLBACK")
    assert failed == 5
    assert "failed on 100.0% of 5 documents" in event.message
    assert {rig.asked(name, "good film") for _ in range(20)} == {1}


def test_a_canary_within_its_limits_stays(rig, load, name):
    load({1: "good", 2: "good"})
    limits = pb.CanaryLimits(max_error_rate=0, max_disagreement=0, min_documents=1)
    rig.calls.SetModelWeights(name=name, weights=shares(v1=60, v2=40), limits=limits)
    with rig.asking(name):
        [comparison] = until(
            lambda: list(rig.get(name).comparisons), lambda found: not found or found[0].documents >= 30
        )
    assert (comparison.version, comparison.baseline, comparison.live) == (2, 1, True)
    assert (comparison.agreed, comparison.max_distance) == (comparison.documents, 0)
    assert rig.available(name) == [1, 2]


# Rollbacks


def test_a_rollback_goes_back_at_once_where_the_version_before_was_kept(rig, load, name):
    load({1: "good"}, parameter("keep_previous", "true"))
    rig.models.add(name, 2)
    rig.calls.LoadModel(name=name)
    assert rig.available(name) == [1, 2]
    with rig.watch(name) as watch, rig.asking(name) as client:
        back = rig.calls.RollbackModel(name=name)
        watch.wait_for_state(2, "END")
        client.wait_for_more(5)
        assert watch.states(1) == []
    assert (back.from_version, back.to_version, back.model.default_version) == (2, 1, 1)
    versions = [version for version, _ in client.answers]
    assert versions == sorted(versions, reverse=True)
    assert "rolled back by request" in rig.message(name, 2)
    assert rig.metric("sentinova_rollbacks_total", model=name, version="2", cause="request") == 1


def test_of_the_versions_before_only_the_last_one_is_kept(rig, load, name):
    load({1: "good"}, parameter("keep_previous", "true"))
    for version in (2, 3):
        rig.models.add(name, version)
        rig.calls.LoadModel(name=name)
        assert rig.available(name) == [version - 1, version]


def test_a_rollback_loads_the_version_before_where_it_is_not_there(rig, load, name):
    load({1: "good", 2: "good", 3: "good"}, "")
    assert rig.available(name) == [3]
    with rig.watch(name) as watch, rig.asking(name) as client:
        back = rig.calls.RollbackModel(name=name)
        watch.wait_for_state(3, "END")
        client.wait_for_more(5)
        assert [event[2:] for event in watch.news if event[0] == "STATE"] == [
            (2, "LOADING"),
            (2, "AVAILABLE"),
            (3, "UNLOADING"),
            (3, "END"),
        ]
    assert (back.from_version, back.to_version) == (3, 2)
    assert {*client.answers} == {(3, "positive"), (2, "positive")}
    # Neither a reload nor a load that does not name it brings it back.
    rig.calls.ReloadRepository()
    rig.calls.LoadModel(name=name)
    assert rig.available(name) == [2]
    # A new version is served as ever, and the one that was gone back to goes.
    rig.models.add(name, 4)
    rig.calls.LoadModel(name=name)
    assert rig.available(name) == [4]


def test_a_rollback_again_goes_back_further_until_nothing_is_left(rig, load, name):
    load({1: "good", 2: "good", 3: "good"}, "")
    steps = [rig.calls.RollbackModel(name=name) for _ in range(2)]
    assert [(step.from_version, step.to_version) for step in steps] == [(3, 2), (2, 1)]
    given = refusal(rig.calls.RollbackModel, name=name)
    assert (given.code, given.reason) == ("FAILED_PRECONDITION", "NO_PREVIOUS_VERSION")
    assert rig.asked(name) == 1


def test_a_version_that_was_rolled_back_stays_out_when_only_the_config_changes(rig, load, name):
    load({1: "good", 2: "good"})
    rig.calls.RollbackModel(name=name)
    rig.models.configure(name, ALL_VERSIONS + parameter("temperature", "2"))
    score = rig.ask(name).score
    rig.calls.ReloadRepository()
    assert rig.available(name) == [1]
    assert rig.ask(name).score < score  # the config is in force


def test_a_version_that_was_rolled_back_comes_back_when_its_files_change(rig, load, name):
    load({1: "good", 2: "inverted"}, "")
    rig.calls.RollbackModel(name=name)
    rig.models.refill(name, 2, "good")
    rig.calls.ReloadRepository()
    assert rig.get(name).default_version == 2
    assert rig.ask(name, version=2).label == "positive"


@pytest.mark.parametrize("kinds", [{2: "good"}, {1: "wrong", 2: "good"}], ids=["none", "one_that_fails"])
def test_a_rollback_without_a_version_before_is_refused_and_changes_nothing(rig, load, name, kinds):
    load(kinds, "")
    with rig.asking(name) as client:
        given = refusal(rig.calls.RollbackModel, name=name)
        client.wait_for_more(5)
    assert (given.code, given.reason, given.metadata) == ("FAILED_PRECONDITION", "NO_PREVIOUS_VERSION", {"model": name})
    assert ("golden.json" in given.message) == (1 in kinds)
    assert {*client.answers} == {(2, "positive")}
    assert (rig.available(name), rig.get(name).default_version) == ([2], 2)


def test_a_rollback_gives_the_share_of_the_version_to_the_others(rig, load, name):
    load({1: "good", 2: "good", 3: "good"})
    rig.calls.SetModelWeights(name=name, weights=shares(v1=60, v2=20, v3=20))
    assert weights_of(rig.calls.RollbackModel(name=name).model) == {1: 75, 2: 25}
    assert {rig.asked(name, routing_key=str(key)) for key in range(50)} == {1, 2}
