"""Faults of names: folders that are renamed away and back, and names that are no versions."""

from __future__ import annotations

import shutil
import time

from soaking.lane import Lane, discard
from soaking.watching import AVAILABLE

_TIMES_AWAY = 20
_WIDE_DIGITS = {ord("0") + digit: "０１２３４５６７８９"[digit] for digit in range(10)}


def renamed_away(lane: Lane) -> None:
    """The folder of the version that serves is renamed away and back, while the one before is still there."""
    version, old, old_content = lane.next_version(), lane.version, lane.content
    content = lane.choose_content(version)
    staged = lane.stage(content)
    lane.allow(version, content)
    lane.put(staged, version)
    lane.until_well(version)
    lane.retire(old)
    lane.version, lane.content = version, content
    away = lane.folder / f".away-{version}"
    lane.begin()
    lane.allow(old, old_content)
    lane.path(version).rename(away)
    if lane.rng.random() < 0.4:  # back before anything can have come of it, or amidst it
        time.sleep(lane.rng.random() * lane.settle * 3)
    else:
        lane.observer.until(f"default {old}", lane.model, lambda one: one.default_version == old)
        lane.retire(version)
        lane.note(lane.observer.version(lane.model, version).state_message)
        lane.begin()
    lane.allow(version, content)
    away.rename(lane.path(version))
    # Whichever was loaded meanwhile: the highest one serves in the end, alone.
    lane.until_alone()
    lane.remove(old)
    lane.until_alone()
    lane.close(old)


def replaced_folder(lane: Lane) -> None:
    """The only folder is renamed away and back again and again; in the end another one takes its place."""
    away = lane.folder / f".away-{lane.version}"
    for _ in range(_TIMES_AWAY):
        lane.serving.rename(away)
        away.rename(lane.serving)
    content = lane.choose_content(lane.version)
    staged = lane.stage(content)
    before = time.monotonic()
    lane.allow(lane.version, content)
    lane.serving.rename(away)
    staged.rename(lane.serving)
    loaded = lane.observer.wait_for_state(lane.model, lane.version, AVAILABLE, after=lane.mark)
    lane.ledger.close(lane.model, lane.version, loaded.received, opened_before=before)
    lane.content = content
    lane.until_well(lane.version, "golden texts")
    discard(away)


def junk_names(lane: Lane) -> None:
    """Folders and links lie about that are no versions; a link leads somewhere only later."""
    version = lane.fresh_version()
    content = lane.choose_content(version)
    later = lane.outside / f"{lane.model}-later-{lane.rng.getrandbits(32):08x}"
    wide = str(version + 3).translate(_WIDE_DIGITS)
    made = [lane.folder / name for name in ("01", "abc", "3.tmp", "0", "-7", "9" * 25, wide)]
    for folder in made:
        shutil.copytree(lane.shelf.folder(content), folder)
    file, loop, link = lane.path(version + 1), lane.path(version + 2), lane.path(version)
    file.write_text("no folder")
    loop.symlink_to(loop)
    link.symlink_to(later)
    lane.allow(version, content)
    # Another version, from a folder, does not care.
    lane.shelf.copy(content, later)
    lane.advance(version, content)
    told = {one.version for one in lane.observer.model(lane.model).versions}
    assert not told & {version + 1, version + 2, version + 3}, told
    lane.note("passed over")
    for folder in made:
        shutil.rmtree(folder)
    file.unlink()
    loop.unlink()
