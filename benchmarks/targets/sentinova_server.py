"""Sentinova: the server as a user starts it, on a repository that holds the measured version alone.

Knows the server's command, its log and its metrics; must not know its code.
"""

from __future__ import annotations

import json
import shutil
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import messages
from benchmarks.messages import Requests
from benchmarks.processes import ManagedProcess, wait_for_line
from benchmarks.targets.base import Model, Padding, Service

_START_SECONDS = 120.0


class SentinovaServer(Service):
    """A server process on free ports."""

    name = "sentinova"
    title = "Sentinova"

    def __init__(self, model: Model, work: Path) -> None:
        """Starts it and waits until it is ready. Raises ProcessError."""
        self._model = model
        command = [sys.executable, "-m", "sentinova_server", "serve", "--log-format", "json"]
        command += ["--model-repository", str(_lay_out(model, work / "repository"))]
        command += ["--host", "127.0.0.1", "--port", "0", "--http-port", "0"]
        self.process = ManagedProcess(
            self.title, command, work / "server.log", environment={"SENTINOVA_PRECISION": model.hint}
        )
        try:
            ports = json.loads(wait_for_line(self.process, '"event": "listening"', _START_SECONDS))
            wait_for_line(self.process, '"event": "ready"', _START_SECONDS)
        except BaseException:
            self.stop()
            raise
        self.address = f"127.0.0.1:{ports['grpc']}"
        self._metrics = f"http://127.0.0.1:{ports['http']}/metrics"

    def describe(self) -> str:
        """Tells how it is set up, from its log."""
        loaded = self._loaded()
        rewrites = ", ".join(loaded.get("rewrites") or ()) or "none"
        return f"{self.precision}, {loaded.get('streams', '?')} streams, graph rewrites: {rewrites}"

    @property
    def precision(self) -> str:
        """What the version computes in, as the server says; "?" where it does not."""
        return str(self._loaded().get("precision", "?"))

    def _loaded(self) -> dict[str, Any]:
        lines = self.process.log.read_text(errors="replace").splitlines()
        return next((json.loads(line) for line in lines if '"event": "version_available"' in line), {})

    def unary(self, texts: Sequence[str]) -> Requests:
        """Makes requests of one text each."""
        return messages.sentinova_unary(texts, self._model.name, self._model.version)

    def batches(self, texts: Sequence[str], size: int) -> Requests:
        """Makes requests of `size` texts each."""
        return messages.sentinova_batches(texts, size, self._model.name, self._model.version)

    def stream(self, texts: Sequence[str]) -> Requests:
        """Makes the messages of one stream."""
        return messages.sentinova_stream(texts, self._model.name, self._model.version)

    def labels(self, answers: Sequence[bytes]) -> list[int]:
        """Reads the best class's number from each answer."""
        return messages.sentinova_labels(answers)

    def padding(self) -> Padding:
        """Counts the tokens so far, from the server's metrics."""
        with urllib.request.urlopen(self._metrics, timeout=10) as response:
            lines = response.read().decode().splitlines()
        return Padding(*(_add_up(lines, name) for name in ("batch_tokens_sum", "padding_tokens_total")))


def _add_up(lines: Sequence[str], metric: str) -> int:
    """Adds a metric up over models and versions."""
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith(f"sentinova_{metric}{{"))


def _lay_out(model: Model, repository: Path) -> Path:
    """Makes a repository of one version, with the model's own configuration: its peers hold no more either."""
    shutil.rmtree(repository, ignore_errors=True)
    folder = repository / model.name
    folder.mkdir(parents=True)
    (folder / str(model.version)).symlink_to(model.folder.resolve())
    config = model.folder.parent / "config.pbtxt"
    if config.exists():
        shutil.copy(config, folder)
    return repository
