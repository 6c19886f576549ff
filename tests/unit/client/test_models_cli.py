"""`sentinova models`: what it asks for, what it shows, and how a watch goes on when the server goes away."""

from __future__ import annotations

import itertools
import json
import signal
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fake_server import DOWN, FakeServer, canary, event, model, status
from google.rpc import status_pb2
from hypothesis import given
from hypothesis import strategies as st
from program import json_lines, start
from sentinova import AbortedError, EventKind, ModelEvent, NotFoundError, UnavailableError, VersionState
from sentinova.model_display import EventLines, size
from sentinova.renewal import LONGEST_WAIT, waits, watch_again

TOO_SLOW = status(10, "9,999 changes were not read", "WATCH_TOO_SLOW")
FATAL = status(16, "who are you?", "NO_CREDENTIALS")


@pytest.fixture
def models(behaviour):
    behaviour.models = [canary("m")]
    return behaviour.models


@pytest.mark.parametrize(
    ("arguments", "method", "asked"),
    [
        ("load m", "LoadModel", 'name: "m"'),
        ("load m --version 2", "LoadModel", 'name: "m" version: 2'),
        ("unload m", "UnloadModel", 'name: "m"'),
        ("unload m --version 2", "UnloadModel", 'name: "m" version: 2'),
        ("label m stable 2", "SetModelLabel", 'name: "m" label: "stable" version: 2'),
        ("label m stable --delete", "DeleteModelLabel", 'name: "m" label: "stable"'),
        (
            "weights m 2=90 canary=10",
            "SetModelWeights",
            'name: "m" weights { version: 2 percent: 90 } weights { label: "canary" percent: 10 }',
        ),
        (
            "weights m 1=100 --max-error-rate 0.5 --max-disagreement 0 --min-documents 7",
            "SetModelWeights",
            'name: "m" weights { version: 1 percent: 100 } '
            "limits { max_error_rate: 0.5 max_disagreement: 0 min_documents: 7 }",
        ),
        (
            "weights m 1=100 --min-documents 7",
            "SetModelWeights",
            'name: "m" weights { version: 1 percent: 100 } limits { min_documents: 7 }',
        ),
        ("weights m --clear", "SetModelWeights", 'name: "m"'),
        ("shadow m 2", "SetModelShadow", 'name: "m" version: 2 percent: 100'),
        ("shadow m canary --percent 5", "SetModelShadow", 'name: "m" label: "canary" percent: 5'),
        ("shadow m --off", "SetModelShadow", 'name: "m"'),
        ("rollback m", "RollbackModel", 'name: "m"'),
        ("reload", "ReloadRepository", ""),
    ],
)
def test_what_a_command_asks_for(run, behaviour, models, arguments, method, asked):
    plain = run("models", *arguments.split())
    assert plain.exit_code == 0
    assert "AVAILABLE" in plain.stdout
    assert behaviour.calls == {method: 1}
    assert " ".join(str(behaviour.requests[0]).split()) == asked
    (shown,) = json_lines(run("models", *arguments.split(), "--json"))
    assert shown.get("model", shown)["name"] == "m"


def test_a_rollback_tells_both_versions(run, models):
    assert "Version 3 is out of service; version 2 answers by default." in run("models", "rollback", "m").stdout
    (told,) = json_lines(run("models", "rollback", "m", "--json"))
    assert (told["from_version"], told["to_version"], told["model"]["name"]) == (3, 2, "m")


