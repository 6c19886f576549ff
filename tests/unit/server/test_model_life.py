"""One model's life: what is loaded, published, withdrawn and freed, in which order, and what calls may change of it."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova_server.errors import LoadError, Reason, ServingError
from sentinova_server.observability.metrics import Metrics
from sentinova_server.repository.config import ModelConfig
from sentinova_server.repository.policy import All, Latest, Specific
from sentinova_server.repository.scanner import ModelFolder
from sentinova_server.repository.traffic import CanaryLimits, Traffic
from sentinova_server.serving.events import EventKind, ModelEvents
from sentinova_server.serving.loading import FilesChangedError, Loaded, MemoryRefusedError
from sentinova_server.serving.look import Sighting
from sentinova_server.serving.model_life import ModelLife, Surroundings
from sentinova_server.serving.model_traffic import ModelTraffic, TrafficHub
from sentinova_server.serving.registry import Registry, State

FOLDER = Path("repository/m")


class FakeClassifier:
    """What stands for a loaded version: it tells from which files it was made."""

    def __init__(self, files):
        self.files = files
        self.recent_batches = [(3, 4)]


class FakeLoader:
    """Loads at once, or when told; fails where told."""

    def __init__(self):
        self.loaded, self.freed, self.batches, self.gently = [], [], [], []
        self.errors = {}  # files -> the exception that loading them raises
        self.gate = None

    async def load(self, source, batches=(), *, gently=False):
        self.gently.append(gently)
        self.loaded.append((source.version, source.fingerprint))
        self.batches.append(list(batches))
        if self.gate:
            await self.gate.wait()
        if source.fingerprint in self.errors:
            raise self.errors[source.fingerprint]
        return Loaded(FakeClassifier(source.fingerprint), f"checked {source.fingerprint}", {})

    async def free(self, classifier):
        self.freed.append(classifier.files)


class NoDeliveries:
    """Notes what is to be compared."""

    def __init__(self):
        self.configured = []

    def configure(self, model, **what):
        self.configured.append(what)


class Stage:
    """A model with everything around it."""

    def __init__(self, **config):
        self.registry = Registry()
        self.loader = FakeLoader()
        self.events = ModelEvents()
        self.deliveries = NoDeliveries()
        self.metrics = Metrics()
        self.ended = []
        record = self.registry.add_model("m")
        hub = TrafficHub(self.deliveries, self.events, self.metrics)
        around = Surroundings(self.registry, self.loader, self.ended.append, drain_timeout=60.0)
        self.life = ModelLife(record, ModelTraffic(record, hub), around)
        self.registry.observe(lambda _: self.life.traffic.refresh())
        self.config = ModelConfig("m", **config)

    def sight(self, settled, changing=(), **config):
        """Gives what a look finds: versions with their files, and those that are being written."""
        if config:
            self.config = ModelConfig("m", **config)
        found = {**settled, **dict.fromkeys(changing, "half")}
        folder = ModelFolder("m", FOLDER, self.config, {}, found=found)
        return Sighting(folder, settled, config_settled=True)

    async def see(self, settled, changing=(), **config):
        return await self.life.bring_up(self.sight(settled, changing, **config))

    @property
    def states(self):
        return {number: version.state.value for number, version in self.life.record.versions.items()}

    @property
    def answers(self):
        """The files of the version that answers by default."""
        with self.registry.lease("m", None) as record:
            return record.served.files


async def turn():
    """Lets everything that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


def failing(files):
    return LoadError(FOLDER, f"{files} is broken")


