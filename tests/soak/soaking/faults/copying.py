"""Faults of copying: a version is written, or loses a file, while the server may look at it."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

from soaking.contents import MODEL_FILES, SUMS_FILE
from soaking.lane import Lane
from soaking.watching import FAILED, LOADING

# Of the settle time: what may pass between two writes before the server may take a folder as complete.
_SAFE_PART = 0.7


def creeping_copy(lane: Lane) -> None:
    """Files are written byte by byte and in pieces, in any order, straight into the folder."""
    version = lane.next_version()
    content = lane.choose_content(version)
    pieces = _cut_into_pieces(lane.shelf.folder(content), lane.rng)
    target = lane.path(version)
    last, longest = time.monotonic(), 0.0
    target.mkdir()
    for number, (name, piece) in enumerate(pieces):
        if number == len(pieces) - 1:
            lane.allow(version, content)
        with (target / name).open("ab") as file:
            file.write(piece)
        last, longest = time.monotonic(), max(longest, time.monotonic() - last)
        time.sleep(lane.rng.random() * min(0.02, lane.settle * _SAFE_PART / 4))
    if longest > lane.settle * _SAFE_PART:
        # The test stood still for so long that the files were as good as complete: nobody can tell what is right.
        lane.ledger.open(lane.model, version, None).opened = 0.0
        lane.excused += 1
        lane.advance(version, content)
        return
    lane.advance(version, content)
    tried = [seen for seen in lane.observer.events[lane.mark :] if seen.is_state(lane.model, version, LOADING, FAILED)]
    assert [seen.event.state for seen in tried] == [LOADING], "it was loaded before its files were complete"
    assert tried[0].received > last


def _cut_into_pieces(source: Path, rng: random.Random) -> list[tuple[str, bytes]]:
    """Cuts all files into pieces, and mixes the files' pieces; those of each file stay in order."""
    rest = {file.name: file.read_bytes() for file in source.iterdir()}
    pieces = []
    while rest:
        name = rng.choice(sorted(rest))
        size = rng.choice((1, 7, 64, 500))
        pieces.append((name, rest[name][:size]))
        rest[name] = rest[name][size:]
        if not rest[name]:
            del rest[name]
    return pieces


def stalled_copy(lane: Lane) -> None:
    """A copy stops half-way, for longer than files take to settle, and goes on after that was told."""
    version = lane.next_version()
    content = lane.choose_content(version)
    source, target = lane.stage(content, sums=True), lane.path(version)
    target.mkdir()
    shutil.copy(source / SUMS_FILE, target)
    names = list(MODEL_FILES)
    lane.rng.shuffle(names)
    stop = lane.rng.randrange(len(names))
    for name in names[:stop]:
        shutil.copy(source / name, target)
    content_of_next = (source / names[stop]).read_bytes()
    if lane.rng.random() < 0.5:  # in the middle of a file
        (target / names[stop]).write_bytes(content_of_next[: lane.rng.randrange(len(content_of_next))])
    lane.until_failed(version, f"{SUMS_FILE} lists")
    lane.allow(version, content)
    for name in names[stop:]:
        shutil.copy(source / name, target)
    shutil.rmtree(source)
    lane.advance(version, content)


def removed_while_copied(lane: Lane) -> None:
    """The old version's folder is removed while the new one is still being written, which takes long."""
    version, old = lane.fresh_version(), lane.version
    content = lane.choose_content(version)
    source, target = lane.stage(content, sums=True), lane.path(version)
    target.mkdir()
    shutil.copy(source / SUMS_FILE, target)
    lane.remove(old)
    data = (source / "model.xml").read_bytes()
    end = time.monotonic() + 3 * lane.settle
    while time.monotonic() < end:
        (target / "model.xml").write_bytes(data[: lane.rng.randrange(len(data))])
        time.sleep(lane.settle / 20)
    lane.allow(version, content)
    for name in MODEL_FILES:
        shutil.copy(source / name, target)
    shutil.rmtree(source)
    lane.advance(version, content)


def deleted_during_load(lane: Lane) -> None:
    """A file is deleted while its version loads."""
    version = lane.next_version()
    content = lane.choose_content(version)
    name = lane.rng.choice(MODEL_FILES[:-1])
    staged = lane.stage(content, cases=2000)
    saved = (staged / name).read_bytes()
    lane.allow(version, content)
    target = lane.put(staged, version)
    lane.observer.wait_for_state(lane.model, version, LOADING, FAILED, after=lane.mark)
    time.sleep(lane.rng.random() * 0.2)
    (target / name).unlink()
    # It may have been loaded by then: what was loaded serves on.
    found = lane.observer.until_version(
        f"{name} is named", lane.model, version,
        lambda one: one and name in one.state_message and (one.state == FAILED or "serves on" in one.state_message),
    )  # fmt: skip
    lane.expect_logged(version, (name,))
    lane.note(found.state_message)
    (target / name).write_bytes(saved)
    lane.advance(version, content)
