"""Server processes: started, watched through /proc (Linux, proc(5)), and ended by their own id."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 90.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Figures:
    """What a process has at one moment: resident bytes, threads, open descriptors."""

    resident: int
    threads: int
    descriptors: int


@dataclass
class ServerProcess:
    """A server, its log in a file.

    Attributes:
        process: the process.
        log: its log, a JSON object a line.
        enter: what a command begins with that is to see the files that the server sees.
    """

    process: subprocess.Popen
    log: Path
    enter: Sequence[str] = ()
    _ports: dict[str, Any] = field(default_factory=dict)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def address(self) -> str:
        """Its gRPC address."""
        return f"127.0.0.1:{self._ports['grpc']}"

    @property
    def url(self) -> str:
        """The address of its HTTP pages."""
        return f"http://127.0.0.1:{self._ports['http']}"

    def check_alive(self) -> None:
        """Fails where it has ended."""
        code = self.process.poll()
        assert code is None, f"the server ended with {code}: {self.log.read_text(errors='replace')[-3000:]}"

    def logged(self, *events: str) -> list[dict[str, Any]]:
        """Gives the log lines with one of these events, or all."""
        entries = []
        for line in self.log.read_text(errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                entry = {"event": "text", "text": line}
            if not events or entry.get("event") in events:
                entries.append(entry)
        return entries

    def wait_for(self, *events: str) -> dict[str, Any]:
        """Waits for the first log line with one of these events."""
        deadline = time.monotonic() + START_SECONDS
        while not (found := self.logged(*events)):
            self.check_alive()
            assert time.monotonic() < deadline, f"no {events}: {self.log.read_text(errors='replace')[-3000:]}"
            time.sleep(0.02)  # between two looks, which are bounded by the deadline
        if "listening" in events:
            self._ports = found[0]
        return found[0]

    def figures(self) -> Figures:
        """Gives what it has now."""
        proc = Path("/proc") / str(self.pid)
        resident = int((proc / "statm").read_text().split()[1]) * _PAGE_BYTES
        return Figures(resident, len(list((proc / "task").iterdir())), len(list((proc / "fd").iterdir())))

    def metrics(self) -> list[str]:
        """Gives the lines of /metrics."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=60) as page:
            return page.read().decode().splitlines()

    def stop(self) -> int:
        """Asks it to end, and gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(START_SECONDS)


@contextmanager
def run_server(
    repository: Path, log: Path, *flags: str, wrapper: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Iterator[ServerProcess]:
    """Starts a server on free ports of 127.0.0.1, and gives it when it is ready; it must end with 0 in the end.

    Args:
        repository: its model repository, as it sees it.
        log: where its log goes.
        flags: more flags.
        wrapper: a command that executes the rest of its own command line.
        environment: added to this process's own.
    """
    command = [*wrapper, sys.executable, "-m", "sentinova_server", "serve", "--model-repository", str(repository)]
    command += ["--port", "0", "--http-port", "0", "--log-format", "json", "--precision", "f32", *flags]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stderr=output, cwd=ROOT, env={**os.environ, **(environment or {})})
    server = ServerProcess(process, log)
    try:
        server.wait_for("listening")
        server.wait_for("ready", "not_ready")
        yield server
        server.check_alive()
        assert server.stop() == 0, log.read_text(errors="replace")[-3000:]
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def publish_command(source: Path, model: str, repository: Path, *flags: str) -> list[str]:
    """Gives the command line that publishes a folder as a model's next version."""
    command = [sys.executable, "-m", "sentinova_server", "publish", str(source), model]
    return [*command, "--model-repository", str(repository), *flags]