async def test_the_new_version_answers_before_the_old_one_goes():
    stage = Stage()
    await stage.see({1: "a"})
    assert stage.answers == "a"
    stage.loader.gate = asyncio.Event()
    following = asyncio.create_task(stage.see({1: "a", 2: "b"}))
    await turn()
    assert stage.states == {1: "AVAILABLE", 2: "LOADING"}
    assert stage.answers == "a"
    with stage.registry.lease("m", None) as held:
        stage.loader.gate.set()
        await turn()
        assert stage.answers == "b"
        assert stage.states == {1: "UNLOADING", 2: "AVAILABLE"}
        assert stage.loader.freed == []  # the request that began with the old one still has it
        assert held.served.files == "a"
    await following
    assert stage.loader.freed == ["a"]
    assert stage.states == {1: "END", 2: "AVAILABLE"}
    # Warmed up with what the old one was asked, and nothing before it had been asked anything.
    assert stage.loader.batches == [[], [(3, 4)]]
    # And with care for what serves, where anything does.
    assert stage.loader.gently == [False, True]


async def test_a_version_that_fails_takes_no_traffic_and_not_the_old_one_away():
    stage = Stage()
    stage.loader.errors["bad"] = failing("bad")
    await stage.see({1: "a"})
    errors = await stage.see({1: "a", 2: "bad"})
    assert [(version, str(error)) for version, error in errors] == [(2, "repository/m: bad is broken")]
    assert stage.answers == "a"
    assert stage.states == {1: "AVAILABLE", 2: "FAILED"}
    assert stage.life.record.versions[2].message == "repository/m: bad is broken"
    # It is tried again only when its files change.
    await stage.see({1: "a", 2: "bad"})
    assert stage.loader.loaded.count((2, "bad")) == 1
    await stage.see({1: "a", 2: "good"})
    assert stage.answers == "good"
    assert stage.states == {1: "END", 2: "AVAILABLE"}


async def test_where_the_latest_fails_at_the_start_the_one_before_is_served():
    stage = Stage()
    stage.loader.errors["bad"] = failing("bad")
    await stage.see({1: "a", 2: "b", 3: "bad"})
    assert stage.states == {2: "AVAILABLE", 3: "FAILED"}
    assert stage.loader.loaded == [(3, "bad"), (2, "b")]


async def test_files_replaced_in_place_are_loaded_anew_while_the_old_ones_serve():
    stage = Stage()
    await stage.see({1: "a"})
    stage.loader.gate = asyncio.Event()
    following = asyncio.create_task(stage.see({1: "b"}))
    await turn()
    assert stage.states == {1: "AVAILABLE"}
    assert stage.answers == "a"
    stage.loader.gate.set()
    await following
    await stage.life.wait()
    assert stage.answers == "b"
    assert stage.loader.freed == ["a"]
    assert stage.ended == []  # the version never ended


async def test_where_replaced_files_are_broken_the_old_ones_serve_on_and_it_is_told():
    stage = Stage()
    stage.loader.errors["bad"] = failing("bad")
    await stage.see({1: "a"})
    with stage.events.watch() as watch:
        await stage.see({1: "bad"})
        event = await watch.next()
    assert event.kind is EventKind.WARNING
    assert "bad is broken" in event.message
    assert stage.answers == "a"
    assert "bad is broken" in stage.life.record.versions[1].message
    await stage.see({1: "bad"})
    assert stage.loader.loaded == [(1, "a"), (1, "bad")]
    await stage.see({1: "c"})
    assert stage.answers == "c"
    assert stage.life.record.versions[1].message == "checked c"


async def test_files_that_are_being_written_are_not_loaded_and_do_not_disturb():
    stage = Stage()
    await stage.see({1: "a"})
    await stage.see({1: "a"}, changing=[2])
    assert stage.loader.loaded == [(1, "a")]
    assert "[2]" in stage.life.record.message
    await stage.see({}, changing=[1])  # a version that serves is being changed in place
    assert stage.answers == "a"
    await stage.see({1: "a", 2: "b"})
    assert stage.answers == "b"
    assert stage.life.record.message == ""


