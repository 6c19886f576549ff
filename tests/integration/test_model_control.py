"""Models loaded and unloaded by calls, on a real server in explicit mode."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from model_watch import until
from rig import CHANGES, WAYS, refusal
from sentinova.v1 import model_service_pb2 as pb
from tiny_models import ALL_VERSIONS, parameter


@pytest.fixture(scope="module")
def rig(new_models, start_rig):
    """A server in explicit mode; each test has a model of its own, which is not loaded."""
    models = new_models()
    models.add("known", 1)
    flags = ("--model-control-mode", "explicit", "--settle-secs", "0", "--memory-budget-bytes", str(1 << 30))
    with start_rig(models, *flags) as rig:
        yield rig


@pytest.fixture
def refused(rig):
    """Makes a call that must be refused and change nothing; gives the refusal."""

    def call(method, **fields):
        before = rig.calls.ListModels()
        given = refusal(getattr(rig.calls, method), **fields)
        assert rig.calls.ListModels() == before
        return given

    return call


# LoadModel and UnloadModel


@pytest.mark.parametrize("way", WAYS)
def test_a_model_that_is_not_loaded_is_listed_and_answers_nothing(rig, way):
    [known] = [model for model in rig.calls.ListModels().models if model.name == "known"]
    assert (known.loaded, known.default_version, list(known.versions)) == (False, 0, [])
    given = refusal(rig.ask, "known", way=way)
    assert (given.code, given.reason, given.fields) == ("NOT_FOUND", "MODEL_NOT_FOUND", ("config.model",))
    assert "not loaded" in given.message
    assert "LoadModel" in given.message


@pytest.mark.parametrize("call", [call for call in CHANGES if call not in ("LoadModel", "ReloadRepository")])
def test_a_model_that_is_not_loaded_cannot_be_changed(refused, call):
    given = refused(call, **{**CHANGES[call], "name": "known"})
    assert (given.code, given.reason, given.fields) == ("NOT_FOUND", "MODEL_NOT_FOUND", ("name",))


def test_a_model_is_there_when_its_load_returns_and_gone_when_its_unload_does(rig, name):
    rig.models.add(name, 1, 2)
    model = rig.calls.LoadModel(name=name).model
    assert model == rig.get(name)
    assert (model.name, model.loaded, model.default_version, rig.states(name)) == (name, True, 2, {2: "AVAILABLE"})
    assert (rig.asked(name), rig.health(name)) == (2, "SERVING")
    gone = rig.calls.UnloadModel(name=name).model
    assert gone == rig.get(name)
    assert (gone.loaded, gone.default_version, rig.states(name)) == (False, 0, {2: "END"})
    assert "request" in rig.message(name, 2)
    assert rig.health(name) == "NOT_SERVING"
    for way in WAYS:
        assert refusal(rig.ask, name, way=way).reason == "MODEL_NOT_FOUND"
        assert refusal(rig.ask, name, way=way, version=2).reason == "MODEL_NOT_FOUND"
    assert rig.calls.LoadModel(name=name).model.loaded
    assert rig.asked(name) == 2


def test_a_model_is_loaded_as_its_folder_is_now(rig, name):
    rig.models.add(name, 1)
    rig.calls.LoadModel(name=name)
    rig.models.add(name, 2)
    rig.models.refill(name, 1, "inverted")
    assert rig.asked(name) == 1
    assert rig.ask(name).label == "positive"
    rig.models.configure(name, ALL_VERSIONS)
    assert rig.calls.LoadModel(name=name).model.default_version == 2
    assert rig.states(name) == {1: "AVAILABLE", 2: "AVAILABLE"}
    assert (rig.ask(name, version=1).label, rig.ask(name, version=2).label) == ("negative", "positive")
    rig.models.configure(name, "")
    with rig.watch(name) as watch, rig.asking(name):
        rig.calls.LoadModel(name=name)
        assert rig.available(name) == [2]
        watch.wait_for_state(1, "END")
        assert watch.states(2) == []


def test_the_versions_in_use_are_unloaded_only_once_the_new_one_is_available(rig, name):
    rig.models.add(name, 1)
    rig.calls.LoadModel(name=name)
    rig.models.add(name, 2)
    with rig.watch(name) as watch, rig.asking(name) as client:
        rig.calls.LoadModel(name=name)
        client.wait_for_more(20)
        watch.wait_for_state(1, "END")
    assert [event[2:] for event in watch.news] == [
        (2, "LOADING"),
        (2, "AVAILABLE"),
        (1, "UNLOADING"),
        (1, "END"),
    ]
    versions = [version for version, _ in client.answers]
    assert versions == sorted(versions)
    assert {*versions} == {1, 2}


def test_a_version_beside_the_policy_stays_until_it_is_unloaded_by_its_number(rig, name):
    rig.models.add(name, 1, 2, 3)
    assert rig.calls.LoadModel(name=name, version=1).model.default_version == 3
    assert rig.available(name) == [1, 3]
    assert (rig.asked(name), rig.asked(name, version=1)) == (3, 1)
    assert refusal(rig.ask, name, version=2).reason == "VERSION_NOT_FOUND"
    rig.calls.LoadModel(name=name)
    assert rig.available(name) == [1, 3]
    rig.calls.UnloadModel(name=name, version=1)
    assert rig.available(name) == [3]
    rig.calls.LoadModel(name=name)
    assert rig.available(name) == [3]
    assert refusal(rig.ask, name, version=1).reason == "VERSION_NOT_FOUND"


def test_a_version_beside_the_policy_goes_with_the_whole_model(rig, name):
    rig.models.add(name, 1, 2)
    rig.calls.LoadModel(name=name, version=1)
    rig.calls.UnloadModel(name=name)
    rig.calls.LoadModel(name=name)
    assert rig.available(name) == [2]


def test_a_version_that_was_unloaded_comes_back_when_it_is_named(rig, name):
    rig.models.add(name, 1, 2, config=ALL_VERSIONS)
    rig.calls.LoadModel(name=name)
    with rig.asking(name) as client:
        assert rig.calls.UnloadModel(name=name, version=2).model.default_version == 1
        client.wait_for_more(5)
    assert client.answers[-1][0] == 1
    rig.calls.LoadModel(name=name)
    rig.calls.ReloadRepository()
    assert rig.available(name) == [1]
    assert rig.calls.LoadModel(name=name, version=2).model.default_version == 2
    assert rig.available(name) == [1, 2]


def test_a_version_that_was_unloaded_comes_back_when_the_model_is_loaded_anew(rig, name):
    rig.models.add(name, 1, 2, config=ALL_VERSIONS)
    rig.calls.LoadModel(name=name)
    rig.calls.UnloadModel(name=name, version=2)
    rig.calls.UnloadModel(name=name)
    rig.calls.LoadModel(name=name)
    assert rig.available(name) == [1, 2]


def test_a_version_that_was_unloaded_stays_so_when_its_files_or_its_config_change(rig, name):
    rig.models.add(name, 1, 2, config=ALL_VERSIONS)
    rig.calls.LoadModel(name=name)
    rig.calls.UnloadModel(name=name, version=2)
    rig.models.configure(name, ALL_VERSIONS + parameter("temperature", "2"))
    rig.calls.ReloadRepository()
    assert rig.available(name) == [1]
    rig.models.refill(name, 2, "inverted")
    rig.calls.ReloadRepository()
    rig.calls.LoadModel(name=name)
    assert rig.available(name) == [1]


def test_calls_that_come_at_once_are_done_one_after_the_other(rig, name):
    rig.models.add(name, 1)
    rig.calls.LoadModel(name=name)

    def change(number):
        try:
            if number % 2:
                return "", rig.calls.LoadModel(name=name).model.name
            return "", rig.calls.UnloadModel(name=name).model.name
        except grpc.RpcError as error:
            return error.code().name, error.details()

    with ThreadPoolExecutor(8) as threads:
        given = list(threads.map(change, range(48)))
    # To unload what is not loaded is refused; whatever else was asked for was possible.
    assert {told for code, told in given if code} <= {f"model {name!r} is not loaded: ModelService.LoadModel loads it"}
    assert rig.calls.LoadModel(name=name).model.default_version == 1
    assert rig.states(name) == {1: "AVAILABLE"}


def test_the_only_available_version_is_not_unloaded_by_its_number(rig, refused, name):
    rig.models.add(name, 1, 2)
    rig.calls.LoadModel(name=name)
    given = refused("UnloadModel", name=name, version=2)
    assert (given.code, given.reason) == ("FAILED_PRECONDITION", "LAST_VERSION")
    assert rig.asked(name) == 2


@pytest.mark.parametrize(
    ("call", "fields", "code", "reason", "field"),
    [
        ("LoadModel", {"name": "absent"}, "NOT_FOUND", "MODEL_NOT_FOUND", "name"),
        ("LoadModel", {"name": "known", "version": 9}, "NOT_FOUND", "VERSION_NOT_FOUND", "version"),
        ("LoadModel", {"name": "known", "version": -1}, "INVALID_ARGUMENT", "INVALID_FIELD", "version"),
        ("UnloadModel", {"name": "absent"}, "NOT_FOUND", "MODEL_NOT_FOUND", "name"),
        ("UnloadModel", {"name": "known", "version": -1}, "INVALID_ARGUMENT", "INVALID_FIELD", "version"),
        ("GetModel", {"name": "absent"}, "NOT_FOUND", "MODEL_NOT_FOUND", "name"),
        ("RollbackModel", {"name": "absent"}, "NOT_FOUND", "MODEL_NOT_FOUND", "name"),
        ("SetModelWeights", {"name": "absent"}, "NOT_FOUND", "MODEL_NOT_FOUND", "name"),
        ("SetModelShadow", {"name": "absent"}, "NOT_FOUND", "MODEL_NOT_FOUND", "name"),
        ("DeleteModelLabel", {"name": "absent", "label": "x"}, "NOT_FOUND", "MODEL_NOT_FOUND", "name"),
        ("SetModelLabel", {"name": "absent", "label": "x", "version": 1}, "NOT_FOUND", "MODEL_NOT_FOUND", "name"),
    ],
)
def test_what_is_not_there_or_cannot_be_is_refused_with_the_field(refused, call, fields, code, reason, field):
    given = refused(call, **fields)
    assert (given.code, given.reason, given.fields) == (code, reason, (field,))


@pytest.mark.parametrize("call", ["GetModel", *(call for call in CHANGES if call != "ReloadRepository")])
def test_a_name_is_required(refused, call):
    given = refused(call, **{**CHANGES.get(call, {}), "name": ""})
    assert (given.code, given.reason, given.fields) == ("INVALID_ARGUMENT", "INVALID_FIELD", ("name",))


def test_names_that_lead_out_of_the_repository_are_not_found(rig, refused):
    aside = rig.models.aside().parent.name
    for name in (f"../{aside}", "..", ".", "known/1", "known/../known", "/", "\0"):
        assert refused("LoadModel", name=name).reason == "MODEL_NOT_FOUND"


@pytest.mark.parametrize("version", [0, 3])
def test_a_version_that_is_not_available_is_not_unloaded(rig, refused, name, version):
    rig.models.add_mixed(name, {1: "good", 2: "good", 3: "wrong"}, ALL_VERSIONS)
    assert refusal(rig.calls.LoadModel, name=name).reason == "MODEL_FAILED"
    if version:
        given = refused("UnloadModel", name=name, version=version)
        assert (given.code, given.reason) == ("FAILED_PRECONDITION", "VERSION_NOT_AVAILABLE")
    else:
        assert refused("UnloadModel", name=name, version=9).reason == "VERSION_NOT_FOUND"
    assert rig.available(name) == [1, 2]


def test_a_load_that_fails_says_why_and_takes_nothing_away(rig, name):
    rig.models.add(name, 1)
    rig.calls.LoadModel(name=name)
    rig.models.add(name, 2, kind="wrong")
    with rig.asking(name) as client:
        given = refusal(rig.calls.LoadModel, name=name)
        client.wait_for_more(5)
    assert (given.code, given.reason) == ("FAILED_PRECONDITION", "MODEL_FAILED")
    assert given.metadata == {"model": name, "version": "2"}
    assert "golden.json: cases.0: the model gives logits" in given.message
    assert {*client.answers} == {(1, "positive")}
    assert rig.states(name) == {1: "AVAILABLE", 2: "FAILED"}
    assert "golden.json: cases.0" in rig.message(name, 2)
    assert refusal(rig.ask, name, version=2).reason == "MODEL_FAILED"
    rig.models.refill(name, 2, "good")
    assert rig.calls.LoadModel(name=name).model.default_version == 2
    assert rig.available(name) == [2]


def test_a_load_by_a_config_that_is_broken_is_refused_and_takes_nothing_away(rig, name):
    rig.models.add(name, 1)
    rig.calls.LoadModel(name=name)
    rig.models.configure(name, "version_polisy { all {} }")
    with rig.asking(name):
        given = refusal(rig.calls.LoadModel, name=name)
    assert (given.code, given.reason) == ("FAILED_PRECONDITION", "MODEL_FAILED")
    assert "config.pbtxt: line 1, column 1" in given.message
    assert rig.available(name) == [1]


def test_a_model_without_a_version_that_can_serve_is_not_loaded(rig, name):
    (rig.models.root / name).mkdir()
    given = refusal(rig.calls.LoadModel, name=name)
    assert (given.code, given.reason) == ("FAILED_PRECONDITION", "MODEL_FAILED")
    assert "has no version to serve" in given.message


# The config of a LoadModel


def test_a_config_takes_the_place_of_the_file_until_the_next_load(rig, name):
    rig.models.add(name, 1, 2, config=parameter("label.file", "2"))
    short = ALL_VERSIONS + parameter("max_length", "8") + parameter("label.call", "1")
    model = rig.calls.LoadModel(name=name, config=short).model
    assert rig.available(name) == [1, 2]
    assert [(version.max_tokens, [*version.version_labels]) for version in model.versions] == [(8, ["call"]), (8, [])]
    assert rig.asked(name, label="call") == 1
    rig.calls.ReloadRepository()
    assert rig.available(name) == [1, 2]
    model = rig.calls.LoadModel(name=name).model
    assert rig.available(name) == [2]
    [version] = [version for version in model.versions if version.version == 2]
    assert (version.max_tokens, [*version.version_labels]) == (64, ["file"])
    assert refusal(rig.ask, name, label="call").reason == "LABEL_NOT_FOUND"


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("\nversion_polisy { all {} }", "line 2, column 1"),
        (ALL_VERSIONS + "max_batch_size: -1", "field `max_batch_size`"),
        ('name: "another"', "field `name`"),
        (parameter("no_such_key", "1"), "no_such_key"),
    ],
    ids=["syntax", "value", "name", "parameter"],
)
@pytest.mark.parametrize("loaded", [True, False], ids=["loaded", "not_loaded"])
def test_a_config_that_is_wrong_is_refused_with_its_line_or_field(rig, refused, name, config, told, loaded):
    rig.models.add(name, 1, 2)
    if loaded:
        rig.calls.LoadModel(name=name)
    given = refused("LoadModel", name=name, config=config)
    assert (given.code, given.reason, given.fields) == ("INVALID_ARGUMENT", "INVALID_FIELD", ("config",))
    assert told in given.message


@pytest.mark.parametrize("before", ["", ALL_VERSIONS + parameter("max_length", "8")], ids=["by_file", "by_call"])
def test_a_config_by_which_a_version_cannot_be_loaded_leaves_all_as_it_was(rig, name, before):
    rig.models.add_mixed(name, {1: "wrong", 2: "good", 3: "good"})
    rig.models.configure(name, "version_policy { latest { num_versions: 2 } }")
    rig.calls.LoadModel(name=name, config=before.replace("all {}", "specific { versions: [2, 3] }"))
    was = rig.get(name)
    with rig.asking(name):
        config = ALL_VERSIONS + parameter("label.tried", "3") + parameter("temperature", "2")
        given = refusal(rig.calls.LoadModel, name=name, config=config)
    assert (given.code, given.reason, given.metadata["version"]) == ("FAILED_PRECONDITION", "MODEL_FAILED", "1")
    now = rig.get(name)
    assert now.default_version == was.default_version
    assert [plain(version) for version in now.versions if version.version > 1] == [
        plain(version) for version in was.versions
    ]
    assert refusal(rig.ask, name, label="tried").reason == "LABEL_NOT_FOUND"
    assert refusal(rig.ask, name, version=1).code in ("NOT_FOUND", "FAILED_PRECONDITION")


def test_a_config_that_fails_for_the_version_that_serves_leaves_it(rig, name):
    rig.models.add(name, 1)
    rig.calls.LoadModel(name=name)
    was = rig.get(name)
    with rig.asking(name):
        given = refusal(rig.calls.LoadModel, name=name, config='output { label_filename: "no_such.txt" }')
    assert given.reason == "MODEL_FAILED"
    assert "no_such.txt" in given.message
    assert rig.get(name) == was


def plain(version):
    """A version without the time at which it entered its state."""
    copy = pb.ModelVersion()
    copy.CopyFrom(version)
    copy.ClearField("state_time")
    return copy


# ReloadRepository


def test_a_reload_brings_up_what_is_loaded_and_tells_of_the_rest(rig, name):
    rig.models.add(name, 1)
    rig.models.add(f"{name}-not-loaded", 1)
    rig.calls.LoadModel(name=name)
    rig.models.add(name, 2)
    found = {model.name: model for model in rig.calls.ReloadRepository().models}
    assert [*found] == sorted(found)
    assert found[name] == rig.get(name)
    assert (found[name].default_version, rig.available(name)) == (2, [2])
    assert not found[f"{name}-not-loaded"].loaded
    assert not found[f"{name}-not-loaded"].versions


def test_a_reload_tries_again_what_failed(rig, name):
    rig.models.add(name, 1, 2, config=ALL_VERSIONS)
    rig.models.refill(name, 2, "wrong")
    assert refusal(rig.calls.LoadModel, name=name).reason == "MODEL_FAILED"
    with rig.watch(name) as watch:
        rig.calls.ReloadRepository()
        watch.wait_for_state(2, "FAILED")
        assert watch.states(2) == ["LOADING", "FAILED"]
        assert watch.states(1) == []
        rig.models.refill(name, 2, "good")
        rig.calls.ReloadRepository()
        watch.wait_for_state(2, "AVAILABLE")
        assert watch.states(1) == []


def test_a_model_whose_folder_is_gone_is_gone_after_a_reload(rig, name):
    rig.models.add(name, 1)
    rig.calls.LoadModel(name=name)
    rig.models.take_away(name)
    assert name not in [model.name for model in rig.calls.ReloadRepository().models]
    assert refusal(rig.ask, name).reason == "MODEL_NOT_FOUND"


# Callers that give up


def test_a_load_that_its_caller_gives_up_leaves_nothing_half_done(rig, name):
    rig.models.add(name, 1)
    rig.calls.LoadModel(name=name)
    folder = rig.models.add(name, 2) / "2"
    gate = folder / "labels.txt"
    labels = gate.read_text()
    gate.unlink()
    os.mkfifo(gate)  # whoever reads it waits for the test
    with rig.watch(name) as watch, rig.asking(name):
        call = rig.calls.stub.LoadModel.future(pb.LoadModelRequest(name=name))
        watch.wait_for_state(2, "LOADING")
        call.cancel()
        wait_for_cancelled(rig, "LoadModel")
        open_gate(gate)
        gate.unlink()
        gate.write_text(labels)
        until(lambda: rig.states(name).get(2), lambda state: state != "LOADING")
        assert rig.calls.LoadModel(name=name).model.default_version == 2
    assert rig.asked(name) == 2


def test_an_unload_that_its_caller_gives_up_ends_with_the_requests_all_the_same(rig, name):
    patient = "dynamic_batching { max_queue_delay_microseconds: 60000000 }"
    rig.models.add(name, 1, 2, config=ALL_VERSIONS + patient)
    rig.calls.LoadModel(name=name)
    request = rig.begin(name, version=2)
    until(lambda: rig.metric("sentinova_queued_documents", model=name, version="2"), lambda count: count == 1)
    with rig.watch(name) as watch:
        call = rig.calls.stub.UnloadModel.future(pb.UnloadModelRequest(name=name, version=2))
        watch.wait_for_state(2, "UNLOADING")
        call.cancel()
        wait_for_cancelled(rig, "UnloadModel")
        request.cancel()
        watch.wait_for_state(2, "END")
    assert rig.available(name) == [1]


def wait_for_cancelled(rig, method):
    """Waits until the server knows that a call was cancelled."""
    labels = {"model": "", "version": "", "method": method, "code": "CANCELLED"}
    until(lambda: rig.metric("sentinova_requests_total", **labels), bool)


def open_gate(gate):
    """Lets whoever reads a named pipe, or will, read on: it is empty."""

    def attempt():
        with contextlib.suppress(OSError):  # nobody reads it yet
            os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
            return True
        return False

    until(attempt, bool)


# Memory


def test_a_version_that_there_is_no_memory_for_is_refused_and_the_others_serve(rig, name):
    rig.models.add(name, 1)
    rig.calls.LoadModel(name=name)
    rig.models.add_large(f"{name}-large")
    with rig.asking(name):
        given = refusal(rig.calls.LoadModel, name=f"{name}-large")
    assert (given.code, given.reason) == ("RESOURCE_EXHAUSTED", "MEMORY_BUDGET")
    assert given.metadata == {"model": f"{name}-large", "version": "1"}
    for message in (given.message, rig.message(f"{name}-large", 1)):
        assert "--memory-budget-bytes" in message
        assert "takes about 940 MB" in message  # 3.5 times its weights
    assert rig.states(f"{name}-large") == {1: "FAILED"}
    assert refusal(rig.ask, f"{name}-large").reason == "MODEL_FAILED"
    rig.models.add(name, 2)
    assert rig.calls.LoadModel(name=name).model.default_version == 2
