"""`make check` refuses a change that programs built on an earlier API would break on."""

import shutil
import subprocess
import sys
from pathlib import Path

import breaking
import pytest
from descriptors import PACKAGES, PROTOS, write_descriptors

SENTIMENT = "sentinova/v1/sentiment_service.proto"
INFERENCE = "inference/grpc_service.proto"


@pytest.fixture
def folder(tmp_path):
    """A copy of the protos, to be changed."""
    for package in PACKAGES:
        shutil.copytree(PROTOS / package, tmp_path / "protos" / package)
    return tmp_path / "protos"


@pytest.fixture(scope="module")
def today(tmp_path_factory):
    """The API as it is now."""
    file = tmp_path_factory.mktemp("today") / "today.binpb"
    write_descriptors(file)
    return file


def change(folder, file, old, new, name="changed"):
    text = (folder / file).read_text()
    assert text.count(old) == 1
    (folder / file).write_text(text.replace(old, new))
    changed = folder.parent / f"{name}.binpb"
    write_descriptors(changed, folder)
    return changed


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (SENTIMENT, "  string text = 2;\n", "  string text = 2;\n  string language = 3;\n"),
        (INFERENCE, "  bool isLoaded = 2;\n", "  bool isLoaded = 2;\n  string version = 3;\n"),
        (SENTIMENT, "// A text to analyze.\n", "// A language.\nmessage Language {}\n\n// A text to analyze.\n"),
        (
            SENTIMENT,
            "  LONG_TEXT_POLICY_ERROR = 1;\n",
            "  LONG_TEXT_POLICY_ERROR = 1;\n  LONG_TEXT_POLICY_SPLIT = 3;\n",
        ),
    ],
    ids=["field", "inference field", "message", "enum value"],
)
def test_additions_pass(folder, today, file, old, new):
    assert breaking.compare(change(folder, file, old, new), today) == 0


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        (SENTIMENT, "  string text = 2;\n", "  string text = 3;\n", 'field "2" with name "text" on message "Document"'),
        (SENTIMENT, "  string text = 2;\n", "", 'field "2" with name "text" on message "Document" was deleted'),
        (SENTIMENT, "  string text = 2;\n", "  bytes text = 2;\n", 'changed type from "string" to "bytes"'),
        (SENTIMENT, "  string text = 2;\n", "  string words = 2;\n", 'changed name from "text" to "words"'),
        (SENTIMENT, "rpc AnalyzeSentiment(", "rpc Analyze(", 'RPC "AnalyzeSentiment"'),
        (SENTIMENT, '"io.sentinova.v1"', '"io.sentinova.v2"', "java_package"),
        (INFERENCE, "  bool isLoaded = 2;\n", "  bool isLoaded = 3;\n", 'field "2" with name "isLoaded"'),
    ],
    ids=["renumbered", "deleted", "retyped", "renamed", "method", "package", "inference"],
)
def test_breaking_changes_fail(folder, today, capfd, file, old, new, told):
    assert breaking.compare(change(folder, file, old, new), today) != 0
    assert told in capfd.readouterr().out


def test_baseline_is_a_part_of_today(today):
    """It holds the API, so that the comparison with it cannot be empty; and today's API has all that it has."""
    data = breaking.BASELINE.read_bytes()
    assert b"AnalyzeSentimentRequest" in data
    assert b"ModelInferRequest" in data
    assert breaking.compare(today, breaking.BASELINE) == 0


def test_newest_tag_counts_and_the_baseline_without_one(folder):
    root = folder.parent

    def git(*arguments):
        identity = ["-c", "user.name=tests", "-c", "user.email=tests@localhost", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", root, *identity, *arguments], check=True, capture_output=True)

    def run(descriptors):
        command = [sys.executable, PROTOS / "breaking.py", descriptors, "--root", root]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout.splitlines()[-1]

    added = change(folder, SENTIMENT, "  string text = 2;\n", "  string text = 2;\n  string language = 3;\n")
    assert run(added) == (0, "protos: no breaking change since protos/baseline.binpb")
    git("init")
    git("add", "protos")
    git("commit", "-m", "one")
    git("tag", "v1.0.0")
    moved = change(folder, SENTIMENT, "  string language = 3;\n", "  string language = 4;\n", "moved")
    # The baseline does not have this field, the tag has.
    assert breaking.compare(moved, breaking.BASELINE) == 0
    code, said = run(moved)
    assert code != 0
    assert said == "protos: breaking changes since the tag v1.0.0"
    assert run(added) == (0, "protos: no breaking change since the tag v1.0.0")


@pytest.mark.parametrize(
    ("file", "old", "told"),
    [
        (SENTIMENT, "  // The document to analyze. Required.\n", 'Field "document" should have a non-empty comment'),
        (INFERENCE, "  // The server's name.\n", 'Field "name" should have a non-empty comment'),
    ],
    ids=["sentinova", "inference"],
)
def test_lint_asks_for_comments(folder, file, old, told):
    buf = [Path(sys.executable).with_name("buf"), "lint", change(folder, file, old, "")]
    paths = ["--path", "sentinova", "--path", "inference"]
    done = subprocess.run(
        [*buf, *paths, "--config", PROTOS / "buf.yaml"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert told in done.stdout