async def test_the_only_version_goes_on_while_another_is_written_though_its_own_folder_is_gone():
    stage = Stage()
    await stage.see({1: "a"})
    await stage.see({}, changing=[2])
    assert stage.answers == "a"
    await stage.see({2: "b"})
    assert stage.answers == "b"
    assert stage.states == {1: "END", 2: "AVAILABLE"}


async def test_files_that_change_while_they_are_loaded_are_tried_again_once_they_settle():
    stage = Stage()
    stage.loader.errors["half"] = FilesChangedError(FOLDER, "changed while they were read")
    await stage.see({1: "half"})
    assert stage.states == {1: "FAILED"}
    await stage.see({1: "whole"})
    assert stage.answers == "whole"


async def test_a_deleted_version_goes_and_a_deleted_model_has_none():
    stage = Stage(version_policy=All())
    await stage.see({1: "a", 2: "b"})
    await stage.see({1: "a"})
    assert stage.states == {1: "AVAILABLE", 2: "END"}
    assert [record.version for record in stage.ended] == [2]
    await stage.see({})
    assert stage.states == {1: "END", 2: "END"}
    with pytest.raises(ServingError):
        assert stage.answers


async def test_a_config_that_breaks_leaves_the_earlier_one_in_force():
    stage = Stage(version_policy=All())
    await stage.see({1: "a", 2: "b"})
    broken = ModelFolder("m", FOLDER, None, {}, found={1: "a", 2: "b"}, problem="config.pbtxt: line 1")
    await stage.life.bring_up(Sighting(broken, {1: "a", 2: "b"}, config_settled=True))
    assert stage.states == {1: "AVAILABLE", 2: "AVAILABLE"}
    assert "line 1" in stage.life.record.message
    assert "earlier config" in stage.life.record.message
    assert stage.loader.loaded == [(1, "a"), (2, "b")]


async def test_a_config_that_concerns_a_version_has_it_loaded_anew_and_no_other():
    stage = Stage(version_policy=All())
    await stage.see({1: "a", 2: "b"})
    await stage.see({1: "a", 2: "b"}, version_policy=All(), temperatures={2: 3.0})
    assert stage.loader.loaded == [(1, "a"), (2, "b"), (2, "b")]
    # Labels and weights need no loading.
    traffic = Traffic(labels={"stable": 1}, weights={1: 90, 2: 10})
    await stage.see({1: "a", 2: "b"}, version_policy=All(), temperatures={2: 3.0}, traffic=traffic)
    assert len(stage.loader.loaded) == 3
    assert (stage.life.record.labels, stage.life.record.weights) == ({"stable": 1}, {1: 90, 2: 10})


async def test_what_a_label_names_stays_though_the_policy_drops_it():
    stage = Stage()
    await stage.see({1: "a"}, traffic=Traffic(labels={"stable": 1}))
    await stage.see({1: "a", 2: "b"})
    assert stage.states == {1: "AVAILABLE", 2: "AVAILABLE"}
    stage.life.traffic.set_label("stable", 2)
    await stage.see({1: "a", 2: "b"})
    assert stage.states == {1: "END", 2: "AVAILABLE"}


async def test_rollback_is_there_at_once_where_the_previous_version_is_kept():
    stage = Stage(keep_previous=True)
    await stage.see({1: "a"})
    await stage.see({1: "a", 2: "b"})
    assert stage.states == {1: "AVAILABLE", 2: "AVAILABLE"}
    with stage.registry.lease("m", None) as held:
        assert stage.life.roll_back() == (2, 1)  # not awaited: nothing comes between
        assert stage.answers == "a"
        assert held.served.files == "b"
    await stage.life.wait()
    assert stage.loader.freed == ["b"]
    assert stage.life.record.versions[2].message == "rolled back by request"
    # It does not come back by itself, nor by another config.
    await stage.see({1: "a", 2: "b"})
    await stage.see({1: "a", 2: "b"}, keep_previous=True, temperatures={2: 2.0})
    assert stage.answers == "a"
    assert stage.loader.loaded == [(1, "a"), (2, "b")]
    # Its files changed: it is another version.
    await stage.see({1: "a", 2: "mended"})
    assert stage.answers == "mended"
    count = stage.metrics.rollbacks.labels("m", "2", "request")._value.get()
    assert count == 1


