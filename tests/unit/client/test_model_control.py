"""Both clients against the fake server: what they ask for to watch and change models, and what they give back."""

from __future__ import annotations

import asyncio
import gc
import inspect
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fake_server import DOWN, NO_MODEL, FakeServer, canary, event, model, status
from hypothesis import given
from hypothesis import strategies as st
from sentinova import (
    AbortedError,
    AsyncClient,
    CallCancelledError,
    CanaryLimits,
    Client,
    Comparison,
    DeadlineExceededError,
    EventKind,
    FailedPreconditionError,
    ModelEvent,
    NotFoundError,
    ResourceExhaustedError,
    SentinovaError,
    UnavailableError,
    VersionState,
)
from sentinova.model_conversion import model_event, model_info
from sentinova.traffic import check_weights, parse_version, parse_weights

STARTED = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
# Each call about a model: its method in the API, the arguments, and the fields of the request that it makes.
CHANGES = {
    "load": ("LoadModel", lambda face: face.load_model("m"), {"name": "m"}),
    "load one": (
        "LoadModel",
        lambda face: face.load_model("m", version=3, config="backend: 'openvino'"),
        {"name": "m", "version": 3, "config": "backend: 'openvino'"},
    ),
    "unload": ("UnloadModel", lambda face: face.unload_model("m"), {"name": "m"}),
    "unload one": ("UnloadModel", lambda face: face.unload_model("m", version=2), {"name": "m", "version": 2}),
    "set label": (
        "SetModelLabel",
        lambda face: face.set_label("m", "stable", 2),
        {"name": "m", "label": "stable", "version": 2},
    ),
    "delete label": (
        "DeleteModelLabel",
        lambda face: face.delete_label("m", "stable"),
        {"name": "m", "label": "stable"},
    ),
    "weights": (
        "SetModelWeights",
        lambda face: face.set_weights("m", {2: 90, "canary": 10}, limits=CanaryLimits(max_disagreement=0.0)),
        {
            "name": "m",
            "weights": [{"version": 2, "percent": 90}, {"label": "canary", "percent": 10}],
            "limits": {"max_disagreement": 0.0},
        },
    ),
    "all limits": (
        "SetModelWeights",
        lambda face: face.set_weights("m", {2: 0, 1: 100}, limits=CanaryLimits(0.5, 0.25, 7)),
        {
            "name": "m",
            "weights": [{"version": 2}, {"version": 1, "percent": 100}],
            "limits": {"max_error_rate": 0.5, "max_disagreement": 0.25, "min_documents": 7},
        },
    ),
    "no weights": ("SetModelWeights", lambda face: face.set_weights("m", {}), {"name": "m"}),
    "shadow": (
        "SetModelShadow",
        lambda face: face.set_shadow("m", "canary", percent=5),
        {"name": "m", "label": "canary", "percent": 5},
    ),
    "shadow by number": (
        "SetModelShadow",
        lambda face: face.set_shadow("m", 2),
        {"name": "m", "version": 2, "percent": 100},
    ),
    "no shadow": ("SetModelShadow", lambda face: face.set_shadow("m", None), {"name": "m"}),
}
OTHERS = {
    "rollback": ("RollbackModel", lambda face: face.rollback_model("m"), {"name": "m"}),
    "reload": ("ReloadRepository", lambda face: face.reload_repository(), {}),
}
ALL = CHANGES | OTHERS
REPEATED = {"SetModelLabel", "SetModelWeights", "SetModelShadow"}
SLOW = {"LoadModel", "UnloadModel", "RollbackModel", "ReloadRepository"}


def fields(message) -> dict:
    """Gives the fields of a message that are set."""
    found = {}
    for field, value in message.ListFields():
        if field.type != field.TYPE_MESSAGE:
            found[field.name] = value
        else:
            found[field.name] = [fields(each) for each in value] if field.is_repeated else fields(value)
    return found


@pytest.fixture
def control(client, behaviour):
    behaviour.models = [canary("m")]
    return client


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_asked_for_and_answered_with_the_model(control, behaviour, name):
    method, call, asked = CHANGES[name]
    assert call(control) == model_info(behaviour.models[0])
    assert behaviour.calls == {method: 1}
    assert [fields(each) for each in behaviour.requests] == [asked]


def test_a_rollback_tells_both_versions(control, behaviour):
    done = control.rollback_model("m")
    assert (done.from_version, done.to_version) == (3, 2)
    assert done.model == model_info(behaviour.models[0])
    assert [fields(each) for each in behaviour.requests] == [{"name": "m"}]


def test_a_reload_gives_all_models(client, behaviour):
    behaviour.models = [model(name) for name in "abcde"]
    assert [each.name for each in client.reload_repository()] == list("abcde")