@pytest.mark.parametrize("source", ["file", "-"])
def test_a_config_is_sent_as_it_is(run, behaviour, models, tmp_path, source):
    text = 'name: "m"  # größer\n'
    (tmp_path / "config.pbtxt").write_bytes(text.encode())
    name = source if source == "-" else str(tmp_path / "config.pbtxt")
    assert run("models", "load", "m", "--config", name, text=text).exit_code == 0
    assert behaviour.requests[0].config == text


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff"])
def test_a_config_that_is_none_is_refused(run, behaviour, models, tmp_path, content):
    (tmp_path / "config.pbtxt").write_bytes(content)
    result = run("models", "load", "m", "--config", str(tmp_path / "config.pbtxt"))
    assert result.exit_code == 2
    assert "--config" in result.stderr
    assert not behaviour.calls


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("weights m 1=90", ["VERSION=PERCENT", "100 percent in all, not 90"]),
        ("weights m 1=90 2=20", ["VERSION=PERCENT", "not 110"]),
        ("weights m 1=101", ["VERSION=PERCENT", "from 0 to 100"]),
        ("weights m 1:100", ["VERSION=PERCENT", "'1:100' is not"]),
        ("weights m 1=50 1=50", ["VERSION=PERCENT", "twice"]),
        ("weights m", ["VERSION=PERCENT", "--clear"]),
        ("weights m 1=100 --clear", ["VERSION=PERCENT", "--clear"]),
        ("weights m --clear --min-documents 5", ["--clear"]),
        ("weights m 1=100 --max-error-rate 1.5", ["--max-error-rate"]),
        ("weights m 1=100 --max-disagreement x", ["--max-disagreement"]),
        ("weights m 1=100 --min-documents 0", ["--min-documents"]),
        ("shadow m", ["VERSION", "--off"]),
        ("shadow m 2 --off", ["VERSION", "--off"]),
        ("shadow m 0", ["VERSION", "from 1"]),
        ("shadow m 2 --percent 0", ["--percent"]),
        ("shadow m 2 --percent 101", ["--percent"]),
        ("shadow m --off --percent 5", ["--off", "--percent"]),
        ("label m stable", ["VERSION", "--delete"]),
        ("label m stable 2 --delete", ["VERSION", "--delete"]),
        ("label m stable canary", ["VERSION", "not the number"]),
        ("load m --version 0", ["--version"]),
        ("load m --version=", ["--version"]),
        ("load m --timeout 0", ["timeout"]),
        ("unload", ["NAME"]),
        ("watch --timeout 5", ["--timeout"]),
    ],
)
def test_a_wrong_command_line_names_the_argument(run, behaviour, models, arguments, words):
    result = run("models", *arguments.split())
    assert result.exit_code == 2
    assert all(word in result.stderr for word in words)
    assert not behaviour.calls


@pytest.mark.parametrize(
    ("code", "reason", "exit_code", "words"),
    [
        (9, "MODEL_CONTROL_DISABLED", 4, "--model-control-mode"),
        (9, "MODEL_FAILED", 4, "models show"),
        (9, "VERSION_NOT_AVAILABLE", 4, "models list"),
        (9, "LAST_VERSION", 4, "without --version"),
        (9, "NO_PREVIOUS_VERSION", 4, "models load"),
        (8, "MEMORY_BUDGET", 4, "memory"),
        (8, "QUEUE_FULL", 3, "try again later"),
        (10, "SOME_OTHER_CALL", 3, ""),
        (5, "LABEL_NOT_FOUND", 4, "models list"),
    ],
)
def test_a_refused_change_is_explained(run, behaviour, models, code, reason, exit_code, words):
    behaviour.failures = [status(code, "it cannot be", reason)]
    result = run("models", "load", "m")
    assert result.exit_code == exit_code
    assert f"{reason}: it cannot be" in result.stderr
    assert words in result.stderr
    assert result.stdout == ""


def test_loading_waits_longer_than_an_answer(run, behaviour, models):
    for command in (["load", "m"], ["unload", "m"], ["reload"], ["rollback", "m"]):
        assert run("models", *command).exit_code == 0
        assert 300 < behaviour.limits[-1] < 1000
        assert run("models", *command, "--timeout", "50").exit_code == 0
        assert behaviour.limits[-1] < 300
    run("models", "label", "m", "stable", "2")
    assert behaviour.limits[-1] < 300


def test_the_list_shows_the_traffic(run, behaviour):
    behaviour.models = [canary("a_model_with_a_long_name"), model("one")]
    waiting = model("waiting")
    waiting.ClearField("versions")
    waiting.loaded = False
    behaviour.models.append(waiting)
    lines = run("models", "list").stdout.splitlines()
    assert max(map(len, lines)) <= 120
    rows = [line.split() for line in lines]
    assert rows[0] == ["model", "version", "state", "traffic", "labels", "memory", "classes", "format"]
    assert rows[1][1:8] == ["1", "AVAILABLE", "90%", "stable", "392", "MiB", "negative,"]
    assert rows[2][1:6] == ["2", "AVAILABLE", "10%", "canary,", "next"]
    assert rows[3][1:6] == ["3", "AVAILABLE", "default,", "shadow", "negative,"]
    assert ["waiting", "-", "not", "loaded", "-", "-", "-", "-", "-"] in rows
    compared = "a_model_with_a_long_name 2 (canary) 1 2,000 99.5% 0.0125 0.2500 0.50x 7 1"
    assert compared.split() in rows
    assert "a_model_with_a_long_name 3 (shadow) 1 0 - - - - 0 0".split() in rows


def test_a_model_is_shown_with_its_traffic(run, models):
    rows = [line.split() for line in run("models", "show", "m").stdout.splitlines()]
    for expected in ("weights 1: 90%, 2: 10%", "shadow version 3", "labels canary, next", "memory 392 MiB"):
        assert expected.split() in rows
    assert "m 2 (canary) 1 2,000 99.5% 0.0125 0.2500 0.50x 7 1".split() in rows
    assert ["loaded", "no"] not in rows