async def test_only_one_previous_version_is_kept():
    stage = Stage(keep_previous=True)
    found = {}
    for version in (1, 2, 3, 4):
        found[version] = f"files {version}"
        await stage.see(dict(found))
    assert stage.states == {1: "END", 2: "END", 3: "AVAILABLE", 4: "AVAILABLE"}


@pytest.mark.parametrize("policy", [Latest(1), Specific(frozenset({3}))])
async def test_rollback_loads_the_version_before_where_it_is_not_there(policy):
    stage = Stage(version_policy=policy)
    stage.loader.errors["broken"] = failing("broken")
    sighting = stage.sight({1: "a", 2: "broken", 3: "c"})
    await stage.life.bring_up(sighting)
    assert stage.answers == "c"
    with pytest.raises(ServingError) as error:
        stage.life.roll_back()
    assert error.value.reason is Reason.NO_PREVIOUS_VERSION
    await stage.life.load_previous(sighting)
    assert stage.life.roll_back() == (3, 1)
    await stage.life.wait()
    assert stage.answers == "a"
    # And so it stays at the next look, whatever the policy.
    await stage.see({1: "a", 2: "broken", 3: "c"})
    assert stage.answers == "a"


async def test_rollback_without_anywhere_to_go_changes_nothing():
    stage = Stage()
    stage.loader.errors["bad"] = failing("bad")
    sighting = stage.sight({1: "bad", 2: "b"})
    await stage.life.bring_up(sighting)
    await stage.life.load_previous(sighting)
    with pytest.raises(ServingError) as error:
        stage.life.roll_back()
    assert error.value.reason is Reason.NO_PREVIOUS_VERSION
    assert "bad is broken" in error.value.message
    assert stage.answers == "b"


async def test_a_version_rolled_back_while_mended_files_are_loaded_leaves_these_to_come():
    stage = Stage(version_policy=All())
    await stage.see({1: "a", 2: "b"})
    stage.loader.gate = asyncio.Event()
    following = asyncio.create_task(stage.see({1: "a", 2: "mended"}))
    await turn()
    stage.life.roll_back()
    assert stage.answers == "a"
    stage.loader.gate.set()
    await following
    await stage.life.wait()
    assert stage.answers == "mended"
    assert stage.loader.freed == ["b"]
    assert stage.states == {1: "AVAILABLE", 2: "AVAILABLE"}


async def test_the_only_version_is_not_unloaded_by_its_number():
    stage = Stage(version_policy=All())
    await stage.see({1: "a", 2: "b"})
    await stage.life.unload_version(2)
    assert stage.states == {1: "AVAILABLE", 2: "END"}
    await stage.see({1: "a", 2: "b"})  # not loaded again by itself
    assert stage.states == {1: "AVAILABLE", 2: "END"}
    for version, reason in ((1, Reason.LAST_VERSION), (2, Reason.VERSION_NOT_AVAILABLE), (7, Reason.VERSION_NOT_FOUND)):
        with pytest.raises(ServingError) as error:
            await stage.life.unload_version(version)
        assert error.value.reason is reason
    assert stage.answers == "a"
    errors = await stage.life.load(stage.sight({1: "a", 2: "b"}), version=2)
    assert errors == []
    assert stage.answers == "b"


async def test_an_asked_for_version_is_served_beside_those_of_the_policy_until_it_is_unloaded():
    stage = Stage()
    sighting = stage.sight({1: "a", 2: "b"})
    await stage.life.load(sighting)
    await stage.life.load(sighting, version=1)
    assert stage.states == {1: "AVAILABLE", 2: "AVAILABLE"}
    await stage.life.unload_all("unloaded")
    stage.life.record.loaded = False
    await stage.life.load(sighting)
    assert stage.states == {1: "END", 2: "AVAILABLE"}


