"""Control modes, and what is loaded at start, on real servers."""

from __future__ import annotations

import subprocess
import sys

import pytest
from rig import CHANGES, refusal
from sentinova.v1 import model_service_pb2 as pb
from tiny_models import ALL_VERSIONS, parameter

REFUSED = [("none", call) for call in CHANGES] + [("poll", "LoadModel"), ("poll", "UnloadModel")]


@pytest.fixture(scope="module")
def modes(new_models, start_rig):
    """A server in each mode, all on one repository."""
    models = new_models()
    models.add("both", 1, 2, config=ALL_VERSIONS + parameter("label.stable", "1"))
    models.add("other", 1)
    poll_flags = ("--model-control-mode", "poll", "--repository-poll-secs", "0.5", "--settle-secs", "0.4")
    with (
        start_rig(models) as none,
        start_rig(models, *poll_flags) as poll,
        start_rig(models, "--model-control-mode", "explicit", "--load-model", "*", "--settle-secs", "0") as explicit,
    ):
        yield {"none": none, "poll": poll, "explicit": explicit}


@pytest.mark.parametrize(("mode", "call"), REFUSED)
def test_a_call_that_the_mode_does_not_allow_is_refused_and_changes_nothing(modes, mode, call):
    rig = modes[mode]
    before = rig.calls.ListModels()
    given = refusal(getattr(rig.calls, call), **CHANGES[call])
    assert (given.code, given.reason, given.metadata) == (
        "FAILED_PRECONDITION",
        "MODEL_CONTROL_DISABLED",
        {"mode": mode},
    )
    assert call in given.message
    assert "--model-control-mode" in given.message
    assert rig.calls.ListModels() == before
    assert rig.asked("both") == 2


def test_the_calls_that_look_work_in_every_mode(modes):
    for rig in modes.values():
        assert {"both", "other"} <= {model.name for model in rig.calls.ListModels().models if model.loaded}
        assert rig.available("both") == [1, 2]
        with rig.watch("both") as watch:
            assert watch.told == [
                ("INITIAL", "both", 1, "AVAILABLE"),
                ("INITIAL", "both", 2, "AVAILABLE"),
                ("SYNCED", "", 0, ""),
            ]


@pytest.mark.parametrize("mode", ["poll", "explicit"])
def test_traffic_rollback_and_reload_are_allowed_where_models_can_change(modes, mode):
    rig, name = modes[mode], f"changed-{mode}"
    rig.models.add(name, 1, 2, config=ALL_VERSIONS + parameter("label.stable", "1"))
    calls = rig.calls
    assert name in [model.name for model in calls.ReloadRepository().models]
    if mode == "explicit":
        calls.LoadModel(name=name)
    assert calls.SetModelLabel(name=name, label="canary", version=2).model.versions[1].version_labels == ["canary"]
    assert calls.DeleteModelLabel(name=name, label="stable").model.versions[0].version_labels == []
    weights = [pb.VersionWeight(version=1, percent=60), pb.VersionWeight(label="canary", percent=40)]
    assert [one.weight for one in calls.SetModelWeights(name=name, weights=weights).model.versions] == [60, 40]
    assert not calls.SetModelWeights(name=name).model.weights
    assert calls.SetModelShadow(name=name, version=1).model.shadow_version == 1
    back = calls.RollbackModel(name=name)
    assert (back.from_version, back.to_version, back.model.default_version) == (2, 1, 1)
    if mode == "explicit":
        assert not calls.UnloadModel(name=name).model.loaded


def test_a_new_version_is_served_at_once_when_called_for_or_not_at_all(modes):
    none, poll, explicit = modes.values()
    with poll.watch("other") as watch:
        poll.models.add("other", 2)
        watch.wait_for_state(2, "AVAILABLE")
        watch.wait_for_state(1, "END")
    assert [rig.asked("other") for rig in (none, poll, explicit)] == [1, 2, 1]
    assert explicit.calls.LoadModel(name="other").model.default_version == 2
    assert [rig.asked("other") for rig in (none, poll, explicit)] == [1, 2, 2]


# What is loaded at start


def test_load_model_names_the_models_to_load_at_start(new_models, start_rig):
    models = new_models()
    for model in ("a", "b", "c"):
        models.add(model, 1)
    with start_rig(models, "--model-control-mode", "explicit", "--load-model", "a, b") as rig:
        assert {model.name: model.loaded for model in rig.calls.ListModels().models} == {
            "a": True,
            "b": True,
            "c": False,
        }
        assert (rig.asked("a"), rig.asked("b")) == (1, 1)
        assert refusal(rig.ask, "c").reason == "MODEL_NOT_FOUND"
        # The health service and the pages tell of the models that are loaded, each by its name.
        assert [rig.health(service) for service in ("", "a", "c")] == ["SERVING", "SERVING", "NOT_SERVING"]


@pytest.mark.parametrize(
    ("flags", "code", "told"),
    [
        (["--model-control-mode", "explicit", "--load-model", "other,absent"], 1, "has no model absent"),
        (["--load-model", "other"], 2, "load_model needs model_control_mode explicit"),
        (["--model-control-mode", "poll", "--load-model", "*"], 2, "load_model needs model_control_mode explicit"),
    ],
    ids=["unknown", "mode_none", "mode_poll"],
)
def test_load_model_that_cannot_be_done_keeps_the_server_from_starting(modes, flags, code, told):
    command = [sys.executable, "-m", "sentinova_server", "serve", "--model-repository", str(modes["none"].models.root)]
    command += ["--port", "0", "--http-port", "0", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_waits_for_its_first_model_is_ready(new_models, start_rig):
    models = new_models()
    models.add("first", 1)
    with start_rig(models, "--model-control-mode", "explicit", "--settle-secs", "0", "--strict-readiness") as rig:
        health = ("", "sentinova.v1.SentimentService", "first")
        assert rig.page("/readyz") == (200, "ready\n")
        assert [rig.health(service) for service in health] == ["SERVING", "SERVING", "NOT_SERVING"]
        assert rig.metric("sentinova_ready") == 1
        rig.calls.LoadModel(name="first")
        assert rig.ask("").model.name == "first"
        assert [rig.health(service) for service in health] == ["SERVING", "SERVING", "SERVING"]
        rig.calls.UnloadModel(name="first")
        assert rig.page("/readyz") == (200, "ready\n")
        assert [rig.health(service) for service in health] == ["SERVING", "SERVING", "NOT_SERVING"]