def test_a_model_that_waits_for_its_load_says_so(run, behaviour):
    behaviour.models = [model("m")]
    behaviour.models[0].loaded = False
    assert ["loaded", "no"] in [line.split() for line in run("models", "show", "m").stdout.splitlines()]


def test_traffic_is_in_the_json_of_a_model(run, models):
    (shown,) = json_lines(run("models", "show", "m", "--json"))
    assert shown["weights"] == {"1": 90, "2": 10}
    assert (shown["shadow_version"], shown["loaded"]) == (3, True)
    assert shown["versions"][1]["version_labels"] == ["canary", "next"]
    assert shown["versions"][0]["memory_bytes"] == 411_000_000
    assert (shown["comparisons"][0]["agreed"], shown["comparisons"][0]["live"]) == (1990, True)


def script(behaviour, *told):
    for each in told:
        behaviour.events.put(each)


def test_a_watch_writes_a_line_for_each_event(run, behaviour):
    script(
        behaviour,
        event("INITIAL", "m", 1, "AVAILABLE", default_version=1),
        event("SYNCED"),
        event("STATE", "m", 2, "AVAILABLE", default_version=2),
        event("ROLLBACK", "m", 2, "UNLOADING", message="too many \x1b[31merrors", default_version=1),
        None,
    )
    result = run("models", "watch", "m", "--no-reconnect")
    assert result.exit_code == 0
    assert [line.split(maxsplit=3) for line in result.stdout.splitlines()] == [
        ["2023-11-14T22:13:20Z", "m/1", "AVAILABLE", "default"],
        ["2023-11-14T22:13:20Z", "that", "is", "how things are; changes follow"],
        ["2023-11-14T22:13:20Z", "m/2", "AVAILABLE", "version 2 answers by default now"],
        ["2023-11-14T22:13:20Z", "m/2", "ROLLBACK", "too many  [31merrors; version 1 answers by default now"],
    ]
    assert result.stderr == "sentinova: the server ended the watch\n"
    assert list(behaviour.requests[0].names) == ["m"]


def test_a_watch_writes_json(run, behaviour):
    script(behaviour, event("SYNCED"), event("STATE", "m", 2, "FAILED", message="why", default_version=1), None)
    synced, failed = json_lines(run("models", "watch", "--no-reconnect", "--json"))
    assert synced["kind"] == "SYNCED"
    assert failed == {
        "kind": "STATE",
        "model": "m",
        "version": 2,
        "state": "FAILED",
        "message": "why",
        "time": "2023-11-14T22:13:20+00:00",
        "default_version": 1,
    }


@pytest.mark.parametrize(
    ("end", "words"),
    [(DOWN, "MODEL_LOADING"), (TOO_SLOW, "WATCH_TOO_SLOW"), (None, "the server ended the watch")],
    ids=["unavailable", "too slow", "ended"],
)
def test_a_watch_goes_on_when_it_can(run, behaviour, end, words):
    script(behaviour, event("SYNCED"), end, event("INITIAL", "m", 1, "AVAILABLE"), FATAL)
    result = run("models", "watch", "--json")
    assert [each["kind"] for each in json_lines(result)] == ["SYNCED", "INITIAL"]
    assert behaviour.calls == {"WatchModels": 2}
    assert words in result.stderr
    assert "begins again" in result.stderr
    assert result.exit_code == 4
    assert "NO_CREDENTIALS" in result.stderr


@pytest.mark.parametrize("end", [DOWN, TOO_SLOW], ids=["unavailable", "too slow"])
def test_a_watch_ends_where_it_is_told_to(run, behaviour, end):
    script(behaviour, event("SYNCED"), end)
    result = run("models", "watch", "--no-reconnect")
    assert result.exit_code == 3
    assert behaviour.calls == {"WatchModels": 1}
    assert "begins again" not in result.stderr
    assert end.message in result.stderr


def test_a_watch_outlives_its_server_and_ends_with_ctrl_c():
    with tempfile.TemporaryDirectory() as folder:
        address = f"unix:{Path(folder) / 'socket'}"
        first = FakeServer(address=address)
        script(first.behaviour, event("STATE", "m", 1, "AVAILABLE", default_version=1))
        with start(address, "models", "watch", "--json") as process:
            assert json.loads(process.stdout.readline())["version"] == 1
            first.stop()
            assert process.stderr.readline().startswith(b"sentinova: UNAVAILABLE")
            second = FakeServer(address=address)
            try:
                script(second.behaviour, event("STATE", "m", 2, "AVAILABLE", default_version=2))
                assert json.loads(process.stdout.readline())["version"] == 2
                process.send_signal(signal.SIGINT)
                assert process.wait(60) == 130
                assert second.behaviour.watch_over.wait(60)
            finally:
                second.stop()
            assert b"Traceback" not in process.stderr.read()