def test_a_model_tells_its_traffic(control):
    found = control.get_model("m")
    assert found.weights == {1: 90, 2: 10}
    assert list(found.weights) == [1, 2]
    assert (found.shadow_version, found.loaded) == (3, True)
    assert [each.version_labels for each in found.versions] == [("stable",), ("canary", "next"), ()]
    assert [each.weight for each in found.versions] == [90, 10, 0]
    assert found.versions[0].memory_bytes == 411_000_000
    assert found.comparisons[0] == Comparison(
        version=2,
        baseline=1,
        documents=2000,
        agreed=1990,
        mean_distance=0.0125,
        max_distance=0.25,
        latency_ratio=0.5,
        dropped=7,
        failed=1,
        live=True,
    )


def test_a_model_without_traffic_says_so(client, behaviour):
    behaviour.models = [model("m")]
    behaviour.models[0].loaded = False
    found = client.get_model("m")
    assert (found.weights, found.shadow_version, found.comparisons, found.loaded) == ({}, None, (), False)
    assert (found.versions[0].version_labels, found.versions[0].weight, found.versions[0].memory_bytes) == ((), 0, 0)


@pytest.mark.parametrize("name", ALL)
def test_only_changes_that_may_be_repeated_are_tried_again(control, behaviour, name):
    method, call, _ = ALL[name]
    behaviour.failures = [DOWN]
    if method in REPEATED:
        call(control)
        assert behaviour.calls == {method: 2}
    else:
        with pytest.raises(UnavailableError):
            call(control)
        assert behaviour.calls == {method: 1}


@pytest.mark.parametrize("name", ALL)
def test_loading_has_more_time_than_an_answer(face, server, behaviour, name):
    behaviour.models = [model("m")]
    method, call, _ = ALL[name]
    call(face.open(server.address, timeout=100))
    (left,) = behaviour.limits
    assert left < 1000
    assert (left > 300) is (method in SLOW)
    call(face.open(server.address, timeout=5000))
    assert behaviour.limits[-1] > 1000


def test_a_load_takes_the_deadline_of_its_call(control, behaviour):
    behaviour.hang = True
    with pytest.raises(DeadlineExceededError):
        control.load_model("m", timeout=0.1)


def test_a_client_without_limit_loads_without_one(face, server, behaviour):
    behaviour.models = [model("m")]
    face.open(server.address, timeout=None).load_model("m")
    assert behaviour.limits[-1] is None or behaviour.limits[-1] > 1e6


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (9, "MODEL_CONTROL_DISABLED", FailedPreconditionError),
        (9, "MODEL_FAILED", FailedPreconditionError),
        (8, "MEMORY_BUDGET", ResourceExhaustedError),
        (5, "VERSION_NOT_FOUND", NotFoundError),
        (10, "WATCH_TOO_SLOW", AbortedError),
    ],
)
def test_a_refused_change_says_why(control, behaviour, code, reason, kind):
    behaviour.failures = [status(code, "it cannot be", reason, metadata={"model": "m"})]
    with pytest.raises(kind) as caught:
        control.load_model("m")
    assert (caught.value.reason, caught.value.metadata) == (reason, {"model": "m"})


def test_a_change_of_a_model_that_is_not_there_is_not_found(client):
    with pytest.raises(NotFoundError):
        client.rollback_model("m")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda face: face.set_weights("m", {1: 90}), "100 percent in all, not 90"),
        (lambda face: face.set_weights("m", {1: -1, 2: 101}), "weight of 1"),
        (lambda face: face.set_weights("m", {"a": 200, "b": -100}), "weight of a"),
        (lambda face: face.set_shadow("m", 2, percent=0), "percent"),
        (lambda face: face.set_shadow("m", None, percent=101), "percent"),
        (lambda face: face.analyze("good", version=1, label="stable"), "not both"),
        (lambda face: face.analyze_batch(["good"], version=1, label="stable"), "not both"),
        (lambda face: face.stream(["good"], version=1, label="stable"), "not both"),
        (lambda face: face.watch_models(timeout=0), "timeout"),
        (lambda face: face.load_model("m", timeout=-1), "timeout"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_at_once(control, behaviour, call, words):
    with pytest.raises(ValueError, match=words):
        call(control)
    assert not behaviour.calls


def test_names_to_watch_are_not_one_string(client, behaviour):
    with pytest.raises(TypeError, match="names"):
        client.watch_models("sentiment_en")
    assert not behaviour.calls


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, ("", "", None)),
        ({"label": "canary", "routing_key": "user 7"}, ("canary", "user 7", "label")),
        ({"version": 2}, ("", "", "version")),
    ],
    ids=["nothing", "label", "version"],
)
def test_label_and_routing_key_go_with_every_call(client, behaviour, options, sent):
    client.analyze("good", **options)
    client.analyze_batch(["good"], **options)
    list(client.stream(["good"], **options))
    seen = [(each.label, each.routing_key, each.WhichOneof("version_choice")) for each in behaviour.configs]
    assert seen == [sent] * 3


