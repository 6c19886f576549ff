"""The servers that cases run against: one of each kind in each control mode, started when first asked for.

Knows how each server is told its repository and mode; must not know cases.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.processes import ManagedProcess, ProcessError
from conforming.case import Mode
from conforming.models import CYCLES, DAMAGED, FOLLOWED, STEADY, Model
from conforming.repositories import Repository, write_openvino_version, write_triton_version
from conforming.targets import Target, connect
from conforming.triton_server import run_triton

_SACRIFICED = {"batched", "identity_fp32", "identity_bytes"}
MODELS: dict[Mode, Sequence[Model]] = {
    "none": STEADY,
    "poll": [*FOLLOWED.values()],
    "explicit": [*CYCLES.values(), *DAMAGED.values()],
}


class Servers(ABC):
    """Servers of one kind, each started when first asked for, and again once it has ended."""

    def __init__(self) -> None:
        """Starts none."""
        self._running: dict[Mode, tuple[Target, Callable[[], bool], ExitStack]] = {}
        self._failed: dict[Mode, Exception] = {}
        self._started = 0

    def target(self, mode: Mode) -> Target:
        """Gives the server of a mode. One that did not start is not tried again."""
        if mode in self._failed:
            raise RuntimeError("the server did not start: the first failure has the cause") from self._failed[mode]
        if mode in self._running and not self._running[mode][1]():
            # The case that ended it has failed; the others are to be judged by themselves.
            self._running.pop(mode)[2].close()
        if mode not in self._running:
            stack = ExitStack()
            try:
                self._running[mode] = (*stack.enter_context(self.run(mode)), stack)
            except Exception as error:
                self._failed[mode] = error
                raise
        return self._running[mode][0]

    def close(self) -> None:
        """Ends them."""
        for _, _, stack in self._running.values():
            stack.close()

    def name_folder(self, name: str) -> str:
        """Gives a folder's name that is not taken."""
        self._started += 1
        return f"{name}-{self._started}"

    @abstractmethod
    def run(self, mode: Mode) -> AbstractContextManager[tuple[Target, Callable[[], bool]]]:
        """Runs a server of a mode; gives it, and what tells whether it lives."""


class SentinovaServers(Servers):
    """Sentinova, with the suite's models in OpenVINO's format."""

    def __init__(self, root: Path, start: Callable[..., Any], build_text: Callable[[Path], Any]) -> None:
        """Takes what makes them.

        Args:
            root: a folder for repositories.
            start: starts a server: repository, flags.
            build_text: writes a version of the tiny text model.
        """
        super().__init__()
        self._root = root
        self._start = start
        self._build_text = build_text

    @contextmanager
    def run(self, mode: Mode) -> Iterator[tuple[Target, Callable[[], bool]]]:
        """Runs a server of a mode."""
        flags = ["--model-control-mode", mode]
        flags += ["--repository-poll-secs", "1", "--settle-secs", "0.2"] if mode == "poll" else []
        with self.run_aside(MODELS[mode], *flags) as (server, target):
            yield target, lambda: server.process.poll() is None

    @contextmanager
    def run_aside(self, models: Sequence[Model], *flags: str) -> Iterator[tuple[Any, Target]]:
        """Runs one more; gives its process, as `start` does, and the target."""
        repository = Repository(self._root / self.name_folder("models"), "openvino", self._write)
        repository.add(models)
        # In float32, in which every machine gives the same numbers.
        with (
            self._start(repository.root, "--precision", "f32", *flags) as server,
            connect("Sentinova", server.address, repository) as target,
        ):
            yield server, target

    def _write(self, model: Model, version: int, folder: Path) -> None:
        if model.does == "text":
            self._build_text(folder)
        else:
            write_openvino_version(model, version, folder)


class TritonServers(Servers):
    """Real Tritons, with twins of the models in Python."""

    def __init__(self, root: Path, packages: Path) -> None:
        """Takes what makes them.

        Args:
            root: a folder for repositories and logs.
            packages: the folder of Triton's packages.
        """
        super().__init__()
        self._root = root
        self._packages = packages

    @contextmanager
    def run(self, mode: Mode) -> Iterator[tuple[Target, Callable[[], bool]]]:
        """Runs a server of a mode."""
        flags = [f"--model-control-mode={mode}", *(["--repository-poll-secs=1"] if mode == "poll" else [])]
        with self._serve(MODELS[mode], *flags) as (target, process):
            yield target, lambda: lives(process)

    @contextmanager
    def sacrifice(self) -> Iterator[tuple[Target, ManagedProcess]]:
        """Starts one more in mode none, with the models of deadly cases, that a request may kill."""
        with self._serve([model for model in STEADY if model.name in _SACRIFICED]) as both:
            yield both

    @contextmanager
    def _serve(self, models: Sequence[Model], *flags: str) -> Iterator[tuple[Target, ManagedProcess]]:
        work = self._root / self.name_folder("triton")
        repository = Repository(work / "models", "python", self._write)
        repository.add(models)
        with (
            run_triton(self._packages, repository.root, work, *flags) as (address, process),
            connect("Triton", address, repository) as target,
        ):
            yield target, process

    def _write(self, model: Model, version: int, folder: Path) -> None:
        write_triton_version(model, version, folder, self._packages)


def lives(process: ManagedProcess) -> bool:
    """Tells whether a process has not ended."""
    try:
        process.check()
    except ProcessError:
        return False
    return True
