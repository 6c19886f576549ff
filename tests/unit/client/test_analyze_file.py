"""`sentinova analyze --file`: what it makes of a file, what it refuses, what it says, and how it goes on."""

from __future__ import annotations

import csv
import json
import os
import signal
import sys
import tracemalloc

import pytest
from fake_server import DOWN, FULL, status
from program import json_lines, start, wait_for_size
from sentinova.file_display import FileWatch
from sentinova.file_scoring import Task, score_file
from sentinova.results import Sentiment, Timings

TABLE = 'id,text,stars\n1,good one,5\n2,,3\n3,"bad, and\nlong",1\n4,bad two\n'
SCORED = (
    "id,text,stars,label,score,error\n"
    "1,good one,5,positive,0.75,\n"
    "2,,3,,,TEXT_EMPTY: the text is empty\n"
    '3,"bad, and\nlong",1,negative,0.75,\n'
    "4,bad two,,negative,0.75,\n"
)


@pytest.fixture(autouse=True)
def field_size_limit():
    """Takes back what readers set for the whole process."""
    limit = csv.field_size_limit()
    yield
    csv.field_size_limit(limit)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_text(TABLE)
    return path


@pytest.fixture
def out(tmp_path):
    return tmp_path / "scored.csv"


@pytest.fixture
def score(run, table, out):
    """Scores the table; arguments come after those that are always needed."""

    def call(*arguments, file=table, to=out):
        return run("analyze", "--file", str(file), "--column", "text", "--out", str(to), *arguments)

    return call


def files(folder) -> set[str]:
    return {each.name for each in folder.iterdir()}


def test_rows_keep_their_columns_and_their_order(score, out, tmp_path):
    result = score()
    assert result.exit_code == 1
    assert out.read_text() == SCORED
    assert result.stdout == ""
    assert "4 rows: negative 2, positive 1, failed 1 (TEXT_EMPTY 1)" in result.stderr
    assert files(tmp_path) == {"reviews.csv", "scored.csv"}


def test_a_table_without_bad_rows_is_a_success(score, table, out):
    table.write_text("text\ngood\n")
    assert score().exit_code == 0
    assert out.read_text() == "text,label,score,error\ngood,positive,0.75,\n"


def test_the_summary_can_be_json(score, out):
    (summary,) = json_lines(score("--json"))
    assert summary == {
        "out": str(out),
        "rows": 4,
        "rows_of_earlier_runs": 0,
        "labels": {"positive": 1, "negative": 2},
        "failures": {"TEXT_EMPTY": 1},
        "versions": {"sentiment_en/2": 3},
    }


def test_names_of_files_may_be_any_bytes(score, tmp_path):
    out = tmp_path / "sc\udcffored.csv"
    assert json_lines(score("--json", to=out))[0]["rows"] == 4
    assert out.read_text() == SCORED


def test_what_answers_is_chosen_as_for_texts(score, behaviour):
    options = "--model m --version 3 --routing-key k --long-text truncate --priority 2"
    assert score(*options.split()).exit_code == 1
    config = behaviour.configs[-1]
    assert (config.model, config.version, config.routing_key, config.priority) == ("m", 3, "k", 2)
    assert config.long_text_policy == 2


@pytest.mark.parametrize(
    ("source", "target", "content", "expected"),
    [
        ("a.tsv", "b.tsv", "text\tn\ngood\t1\n", "text\tn\tlabel\tscore\terror\ngood\t1\tpositive\t0.75\t\n"),
        ("a.csv", "b.tsv", "text,n\ngood,1\n", "text\tn\tlabel\tscore\terror\ngood\t1\tpositive\t0.75\t\n"),
        (
            "a.csv",
            "b.jsonl",
            "text,n\ngood,1\n",
            '{"text": "good", "n": "1", "label": "positive", "score": 0.75, "error": null}\n',
        ),
        (
            "a.jsonl",
            "b.jsonl",
            '{"text":"good","n":1.0}\n',
            '{"text":"good","n":1.0, "label": "positive", "score": 0.75, "error": null}\n',
        ),
        (
            "a.jsonl",
            "b.csv",
            '{"text":"good","n":1.0}\n{"text":"bad","m":[2]}\n',
            "text,n,m,label,score,error\ngood,1.0,,positive,0.75,\nbad,,[2],negative,0.75,\n",
        ),
    ],
)
def test_formats(score, tmp_path, source, target, content, expected):
    (tmp_path / source).write_text(content)
    assert score(file=tmp_path / source, to=tmp_path / target).exit_code == 0
    assert (tmp_path / target).read_text() == expected