def test_a_watch_tells_what_is_and_what_changes(client, behaviour):
    told = [
        event("INITIAL", "m", 1, "AVAILABLE", default_version=1),
        event("SYNCED"),
        event("STATE", "m", 2, "FAILED", message="no vocab.txt", default_version=1),
        event("WARNING", "m", message="config.pbtxt:3"),
        None,
    ]
    for each in told:
        behaviour.events.put(each)
    events = list(client.watch_models(["m", "other"]))
    assert events[0] == ModelEvent(EventKind.INITIAL, "m", 1, VersionState.AVAILABLE, "", STARTED, 1)
    assert events[1] == ModelEvent(EventKind.SYNCED, "", None, None, "", STARTED, None)
    assert events[2] == ModelEvent(EventKind.STATE, "m", 2, VersionState.FAILED, "no vocab.txt", STARTED, 1)
    assert events[3] == ModelEvent(EventKind.WARNING, "m", None, None, "config.pbtxt:3", STARTED, None)
    assert fields(behaviour.requests[0]) == {"names": ["m", "other"]}


def test_events_of_a_newer_server_are_unknown_and_no_failure():
    strange = event("STATE", "m", 1)
    strange.kind, strange.state = 99, 98
    strange.ClearField("time")
    told = model_event(strange)
    assert (told.kind, told.state, told.time) == (EventKind.UNKNOWN, VersionState.UNKNOWN, None)


def test_every_kind_of_event_is_known():
    from sentinova.v1.model_service_pb2 import ModelEventKind

    names = [name.removeprefix("MODEL_EVENT_KIND_") for name, _ in ModelEventKind.items() if "UNSPECIFIED" not in name]
    assert [model_event(event(name, "m")).kind.value for name in names] == names


def test_a_watch_has_no_deadline_but_its_own(face, server, behaviour):
    face.open(server.address, timeout=0.5)
    behaviour.events.put(None)
    list(face.watch_models())
    assert behaviour.limits[-1] is None or behaviour.limits[-1] > 1e6
    with pytest.raises(DeadlineExceededError):
        list(face.watch_models(timeout=0.1))


@pytest.mark.parametrize("failure", [DOWN, status(10, "read faster", "WATCH_TOO_SLOW")], ids=["down", "slow"])
def test_a_watch_is_not_begun_again(client, behaviour, failure):
    for each in (event("SYNCED"), failure, event("SYNCED")):
        behaviour.events.put(each)
    events = client.watch_models()
    assert next(events).kind is EventKind.SYNCED
    with pytest.raises(SentinovaError) as caught:
        next(events)
    assert caught.value.reason in {"MODEL_LOADING", "WATCH_TOO_SLOW"}
    assert behaviour.calls == {"WatchModels": 1}


def test_a_watch_that_is_refused_is_not_tried_again(client, behaviour):
    behaviour.failures = [DOWN, NO_MODEL]
    with pytest.raises(UnavailableError):
        next(client.watch_models())
    assert behaviour.calls == {"WatchModels": 1}


def test_closing_a_watch_cancels_its_call(client, behaviour):
    behaviour.events.put(event("SYNCED"))
    events = client.watch_models()
    next(events)
    assert not behaviour.watch_over.is_set()
    events.close()
    assert behaviour.watch_over.wait(60)


def test_letting_go_of_a_watch_cancels_its_call(client, behaviour):
    behaviour.events.put(event("SYNCED"))
    events = client.watch_models()
    next(events)
    del events
    gc.collect()
    if client.runner is not None:
        client.runner.run(asyncio.sleep(0))
    assert behaviour.watch_over.wait(60)


def test_closing_the_client_ends_its_watches(client, behaviour):
    behaviour.events.put(event("SYNCED"))
    events = client.watch_models()
    next(events)
    client.close()
    with pytest.raises(CallCancelledError):
        next(events)
    assert behaviour.watch_over.wait(60)


def test_a_server_that_goes_away_ends_a_watch(client, server, behaviour):
    behaviour.events.put(event("SYNCED"))
    events = client.watch_models()
    next(events)
    server.stop()
    with pytest.raises(UnavailableError):
        next(events)


