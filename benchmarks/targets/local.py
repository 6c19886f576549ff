"""Models in a worker process of ours, without a server: the parent's side of bare OpenVINO and of Paddle Inference.

Knows the workers' operations; must not know how they do them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.targets.base import ROOT, Local, Model, Unavailable
from benchmarks.worker import Worker

_LOAD_SECONDS = 180.0
_RUN_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Run:
    """What came of running texts through a model.

    Attributes:
        texts: how many there were.
        seconds: how long it took.
        padding: share of all tokens that were padding.
    """

    texts: int
    seconds: float
    padding: float


class BareOpenvino(Local):
    """OpenVINO in process, every stream busy, on texts that are tokens already: the ceiling."""

    name = "bare"
    title = "bare OpenVINO"

    # Padded tokens in a batch of texts that are sorted by length.
    BUDGETS = (256, 512, 1024)

    def __init__(self, model: Model, work: Path) -> None:
        """Loads the model. Raises ProcessError."""
        self.worker = Worker(
            self.title, [sys.executable, "-m", "benchmarks.targets.bare_worker"], work / "worker.log", _paths()
        )
        try:
            self.worker.call("load", _LOAD_SECONDS, folder=str(model.folder), hint=model.hint, cores=model.cores)
        except BaseException:
            self.stop()
            raise

    def keep(self, key: str, texts: Sequence[str]) -> None:
        """Tokenizes texts, for later."""
        self.worker.call("keep", _RUN_SECONDS, key=key, texts=list(texts))

    def run_sorted(self, key: str, budget: int) -> Run:
        """Runs kept texts, sorted by length, in batches of at most so many padded tokens."""
        return Run(*self.worker.call("run_sorted", _RUN_SECONDS, key=key, budget=budget))

    def run_arrived(self, key: str, size: int) -> Run:
        """Runs kept texts in the order they came in, in batches of so many texts."""
        return Run(*self.worker.call("run_arrived", _RUN_SECONDS, key=key, size=size))

    def run_single(self, key: str, count: int, hint: str) -> list[float]:
        """Runs the first kept text alone, again and again, and gives the latencies in seconds.

        Args:
            key: which texts.
            count: how often.
            hint: OpenVINO's PERFORMANCE_HINT: "THROUGHPUT" (one thread, as in a server) or "LATENCY" (all cores).
        """
        result: list[float] = self.worker.call("run_single", _RUN_SECONDS, key=key, count=count, hint=hint)
        return result

    def labels(self, key: str) -> list[int]:
        """Gives the best class's number for each kept text, each run alone."""
        result: list[int] = self.worker.call("labels", _RUN_SECONDS, key=key)
        return result


class PaddleInference(Local):
    """Paddle Inference on the same exported files, as PaddleNLP's own serving runs it: batches in arrival order."""

    name = "paddle"
    title = "Paddle Inference"

    def __init__(self, model: Model, work: Path) -> None:
        """Loads the model in the training environment.

        Raises:
            Unavailable: there is no such environment, or the model is not in Paddle's format.
            ProcessError: Paddle fails.
        """
        python = ROOT / ".venv-train" / "bin" / "python"
        if not python.exists():
            raise Unavailable("needs the training environment: `make .venv-train/train.done`")
        if not (model.folder / "model.pdmodel").exists():
            raise Unavailable(f"reads Paddle's formats, and version {model.version} is in OpenVINO's")
        self.worker = Worker(
            self.title,
            [str(python), "-m", "benchmarks.targets.paddle_worker"],
            work / "worker.log",
            # Paddle sets one thread where nothing is set.
            {**_paths(), "OMP_NUM_THREADS": str(model.cores)},
        )
        try:
            self.about: dict[str, Any] = self.worker.call(
                "load", _LOAD_SECONDS, folder=str(model.folder), hint=model.hint, cores=model.cores
            )
        except BaseException:
            self.stop()
            raise

    def keep(self, key: str, texts: Sequence[str]) -> None:
        """Tokenizes texts, for later."""
        self.worker.call("keep", _RUN_SECONDS, key=key, texts=list(texts))

    def run_arrived(self, key: str, size: int) -> Run:
        """Runs kept texts in the order they came in, in batches of so many texts."""
        return Run(*self.worker.call("run_arrived", _RUN_SECONDS, key=key, size=size))


def _paths() -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "server")))}
