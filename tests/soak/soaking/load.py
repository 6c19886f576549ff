"""The load as a test sees it: started, looked at, stopped, and read back. The work is done by `generator`."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from soaking.contents import TEXTS
from soaking.generator import RECORD, Plan

_START_SECONDS = 60.0
_STOP_SECONDS = 120.0


@dataclass(repr=False)
class Outcome:
    """What a load came to.

    Attributes:
        records: every answered document; see `generator.RECORD`.
        texts: the texts that the records count in.
        models: each client's model.
        kinds: each client's kind.
        sent: documents sent.
        answered: documents answered.
        refused: documents that a full queue refused, of clients that allow it.
        bad: what must not be; `problems` has the first ones in words.
        calls: calls that each client made.
    """

    records: np.ndarray
    texts: Sequence[str]
    models: Sequence[str]
    kinds: Sequence[str]
    sent: int
    answered: int
    refused: int
    bad: int
    calls: Sequence[int]
    problems: Sequence[str] = ()

    def check_complete(self) -> None:
        """Checks that every document was answered, once, with OK."""
        assert not self.bad, f"{self.bad} problems, the first: {self.problems[:10]}"
        assert self.answered + self.refused == self.sent
        assert len(self.records) == self.answered
        pairs = self.records[["client", "sequence"]]
        assert len(np.unique(pairs)) == self.answered, "a document was answered twice"

    def of_model(self, model: str) -> np.ndarray:
        """Gives the records of one model."""
        clients = [number for number, name in enumerate(self.models) if name == model]
        return self.records[np.isin(self.records["client"], clients)]


@dataclass(repr=False)
class Load:
    """A load that runs."""

    process: subprocess.Popen
    file: Path
    plan: Sequence[Plan]
    texts: Sequence[str]
    problems: list[str] = field(default_factory=list)
    outcome: Outcome | None = None
    _lines: list[dict[str, Any]] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def read(self) -> None:
        """Reads what the generator tells, to its end; runs on a thread of its own."""
        for line in self.process.stdout:
            entry = json.loads(line)
            with self._changed:
                if "problem" in entry:
                    self.problems.append(f"{entry['at']:.3f} {entry['problem']}")
                else:
                    self._lines.append(entry)
                self._changed.notify_all()
        with self._changed:
            self._lines.append({"over": True})
            self._changed.notify_all()

    def check(self) -> None:
        """Fails at once where something was wrong: no test goes on for minutes after the first lost request."""
        assert not self.problems, self.problems[:10]
        assert self.process.poll() is None, f"the load generator ended: {self._lines}"

    def wait(self, key: str, timeout: float) -> dict[str, Any]:
        """Waits for the line that has `key`."""

        def found() -> dict[str, Any] | None:
            return next((line for line in self._lines if key in line or "over" in line), None)

        with self._changed:
            assert self._changed.wait_for(found, timeout), f"the load generator did not tell {key}: {self.problems}"
            line = found()
        assert key in line, f"the load generator ended: {self.problems}"
        return line

    def stop(self, timeout: float = _STOP_SECONDS) -> Outcome:
        """Has it send no more, waits for the last answers, and gives what it all came to."""
        if self.outcome is None:
            self.process.stdin.write("stop\n")
            self.process.stdin.flush()
            self.outcome = self._read_outcome(self.wait("answered", timeout))
        return self.outcome

    def finish(self, timeout: float) -> Outcome:
        """Waits until all that was planned is sent and answered, where that has an end."""
        line = self.wait("answered", timeout)
        self.outcome = self._read_outcome(line)
        return self.outcome

    def _read_outcome(self, line: dict[str, Any]) -> Outcome:
        counts = {key: line[key] for key in ("sent", "answered", "refused", "bad", "calls")}
        models, kinds = [one.model for one in self.plan], [one.kind for one in self.plan]
        records = np.fromfile(self.file, RECORD)
        return Outcome(records, self.texts, models, kinds, **counts, problems=self.problems)


@contextmanager
def run_load(address: str, file: Path, plan: Sequence[Plan], texts: Sequence[str] = TEXTS) -> Iterator[Load]:
    """Starts a load, gives it when each client has had an answer, and ends it however the test ends."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "generator.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    load = Load(process, file, plan, texts)
    reader = threading.Thread(target=load.read, daemon=True)
    reader.start()
    try:
        clients = [asdict(one) for one in plan]
        message = {"address": address, "records": str(file), "texts": list(texts), "clients": clients}
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
        load.wait("started", _START_SECONDS)
        yield load
        load.stop()
    finally:
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join()
        process.stdout.close()
