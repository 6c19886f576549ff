"""What faults in a new version have in common: it is published spoilt, told of, and mended or given up."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from soaking.contents import Content
from soaking.lane import Lane


def fail_then_mend(lane: Lane, spoil: Callable[[Path, Content], tuple[str, ...]], *, sums: bool = False) -> None:
    """Publishes a new version that is spoilt; when that was told, mends it in place, or gives it up."""
    version = lane.next_version()
    content = lane.choose_content(version)
    staged = lane.stage(content, sums=sums)
    parts = spoil(staged, content)
    target = lane.put(staged, version)
    lane.until_failed(version, *parts)
    if lane.rng.random() < 0.3:
        lane.give_up(version)
        return
    right = lane.stage(content, sums=sums)
    lane.allow(version, content)
    copy_over(right, target)
    lane.advance(version, content)


def copy_over(source: Path, target: Path) -> None:
    """Makes the files of one folder those of another, each in place."""
    for file in list(target.iterdir()):
        if not (source / file.name).exists():
            file.unlink()
    for file in sorted(source.iterdir()):
        copy = target / file.name
        copy.write_bytes(file.read_bytes())
        if copy.stat().st_mode != file.stat().st_mode:
            copy.chmod(file.stat().st_mode)
    shutil.rmtree(source)
