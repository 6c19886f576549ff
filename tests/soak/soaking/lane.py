"""One model that faults are injected into: what it has, what is right at any moment, and the steps of every round."""

from __future__ import annotations

import random
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from sentinova.v1 import model_service_pb2 as pb

from soaking.contents import CONTENTS, Content, Shelf, write_sums
from soaking.ledger import Ledger
from soaking.processes import ServerProcess
from soaking.watching import AVAILABLE, END, FAILED, LOADING, UNLOADING, Observer

CONFIG = "version_policy { latest { num_versions: 1 } }\n"


@dataclass(repr=False)
class Lane:
    """A model and its folder; one version serves, and what it answers is known.

    Attributes:
        model: the model's name.
        outside: a folder beside the repository, which the server sees too.
        folder: its folder as the test sees it.
        seen_folder: the same folder as the server sees it.
        server: the server.
        observer: what the server tells.
        ledger: which content may answer.
        shelf: contents.
        rng: decides what chance decides.
        settle: seconds for which files must not change before they are read.
        small_disk: whether the folder has a small file system of its own.
        version: the version that serves.
        content: what it answers with.
        highest: the highest number used so far.
        excused: rounds in which the test itself was too slow to tell what is right.
        mark: events before this number were there before the round began.
        message: what was told of the round's fault.
    """

    model: str
    outside: Path
    folder: Path
    seen_folder: Path
    server: ServerProcess
    observer: Observer
    ledger: Ledger
    shelf: Shelf
    rng: random.Random
    settle: float
    small_disk: bool
    version: int = 1
    content: Content = CONTENTS[1]
    highest: int = 1
    excused: int = 0
    mark: int = 0
    message: str = ""
    _used: dict[int, set[str]] = field(default_factory=dict)

    def path(self, version: int) -> Path:
        """Gives a version's folder."""
        return self.folder / str(version)

    @property
    def serving(self) -> Path:
        """The folder of the version that serves."""
        return self.path(self.version)

    def fresh_version(self) -> int:
        """Gives a number that no version ever had."""
        self.highest += 1
        return self.highest

    def next_version(self) -> int:
        """Gives the number for a new version: one that a failed and removed version had, or a fresh one."""
        taken = self.highest == self.version
        return self.fresh_version() if taken or self.rng.random() < 0.7 else self.highest

    def choose_content(self, version: int) -> Content:
        """Gives a content that neither the serving version nor this number ever had."""
        used = self._used.setdefault(version, set())
        free = [one for one in CONTENTS if one.name not in used and one.name != self.content.name]
        content = self.rng.choice(free or [one for one in CONTENTS if one.name != self.content.name])
        used.add(content.name)
        return content

    def stage(self, content: Content, *, sums: bool = False, cases: int = 4) -> Path:
        """Writes a content out of the server's sight, in the file system of the model's folder."""
        folder = self.shelf.copy(content, self.folder / f".soak-{self.rng.getrandbits(32):08x}", cases=cases)
        if sums:
            write_sums(folder)
        return folder

    def put(self, staged: Path, version: int) -> Path:
        """Publishes a staged folder at once."""
        return staged.rename(self.path(version))

    def allow(self, version: int, content: Content) -> None:
        """Notes that a version may answer with a content from now on."""
        self.ledger.open(self.model, version, content.name)

    def until_failed(self, version: int, *parts: str) -> None:
        """Waits until a version failed for the reason that has all these parts, and the log says so too."""
        found = self.observer.until_version(
            f"FAILED: {parts}", self.model, version, lambda one: one and one.state == FAILED and has(one, parts)
        )
        self.expect_logged(version, parts)
        self.note(found.state_message)
        assert self.observer.model(self.model).default_version == self.version

    def until_serves_on(self, version: int, *parts: str) -> None:
        """Waits until a version serves on though its files cannot be loaded any more, for that reason."""
        parts = ("serves on", *parts)
        found = self.observer.until_version(
            f"{parts}", self.model, version, lambda one: one and one.state == AVAILABLE and has(one, parts)
        )
        self.expect_logged(version, parts[1:])
        self.note(found.state_message)

    def until_well(self, version: int, *parts: str) -> pb.ModelVersion:
        """Waits until a version serves what is in its folder; its message has these parts."""
        return self.observer.until_version(
            f"well {parts}", self.model, version,
            lambda one: one and one.state == AVAILABLE and "serves on" not in one.state_message and has(one, parts),
        )  # fmt: skip

    def expect_logged(self, version: int, parts: tuple[str, ...]) -> None:
        """Checks that the log names the reason."""
        reasons = [
            entry["reason"]
            for entry in self.server.logged("version_failed")
            if (entry["model"], entry["version"]) == (self.model, version)
        ]
        assert any(all(part in reason for part in parts) for reason in reasons), (parts, reasons)

    def note(self, message: str) -> None:
        """Keeps what was told, for the report."""
        self.message = message

    def begin(self) -> None:
        """Begins a round, or a part of one: what happened before does not count any more."""
        self.mark = self.observer.count

    def advance(self, version: int, content: Content) -> None:
        """Waits until a new version serves in place of the old one, and removes the old one's folder."""
        old, self.version, self.content = self.version, version, content
        self.until_well(version)
        self.retire(old)
        assert self.observer.model(self.model).default_version == version
        self.remove(old)

    def retire(self, version: int) -> None:
        """Waits until a version is gone from memory, and notes from when on it must not answer."""
        unloading = self.observer.wait_for_state(self.model, version, UNLOADING, after=self.mark)
        self.ledger.close(self.model, version, unloading.received)
        self.observer.wait_for_state(self.model, version, END, after=self.mark)

    def close(self, version: int) -> None:
        """Notes that a version is gone, which may have served for a while, or not at all."""
        seen = [one for one in self.observer.events[self.mark :] if one.is_state(self.model, version, UNLOADING)]
        self.ledger.close(self.model, version, seen[-1].received if seen else time.monotonic())

    def until_alone(self) -> None:
        """Waits until the version that is to serve does, and no other one has anything to do."""
        busy = (AVAILABLE, LOADING, UNLOADING)
        self.observer.until(
            f"version {self.version} alone", self.model,
            lambda model: model.default_version == self.version
            and [one.version for one in model.versions if one.state in busy] == [self.version],
        )  # fmt: skip

    def remove(self, version: int) -> None:
        """Removes a version's folder, or the link in its place, where there is one."""
        discard(self.path(version))

    def give_up(self, version: int) -> None:
        """Removes a version that failed; the one that serves is to go on, and nothing more is said of the other."""
        self.remove(version)
        self.observer.until_version(
            "not FAILED any more, as its folder is gone", self.model, version,
            lambda one: one is None or one.state == END,
        )  # fmt: skip
        self.until_alone()


def has(version: pb.ModelVersion, parts: tuple[str, ...]) -> bool:
    """Tells whether a version's message has all parts."""
    return all(part in version.state_message for part in parts)


def discard(path: Path) -> None:
    """Removes a folder, or a link to one, where there is one."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
