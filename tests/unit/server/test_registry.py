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


async def test_a_version_retires_when_its_last_lease_ends(registry):
    model = registry.add_model("m", [1, 2])
    registry.publish(model.versions[1], "one")
    registry.publish(model.versions[2], "two")
    with registry.lease("m", 2):
        pass  # an earlier lease that has ended must not count
    with registry.lease("m", 2) as held:
        retiring = asyncio.create_task(registry.retire(model.versions[2], timeout=60))
        await asyncio.sleep(0)
        assert model.versions[2].state is State.UNLOADING
        assert not retiring.done()
        assert held.served == "two"
        with registry.lease("m", None) as other:
            assert other.version == 1
        assert reason(registry, "m", 2) is Reason.VERSION_NOT_FOUND
    assert await retiring == "two"
    assert model.versions[2].state is State.END


async def test_a_version_retires_at_the_deadline_and_says_that_requests_had_not_ended(registry):
    model = registry.add_model("m", [1])
    registry.publish(model.versions[1], "one")
    with registry.lease("m", 1):
        assert await registry.retire(model.versions[1], timeout=0.01) == "one"
    assert "1 requests had not ended" in model.versions[1].message


def test_observers_see_every_change(registry):
    seen = []
    registry.observe(lambda record: seen.append((record.version, record.state)))
    model = registry.add_model("m", [1, 2])
    registry.publish(model.versions[2], "two")
    registry.fail(model.versions[1], "broken")
    assert seen == [(1, State.LOADING), (2, State.LOADING), (2, State.AVAILABLE), (1, State.FAILED)]
