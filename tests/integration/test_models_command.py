"""The `sentinova models` commands and both Python clients against a real server whose models change."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import queue
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
from click.testing import CliRunner
from model_watch import WAIT_SECONDS
from sentinova import (
    AsyncClient,
    CanaryLimits,
    Client,
    EventKind,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    VersionState,
)
from sentinova.cli import main
from tiny_models import ALL_VERSIONS

EXPLICIT = ("--model-control-mode", "explicit", "--settle-secs", "0")


@pytest.fixture(scope="module")
def rig(new_models, start_rig):
    """A server in explicit mode; each test has a model of its own."""
    with start_rig(new_models(), *EXPLICIT) as rig:
        yield rig


@pytest.fixture
def run(rig):
    """Runs the command, which must end with a code; gives what it wrote."""

    def call(*arguments, code=0):
        done = CliRunner().invoke(main, [*arguments, "--address", rig.server.address])
        assert done.exit_code == code, done.output
        return done

    return call


@pytest.fixture
def run_json(run):
    """Runs the command with --json; gives the objects."""
    return lambda *arguments: [json.loads(line) for line in run(*arguments, "--json").stdout.splitlines()]


@pytest.fixture
def two(rig, name):
    """A model that is loaded, with a good version 1 and an inverted version 2."""
    rig.models.add_mixed(name, {1: "good", 2: "inverted"}, ALL_VERSIONS)
    rig.calls.LoadModel(name=name)
    return name


def states(model):
    return {version["version"]: version["state"] for version in model["versions"]}


# The command


def test_load_and_unload(rig, name, run, run_json):
    rig.models.add(name, 1, 2)
    assert "AVAILABLE" in run("models", "load", name).stdout
    [model] = run_json("models", "load", name, "--version", "1")
    assert (states(model), model["default_version"]) == ({1: "AVAILABLE", 2: "AVAILABLE"}, 2)
    [model] = run_json("models", "unload", name, "--version", "1")
    assert states(model) == {1: "END", 2: "AVAILABLE"}
    [model] = run_json("models", "unload", name)
    assert (model["loaded"], model["default_version"]) == (False, None)
    assert rig.get(name).loaded is False


def test_load_with_a_config_of_its_own(rig, name, run, run_json, tmp_path):
    rig.models.add(name, 1, 2)
    config = tmp_path / "tried.pbtxt"
    config.write_text(ALL_VERSIONS)
    [model] = run_json("models", "load", name, "--config", str(config))
    assert states(model) == {1: "AVAILABLE", 2: "AVAILABLE"}
    config.write_text("nonsense")
    stderr = run("models", "load", name, "--config", str(config), code=4).stderr
    assert "INVALID_FIELD" in stderr
    assert "line 1" in stderr
    assert rig.available(name) == [1, 2]


def test_reload(rig, two, run_json):
    rig.models.add(two, 3)
    models = {model["name"]: model for model in run_json("models", "reload")}
    assert states(models[two]) == {1: "AVAILABLE", 2: "AVAILABLE", 3: "AVAILABLE"}


def test_list_and_show(rig, two, run, run_json):
    rig.models.add(f"{two}-new", 1)
    rig.calls.ReloadRepository()
    table = run("models", "list").stdout
    assert "not loaded" in next(line for line in table.splitlines() if line.startswith(f"{two}-new"))
    models = {model["name"]: model for model in run_json("models", "list")}
    assert (models[two]["loaded"], models[f"{two}-new"]["loaded"]) == (True, False)
    shown = run("models", "show", two).stdout
    for told in ("AVAILABLE", "input_ids INT64", "negative, positive", "f32"):
        assert told in shown
    [model] = run_json("models", "show", two)
    assert model == models[two]


def test_label_and_asking_by_it(rig, two, run, run_json):
    [model] = run_json("models", "label", two, "canary", "1")
    assert [version["version_labels"] for version in model["versions"]] == [["canary"], []]
    [answer] = run_json("analyze", "good", "--model", two, "--label", "canary")
    assert (answer["label"], answer["version"]) == ("positive", 1)
    assert "canary" in run("models", "list").stdout
    run("models", "label", two, "canary", "--delete")
    stderr = run("analyze", "good", "--model", two, "--label", "canary", code=4).stderr
    assert "LABEL_NOT_FOUND" in stderr


def test_weights_and_asking_by_a_routing_key(rig, two, run, run_json):
    [model] = run_json("models", "weights", two, "1=50", "2=50", "--max-error-rate", "0.5", "--min-documents", "1000")
    assert model["weights"] == {"1": 50, "2": 50}
    answered = set()
    for key in map(str, range(20)):
        versions = {
            answer["version"] for answer in run_json("analyze", "good", "the", "--model", two, "--routing-key", key)
        }
        versions |= {rig.asked(two, routing_key=key)}
        assert len(versions) == 1
        answered |= versions
    assert answered == {1, 2}
    [model] = run_json("models", "weights", two, "--clear")
    assert model["weights"] == {}


def test_shadow_and_its_comparison(rig, two, run, run_json):
    [model] = run_json("models", "shadow", two, "1", "--percent", "50")
    assert model["shadow_version"] == 1
    [comparison] = model["comparisons"]
    assert (comparison["version"], comparison["baseline"], comparison["live"]) == (1, 2, False)
    assert "1 (shadow)" in run("models", "show", two).stdout
    [model] = run_json("models", "shadow", two, "--off")
    assert (model["shadow_version"], model["comparisons"]) == (None, [])


def test_rollback(rig, two, run):
    told = run("models", "rollback", two).stdout
    assert "Version 2 is out of service; version 1 answers by default." in told
    assert rig.asked(two) == 1
    stderr = run("models", "rollback", two, code=4).stderr
    assert "NO_PREVIOUS_VERSION" in stderr


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["load", "absent"], 4, "MODEL_NOT_FOUND"),
        (["load", "{two}", "--version", "9"], 4, "VERSION_NOT_FOUND"),
        (["unload", "absent"], 4, "MODEL_NOT_FOUND"),
        (["unload", "{two}", "--version", "9"], 4, "VERSION_NOT_FOUND"),
        (["show", "absent"], 4, "MODEL_NOT_FOUND"),
        (["label", "{two}", "x", "9"], 4, "VERSION_NOT_FOUND"),
        (["label", "{two}", "X", "1"], 4, "INVALID_FIELD"),
        (["label", "{two}", "x", "--delete"], 4, "LABEL_NOT_FOUND"),
        (["weights", "{two}", "1=50", "canary=50"], 4, "LABEL_NOT_FOUND"),
        (["shadow", "{two}", "canary"], 4, "LABEL_NOT_FOUND"),
        (["weights", "{two}", "1=50", "2=49"], 2, "100 percent"),
    ],
    ids=lambda value: "-".join(value).replace("{two}", "two") if isinstance(value, list) else None,
)
def test_refusals_are_told_with_their_reason(rig, two, run, arguments, code, reason):
    before = rig.get(two)
    assert reason in run("models", *(each.format(two=two) for each in arguments), code=code).stderr
    assert rig.get(two) == before


def test_the_only_version_and_the_control_mode_refuse(rig, name, run, new_models, start_rig):
    rig.models.add(name, 1)
    rig.calls.LoadModel(name=name)
    assert "LAST_VERSION" in run("models", "unload", name, "--version", "1", code=4).stderr
    models = new_models()
    models.add("tiny", 1)
    with start_rig(models) as fixed:
        for command in (["load", "tiny"], ["reload"], ["weights", "tiny", "1=100"], ["rollback", "tiny"]):
            done = CliRunner().invoke(main, ["models", *command, "--address", fixed.server.address])
            assert done.exit_code == 4
            assert "MODEL_CONTROL_DISABLED" in done.stderr
            assert "--model-control-mode" in done.stderr


# Watching


class Watching:
    """The command `models watch --json`, read on a thread."""

    def __init__(self, address, *arguments):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", "from sentinova.cli import main; main()", "models", "watch", "--json"]
        self.process = subprocess.Popen(
            [*command, "--address", address, *arguments],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._lines = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, **fields):
        """Reads events until one has these fields; gives it."""
        while True:
            event = json.loads(self._lines.get(timeout=WAIT_SECONDS))
            if fields.items() <= event.items():
                return event

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line)


@contextmanager
def watching(address, *arguments):
    watch = Watching(address, *arguments)
    try:
        yield watch
    finally:
        watch.process.kill()
        watch.process.communicate()


def test_a_watch_goes_on_when_the_server_is_started_anew(new_models, start_rig):
    models = new_models()
    models.add("tiny", 1)
    with start_rig(models, *EXPLICIT, "--load-model", "*") as first:
        address = first.server.address
        with watching(address, "tiny") as watch:
            watch.wait_for(kind="INITIAL", model="tiny", version=1, state="AVAILABLE", default_version=1)
            watch.wait_for(kind="SYNCED")
            first.calls.SetModelLabel(name="tiny", label="stable", version=1)
            watch.wait_for(kind="TRAFFIC", model="tiny")
            assert first.server.stop() == 0
            models.add("tiny", 2)
            with start_rig(models, *EXPLICIT, "--load-model", "*", "--port", address.rpartition(":")[2]) as second:
                assert second.server.address == address
                # The watch may begin before the models are loaded, or after.
                watch.wait_for(kind="SYNCED")
                second.calls.SetModelLabel(name="tiny", label="stable", version=2)
                watch.wait_for(kind="TRAFFIC", model="tiny", default_version=2)
                assert watch.process.poll() is None


def test_a_watch_that_is_not_to_go_on_ends_with_the_server(new_models, start_rig):
    models = new_models()
    models.add("tiny", 1)
    with start_rig(models) as rig, watching(rig.server.address, "--no-reconnect") as watch:
        watch.wait_for(kind="SYNCED")
        assert rig.server.stop() == 0
        assert watch.process.wait(WAIT_SECONDS) == 0
        assert "the server ended the watch" in watch.process.stderr.read()


# The clients


@contextmanager
def face(kind, address):
    """Gives a function that calls a method of a client: the asynchronous one runs on a loop of its own."""
    if kind == "sync":
        with Client(address) as client:
            yield lambda method, *arguments, **options: getattr(client, method)(*arguments, **options)
        return
    with asyncio.Runner() as runner:
        client = AsyncClient(address)

        async def settle(value):
            return await value if inspect.isawaitable(value) else value

        yield lambda method, *arguments, **options: runner.run(settle(getattr(client, method)(*arguments, **options)))
        runner.run(client.close())


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_client_leads_a_model_through_its_life(rig, name, kind):
    rig.models.add_mixed(name, {1: "good", 2: "inverted", 3: "wrong"}, "version_policy { specific { versions: [1] } }")
    with face(kind, rig.server.address) as call:
        model = call("load_model", name)
        assert (model.default_version, model.loaded, model) == (1, True, call("get_model", name))
        assert call("load_model", name, version=2).default_version == 2
        with pytest.raises(FailedPreconditionError) as failed:
            call("load_model", name, version=3)
        assert (failed.value.reason, failed.value.metadata) == ("MODEL_FAILED", {"model": name, "version": "3"})
        assert call("set_label", name, "canary", 2).versions[1].version_labels == ("canary",)
        assert call("analyze", "good", model=name, label="canary").label == "negative"
        limits = CanaryLimits(max_error_rate=0.5, max_disagreement=1.0, min_documents=1000)
        assert call("set_weights", name, {1: 60, "canary": 40}, limits=limits).weights == {1: 60, 2: 40}
        versions = {key: call("analyze", "good", model=name, routing_key=key).version for key in map(str, range(20))}
        assert {*versions.values()} == {1, 2}
        for key, version in versions.items():
            [answer] = call("analyze_batch", ["good"], model=name, routing_key=key)
            assert answer.version == version
        assert call("set_weights", name, {}).weights == {}
        assert call("set_shadow", name, 1, percent=50).shadow_version == 1
        assert call("set_shadow", name, None).shadow_version is None
        assert call("delete_label", name, "canary").versions[1].version_labels == ()
        with pytest.raises(NotFoundError) as absent:
            call("delete_label", name, "canary")
        assert absent.value.reason == "LABEL_NOT_FOUND"
        back = call("rollback_model", name)
        assert (back.from_version, back.to_version, back.model.default_version) == (2, 1, 1)
        assert name in [model.name for model in call("reload_repository")]
        assert name in [model.name for model in call("list_models")]
        with pytest.raises(FailedPreconditionError) as last:
            call("unload_model", name, version=1)
        assert last.value.reason == "LAST_VERSION"
        with pytest.raises(InvalidArgumentError) as wrong:
            call("load_model", name, config="nonsense")
        assert [violation.field for violation in wrong.value.field_violations] == ["config"]
        gone = call("unload_model", name)
        assert (gone.loaded, gone.default_version) == (False, None)
        assert {version.version: version.state for version in gone.versions}[1] is VersionState.END
        with pytest.raises(NotFoundError):
            call("analyze", "good", model=name)


LIFE = [
    (EventKind.SYNCED, None, None),
    (EventKind.STATE, 1, VersionState.LOADING),
    (EventKind.STATE, 1, VersionState.AVAILABLE),
    (EventKind.TRAFFIC, None, None),
    (EventKind.STATE, 1, VersionState.UNLOADING),
    (EventKind.STATE, 1, VersionState.END),
]


def live(rig, name):
    """Has a model live through LIFE."""
    rig.models.add(name, 1)
    rig.calls.LoadModel(name=name)
    rig.calls.SetModelLabel(name=name, label="stable", version=1)
    rig.calls.UnloadModel(name=name)


def essence(event):
    return event.kind, event.version, event.state


def test_a_client_watches(rig, name):
    with Client(rig.server.address) as client:
        events = client.watch_models([name])
        told = [essence(next(events))]
        live(rig, name)
        told += [essence(next(events)) for _ in LIFE[1:]]
        events.close()
    assert told == LIFE


async def test_an_asynchronous_client_watches(rig, name):
    async with AsyncClient(rig.server.address) as client:
        events = client.watch_models([name])
        told = [essence(await anext(events))]
        await asyncio.to_thread(live, rig, name)
        told += [essence(await anext(events)) for _ in LIFE[1:]]
        await events.aclose()
    assert told == LIFE
