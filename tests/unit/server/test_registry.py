"""States, leases and the version that answers."""

import asyncio

import pytest
from sentinova_server.errors import Reason, ServingError
from sentinova_server.serving.registry import Registry, State


@pytest.fixture
def registry():
    return Registry()


def reason(registry, name, version=None):
    with pytest.raises(ServingError) as error, registry.lease(name, version):
        pass
    return error.value.reason


def test_the_highest_available_version_answers(registry):
    model = registry.add_model("m", [1, 2, 3])
    assert reason(registry, "m") is Reason.MODEL_LOADING
    registry.publish(model.versions[1], "one")
    registry.publish(model.versions[2], "two")
    registry.fail(model.versions[3], "broken")
    with registry.lease("m", None) as record:
        assert record.served == "two"
    with registry.lease("m", 1) as record:
        assert record.served == "one"
    assert reason(registry, "m", 3) is Reason.MODEL_FAILED
    assert reason(registry, "m", 4) is Reason.VERSION_NOT_FOUND


def test_unknown_models_and_the_default_one(registry):
    assert reason(registry, "") is Reason.INVALID_FIELD
    registry.publish(registry.add_model("a", [1]).versions[1], "a")
    with registry.lease("", None) as record:
        assert record.model == "a"
    registry.add_model("b", [1])
    assert reason(registry, "") is Reason.INVALID_FIELD
    assert reason(registry, "c") is Reason.MODEL_NOT_FOUND


def test_while_the_server_starts_what_is_not_known_may_be_to_come(registry):
    registry.starting = True
    assert [reason(registry, name) for name in ("", "m")] == [Reason.MODEL_LOADING] * 2
    model = registry.add_model("m")
    assert [reason(registry, "m", version) for version in (None, 1)] == [Reason.MODEL_LOADING] * 2
    with pytest.raises(ServingError, match="try again soon") as error, registry.lease("m", None, label="stable"):
        pass
    assert error.value.retry_after == 0.5
    for version in (1, 2):
        registry.begin("m", version)
    registry.fail(model.versions[1], "broken")
    registry.publish(model.versions[2], "two")
    # What is known is answered as ever.
    assert reason(registry, "m", 1) is Reason.MODEL_FAILED
    with registry.lease("m", None) as record:
        assert record.served == "two"
    registry.starting = False
    assert reason(registry, "other") is Reason.MODEL_NOT_FOUND


def test_a_named_default_model_answers():
    registry = Registry("b")
    registry.publish(registry.add_model("a", [1]).versions[1], "a")
    registry.publish(registry.add_model("b", [1]).versions[1], "b")
    with registry.lease("", None) as record:
        assert record.model == "b"


def test_a_model_whose_versions_all_failed_says_so(registry):
    registry.fail(registry.add_model("m", [1]).versions[1], "broken")
    assert reason(registry, "m") is Reason.MODEL_FAILED
    registry.add_model("empty", [], "no version")
    assert reason(registry, "empty") is Reason.MODEL_FAILED


async def test_a_version_drains_when_its_last_lease_ends(registry):
    model = registry.add_model("m", [1, 2])
    registry.publish(model.versions[1], "one")
    registry.publish(model.versions[2], "two")
    with registry.lease("m", 2):
        pass  # an earlier lease that has ended must not count
    with registry.lease("m", 2) as held:
        registry.withdraw(held, "replaced")
        draining = asyncio.create_task(registry.drain(held, timeout=60))
        await asyncio.sleep(0)
        assert (held.state, held.message) == (State.UNLOADING, "replaced")
        assert not draining.done()
        assert held.served == "two"
        with registry.lease("m", None) as other:
            assert other.version == 1
        assert reason(registry, "m", 2) is Reason.VERSION_NOT_FOUND
    assert await draining == "two"
    registry.end(held)
    assert model.versions[2].state is State.END


