"""What Triton and MLServer have in common: the KServe v2 protocol, and code of ours that runs inside them.

Knows the protocol's requests and the counts that `peer_classifier` keeps; must not know how a server is started.
"""

from __future__ import annotations

import shutil
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import messages
from benchmarks.environments import ensure_environment
from benchmarks.messages import Requests
from benchmarks.processes import ManagedProcess, ProcessError
from benchmarks.targets.base import Model, Padding, Service
from benchmarks.targets.counts import read_counts

MODEL = "classifier"
_START_SECONDS = 180.0

# Makes calls: address, requests, timeout in seconds for each.
Ask = Callable[[str, Requests, float], Sequence[bytes]]


class KserveService(Service):
    """A peer that answers KServe v2 inference calls."""

    # Options for pip.
    install: tuple[str, ...] = ()

    def __init__(self, model: Model, work: Path, ask: Ask) -> None:
        """Installs and starts it, and waits until it takes requests.

        Args:
            model: what it serves.
            work: a folder of its own.
            ask: makes calls.

        Raises:
            Unavailable: it cannot be installed or run here.
            ProcessError: it does not start.
        """
        self.environment = ensure_environment(self.name, work / "venv", *self.install)
        self._counts = work / "counts"
        shutil.rmtree(self._counts, ignore_errors=True)
        self.process = self._start(model, work)
        try:
            self._wait_until_ready(ask)
        except BaseException:
            self.stop()
            raise

    @abstractmethod
    def describe(self) -> str:
        """Tells its version and how it is set up."""

    @abstractmethod
    def _start(self, model: Model, work: Path) -> ManagedProcess:
        """Starts the server's process and sets `address`."""

    def _wait_until_ready(self, ask: Ask) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            self.process.check()
            try:
                if messages.is_ready(ask(self.address, messages.kserve_ready(MODEL), 5.0)[0]):
                    return
            except ProcessError:
                pass
            if time.monotonic() > deadline:
                raise ProcessError(f"{self.title} not ready within {_START_SECONDS:.0f} s: {self.process.log_tail()}")
            time.sleep(0.3)

    def unary(self, texts: Sequence[str]) -> Requests:
        """Makes requests of one text each."""
        return messages.kserve_requests(texts, 1, MODEL)

    def batches(self, texts: Sequence[str], size: int) -> Requests:
        """Makes requests of `size` texts each."""
        return messages.kserve_requests(texts, size, MODEL)

    def stream(self, texts: Sequence[str]) -> Requests | None:
        """Has no stream that is batched."""
        return None

    def labels(self, answers: Sequence[bytes]) -> list[int]:
        """Reads the best class's number from each answer."""
        return messages.kserve_labels(answers)

    def padding(self) -> Padding:
        """Counts the tokens so far."""
        return Padding(*read_counts(self._counts))