def test_a_watch_writes_its_lines_through_and_ends_with_its_reader(server):
    script(server.behaviour, event("STATE", "m", 1, "LOADING"))
    with start(server.address, "models", "watch") as process:
        assert b"m/1" in process.stdout.readline()  # while the watch goes on
        process.stdout.close()
        script(server.behaviour, event("STATE", "m", 1, "AVAILABLE"))
        assert process.wait(60) == 141
        assert process.stderr.read() == b""


def test_every_command_has_examples_and_exit_codes(run):
    listed = run("models", "--help").stdout.split("Commands:")[1].split("\n")
    names = [line.split()[0] for line in listed if line.strip()]
    assert sorted(names) == sorted("label list load reload rollback shadow show unload watch weights".split())
    for name in names:
        told = run("models", name, "--help").stdout
        assert f"sentinova models {name}" in told.split("Examples:")[1]
        assert "Exit codes:" in told
        assert "--json" in told


def told(kind="STATE", name="m", version=1, state=VersionState.AVAILABLE, message="", default=None):
    return ModelEvent(
        EventKind(kind), name, version, state, message, datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC), default
    )


def test_a_line_says_where_the_default_changes():
    lines = EventLines()
    said = [
        lines.line(each).split()[3:]
        for each in (
            told("INITIAL", version=1, default=2),
            told("INITIAL", version=2, default=2),
            told(version=3, default=2),
            told(version=3, default=3),
            told(version=3, default=None),
            told(name="other", version=1, default=None),
            told(name="other", version=1, default=1),
        )
    ]
    assert [" ".join(each) for each in said] == [
        "",
        "default",
        "",
        "version 3 answers by default now",
        "no version answers now",
        "",
        "version 1 answers by default now",
    ]


def test_a_line_for_what_is_not_known():
    line = EventLines().line(ModelEvent(EventKind.WARNING, "m", None, None, "", None, None))
    assert line.split()[1] == "m"
    assert "WARNING" in line


@given(st.integers(1, 1 << 50))
def test_sizes_are_short_and_right(count):
    number, unit = size(count).split()
    assert len(number) <= 4
    power = ["B", "KiB", "MiB", "GiB", "TiB"].index(unit)
    assert float(number) * 1024**power == pytest.approx(count, rel=0.06)


@pytest.mark.parametrize(
    ("count", "text"), [(0, ""), (999, "999 B"), (1536, "1.5 KiB"), (411_000_000, "392 MiB"), (1 << 30, "1.0 GiB")]
)
def test_sizes(count, text):
    assert size(count) == text


def test_waits_grow_to_their_limit():
    first = list(itertools.islice(waits(), 10))
    assert first == sorted(first)
    assert 0 < first[0] < 1
    assert first[-1] == LONGEST_WAIT == 5
    assert all(later <= 2 * earlier for earlier, later in itertools.pairwise(first))


class Watches:
    """Watches that end as a test says: each with some events, and then an error or none."""

    def __init__(self, *ends) -> None:
        self.ends = iter(ends)
        self.open = 0

    def __call__(self):
        count, error = next(self.ends)
        self.open += 1
        try:
            for _ in range(count):
                yield told()
            if error is not None:
                raise error
        finally:
            self.open -= 1


def test_a_watch_is_begun_again_after_growing_waits():
    down, slow = UnavailableError("gone"), AbortedError("too slow", reason="WATCH_TOO_SLOW")
    watches = Watches((2, None), (0, down), (0, down), (0, down), (1, slow), (0, down), (1, NotFoundError("no")))
    slept, said, events = [], [], []
    with pytest.raises(NotFoundError):
        events.extend(watch_again(watches, said.append, slept.append))
    first = list(itertools.islice(waits(), 4))
    assert slept == [*first, *first[:2]]  # from the start again once there are events
    assert said == [None, down, slow, down]  # each cause once, until there are events
    assert watches.open == 0


def test_a_server_may_ask_for_a_longer_wait():
    watches = Watches(
        (0, UnavailableError("gone", retry_after=2.0)),
        (0, UnavailableError("gone", retry_after=60.0)),
        (0, NotFoundError("no")),
    )
    slept = []
    with pytest.raises(NotFoundError):
        list(watch_again(watches, lambda _: None, slept.append))
    assert slept == [2.0, LONGEST_WAIT]


def test_closing_a_watch_that_goes_on_closes_the_one_beneath():
    watches = Watches((5, None))
    events = watch_again(watches, lambda _: None, lambda _: None)
    next(events)
    assert watches.open == 1
    events.close()
    assert watches.open == 0


def test_a_failure_without_details_is_explained(run, behaviour, models):
    behaviour.failures = [status_pb2.Status(code=9, message="not now")]
    result = run("models", "load", "m")
    assert result.exit_code == 4
    assert "FAILED_PRECONDITION: not now" in result.stderr