async def test_a_version_drains_until_the_deadline_and_says_that_requests_had_not_ended(registry):
    model = registry.add_model("m", [1])
    registry.publish(model.versions[1], "one")
    with registry.lease("m", 1) as held:
        registry.withdraw(held, "replaced")
        assert await registry.drain(held, timeout=0.01) == "one"
    assert model.versions[1].message == "replaced; 1 requests had not ended after 0.01 s"


async def test_a_version_is_replaced_by_itself_while_it_is_lent(registry):
    seen = []
    model = registry.add_model("m", [1])
    registry.publish(model.versions[1], "old")
    registry.observe(lambda record: seen.append((record.version, record.state)))
    with registry.lease("m", None) as held:
        fresh = registry.replace(held, "new", "checked")
        draining = asyncio.create_task(registry.drain(held, timeout=60))
        await asyncio.sleep(0)
        assert not draining.done()
        with registry.lease("m", 1) as other:
            assert other is fresh
            assert (other.served, other.message) == ("new", "checked")
        assert held.served == "old"
    assert await draining == "old"
    # It was available all the time, and nobody was told otherwise.
    assert seen == [(1, State.AVAILABLE)]
    assert model.versions[1] is fresh
    registry.forget_version(held)  # the one before: not what is there now
    assert model.versions[1] is fresh


def test_labels_name_versions(registry):
    model = registry.add_model("m", [1, 2])
    for record in model.versions.values():
        registry.publish(record, f"v{record.version}")
    model.labels = {"stable": 1, "gone": 7}
    with registry.lease("m", None, label="stable") as record:
        assert record.version == 1
    for label, expected in (("canary", Reason.LABEL_NOT_FOUND), ("gone", Reason.VERSION_NOT_FOUND)):
        with pytest.raises(ServingError) as error, registry.lease("m", None, label=label):
            pass
        assert error.value.reason is expected
        assert error.value.field == "config.label"
    registry.withdraw(model.versions[1])
    with pytest.raises(ServingError) as error, registry.lease("m", None, label="stable"):
        pass
    assert error.value.reason is Reason.VERSION_NOT_FOUND


def test_weights_share_requests_and_keys_stay_with_their_version():
    points = [index / 100 for index in range(100)]
    registry = Registry(chance=iter(points * 3).__next__)
    model = registry.add_model("m", [1, 2, 3])
    for record in model.versions.values():
        registry.publish(record, f"v{record.version}")
    model.weights = {1: 75, 2: 25}

    def answers(count=100, **choice):
        found = []
        for _ in range(count):
            with registry.lease("m", None, **choice) as record:
                found.append(record.version)
        return found

    found = answers()
    assert (found.count(1), found.count(2)) == (75, 25)
    assert len(set(answers(20, key="a user"))) == 1
    assert {answers(1, key=f"user {number}")[0] for number in range(50)} == {1, 2}
    # An explicit version is not subject to weights.
    with registry.lease("m", 3) as record:
        assert record.version == 3
    registry.withdraw(model.versions[2])
    assert set(answers()) == {1}
    registry.withdraw(model.versions[1])
    assert set(answers()) == {3}


def test_a_model_that_is_only_known_takes_no_requests_and_is_no_default(registry):
    registry.publish(registry.add_model("a", [1]).versions[1], "a")
    registry.add_model("b").loaded = False
    assert reason(registry, "b") is Reason.MODEL_NOT_FOUND
    with registry.lease("", None) as record:
        assert record.model == "a"
    registry.remove_model("b")
    assert [model.name for model in registry.models] == ["a"]


def test_observers_see_every_change(registry):
    seen = []
    registry.observe(lambda record: seen.append((record.version, record.state)))
    model = registry.add_model("m", [1, 2])
    registry.publish(model.versions[2], "two")
    registry.fail(model.versions[1], "broken")
    assert seen == [(1, State.LOADING), (2, State.LOADING), (2, State.AVAILABLE), (1, State.FAILED)]