async def test_an_override_that_fails_leaves_everything_as_it_was():
    stage = Stage()
    sighting = stage.sight({1: "a", 2: "b"})
    await stage.life.load(sighting)
    stage.loader.errors["a"] = failing("a")
    override = ModelConfig("m", version_policy=All())
    errors = await stage.life.load(sighting, override=override)
    assert [version for version, _ in errors] == [1]
    assert stage.answers == "b"
    stage.loader.errors.clear()
    await stage.life.load(sighting, override=override)
    assert stage.states == {1: "AVAILABLE", 2: "AVAILABLE"}
    await stage.life.load(sighting)  # without an override the file holds again
    assert stage.states == {1: "END", 2: "AVAILABLE"}


async def test_a_version_refused_for_memory_is_tried_again_when_there_may_be_room():
    stage = Stage()
    stage.loader.errors["large"] = MemoryRefusedError(FOLDER, "no room")
    await stage.see({1: "a", 2: "large"})
    del stage.loader.errors["large"]
    await stage.see({1: "a", 2: "large"})
    assert stage.answers == "a"
    assert stage.life.retry_refused()
    assert not stage.life.retry_refused()
    await stage.see({1: "a", 2: "large"})
    assert stage.answers == "large"


async def test_a_canary_that_is_taken_out_leaves_its_share_to_the_others():
    stage = Stage(version_policy=All(), traffic=Traffic(weights={1: 60, 2: 30, 3: 10}))
    await stage.see({1: "a", 2: "b", 3: "c"})
    assert stage.deliveries.configured[-1]["baseline"] == 1
    assert sorted(stage.deliveries.configured[-1]["canaries"]) == [2, 3]
    with stage.events.watch() as watch:
        stage.life.take_out(3, "rolled back by itself: because", cause="canary")
        kinds = [(await watch.next()).kind for _ in range(1)]
    assert EventKind.ROLLBACK in kinds
    assert stage.life.record.weights == {1: 67, 2: 33}
    assert sorted(stage.deliveries.configured[-1]["canaries"]) == [2]
    await stage.life.wait()
    await stage.see({1: "a", 2: "b", 3: "c"})
    assert stage.states[3] == "END"


@pytest.mark.parametrize(
    ("weights", "reason", "field"),
    [
        ([(1, 60), (2, 30)], Reason.INVALID_FIELD, "weights"),
        ([(1, 100), (2, 1)], Reason.INVALID_FIELD, "weights"),
        ([(1, 50), ("stable", 50)], Reason.INVALID_FIELD, "weights[1]"),
        ([(1, 50), (9, 50)], Reason.VERSION_NOT_FOUND, "weights[1]"),
        ([(3, 50), (1, 50)], Reason.VERSION_NOT_AVAILABLE, "weights[0]"),
        ([(1, 50), ("canary", 50)], Reason.LABEL_NOT_FOUND, "weights[1]"),
    ],
)
async def test_wrong_weights_are_refused_as_a_whole(weights, reason, field):
    stage = Stage(version_policy=All(), traffic=Traffic(labels={"stable": 1}, weights={1: 90, 2: 10}))
    stage.loader.errors["bad"] = failing("bad")
    await stage.see({1: "a", 2: "b", 3: "bad"})
    with pytest.raises(ServingError) as error:
        stage.life.traffic.set_weights(weights, None)
    assert (error.value.reason, error.value.field) == (reason, field)
    assert stage.life.record.weights == {1: 90, 2: 10}