def test_options_tell_formats_that_names_do_not(score, tmp_path):
    (tmp_path / "in").write_text("text;n\ngood;1\n")
    result = score("--format", "csv", "--delimiter", ";", file=tmp_path / "in", to=tmp_path / "out")
    assert result.exit_code == 0
    assert (tmp_path / "out").read_text() == "text;n;label;score;error\ngood;1;positive;0.75;\n"
    assert (
        score(
            "--format",
            "csv",
            "--delimiter",
            ";",
            "--out-format",
            "jsonl",
            "--overwrite",
            file=tmp_path / "in",
            to=tmp_path / "out",
        ).exit_code
        == 0
    )
    assert json.loads((tmp_path / "out").read_text())["n"] == "1"


def test_a_field_that_is_no_text_fails_alone(score, tmp_path):
    rows = [
        {"text": 7},
        {"text": True},
        {"text": ["x"]},
        {"text": {}},
        {"text": None},
        {},
        {"text": "\ud800"},
        {"text": "good"},
    ]
    source, target = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert score(file=source, to=target).exit_code == 1
    scored = [json.loads(line) for line in target.read_text().splitlines()]
    assert [(row["error"] or row["label"]).split(":")[0] for row in scored] == ["TEXT_NOT_STRING"] * 4 + [
        "TEXT_EMPTY"
    ] * 2 + ["TEXT_NOT_UNICODE", "positive"]
    assert [{"text": row["text"]} if "text" in row else {} for row in scored] == rows


def test_a_lone_surrogate_is_refused_where_it_cannot_be_written(score, tmp_path):
    source = tmp_path / "a.jsonl"
    source.write_text('{"text": "good"}\n{"text": "good", "name": "\\ud800"}\n')
    result = score(file=source)
    assert result.exit_code == 2
    assert "line 2: it holds the lone surrogate U+D800" in result.stderr


