"""`sentinova analyze --file` against a real server: killed, interrupted, left alone by its server, and gone on with.

The tiny model gives every text the same score whatever else is in its batch, so results can be compared byte for byte.
"""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from sentinova import Client
from sentinova.pandas import analyze_column

ROWS = 6000
WORDS = ["good", "bad", "not", "the", "film"]
WAIT_SECONDS = 100.0


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, tiny_version):
    """A repository with one model `tiny` of one version."""
    repository = tmp_path_factory.mktemp("repository")
    tiny_version(repository / "tiny" / "1")
    return repository


@pytest.fixture(scope="module")
def address(tiny, start_server):
    with start_server(tiny) as server:
        yield server.address


def table_rows() -> list[list[str]]:
    """Rows with fields of several lines, empty texts, and texts longer than the model reads."""
    chance = random.Random(7)
    rows = []
    for number in range(ROWS):
        text = " ".join(chance.choices(WORDS, k=chance.randint(1, 40)))
        if number % 97 == 0:
            text = ""
        elif number % 101 == 0:
            text = "good " * 100
        note = chance.choice(["plain", 'with "quotes"', "in two\nlines", "ü, with a comma", ""])
        rows.append([str(number), text, note])
    return rows


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> dict[str, Path]:
    """The same rows in each format."""
    folder = tmp_path_factory.mktemp("tables")
    rows = table_rows()
    for form, delimiter in (("csv", ","), ("tsv", "\t")):
        with (folder / f"reviews.{form}").open("w", newline="") as file:
            csv.writer(file, delimiter=delimiter).writerows([["id", "text", "note"], *rows])
    with (folder / "reviews.jsonl").open("w") as file:
        for number, text, note in rows:
            file.write(json.dumps({"id": int(number), "text": text, "note": note, "x": [1.50]}) + "\n")
    return {form: folder / f"reviews.{form}" for form in ("csv", "tsv", "jsonl")}


