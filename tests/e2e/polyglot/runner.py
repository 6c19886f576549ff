"""Running a client's runner: one request in, lines out, bounded in time.

Knows processes and the contract's framing; must not judge a line.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

# Bounds, not measures: what has not come by then does not come.
RUN_SECONDS = 60.0
_STDERR_LINES = 15

Line = dict[str, Any]


class RunnerError(AssertionError):
    """A runner could not do its work; what it said is in the message."""


class Run:
    """One run of a runner; leaving the context ends it, by its own process id."""

    def __init__(self, command: Sequence[str], folder: Path, request: dict[str, Any]) -> None:
        """Starts it.

        Args:
            command: the runner's.
            folder: where it runs.
            request: what it reads, as README.md has it.
        """
        self._command = command
        self._process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.lines: list[Line] = []
        self._strange: list[bytes] = []
        self._errors: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        # UTF-8 as it is: a client must read it, too.
        content = json.dumps(request, ensure_ascii=False).encode()
        self._threads = [
            threading.Thread(target=work, args=arguments, daemon=True)
            for work, arguments in ((self._feed, (content,)), (self._read, ()), (self._read_errors, ()))
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for thread in self._threads:
            thread.join()
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._process.stdout.close()
        self._process.stderr.close()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def wait_for(self, found: Callable[[list[Line]], object], seconds: float = RUN_SECONDS) -> None:
        """Waits until the lines are as they should be."""
        with self._changed:
            came = self._changed.wait_for(lambda: found(self.lines) or self._ended, seconds)
        if not came or not found(self.lines):
            raise RunnerError(f"did not write what was waited for; lines: {self.lines[-5:]}; {self._said()}")

    def finish(self, seconds: float = RUN_SECONDS) -> list[Line]:
        """Waits for the end, and gives all lines.

        Raises:
            RunnerError: it did not end in time, not with 0, or wrote something else than lines of JSON.
        """
        limit = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, limit - time.monotonic()))
        try:
            code = self._process.wait(max(0.0, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise RunnerError(f"did not end within {seconds:.0f} s; {len(self.lines)} lines; {self._said()}") from None
        if code or self._strange:
            raise RunnerError(f"ended with {code}; not JSON: {self._strange[:3]}; {self._said()}")
        return self.lines

    def _said(self) -> str:
        return f"{self._command[0]} said: " + "\n".join(self._errors[-_STDERR_LINES:])

    def _feed(self, content: bytes) -> None:
        assert self._process.stdin is not None
        try:
            with self._process.stdin as pipe:
                pipe.write(content)
        except BrokenPipeError:
            pass  # it ended before it had read all; its exit code tells

    def _read(self) -> None:
        assert self._process.stdout is not None
        for raw in self._process.stdout:
            with self._changed:
                try:
                    self.lines.append(json.loads(raw))
                except ValueError:
                    self._strange.append(raw)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        self._errors.extend(raw.decode(errors="replace").rstrip() for raw in self._process.stderr)


class Runner:
    """A language's runner, built and ready."""

    def __init__(self, name: str, command: Sequence[str], folder: Path) -> None:
        """Makes it.

        Args:
            name: of the language.
            command: what runs it.
            folder: where it runs.
        """
        self.name = name
        self.command = tuple(command)
        self._folder = folder

    def within(self, command: Sequence[str]) -> Runner:
        """Gives the same runner, run by another command line."""
        return Runner(self.name, command, self._folder)

    def start(self, scenario: str, address: str, **fields: Any) -> Run:
        """Starts a scenario; `fields` are the other keys of the request."""
        request = {"scenario": scenario, "address": address, "tls": None, "timeout_seconds": None, **fields}
        return Run(self.command, self._folder, request)

    def run(self, scenario: str, address: str, **fields: Any) -> list[Line]:
        """Runs a scenario to its end, and gives its lines."""
        with self.start(scenario, address, **fields) as run:
            return run.finish()
