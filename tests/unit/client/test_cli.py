"""The `sentinova` command: what it writes, what it says about failures, and its exit codes."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import signal
import subprocess
import sys

import click
import pytest
from fake_server import FULL, model, status
from program import json_lines, start
from sentinova.cli import main


def test_analyze_shows_a_table(run):
    result = run("analyze", "good film", "bad film")
    assert result.exit_code == 0
    assert result.stderr == ""
    heading, first, second = result.stdout.splitlines()
    assert heading.split() == ["sentiment", "score", "text", "model", "tokens"]
    assert first.split() == ["positive", "0.7500", "good", "film", "sentiment_en/2", "4"]
    assert second.split()[0] == "negative"
    assert "\x1b" not in result.stdout


def test_analyze_writes_every_field_as_json(run):
    result = run("analyze", "good film", "bad", "--json", "--model", "m", "--version", "3")
    assert result.exit_code == 0
    first, second = json_lines(result)
    assert first == {
        "index": 0,
        "id": "0",
        "label": "positive",
        "score": 0.75,
        "scores": {"negative": 0.25, "positive": 0.75},
        "model": "m",
        "version": 3,
        "token_count": 4,
        "truncated": False,
        "timings": {"tokenization": 0.001, "queue": 0.002, "inference": 1.5},
    }
    assert (second["index"], second["label"]) == (1, "negative")


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_analyze_reads_lines(run, behaviour, arguments):
    text = "\ufeffgood\r\n\n  \n" + "bad\n" * 300 + "last"
    result = run("analyze", "--json", *arguments, text=text)
    labels = [each["label"] for each in json_lines(result)]
    assert labels == ["positive"] + ["negative"] * 300 + ["positive"]
    assert behaviour.calls["BatchAnalyzeSentiment"] == 2


@pytest.mark.parametrize("command", [("analyze", "good"), ("stream", "-")])
@pytest.mark.parametrize(("options", "sent"), [([], 0), (["--priority", "2"], 2)])
def test_the_priority_is_sent(run, behaviour, command, options, sent):
    assert run(*command, *options, text="good\n").exit_code == 0
    assert behaviour.configs[-1].priority == sent


@pytest.mark.parametrize("command", [("analyze", "good"), ("stream", "-")])
def test_the_label_and_the_routing_key_are_sent(run, behaviour, command):
    assert run(*command, text="good\n").exit_code == 0
    assert run(*command, "--label", "canary", "--routing-key", "user 7", text="good\n").exit_code == 0
    plain, named = behaviour.configs
    assert (plain.WhichOneof("version_choice"), plain.routing_key) == (None, "")
    assert (named.label, named.routing_key) == ("canary", "user 7")


@pytest.mark.parametrize("command", [("analyze", "good"), ("stream", "-")])
def test_a_version_is_named_once(run, behaviour, command):
    result = run(*command, "--label", "canary", "--version", "2", text="good\n")
    assert result.exit_code == 2
    assert "--version and --label" in result.stderr
    assert not behaviour.calls


def test_analyze_needs_a_text(run):
    assert run("analyze", text="\n").exit_code == 2


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_failed_document_is_told_and_the_others_are_answered(run, form):
    result = run("analyze", "good", "", *(["--json"] if form == "json" else []))
    assert result.exit_code == 1
    if form == "json":
        good, empty = json_lines(result)
        assert good["label"] == "positive"
        assert empty["error"]["reason"] == "TEXT_EMPTY"
        assert empty["error"]["field_violations"][0]["field"] == "document.text"
    else:
        assert "positive" in result.stdout
        assert "text 2: TEXT_EMPTY: the text is empty" in result.stderr


@pytest.mark.parametrize(
    ("failure", "code", "words"),
    [
        (FULL, 3, "Try again in 0.5 s"),
        (status(14, "the connection broke", ""), 3, "Is a server running at"),
        (status(4, "too slow", "DEADLINE_EXCEEDED"), 3, "--timeout"),
        (status(16, "who are you?", "NO_CREDENTIALS"), 4, "--tls-cert"),
        (status(13, "it broke", "INFERENCE_FAILED"), 4, "log of the server"),
        (status(5, "no such label", "LABEL_NOT_FOUND"), 4, "sentinova models list"),
    ],
    ids=lambda value: getattr(value, "message", None),
)
def test_a_failed_call_is_explained(run, behaviour, failure, code, words):
    behaviour.failures = [failure] * 5
    result = run("analyze", "good")
    assert result.exit_code == code
    assert result.stdout == ""
    assert words in result.stderr
    assert failure.message in result.stderr


@pytest.mark.parametrize("command", [("analyze", "good"), ("stream", "-")])
def test_an_unknown_model_is_refused(run, command):
    result = run(*command, "--model", "nope", text="good\n")
    assert result.exit_code == 4
    assert "MODEL_NOT_FOUND" in result.stderr
    assert "sentinova models list" in result.stderr


def test_a_server_that_is_not_there(run, server):
    server.stop()
    result = run("analyze", "good")
    assert result.exit_code == 3
    assert server.address in result.stderr
    assert "SENTINOVA_ADDRESS" in result.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["--address", "http://localhost:8001"],
        ["--address", "localhost"],
        ["--timeout", "0"],
        ["--version", "0"],
        ["--version", "stable"],
        ["--version", "9" * 30],
        ["--long-text", "shorten"],
        ["--priority", "-1"],
        ["--tls-ca", "/does/not/exist"],
        ["--tls-cert", __file__],
        ["--nonsense"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line(run, options):
    result = run("analyze", "good", *options)
    assert result.exit_code == 2
    assert "Error" in result.stderr


def test_stream_keeps_the_order_of_the_lines(run, behaviour, tmp_path):
    behaviour.backwards = 3
    (tmp_path / "texts").write_bytes(b"good one\n\nbad two\n\xff\nbad \x1b[31mred\n")
    result = run("stream", str(tmp_path / "texts"))
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "1\tpositive\t0.7500\tgood one",
        "3\tnegative\t0.7500\tbad two",
        "4\tTEXT_NOT_UNICODE\t-\t",
        "5\tnegative\t0.7500\tbad [31mred",
    ]
    assert "line 4: TEXT_NOT_UNICODE" in result.stderr
    assert "4 documents: failed 1, negative 2, positive 1" in result.stderr


def test_stream_can_leave_the_order_to_the_server(run, behaviour):
    behaviour.backwards = 3
    result = run("stream", "-", "--unordered", "--json", text="a\nb\nc\n")
    assert [each["id"] for each in json_lines(result)] == ["3", "2", "1"]
    assert result.stderr == ""


def test_stream_of_nothing(run):
    result = run("stream", "-", text="")
    assert (result.exit_code, result.stdout) == (0, "")


def test_stream_of_no_file(run):
    assert run("stream", "/does/not/exist").exit_code == 2


def test_models_are_listed(run, behaviour):
    behaviour.models = [model("one"), model("two"), model("three")]
    behaviour.models[2].ClearField("versions")
    behaviour.models[2].message = "config.pbtxt:3: no field of that name"
    result = run("models", "list")
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[0] == ["model", "version", "state", "traffic", "classes", "format"]
    assert rows[1] == ["one", "1", "AVAILABLE", "default", "negative,", "positive", "paddle", "bf16"]
    assert rows[2] == ["one", "2", "FAILED"]
    assert ["one/2", "2/model.pdiparams", "is", "missing"] in rows
    assert ["three", "config.pbtxt:3:", "no", "field", "of", "that", "name"] in rows


def test_models_are_listed_as_json(run, behaviour):
    behaviour.models = [model("one")]
    (only,) = json_lines(run("models", "list", "--json"))
    assert only["default_version"] == 1
    assert only["versions"][0]["state"] == "AVAILABLE"
    assert only["versions"][0]["state_time"] == "2023-11-14T22:13:20+00:00"
    assert json_lines(run("models", "show", "one", "--json")) == [only]


def test_a_model_is_shown(run, behaviour):
    behaviour.models = [model("one")]
    result = run("models", "show", "one")
    assert result.exit_code == 0
    assert "input_ids INT64 [?, ?]" in result.stdout
    assert "2/model.pdiparams is missing" in result.stdout


def test_a_model_that_is_not_there_is_refused(run):
    assert run("models", "show", "none").exit_code == 4


def commands(group=main, path=()):
    """Gives every command with the words that call it."""
    yield path, group
    for name, each in getattr(group, "commands", {}).items():
        yield from commands(each, (*path, name))


COMMANDS = dict(commands())


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_names_that_are_not_utf8_are_refused(run, behaviour, path):
    """Each text of each command, but for those that are documents: they fail one by one."""
    command = COMMANDS[path]
    for parameter in command.params:
        if parameter.name == "texts" or isinstance(parameter.type, (click.Path, click.File, click.Choice)):
            continue
        flags = [*parameter.opts, *parameter.secondary_opts]
        if isinstance(parameter, click.Option):
            if parameter.is_flag:
                continue
            arguments = [flags[-1], "na\udcffme"]
        else:
            before = [each for each in command.params if isinstance(each, click.Argument)]
            arguments = ["1"] * before.index(parameter) + ["na\udcffme"]
        result = run(*path, *arguments)
        assert result.exit_code == 2, (path, parameter.name, result.output)
        assert "Traceback" not in result.output
        if not isinstance(parameter.type, click.types.FloatParamType | click.IntRange | click.FloatRange):
            assert "is not UTF-8" in " ".join(result.stderr.split()), (path, parameter.name)
    assert not behaviour.calls


def test_a_name_in_the_bytes_of_another_encoding_is_refused(server):
    with start(server.address, b"models", b"show", b"na\xffme") as process:
        assert process.wait(60) == 2
        assert b"is not UTF-8" in process.stderr.read()


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_a_help_with_examples(run, path):
    result = run(*path, "--help")
    assert result.exit_code == 0
    examples = inspect.cleandoc(COMMANDS[path].help).split("Examples:\n")[1].split("\n\n")[0].splitlines()
    assert any(" ".join(["sentinova", *path]) in line for line in examples)
    for line in examples:
        assert f"\n  {line}\n" in result.stdout  # unbroken


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_that_completes(run, shell):
    result = run("completion", shell)
    assert result.exit_code == 0
    assert f"_SENTINOVA_COMPLETE={shell}_complete" in result.stdout


def test_no_script_for_an_unknown_shell(run):
    assert run("completion", "csh").exit_code == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("sentinova mo", {"models"}),
        ("sentinova models l", {"label", "list", "load"}),
        ("sentinova analyze --long-text t", {"truncate"}),
        ("sentinova analyze --out-f", {"--out-format"}),
        ("sentinova completion ", {"bash", "zsh", "fish"}),
    ],
)
def test_bash_completes(words, expected, tmp_path):
    if shutil.which("bash") is None:
        pytest.skip("there is no bash on this machine")
    program = tmp_path / "sentinova"
    program.write_text(f"#!{sys.executable}\nfrom sentinova.cli import main\nmain()\n")
    program.chmod(0o755)
    script = """
        eval "$(sentinova completion bash)"
        IFS=' ' read -ra COMP_WORDS <<< "$WORDS"
        [[ $WORDS == *" " ]] && COMP_WORDS+=("")
        COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
        "$(complete -p sentinova | sed 's/.*-F \\([^ ]*\\).*/\\1/')" sentinova
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "WORDS": words,
    }
    done = subprocess.run(["bash", "--norc", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == expected, done.stderr


@pytest.mark.parametrize("command", [[], ["analyze"], ["stream"], ["models", "list"]])
def test_help_tells_the_exit_codes(run, command):
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Exit codes:" in result.stdout


def test_the_program_has_a_version(run):
    assert run("--version").stdout.startswith("sentinova, version ")


def test_an_interrupted_program_ends_quietly(server):
    with start(server.address, "stream", "-", "--json", stdin=subprocess.PIPE) as process:
        process.stdin.write(b"good\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["label"] == "positive"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == b""


def test_a_reader_that_stops_reading_is_no_failure(server, tmp_path):
    (tmp_path / "texts").write_text("good\n" * 100_000)
    with start(server.address, "stream", str(tmp_path / "texts"), "--json") as process:
        assert json.loads(process.stdout.readline())["label"] == "positive"
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == b""


def test_a_failed_handshake_is_explained_without_noise(server):
    with start(server.address, "models", "list", "--tls") as process:
        assert process.wait(60) == 3
        lines = process.stderr.read().decode().splitlines()
    assert [line.split()[0] for line in lines] == ["sentinova:", "TLS"]


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, sentinova; print(sorted({'grpc', 'google.protobuf', 'rich', 'click'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
