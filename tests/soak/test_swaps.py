"""Version after version is put in place of the one before, under load, and no request ever notices more than that."""

import re
import shutil
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from soaking.contents import CONTENTS, TEXTS, Shelf, content_of
from soaking.generator import Plan
from soaking.ledger import Ledger, find_fallbacks
from soaking.load import Outcome, run_load
from soaking.processes import Figures, publish_command, run_server
from soaking.report import milliseconds
from soaking.watching import AVAILABLE, END, FAILED, UNLOADING, Observer, observe

MODEL = "swapped"
FLAGS = ("--model-control-mode", "poll", "--repository-poll-secs", "0.1", "--settle-secs", "0.1")
# Sixteen clients ask one thing at a time, twelve keep a stream open, four send batches: 32 x 16 documents a second.
RATE = 16.0
CLIENTS = [
    *[Plan("unary", MODEL, RATE)] * 16,
    *[Plan("stream", MODEL, RATE)] * 12,
    *[Plan("batch", MODEL, RATE, size=8)] * 4,
]
# The shipped model's scores depend a little on what else is in the batch.
TOLERANCE = 1e-4
# More than the server tells of in all, and far fewer than there were.
MOST_VERSIONS_TOLD = 48
# Swaps over which memory is looked at; it may be so much more in the end.
WINDOW = 10
MOST_GROWTH = 1.1
# Threads and descriptors that may come late and stay: of thread pools that fill as they are needed.
LATE = 8
# By the last digit of a version's number: which come to the shipped model, which by the command, and before which ones
# the old version's folder goes at once.
SHIPPED_DIGIT, COMMAND_DIGIT, EARLY_DIGIT = 0, 5, 9


@dataclass
class Swapper:
    """Publishes one version after the other, and removes the one before.

    Attributes:
        observer: what the server tells.
        ledger: which version may answer with what.
        shelf: contents.
        folder: the model's folder.
        shipped: the shipped model's folder; None: it is left out.
        version: the version that serves.
        seconds: time of each swap, from putting the version in place to AVAILABLE.
        drain_seconds: time of each, from UNLOADING to END.
        by_command: swaps by the command.
        of_shipped: swaps to the shipped model.
    """

    observer: Observer
    ledger: Ledger
    shelf: Shelf
    folder: Path
    shipped: Path | None
    version: int = 1
    seconds: list[float] = field(default_factory=list)
    drain_seconds: list[float] = field(default_factory=list)
    by_command: int = 0
    of_shipped: int = 0

    def swap(self) -> str:
        """Does one swap; gives the name of the content that serves then."""
        old, self.version = self.version, self.version + 1
        after = self.observer.count
        digit = self.version % 10
        staged, content = self._stage(digit)
        self.ledger.open(MODEL, self.version, content)
        began = time.monotonic()
        if digit == COMMAND_DIGIT:
            self._publish_by_command(staged)
        else:
            staged.rename(self.folder / str(self.version))
        if digit == EARLY_DIGIT:  # before the new one is loaded
            shutil.rmtree(self.folder / str(old))
        available = self.observer.wait_for_state(MODEL, self.version, AVAILABLE, FAILED, after=after)
        assert available.event.state == AVAILABLE, available.event
        self.seconds.append(available.received - began)
        unloading = self.observer.wait_for_state(MODEL, old, UNLOADING, after=after)
        self.ledger.close(MODEL, old, unloading.received)
        ended = self.observer.wait_for_state(MODEL, old, END, after=after)
        self.drain_seconds.append(ended.received - unloading.received)
        if digit != EARLY_DIGIT:
            shutil.rmtree(self.folder / str(old))
        return content

    def _stage(self, digit: int) -> tuple[Path, str]:
        """Writes the next version under a hidden name; gives the name of its content."""
        staged = self.folder / f".{self.version}"
        if digit != SHIPPED_DIGIT or self.shipped is None:
            content = content_of(self.version)
            return self.shelf.copy(content, staged), content.name
        number = 1 + self.version // 10 % 2
        staged.mkdir()
        for file in (self.shipped / str(number)).iterdir():
            (staged / file.name).symlink_to(file)
        self.of_shipped += 1
        return staged, f"shipped-{number}"

    def _publish_by_command(self, staged: Path) -> None:
        repository = self.folder.parent
        source = staged.rename(repository.parent / f"source-{self.version}")
        check = ("--check", "--no-check")[self.by_command % 2]
        command = publish_command(source, MODEL, repository, "--to", str(self.version), check)
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        shutil.rmtree(source)
        self.by_command += 1


@dataclass(repr=False)
class Run:
    """What a run of swaps came to.

    Attributes:
        outcome: of the load.
        ledger: which version might answer with what.
        swapper: what did the swaps.
        seconds: time of all swaps.
        figures: what the process had after each swap to a small content, by number.
        metrics: lines of /metrics in the end.
        told: versions that GetModel tells of in the end.
        errors: errors in the log.
    """

    outcome: Outcome
    ledger: Ledger
    swapper: Swapper
    seconds: float
    figures: dict[int, Figures]
    metrics: list[str]
    told: int
    errors: list[dict]

    def median(self, name: str, first: int) -> float | None:
        """Gives the median of a figure over the swaps from one on; None: there were none."""
        values = [
            getattr(one, name) for number, one in self.figures.items() if first <= number < first + WINDOW
        ]  # fmt: skip
        return statistics.median(values) if values else None