def begin(address, table, out, *options) -> subprocess.Popen:
    """Starts the command as a process of its own."""
    code = "from sentinova.cli import main; main()"
    command = [sys.executable, "-c", code, "analyze", "--file", str(table), "--column", "text", "--out", str(out)]
    environment = {**os.environ, "SENTINOVA_ADDRESS": address, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [*command, *options], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def end(process: subprocess.Popen) -> tuple[int, str]:
    """Waits for the end of the command; gives its exit code, and what it said."""
    _, said = process.communicate(timeout=WAIT_SECONDS)
    return process.returncode, said


def size_of_part(out: Path) -> int:
    """Gives how many bytes of the result are written."""
    part = out.with_name(f"{out.name}.part")
    return part.stat().st_size if part.exists() else 0


def wait_for_part(process: subprocess.Popen, out: Path, size: int) -> None:
    """Waits until so many bytes of the result are written, or the process has ended."""
    limit = time.monotonic() + WAIT_SECONDS
    while process.poll() is None and size_of_part(out) < size:
        assert time.monotonic() < limit, f"{out} stays small"
        time.sleep(0.002)


def wait_for_checkpoint(process: subprocess.Popen, out: Path) -> None:
    """Waits until rows are counted, or the process has ended."""
    limit = time.monotonic() + WAIT_SECONDS
    while process.poll() is None and not rows_done(out):
        assert time.monotonic() < limit, f"nothing of {out} is counted"
        time.sleep(0.002)


def rows_done(out: Path) -> int:
    """Reads from the checkpoint how many rows are done."""
    return json.loads(out.with_name(f"{out.name}.part.json").read_text())["progress"]["rows"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tables, address):
    """The results of runs that nothing interrupts, by format; gives also the sizes for interruptions to wait for."""
    folder = tmp_path_factory.mktemp("whole")
    results = {}
    for form, table in tables.items():
        code, said = end(begin(address, table, folder / f"out.{form}"))
        assert code == 1, said
        results[form] = (folder / f"out.{form}").read_bytes()
    return results


def test_the_result_of_a_whole_run(whole, address):
    """Each row has what the client says of its text alone."""
    rows = list(csv.reader(whole["csv"].decode().splitlines(keepends=True)))
    assert rows[0] == ["id", "text", "note", "label", "score", "error"]
    assert [row[:3] for row in rows[1:]] == table_rows()
    with Client(address) as client:
        for row, outcome in zip(rows[1:], outcomes_of(client, [row[1] for row in rows[1:]]), strict=True):
            if row[3]:
                assert (row[3], float(row[4]), row[5]) == (outcome.label, round(outcome.score, 6), "")
            else:
                assert row[4] == ""
                assert row[5] == f"{outcome.reason}: {outcome.message}"
    reasons = [row[5].split(":")[0] for row in rows[1:]]
    empty = sum(number % 97 == 0 for number in range(ROWS))
    long = sum(number % 101 == 0 and number % 97 != 0 for number in range(ROWS))
    assert (reasons.count("TEXT_EMPTY"), reasons.count("TEXT_TOO_LONG")) == (empty, long)
    assert {each.replace("documents", "") for each in reasons} == {"", "TEXT_EMPTY", "TEXT_TOO_LONG"}


def outcomes_of(client: Client, texts: list[str]):
    for start in range(0, len(texts), 500):
        yield from client.analyze_batch(texts[start : start + 500])


def test_every_format_has_the_same_answers(whole):
    found = {}
    for form, delimiter in (("csv", ","), ("tsv", "\t")):
        rows = csv.DictReader(whole[form].decode().splitlines(keepends=True), delimiter=delimiter)
        found[form] = [(row["id"], row["label"], row["score"], row["error"]) for row in rows]
    lines = map(json.loads, whole["jsonl"].decode().splitlines())
    found["jsonl"] = [
        (str(row["id"]), row["label"] or "", "" if row["score"] is None else str(row["score"]), row["error"] or "")
        for row in lines
    ]
    assert found["csv"] == found["tsv"] == found["jsonl"]
    assert b'"x": [1.5], "label"' in whole["jsonl"]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_again_and_again_gives_the_same(tables, whole, address, tmp_path, form, how):
    out = tmp_path / f"scored.{form}"
    done = []
    while not out.exists():
        assert len(done) < 20, "it does not get on"
        grown = size_of_part(out) + len(whole[form]) // 8
        process = begin(address, tables[form], out)
        wait_for_part(process, out, grown)
        process.send_signal(how)
        code, said = end(process)
        if not out.exists():
            done.append(rows_done(out))
            assert code == (130 if how is signal.SIGINT else -how), said
            if how is signal.SIGINT:
                assert f"{done[-1]:,} of {ROWS:,} rows are done" in said
    assert done == sorted(done)
    assert any(0 < each < ROWS for each in done), done
    assert out.read_bytes() == whole[form]
    assert {each.name for each in tmp_path.iterdir()} == {out.name}


def test_a_run_whose_server_is_gone_goes_on_with_another(tables, whole, tiny, start_server, tmp_path):
    out = tmp_path / "scored.csv"
    with start_server(tiny) as server:
        process = begin(server.address, tables["csv"], out, "--timeout", "2")
        wait_for_part(process, out, len(whole["csv"]) // 4)
        server.stop(signal.SIGKILL)
        code, said = end(process)
    assert code == 3, said
    assert f"{rows_done(out):,} of {ROWS:,} rows are done" in said
    with start_server(tiny) as server:
        code, said = end(begin(server.address, tables["csv"], out))
    assert code == 1, said
    assert "going on after row" in said
    assert out.read_bytes() == whole["csv"]


def test_a_run_waits_for_a_server_that_comes_back(tables, whole, tiny, start_server, tmp_path):
    out = tmp_path / "scored.csv"
    with start_server(tiny) as server:
        address = server.address
        process = begin(address, tables["csv"], out, "--timeout", "90")
        wait_for_part(process, out, len(whole["csv"]) // 4)
        server.stop(signal.SIGKILL)
        # (a server that is back sooner is met by gRPC's own retries)
        assert any("Trying again" in line for line in process.stderr)
    with start_server(tiny, "--port", address.rpartition(":")[2]):
        code, said = end(process)
    assert code == 1, said
    assert out.read_bytes() == whole["csv"]


def test_a_changed_file_is_refused(tables, address, tmp_path):
    table, out = tmp_path / "reviews.csv", tmp_path / "scored.csv"
    content = tables["csv"].read_bytes()
    table.write_bytes(content)
    process = begin(address, table, out)
    wait_for_part(process, out, 10_000)
    wait_for_checkpoint(process, out)
    process.kill()
    end(process)
    assert not out.exists()
    table.write_bytes(content + b"x,good,\r\n")
    code, said = end(begin(address, table, out))
    assert code == 2
    assert "has changed since its scoring began" in said
    table.write_bytes(content)
    assert end(begin(address, table, out))[0] == 1


def test_the_shipped_model(shipped_server, tmp_path):
    """Labels are the client's; scores may differ in the last digits, by what else is in a batch."""
    texts = ["A quiet, lovely film.", "Two hours I will not get back.", "", "Superb.", "word " * 600]
    table = pd.DataFrame({"text": texts * 20})
    table.to_csv(tmp_path / "reviews.csv", index=False)
    out = tmp_path / "scored.csv"
    code, said = end(begin(shipped_server.address, tmp_path / "reviews.csv", out, "--model", "sentiment_en"))
    assert code == 1, said
    scored = pd.read_csv(out, keep_default_na=False, na_values={"score": ""})
    with Client(shipped_server.address) as client:
        answers = analyze_column(table, "text", client=client)
    assert scored["label"].tolist() == answers["label"].fillna("").tolist()
    assert scored["error"].tolist() == answers["error"].fillna("").tolist()
    assert (scored["score"] - answers["score"]).abs().max() < 1e-4
    assert scored["label"].tolist()[:4] == ["positive", "negative", "", "positive"]
    truncated = analyze_column(table.head(5), "text", client=Client(shipped_server.address), long_text="truncate")
    assert truncated["truncated"].tolist()[-1]
