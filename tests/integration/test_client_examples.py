"""Every example in the help of the `sentinova` command and in the client's README works, against a real server."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sentinova import Client
from sentinova.cli import main

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "client" / "python" / "README.md"
CONFIG = """
version_policy { all {} }
dynamic_batching { priority_levels: 2 default_priority_level: 1 }
"""
ENDLESS = re.compile(r"\bwatch\b|\btail -f\b")  # what goes on until it is interrupted
ENDLESS_SECONDS = 4.0
TABLE = "id,text\n1,the good film\n2,bad\n"


def help_examples(group=main) -> list[str]:
    """Gives the examples in the help of a command and of those below it."""
    block = inspect.cleandoc(group.help or "").split("Examples:\n")[1].split("\n\n")[0]
    found = [line.strip() for line in block.splitlines()]
    for each in getattr(group, "commands", {}).values():
        found += help_examples(each)
    return found


def readme_blocks(language: str) -> list[str]:
    """Gives the code blocks of the README in one language."""
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


def readme_examples() -> list[str]:
    """Gives the command lines of the README, but for those that install the package."""
    lines = [line.strip() for block in readme_blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("pip ")]


EXAMPLES = sorted({*help_examples(), *readme_examples()})


@pytest.fixture(scope="module")
def address(tmp_path_factory, tiny_version, start_server):
    """A server that lets models be changed, with three versions of a model of the shipped one's name."""
    repository = tmp_path_factory.mktemp("repository")
    for number in (1, 2, 3):
        tiny_version(repository / "sentiment_en" / str(number))
    (repository / "sentiment_en" / "config.pbtxt").write_text(CONFIG)
    flags = ("--model-control-mode", "explicit", "--load-model", "sentiment_en")
    with start_server(repository, *flags) as server:
        yield server.address


@pytest.fixture
def model(address):
    """Has the model as every example may find it: all versions, two labels, no weights, no shadow."""
    with Client(address) as client:
        for version in (1, 2, 3):
            client.load_model("sentiment_en", version=version)
        client.set_weights("sentiment_en", {})
        client.set_shadow("sentiment_en", None)
        client.set_label("sentiment_en", "stable", 1)
        client.set_label("sentiment_en", "canary", 3)


@pytest.fixture
def folder(tmp_path):
    """A folder with the files that examples name, and the command on the path."""
    for name in ("reviews.txt", "reviews.log", "archive.txt"):
        (tmp_path / name).write_text("the good film\nbad\n")
    (tmp_path / "reviews.csv").write_text(TABLE)
    (tmp_path / "export.txt").write_text(TABLE.replace(",", ";"))
    (tmp_path / "reviews.jsonl").write_text('{"text": "the good film"}\n{"text": "bad"}\n')
    (tmp_path / "tried.pbtxt").write_text(CONFIG)
    (tmp_path / ".config" / "fish" / "completions").mkdir(parents=True)
    program = tmp_path / "bin" / "sentinova"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom sentinova.cli import main\nmain()\n")
    program.chmod(0o755)
    return tmp_path


def begin(example: str, folder: Path, address: str) -> subprocess.Popen:
    """Runs an example in a shell, in a process group of its own."""
    environment = {
        **os.environ,
        "HOME": str(folder),
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "SENTINOVA_ADDRESS": address,
    }
    return subprocess.Popen(
        ["bash", "--norc", "-o", "pipefail", "-c", example.replace("127.0.0.1:8001", address)],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_works(example, folder, address, model):
    for tool in ("bash", "jq"):
        if tool in [*example.split(), "bash"] and shutil.which(tool) is None:
            pytest.skip(f"there is no {tool} on this machine")
    process = begin(example, folder, address)
    try:
        output, said = process.communicate(timeout=ENDLESS_SECONDS if ENDLESS.search(example) else 100)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, said = process.communicate()
        assert ENDLESS.search(example), f"it does not end: {said}"
        assert "sentinova: " not in said
        assert "Error" not in said
        return
    assert process.returncode == 0, said
    assert not ENDLESS.search(example), f"it ended: {said}"
    if ">" not in example and "eval" not in example and "--out" not in example:
        assert output


@pytest.mark.parametrize(
    "program", [each for each in readme_blocks("python") if "reviews." in each], ids=["calls", "frame"]
)
def test_a_program_of_the_readme_works(program, folder, address):
    program = program.replace("127.0.0.1:8001", address).replace("Client()", f"Client({address!r})")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "positive" in done.stdout


def test_the_files_of_the_examples_are_made(folder, address, model):
    for example in (each for each in EXAMPLES if "--out scored.csv" in each):
        process = begin(example, folder, address)
        _, said = process.communicate(timeout=100)
        assert process.returncode == 0, said
        assert "positive" in (folder / "scored.csv").read_text()
        (folder / "scored.csv").unlink()
