"""Processes that the benchmarks start, and what they use: CPU time and memory of a whole process tree.

Knows /proc (Linux, proc(5)) and signals; must not know what a process does. Ends nothing that it did not start.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_STOP_SECONDS = 15.0


class ProcessError(Exception):
    """A process that did not do what it was started for."""


class ManagedProcess:
    """A process in a process group of its own, which its children stay in; its output goes to a log file."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Starts it. `environment` is added to this process's own."""
        self._name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                cwd=folder,
                pass_fds=pass_fds,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its id, and its process group's."""
        return self._process.pid

    def check(self) -> None:
        """Raises ProcessError where it has ended."""
        if (code := self._process.poll()) is not None:
            raise ProcessError(f"{self._name} ended with {code}: {self.log_tail()}")

    def log_tail(self, lines: int = 5) -> str:
        """Gives the last lines of its output."""
        return " | ".join(self.log.read_text(errors="replace").strip().splitlines()[-lines:])

    def stop(self) -> None:
        """Asks it to end, and ends it and its group where it does not."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        # The group is ours: its id is that of the process started here, and stays taken while a member lives.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


def free_port() -> int:
    """Gives a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_line(process: ManagedProcess, found: str, timeout: float) -> str:
    """Waits until the process has written a line that holds `found`, and gives the line.

    Raises:
        ProcessError: it ended, or did not within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        for line in process.log.read_text(errors="replace").splitlines():
            if found in line:
                return line
        process.check()
        time.sleep(0.1)
    raise ProcessError(f"no {found!r} within {timeout:.0f} s: {process.log_tail()}")


def tree_cpu_seconds(pid: int) -> float:
    """Gives the CPU time, user and system, that a process and its descendants have used, ended ones included."""
    seconds = 0.0
    for member in _tree(pid):
        with contextlib.suppress(OSError):
            # utime, stime, and those of the children that have been waited for: fields 14 to 17.
            seconds += sum(map(int, _stat_fields(member)[11:15])) / _TICKS
    return seconds


def tree_memory_mb(pid: int) -> float:
    """Gives the resident memory of a process and its descendants in MB (10^6 bytes).

    It is the proportional set size: a page that several of them share counts once in all.
    """
    kilobytes = 0
    for member in _tree(pid):
        with contextlib.suppress(OSError):
            for line in (_PROC / str(member) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kilobytes += int(line.split()[1])
    return kilobytes * 1024 / 1e6


def _tree(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int(_stat_fields(int(folder.name))[1]), []).append(int(folder.name))
    members = [pid]
    for member in members:
        members += children.get(member, [])
    return members


def _stat_fields(pid: int) -> list[str]:
    """Gives /proc/PID/stat from its third field on: the second, the command's name, may hold anything."""
    return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
