"""WatchModels: what is so, every change as it comes, and how a watch ends, on real servers."""

from __future__ import annotations

import grpc
import pytest
from rig import refusal
from sentinova.v1 import model_service_pb2 as pb
from tiny_models import ALL_VERSIONS


@pytest.fixture(scope="module")
def rig(new_models, start_rig):
    """A server in explicit mode; each test has a model of its own."""
    models = new_models()
    models.add("known", 1)
    with start_rig(models, "--model-control-mode", "explicit", "--settle-secs", "0") as rig:
        yield rig


def test_a_watch_begins_with_each_version_or_the_model_as_it_is(rig, name):
    rig.models.add_mixed(name, {1: "good", 2: "good", 3: "wrong"}, ALL_VERSIONS)
    assert refusal(rig.calls.LoadModel, name=name).reason == "MODEL_FAILED"
    rig.calls.UnloadModel(name=name, version=1)
    model = rig.get(name)
    with rig.watch(name, "known") as watch:
        assert watch.told == [
            ("INITIAL", name, 1, "END"),
            ("INITIAL", name, 2, "AVAILABLE"),
            ("INITIAL", name, 3, "FAILED"),
            ("INITIAL", "known", 0, ""),
            ("SYNCED", "", 0, ""),
        ]
        for event, version in zip(watch.events, model.versions, strict=False):
            assert (event.message, event.time) == (version.state_message, version.state_time)
        assert [event.default_version for event in watch.events] == [2, 2, 2, 0, 0]


def test_a_version_is_told_of_from_its_load_to_its_end(rig, name):
    rig.models.add(name, 1)
    with rig.watch(name) as watch:
        rig.calls.LoadModel(name=name)
        rig.calls.UnloadModel(name=name)
        watch.wait_for_state(1, "END")
        assert watch.news == [("STATE", name, 1, state) for state in ("LOADING", "AVAILABLE", "UNLOADING", "END")]
        loading, available, unloading, end = watch.events[watch.synced + 1 :]
    assert [event.default_version for event in (loading, available, unloading, end)] == [0, 1, 0, 0]
    assert "golden texts" in available.message
    assert "request" in unloading.message
    times = [event.time.ToNanoseconds() for event in (loading, available, unloading, end)]
    assert times == sorted(times)
    assert times[0] > 0


def test_a_swap_is_told_in_its_order(rig, name):
    rig.models.add(name, 1)
    rig.calls.LoadModel(name=name)
    rig.models.add(name, 2)
    with rig.watch(name) as watch:
        rig.calls.LoadModel(name=name)
        watch.wait_for_state(1, "END")
        told = [(event.version, event.default_version) for event in watch.events[watch.synced + 1 :]]
        assert [state for *_, state in watch.news] == ["LOADING", "AVAILABLE", "UNLOADING", "END"]
    assert told == [(2, 1), (2, 2), (1, 2), (1, 2)]


def test_a_version_that_fails_is_told_of_with_its_reason(rig, name):
    rig.models.add(name, 1)
    rig.calls.LoadModel(name=name)
    rig.models.add(name, 2, kind="wrong")
    with rig.watch(name) as watch:
        refusal(rig.calls.LoadModel, name=name)
        event = watch.wait_for_state(2, "FAILED")
        assert watch.news == [("STATE", name, 2, "LOADING"), ("STATE", name, 2, "FAILED")]
    assert "golden.json: cases.0" in event.message
    assert event.message == rig.message(name, 2)
    assert event.default_version == 1


def test_a_change_that_cannot_be_loaded_is_a_warning_of_the_version_that_serves_on(rig, name):
    rig.models.add(name, 1)
    rig.calls.LoadModel(name=name)
    with rig.watch(name) as watch:
        rig.models.refill(name, 1, "wrong")
        assert refusal(rig.calls.LoadModel, name=name).reason == "MODEL_FAILED"
        event = watch.wait_for_kind("WARNING")
        assert watch.news == [("WARNING", name, 1, "AVAILABLE")]
        assert "golden.json: cases.0" in event.message
        assert rig.message(name, 1) == event.message
        rig.models.refill(name, 1, "inverted")
        rig.calls.LoadModel(name=name)
        watch.wait_for_state(1, "AVAILABLE")
    assert rig.ask(name).label == "negative"
    assert "golden texts" in rig.message(name, 1)


def test_what_is_wrong_with_a_model_as_a_whole_is_a_warning_until_it_is_mended(rig, name):
    rig.models.add(name, 1)
    rig.calls.LoadModel(name=name)
    with rig.watch(name) as watch:
        rig.models.configure(name, "version_polisy { all {} }")
        rig.calls.ReloadRepository()
        event = watch.wait_for_kind("WARNING")
        assert (event.version, event.state) == (0, pb.MODEL_VERSION_STATE_UNSPECIFIED)
        assert "line 1, column 1" in event.message
        assert event.message == rig.get(name).message
        rig.models.configure(name, "")
        rig.calls.ReloadRepository()
        mended = watch.wait_for_kind("WARNING", after=watch.wait_for(lambda one: one == event) + 1)
        assert mended.message == ""
        assert len(watch.news) == 2
    assert rig.get(name).message == ""


