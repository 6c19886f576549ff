"""What tests share: the shipped repository, a tiny model built on the spot, and real servers on free ports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

try:
    import structlog
except ModuleNotFoundError:  # where the recipe is tested, there is no server
    structlog = None

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("sentinova", deadline=None)
settings.load_profile("sentinova")

ROOT = Path(__file__).resolve().parent.parent
REPOSITORY = ROOT / "model_repository"
MODEL = "sentiment_en"
# A server that starts on a busy machine may take long; one that hangs must not hold the tests for ever.
START_SECONDS = 60.0

# The tiny model: each word has two weights, and the logits are their sums over the text.
TINY_WORDS = {"[PAD]": (0, 0), "[UNK]": (0, 0), "[CLS]": (0, 0), "[SEP]": (0, 0), "[MASK]": (0, 0), "good": (-1, 2), "bad": (2, -1),
              "not": (0.5, 0.25), "the": (0, 0), "film": (0.125, 0.125)}  # fmt: skip


def tiny_ids(text: str) -> list[int]:
    """Gives the tiny model's token ids of a text of its own words."""
    vocabulary = list(TINY_WORDS)
    return [vocabulary.index(word) for word in ("[CLS]", *text.split(), "[SEP]")]


def tiny_logits(text: str) -> list[float]:
    """Works out the tiny model's logits of a text of its own words, `[class]`."""
    return [float(sum(TINY_WORDS[word][c] for word in text.split())) for c in (0, 1)]


def build_tiny_version(folder: Path, *, max_length: int = 64, scale: float = 1.0) -> Path:
    """Writes a version of the tiny model in OpenVINO's format with everything a version has; `scale` spoils it."""
    import openvino as ov
    from openvino import opset13 as ops

    folder.mkdir(parents=True)
    ids = ops.parameter([-1, -1], np.int64, name="input_ids")
    ids.output(0).set_names({"input_ids"})
    table = ops.constant(np.array(list(TINY_WORDS.values()), np.float32) * scale)
    vectors = ops.gather(table, ids, ops.constant(np.int64(0)))
    logits = ops.reduce_sum(vectors, ops.constant(np.int64(1)), keep_dims=False)
    logits.output(0).set_names({"logits"})
    ov.save_model(ov.Model([logits], [ids], "tiny"), folder / "model.xml", compress_to_fp16=False)
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in TINY_WORDS))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": max_length})
    )
    (folder / "labels.txt").write_text("negative\npositive\n")
    texts = ["good", "bad film", "the film not good", "the " * 20 + "bad"]
    cases = [{"text": text, "input_ids": tiny_ids(text), "logits": tiny_logits(text)} for text in texts]
    (folder / "golden.json").write_text(json.dumps({"format_version": 1, "tolerance": 0.001, "cases": cases}))
    return folder


@dataclass
class RunningServer:
    """A real server process, with what it has logged so far."""

    process: subprocess.Popen[str]
    logs: list[dict[str, Any]] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def read_logs(self) -> None:
        """Reads the log to its end; runs on a thread of its own."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                entry = json.loads(line)
            except ValueError:
                entry = {"event": "text", "text": line.rstrip()}
            with self._changed:
                self.logs.append(entry)
                self._changed.notify_all()
        with self._changed:
            self.logs.append({"event": "end_of_log"})
            self._changed.notify_all()

    def wait_for(self, *events: str) -> dict[str, Any]:
        """Waits for the first log line with one of these events, and gives it."""

        def found() -> dict[str, Any] | None:
            return next((entry for entry in self.logs if entry["event"] in (*events, "end_of_log")), None)

        with self._changed:
            assert self._changed.wait_for(found, START_SECONDS), f"no {events} in {self.logs}"
            entry = found()
        assert entry is not None
        assert entry["event"] in events, f"the server ended: {self.logs}"
        return entry

    @property
    def address(self) -> str:
        """The gRPC address."""
        return f"127.0.0.1:{self.wait_for('listening')['grpc']}"

    @property
    def url(self) -> str:
        """The address of the HTTP pages."""
        return f"http://127.0.0.1:{self.wait_for('listening')['http']}"

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal, waits for the end, and gives the exit code."""
        self.process.send_signal(number)
        return self.process.wait(START_SECONDS)


@contextmanager
def run_server(
    repository: Path, *flags: str, ready: bool = True, environment: Mapping[str, str] | None = None
) -> Iterator[RunningServer]:
    """Starts a server on free ports; ends it, by its own process id, however the test ends."""
    command = [sys.executable, "-m", "sentinova_server", "serve", "--model-repository", str(repository)]
    command += ["--port", "0", "--http-port", "0", "--log-format", "json", *flags]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}, cwd=ROOT
    )
    server = RunningServer(process)
    reader = threading.Thread(target=server.read_logs, daemon=True)
    reader.start()
    try:
        server.wait_for("ready", "not_ready") if ready else server.wait_for("listening")
        yield server
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join()
        assert process.stderr is not None
        process.stderr.close()


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Takes back what a command under test has set of this process's logs: the next test may look at a warning."""
    yield
    if structlog is not None:
        structlog.reset_defaults()


@pytest.fixture(scope="session")
def shipped_server() -> Iterator[RunningServer]:
    """One server on the shipped repository, for all tests that leave it as it is.

    In float32, in which scores hardly depend on the machine or on what else is in a batch (by 3e-6 at most, as measured).
    """
    with run_server(REPOSITORY, "--precision", "f32") as server:
        yield server


@pytest.fixture
def tiny_repository(tmp_path: Path) -> Path:
    """A repository with one model `tiny` of one version."""
    build_tiny_version(tmp_path / "repository" / "tiny" / "1")
    return tmp_path / "repository"


@pytest.fixture(scope="session")
def start_server() -> Callable[..., Any]:
    """Gives `run_server`, for tests that need a server of their own."""
    return run_server


@pytest.fixture(scope="session")
def tiny_version() -> Callable[..., Path]:
    """Gives `build_tiny_version`."""
    return build_tiny_version


@pytest.fixture(scope="session")
def golden_cases() -> list[dict[str, Any]]:
    """The golden texts of the shipped model's version 2: `text`, `input_ids`, `logits`."""
    content = json.loads((REPOSITORY / MODEL / "2" / "golden.json").read_text())
    return list(content["cases"])