def run_swaps(count, shelf, shipped, tmp_path):
    """Swaps so many times under load."""
    folder = tmp_path / "repository" / MODEL
    ledger, figures = Ledger(), {}
    ledger.open(MODEL, 1, content_of(1).name)
    shelf.copy(content_of(1), folder / "1")
    (folder / "config.pbtxt").write_text("version_policy { latest { num_versions: 1 } }")
    with (
        run_server(folder.parent, tmp_path / "log", *FLAGS) as server,
        observe(server.address, server.check_alive) as observer,
        run_load(server.address, tmp_path / "records", CLIENTS) as load,
    ):
        swapper = Swapper(observer, ledger, shelf, folder, shipped)
        began = time.monotonic()
        for number in range(1, count + 1):
            content = swapper.swap()
            load.check()
            if content.startswith("made"):
                figures[number] = server.figures()
        seconds = time.monotonic() - began
        observer.until(
            "the last version alone", MODEL,
            lambda model: [one.version for one in model.versions if one.state == AVAILABLE] == [swapper.version],
        )  # fmt: skip
        time.sleep(1.0)  # for every client to ask the last version too
        outcome = load.stop()
        told = len(observer.model(MODEL).versions)
        metrics = server.metrics()
        errors = [entry for entry in server.logged() if entry.get("level") in ("error", "critical")]
    return Run(outcome, ledger, swapper, seconds, figures, metrics, told, errors)


def count_versions(lines):
    """Gives the number of versions that have series of their own."""
    return len(set(re.findall(r'version="([0-9]+)"', "\n".join(lines))))


def write_section(report, title, run, count, warm):
    """Reports a run."""
    outcome, swapper = run.outcome, run.swapper
    section = report.section(title)
    section.row("swaps", f"{count}, {swapper.by_command} by `publish`, {swapper.of_shipped} to the shipped model")
    section.row("clients", f"{len(CLIENTS)}: 16 unary, 12 streams, 4 of batches; {RATE * len(CLIENTS):g} documents/s")
    section.row("seconds", f"{run.seconds:.1f}")
    section.row("documents sent / answered", f"{outcome.sent:,} / {outcome.answered:,}")
    section.row("problems", outcome.bad)
    section.row("versions that answered", len(np.unique(outcome.records["version"])))
    section.row("from putting it in place to AVAILABLE", milliseconds(swapper.seconds, 50, 99))
    section.row("from UNLOADING to END", milliseconds(swapper.drain_seconds, 50, 99))
    section.row("latency", milliseconds(outcome.records["received"] - outcome.records["sent"], 50, 99, 99.9))
    for name, unit in (("resident", 1e6), ("threads", 1), ("descriptors", 1)):
        values = [run.median(name, first) for first in (warm + 1, count // 2, count - WINDOW + 1)]
        shown = " / ".join("-" if value is None else f"{value / unit:g}" for value in values)
        section.row(f"{name}{', MB,' if unit > 1 else ''} after {warm} / half / all swaps", shown)
    section.row("versions and lines in /metrics", f"{count_versions(run.metrics)}, {len(run.metrics):,}")
    section.data |= {
        "swap_seconds": swapper.seconds,
        **{
            name: {number: getattr(one, name) for number, one in run.figures.items()}
            for name in ("resident", "threads", "descriptors")
        },
    }


@pytest.mark.parametrize("kind", ["small", "mixed"])
def test_no_request_notices_a_swap(kind, scale, report, request, shelf, shipped, tmp_path):
    mixed = kind == "mixed"
    count = scale.mixed_swaps if mixed else scale.swaps
    scorers = {content.name: content.positive for content in CONTENTS}
    if mixed:
        scorers |= request.getfixturevalue("shipped_scorers")
    run = run_swaps(count, shelf, shipped if mixed else None, tmp_path)
    title = "Swaps under load, one in ten to the shipped model" if mixed else "Swaps under load"
    write_section(report, title, run, count, scale.warm_swaps)
    records = run.outcome.records

    run.outcome.check_complete()
    assert not run.ledger.find_wrong(records, MODEL, TEXTS, scorers, TOLERANCE)
    assert not find_fallbacks(records)
    # Every version answered something, and every client was there at the first and at the last.
    assert set(records["version"]) == set(range(1, count + 2))
    for number, plan in enumerate(CLIENTS):
        own = records[records["client"] == number]
        assert (own["version"].min(), own["version"].max()) == (1, count + 1)
        # A stream is one call from the start to the end.
        assert plan.kind != "stream" or run.outcome.calls[number] == 1
    assert not run.errors
    assert count_versions(run.metrics) <= MOST_VERSIONS_TOLD
    assert run.told <= MOST_VERSIONS_TOLD
    if count >= scale.warm_swaps + 2 * WINDOW:
        first, last = scale.warm_swaps + 1, count - WINDOW + 1
        assert run.median("resident", last) <= MOST_GROWTH * run.median("resident", first)
        assert run.median("threads", last) <= run.median("threads", first) + LATE
        assert run.median("descriptors", last) <= run.median("descriptors", first) + LATE