def test_columns_of_the_same_name_are_named_anew(score, table, out):
    table.write_text("text,label,score\ngood,a,b\n")
    result = score()
    assert result.exit_code == 2
    assert "--label-column" in result.stderr
    assert score("--label-column", "sentiment", "--score-column", "p").exit_code == 0
    assert out.read_text() == "text,label,score,sentiment,p,error\ngood,a,b,positive,0.75,\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text\nsch\xf6n\n", "line 2: byte 4 of it (0xf6) is not UTF-8"),
        (b"body\nx\n", "it has no column 'text', but 'body'"),
        (b"text,a\nx,1,2\n", "line 2: it has 3 fields"),
        (b"", "it is empty"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused_before_a_call(score, table, behaviour, tmp_path, content, message):
    table.write_bytes(content)
    result = score()
    assert result.exit_code == 2
    assert f"{table}: " in result.stderr
    assert message in result.stderr
    assert not behaviour.calls
    assert files(tmp_path) == {"reviews.csv"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["good", "--column", "text"], "--column goes with --file"),
        (["good", "--overwrite"], "--overwrite goes with --file"),
        (["--file", "{table}"], "--file needs --column and --out"),
        (["--file", "{table}", "--column", "text"], "--file needs --column and --out"),
        (["--file", "{table}", "--column", "text", "--out", "{table}"], "another file than --file"),
        (["--file", "{table}", "--column", "text", "--out", "{folder}"], "not a regular file"),
        (["--file", "{table}", "--column", "text", "--out", "{folder}/none/x.csv"], "there is no folder"),
        (["--file", "{folder}", "--column", "text", "--out", "x.csv"], "is a directory"),
        (["--file", "/does/not/exist", "--column", "text", "--out", "x.csv"], "does not exist"),
        (["--file", "/dev/null", "--column", "text", "--out", "x.csv", "--format", "csv"], "not a regular file"),
        (["--file", "{table}.txt", "--column", "text", "--out", "x.csv"], "--format: say what"),
        (["--file", "{table}", "--column", "text", "--out", "x.csv", "--format", "xlsx"], "'xlsx' is not one of"),
        (["--file", "{table}", "--column", "text", "--out", "x.csv", "--delimiter", "ab"], "not one character"),
        (["--file", "{table}", "--column", "text", "--out", "x.csv", "--delimiter", ""], "not one character"),
        (["--file", "{table}", "--column", "text", "--out", "x.csv", "--format", "jsonl", "--delimiter", ","], "none in JSON"),
        (["--file", "{table}", "--column", "text", "--out", "x.csv", "--label-column", "error"], "three names"),
        (["--file", "{table}", "--column", "text", "--out", "x.csv", "good"], "either TEXT or --file"),
        (["--file", "{table}", "--column", "te\udcff", "--out", "x.csv"], "is not UTF-8"),
    ],
)  # fmt: skip
def test_a_wrong_command_line(run, behaviour, table, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reviews.csv.txt").write_text(TABLE)
    result = run("analyze", *(each.format(table=table, folder=tmp_path) for each in arguments))
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert not behaviour.calls
    assert files(tmp_path) == {"reviews.csv", "reviews.csv.txt"}


def test_what_is_there_is_replaced_only_where_that_is_asked_for(score, out):
    out.write_text("mine")
    result = score()
    assert result.exit_code == 2
    assert "--overwrite" in result.stderr
    assert out.read_text() == "mine"
    assert score("--overwrite").exit_code == 1
    assert out.read_text() == SCORED


def test_a_link_stays_a_link(score, out, tmp_path):
    (tmp_path / "folder").mkdir()
    out.symlink_to(tmp_path / "folder" / "real.csv")
    assert score().exit_code == 1
    assert out.is_symlink()
    assert (tmp_path / "folder" / "real.csv").read_text() == SCORED


@pytest.mark.parametrize(("failure", "code"), [(FULL, 0), (DOWN, 0), (status(13, "broke", "INTERNAL"), 4)])
def test_a_server_that_is_busy_for_a_moment_is_waited_for(score, table, behaviour, failure, code):
    table.write_text("text\n" + "good\n" * 300)
    behaviour.fail_after = 2
    behaviour.failures = [failure] * 6
    assert score().exit_code == code


def test_a_server_that_is_not_there(score, server, tmp_path):
    server.stop()
    result = score()
    assert result.exit_code == 3
    assert server.address in result.stderr
    assert files(tmp_path) == {"reviews.csv"}


def test_an_unknown_model_leaves_nothing_behind(score, tmp_path):
    result = score("--model", "nope")
    assert result.exit_code == 4
    assert "MODEL_NOT_FOUND" in result.stderr
    assert files(tmp_path) == {"reviews.csv"}
    assert score().exit_code == 1


@pytest.fixture
def interrupted(score, table, out, behaviour, tmp_path):
    """A run that the server ended in the middle of 1,000 rows; gives what it said."""
    table.write_text("id,text\n" + "".join(f"{number},good {number}\n" for number in range(1000)))
    behaviour.fail_after = 8
    behaviour.failures = [status(13, "it broke", "INTERNAL")] * 100
    result = score()
    assert result.exit_code == 4
    assert files(tmp_path) == {"reviews.csv", "scored.csv.part", "scored.csv.part.json"}
    behaviour.failures.clear()
    return result


def expected_rows() -> str:
    rows = (f"{number},good {number},positive,0.75,\n" for number in range(1000))
    return "id,text,label,score,error\n" + "".join(rows)


def test_a_run_goes_on_where_the_first_one_stopped(score, interrupted, out, behaviour, tmp_path):
    assert "INTERNAL: it broke" in interrupted.stderr
    assert "of 1,000 rows are done and kept in" in interrupted.stderr
    done = json.loads((tmp_path / "scored.csv.part.json").read_text())["progress"]["rows"]
    assert 0 < done < 1000
    documents = behaviour.documents
    result = score("--priority", "1")
    assert result.exit_code == 0
    assert f"going on after row {done:,} of 1,000" in result.stderr
    assert behaviour.documents - documents == 1000 - done
    assert out.read_text() == expected_rows()
    assert files(tmp_path) == {"reviews.csv", "scored.csv"}


def test_a_run_does_not_go_on_with_a_changed_file(score, interrupted, table, out):
    table.write_text(table.read_text().replace("good 999", "bad 999"))
    result = score()
    assert result.exit_code == 2
    assert "has changed since its scoring began; --restart" in result.stderr
    assert not out.exists()
    assert score("--restart").exit_code == 0
    assert out.read_text() == expected_rows().replace("good 999,positive", "bad 999,negative")


def test_a_file_that_was_only_touched_is_gone_on_with(score, interrupted, table, out):
    os.utime(table, (1, 1))
    assert score().exit_code == 0
    assert out.read_text() == expected_rows()


@pytest.mark.parametrize("option", [["--long-text", "truncate"], ["--model", "other"], ["--error-column", "why"]])
def test_a_run_does_not_go_on_with_other_options(score, interrupted, out, option):
    result = score(*option)
    assert result.exit_code == 2
    assert f"{option[0]} was" in result.stderr
    assert score().exit_code == 0
    assert out.read_text() == expected_rows()


def test_a_file_that_changes_while_it_is_read_ends_the_run(server, behaviour, table, out, score):
    table.write_text("text\n" + "good\n" * 1000)
    behaviour.hang = True
    arguments = ("--file", str(table), "--column", "text", "--out", str(out), "--timeout", "60")
    with start(server.address, "analyze", *arguments) as process:
        assert behaviour.begun.wait(60)
        table.write_text("text\n" + "bad\n" * 1000)
        behaviour.released.set()
        assert process.wait(60) == 2
        assert b"it has changed while it was read" in process.stderr.read()
    assert not out.exists()


def test_an_interrupted_program_says_how_to_go_on(server, behaviour, table, out, score, tmp_path):
    table.write_text("id,text\n" + "".join(f"{number},good {number}\n" for number in range(1000)))
    behaviour.hang_after = 8
    with start(server.address, "analyze", "--file", str(table), "--column", "text", "--out", str(out)) as process:
        assert behaviour.hanging.wait(60)
        wait_for_size(tmp_path / "scored.csv.part", 100)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        said = process.stderr.read().decode()
    assert "of 1,000 rows are done and kept in" in said
    assert "Traceback" not in said
    behaviour.released.set()
    assert score().exit_code == 0
    assert out.read_text() == expected_rows()


def test_a_second_program_does_not_write_the_same_file(server, behaviour, table, out, score):
    behaviour.hang = True
    with start(server.address, "analyze", "--file", str(table), "--column", "text", "--out", str(out)) as process:
        assert behaviour.begun.wait(60)
        behaviour.hang = False
        for options in ([], ["--restart"]):
            result = score(*options)
            assert result.exit_code == 2
            assert "Another process is writing" in result.stderr
        behaviour.released.set()
        assert process.wait(60) == 1
    assert out.read_text() == SCORED


def peak_of(task: Task, rows: int) -> int:
    """Gives the most bytes that scoring a table of so many rows holds at once."""
    with task.file.open("w") as file:
        file.write("id,text\n")
        file.writelines(f"{number},good {number}\n" for number in range(rows))
    result = Sentiment("positive", 0.75, {}, "m", 1, 4, truncated=False, timings=Timings(0, 0, 0))
    tracemalloc.start()
    try:
        done = score_file(task, lambda texts: [result] * len(texts), choice={}, patience=None, watch=FileWatch())
        assert done.rows == rows
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_file(table, out):
    task = Task(table, out, "text", "csv", "csv", ",", ("label", "score", "error"))
    peak_of(task, 100)  # what is loaded once
    small, large = peak_of(task, 1_000), peak_of(task, 30_000)
    assert out.read_text().count("\n") == 30_001
    assert large < 2 * small + 100_000


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo terminals")
def test_a_terminal_shows_how_far_it_is(server, behaviour, table, out):
    import pty

    table.write_text("text\n" + "good\n" * 1000)
    behaviour.hang_after = 8
    reader, terminal = pty.openpty()
    arguments = ("--file", str(table), "--column", "text", "--out", str(out))
    with start(server.address, "analyze", *arguments, stderr=terminal) as process:
        os.close(terminal)
        assert behaviour.hanging.wait(60)
        wait_for_size(out.with_name("scored.csv.part"), 100)
        behaviour.released.set()
        shown = b"".join(iter(lambda: read_terminal(reader), b"")).decode()
        assert process.wait(60) == 0
    os.close(reader)
    assert "scoring rows" in shown
    assert "/1000" in shown
    assert "scored.csv: 1,000 rows: positive 1,000" in shown.replace("\r\n", "")


def read_terminal(reader: int) -> bytes:
    """Reads what is shown; nothing when the other side is closed."""
    try:
        return os.read(reader, 1 << 16)
    except OSError:
        return b""