async def test_calls_hold_until_the_config_changes_in_the_same_respect():
    stage = Stage(version_policy=All(), traffic=Traffic(labels={"stable": 1}))
    await stage.see({1: "a", 2: "b"})
    traffic = stage.life.traffic
    traffic.set_label("stable", 2)
    traffic.set_weights([(1, 50), (2, 50)], CanaryLimits(max_disagreement=0.1))
    await stage.see({1: "a", 2: "b"})
    assert (stage.life.record.labels, stage.life.record.weights) == ({"stable": 2}, {1: 50, 2: 50})
    await stage.see({1: "a", 2: "b"}, version_policy=All(), traffic=Traffic(labels={"stable": 1}, shadow=2))
    assert stage.life.record.labels == {"stable": 2}
    assert traffic.shadow == 2
    await stage.see({1: "a", 2: "b"}, version_policy=All(), traffic=Traffic(labels={"stable": 1, "new": 2}))
    assert stage.life.record.labels == {"stable": 1, "new": 2}


async def test_labels_are_for_available_versions_and_of_a_plain_form():
    stage = Stage(version_policy=All())
    await stage.see({1: "a"}, changing=[2])
    traffic = stage.life.traffic
    for label, version, reason in (
        ("Stable!", 1, Reason.INVALID_FIELD),
        ("", 1, Reason.INVALID_FIELD),
        ("stable", 2, Reason.VERSION_NOT_FOUND),
    ):
        with pytest.raises(ServingError) as error:
            traffic.set_label(label, version)
        assert error.value.reason is reason
    traffic.set_label("stable", 1)
    traffic.delete_label("stable")
    with pytest.raises(ServingError) as error:
        traffic.delete_label("stable")
    assert error.value.reason is Reason.LABEL_NOT_FOUND


async def test_the_shadow_is_another_version_than_the_one_it_shadows():
    stage = Stage(version_policy=All())
    await stage.see({1: "a", 2: "b"})
    stage.life.traffic.set_shadow(1, 50)
    assert stage.deliveries.configured[-1]["shadow"] == 1
    assert stage.deliveries.configured[-1]["baseline"] == 2
    assert stage.deliveries.configured[-1]["shadow_percent"] == 50
    stage.life.traffic.set_shadow(2, 50)
    assert stage.deliveries.configured[-1]["shadow"] is None
    stage.life.traffic.set_shadow(None, 100)
    assert stage.life.traffic.shadow is None
    for percent in (0, 101):
        with pytest.raises(ServingError):
            stage.life.traffic.set_shadow(1, percent)


LOOKS = st.lists(
    st.tuples(
        st.dictionaries(st.integers(1, 4), st.sampled_from(["good a", "good b", "bad a", "bad b"]), max_size=4),
        st.booleans(),
    ),
    max_size=8,
)


@given(looks=LOOKS, policy=st.sampled_from([Latest(1), Latest(2), All()]), keep=st.booleans())
def test_whatever_is_found_only_good_files_serve_and_service_goes_on(looks, policy, keep):
    """After every look: nothing bad is available, all is settled, and what served goes on while anything is there."""

    async def live():
        stage = Stage(version_policy=policy, keep_previous=keep)
        for files in ("bad a", "bad b"):
            stage.loader.errors[files] = failing(files)
        served_before = False
        for found, roll_back in looks:
            await stage.see(found)
            if roll_back and len(stage.life.record.available) > 1:
                stage.life.roll_back()
            await stage.life.wait()
            states = [version.state for version in stage.life.record.versions.values()]
            assert State.LOADING not in states
            assert State.UNLOADING not in states
            available = [v for v in stage.life.record.versions.values() if v.state is State.AVAILABLE]
            assert all(version.served.files.startswith("good") for version in available)
            assert all(v.served is None for v in stage.life.record.versions.values() if v.state is not State.AVAILABLE)
            if served_before and found:
                assert available, (found, stage.states)
            served_before = bool(available)
        alive = {id(v.served) for v in stage.life.record.versions.values() if v.served is not None}
        loads = [files for _, files in stage.loader.loaded if files.startswith("good")]
        assert len(loads) - len(stage.loader.freed) == len(alive)  # nothing leaks

    asyncio.run(live())
