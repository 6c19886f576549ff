"""What every target is to the benchmarks: something with a process, that texts can be given to.

Knows the shape of targets; must not know any of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks.messages import Requests
from benchmarks.processes import ManagedProcess, tree_cpu_seconds, tree_memory_mb
from benchmarks.worker import Worker

ROOT = Path(__file__).resolve().parent.parent.parent


class Unavailable(Exception):  # noqa: N818 (a state, not a fault)
    """A target that cannot run here; its text says why."""


@dataclass(frozen=True, slots=True)
class Model:
    """The model that all targets run.

    Attributes:
        repository: the model repository.
        name: the model's name in it.
        version: its version.
        precision: what is asked for: "f32", "bf16" or "int8".
        hint: OpenVINO's INFERENCE_PRECISION_HINT: "f32" or "bf16". An int8 model has its precision in the file, and
            the hint is that of the rest.
        cores: CPU cores to use.
    """

    repository: Path
    name: str
    version: int
    precision: str
    hint: str
    cores: int

    @property
    def folder(self) -> Path:
        """The version's folder."""
        return self.repository / self.name / str(self.version)


@dataclass(frozen=True, slots=True)
class Padding:
    """Tokens that went through a model since its start.

    Attributes:
        tokens: all, padding included.
        padding: those that were padding.
    """

    tokens: int
    padding: int

    def since(self, before: Padding) -> float:
        """Gives the share of padding since then."""
        return (self.padding - before.padding) / max(1, self.tokens - before.tokens)


class Target(ABC):
    """Something measured, in a process tree of its own."""

    name: ClassVar[str]
    title: ClassVar[str]

    @property
    @abstractmethod
    def pid(self) -> int:
        """The process at the tree's root."""

    @abstractmethod
    def stop(self) -> None:
        """Ends its processes."""

    def cpu_seconds(self) -> float:
        """Gives the CPU time that its process tree has used."""
        return tree_cpu_seconds(self.pid)

    def memory_mb(self) -> float:
        """Gives its process tree's resident memory."""
        return tree_memory_mb(self.pid)


class Service(Target):
    """A target that is asked over gRPC."""

    address: str
    process: ManagedProcess

    @property
    def pid(self) -> int:
        """The server."""
        return self.process.pid

    def stop(self) -> None:
        """Ends the server."""
        self.process.stop()

    @abstractmethod
    def unary(self, texts: Sequence[str]) -> Requests:
        """Makes requests of one text each."""

    @abstractmethod
    def batches(self, texts: Sequence[str], size: int) -> Requests:
        """Makes requests of `size` texts each."""

    @abstractmethod
    def stream(self, texts: Sequence[str]) -> Requests | None:
        """Makes the messages of one stream; None: it has no such call."""

    @abstractmethod
    def labels(self, answers: Sequence[bytes]) -> list[int]:
        """Reads the best class's number from the answers to `unary` requests."""

    @abstractmethod
    def padding(self) -> Padding:
        """Counts the tokens so far."""


class Local(Target):
    """A target that is a model in a worker process, without a server around it."""

    worker: Worker

    @property
    def pid(self) -> int:
        """The worker."""
        return self.worker.pid

    def stop(self) -> None:
        """Ends the worker."""
        self.worker.stop()