def test_labels_weights_and_shadow_are_told_as_traffic(rig, name):
    rig.models.add(name, 1, 2, config=ALL_VERSIONS)
    rig.calls.LoadModel(name=name)
    with rig.watch(name) as watch:
        weights = [pb.VersionWeight(version=1, percent=70), pb.VersionWeight(version=2, percent=30)]
        rig.calls.SetModelLabel(name=name, label="canary", version=2)
        rig.calls.SetModelWeights(name=name, weights=weights)
        rig.calls.SetModelWeights(name=name)
        rig.calls.SetModelShadow(name=name, version=1)
        rig.calls.DeleteModelLabel(name=name, label="canary")
        watch.wait_for(lambda event: "canary is gone" in event.message)
        assert watch.news == [("TRAFFIC", name, 0, "")] * 5
        messages = [event.message for event in watch.events[watch.synced + 1 :]]
        assert {event.default_version for event in watch.events[watch.synced + 1 :]} == {2}
    for message, told in zip(messages, ("canary", "70", "weights", "shadow", "canary"), strict=True):
        assert told in message


def test_a_rollback_is_told_with_its_versions(rig, name):
    rig.models.add(name, 1, 2, config=ALL_VERSIONS)
    rig.calls.LoadModel(name=name)
    with rig.watch(name) as watch:
        rig.calls.RollbackModel(name=name)
        watch.wait_for_state(2, "END")
        assert ("ROLLBACK", name, 2) in [event[:3] for event in watch.news]
        assert watch.states(2) == ["UNLOADING", "END"]
        assert watch.states(1) == []
        event = watch.wait_for_kind("ROLLBACK")
    assert (event.version, event.default_version) == (2, 1)
    assert "rolled back by request" in event.message


def test_a_refused_call_is_no_change(rig, name):
    rig.models.add(name, 1, 2, config=ALL_VERSIONS)
    rig.calls.LoadModel(name=name)
    with rig.watch(name) as watch:
        refusal(rig.calls.SetModelLabel, name=name, label="canary", version=9)
        refusal(rig.calls.SetModelWeights, name=name, weights=[pb.VersionWeight(version=1, percent=99)])
        refusal(rig.calls.LoadModel, name=name, version=9)
        refusal(rig.calls.LoadModel, name=name, config="nonsense")
        refusal(rig.calls.UnloadModel, name=name, version=9)
        rig.calls.LoadModel(name=name)  # changes nothing either
        rig.calls.SetModelLabel(name=name, label="canary", version=2)
        watch.wait_for_kind("TRAFFIC")
        assert watch.news == [("TRAFFIC", name, 0, "")]


def test_names_choose_what_is_told_also_before_there_is_such_a_model(rig, name):
    with rig.watch(name, f"{name}-never") as watch, rig.watch() as everything:
        assert watch.told == [("SYNCED", "", 0, "")]
        assert ("INITIAL", "known", 0, "") in everything.told
        rig.models.add(f"{name}-other", 1)
        rig.calls.LoadModel(name=f"{name}-other")
        rig.models.add(name, 1)
        rig.calls.LoadModel(name=name)
        everything.wait_for_state(1, "AVAILABLE", model=name)
        watch.wait_for_state(1, "AVAILABLE")
        assert watch.news == [("STATE", name, 1, "LOADING"), ("STATE", name, 1, "AVAILABLE")]
        assert [event[1] for event in everything.news] == [f"{name}-other"] * 2 + [name] * 2


def test_two_watchers_are_told_the_same_and_one_that_leaves_holds_up_nobody(rig, name):
    rig.models.add(name, 1, 2)
    with rig.watch(name) as first, rig.watch(name) as second:
        with rig.watch(name):
            rig.calls.LoadModel(name=name, version=1)
        rig.calls.SetModelLabel(name=name, label="x", version=1)
        rig.calls.UnloadModel(name=name)
        for watch in (first, second):
            watch.wait_for_state(1, "END")
            watch.wait_for_state(2, "END")
        assert first.events == second.events
        assert len(first.news) == 9


def test_too_many_names_are_refused(rig):
    given = refusal(lambda: next(rig.calls.stub.WatchModels(pb.WatchModelsRequest(names=map(str, range(1001))))))
    assert (given.code, given.reason, given.fields) == ("INVALID_ARGUMENT", "INVALID_FIELD", ("names",))


def test_watches_end_well_when_the_server_stops_and_hold_up_nothing(new_models, start_rig):
    models = new_models()
    models.add("tiny", 1)
    # Were the stop to wait for the watches, it would wait for an hour.
    with start_rig(models, "--drain-timeout", "3600") as rig, rig.watch() as watch, rig.watch("absent") as idle:
        assert rig.server.stop() == 0
        assert [each.wait_for_end() for each in (watch, idle)] == [grpc.StatusCode.OK] * 2
        assert rig.logged("stopped")
        # Whatever is told of the stop itself, it is in the order of a version's life.
        assert watch.states(1) == ["UNLOADING", "END"][: len(watch.states(1))]
        assert idle.news == []