async def test_closing_the_client_ends_a_watch_that_waits(server: FakeServer):
    server.behaviour.events.put(event("SYNCED"))
    synced = asyncio.Event()

    async def follow(client):
        async for _ in client.watch_models():
            synced.set()

    client = AsyncClient(server.address)
    task = asyncio.create_task(follow(client))
    await synced.wait()
    await client.close()
    with pytest.raises(CallCancelledError, match="closed"):
        await task


async def test_cancelling_a_task_cancels_its_watch(server: FakeServer):
    server.behaviour.events.put(event("SYNCED"))
    synced = asyncio.Event()

    async def follow(client):
        async for _ in client.watch_models():
            synced.set()

    async with AsyncClient(server.address) as client:
        task = asyncio.create_task(follow(client))
        await synced.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.behaviour.watch_over.wait, 60)


def test_metadata_goes_with_a_watch(face, server, behaviour):
    behaviour.events.put(None)
    list(face.open(server.address, metadata={"authorization": "Bearer abc"}).watch_models())
    assert behaviour.metadata["authorization"] == "Bearer abc"


def public_methods(kind: type) -> dict:
    return {name: each for name, each in inspect.getmembers(kind, callable) if not name.startswith("_")}


def public_values(kind: type) -> dict:
    return {name: each for name, each in inspect.getmembers(kind) if not name.startswith("_") and not callable(each)}


def comparable(signature: inspect.Signature) -> tuple:
    """Gives what two signatures must share; an asynchronous iterator stands for an ordinary one."""
    result = signature.return_annotation.replace(", None, None]", ", None]").replace("AsyncG", "G")
    parameters = [
        each.replace(annotation=str(each.annotation).removesuffix(" | AsyncIterable[Item]"))
        for each in signature.parameters.values()
    ]
    return parameters, result


def test_both_clients_have_the_same_methods():
    plain, asynchronous = public_methods(Client), public_methods(AsyncClient)
    assert plain.keys() == asynchronous.keys()
    assert {"load_model", "watch_models", "rollback_model", "analyze", "stream"} <= plain.keys()
    for name, method in plain.items():
        other = asynchronous[name]
        assert comparable(inspect.signature(method)) == comparable(inspect.signature(other)), name
        streams = "Generator" in inspect.signature(method).return_annotation
        assert inspect.iscoroutinefunction(other) is not streams, name
        assert not inspect.iscoroutinefunction(method), name
    assert public_values(Client) == public_values(AsyncClient)
    assert inspect.signature(Client) == inspect.signature(AsyncClient)


def test_both_clients_say_the_same_of_changes():
    plain, asynchronous = public_methods(Client), public_methods(AsyncClient)
    for name in plain.keys() - {"stream", "watch_models"}:  # (iterators are closed in different ways)
        assert inspect.getdoc(plain[name]) == inspect.getdoc(asynchronous[name]), name


def test_the_clients_have_a_method_for_each_of_the_service():
    from sentinova.v1.model_service_pb2 import DESCRIPTOR

    source = (Path(inspect.getfile(Client)).parent / "base.py").read_text()
    for method in DESCRIPTOR.services_by_name["ModelService"].methods:
        assert f"models.{method.name}\n" in source


labels = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)
versions = st.one_of(st.integers(1, 1 << 40), labels)


@st.composite
def shares(draw):
    names = draw(st.lists(versions, min_size=1, max_size=5, unique=True))
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=len(names) - 1, max_size=len(names) - 1)))
    return dict(zip(names, (b - a for a, b in zip([0, *cuts], [*cuts, 100], strict=True)), strict=True))


@given(shares())
def test_weights_are_read_as_they_are_written(weights):
    assert parse_weights(f"{version}={percent}" for version, percent in weights.items()) == weights


@given(st.dictionaries(versions, st.integers(-200, 200), min_size=1, max_size=5))
def test_weights_are_right_only_if_they_are_percents_and_100_in_all(weights):
    right = sum(weights.values()) == 100 and all(0 <= percent <= 100 for percent in weights.values())
    if right:
        check_weights(weights)
    else:
        with pytest.raises(ValueError, match="weight"):
            check_weights(weights)


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_weights_of_any_text_are_read_or_refused(texts):
    weights = None
    with suppress(ValueError):
        weights = parse_weights(texts)
    if weights is not None:
        assert sum(weights.values()) == 100
        assert len(weights) == len(texts)


@pytest.mark.parametrize(
    "texts", [["1"], ["=100"], ["1="], ["1=+100"], ["1=１００"], ["0=100"], ["1=50", "01=50"], ["1=1e2"]]
)
def test_weights_that_are_none(texts):
    with pytest.raises(ValueError, match=r"VERSION=PERCENT|numbered|twice"):
        parse_weights(texts)


@given(versions)
def test_a_version_is_read_as_it_is_written(version):
    assert parse_version(str(version)) == version
