"""Faults of publishing: the disk is full, or the command is killed in its middle."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from pathlib import Path

from soaking.contents import Content
from soaking.lane import Lane
from soaking.processes import publish_command

_BALLAST = "MODEL_CARD.md"
_BALLAST_BYTES = 4 << 20
_COMMAND_SECONDS = 60.0


def full_disk(lane: Lane) -> None:
    """A version is published while the disk has room for a part of it."""
    version = lane.next_version()
    content = lane.choose_content(version)
    source = _with_ballast(lane, content)
    flags = ("--to", str(version), "--no-check")
    if lane.small_disk:
        space = os.statvfs(lane.folder)
        filler = lane.folder / ".filler"
        filler.write_bytes(bytes(space.f_bavail * space.f_frsize - lane.rng.randrange(4096, _BALLAST_BYTES)))
        result = _publish(lane, source, *flags)
        filler.unlink()
        said = "No space left on device"
    else:
        most = lane.rng.randrange(4096, _BALLAST_BYTES)
        result = _publish(lane, source, *flags, most_bytes=most)
        said = "File too large"
    assert result.returncode == 1, result
    assert said in result.stderr, result
    lane.note(result.stderr.strip())
    assert not lane.path(version).exists()
    assert not [path.name for path in lane.folder.iterdir() if ".stage-" in path.name]
    assert lane.observer.model(lane.model).default_version == lane.version
    lane.allow(version, content)
    result = _publish(lane, source, *flags)
    assert result.returncode == 0, result
    shutil.rmtree(source)
    lane.advance(version, content)


def killed_publish(lane: Lane) -> None:
    """The command that publishes a version is killed in its middle."""
    version = lane.next_version()
    content = lane.choose_content(version)
    source = _with_ballast(lane, content)
    lane.allow(version, content)
    command = _publish_line(lane, source, "--to", str(version))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + _COMMAND_SECONDS
    while process.poll() is None and not list(lane.folder.glob(f".{version}.stage-*")):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    time.sleep(lane.rng.random() * 0.3)
    process.kill()
    output, errors = process.communicate()
    left = [path.name for path in lane.folder.glob(".*.stage-*")]
    if lane.path(version).exists():
        lane.note(f"killed after it had published: {output}{errors}".strip())
    else:
        lane.note(f"killed; hidden and passed over: {', '.join(left) or 'nothing left'}")
        assert lane.observer.model(lane.model).default_version == lane.version
        result = _publish(lane, source, "--to", str(version))
        assert result.returncode == 0, result
        assert not list(lane.folder.glob(".*.stage-*"))
    shutil.rmtree(source)
    lane.advance(version, content)


def _with_ballast(lane: Lane, content: Content) -> Path:
    """Writes a content whose copy takes a while, and room, beside the repository."""
    source = lane.outside / f"{lane.model}-{lane.rng.getrandbits(32):08x}"
    lane.shelf.copy(content, source)
    (source / _BALLAST).write_bytes(bytes(_BALLAST_BYTES))
    return source


def _publish_line(lane: Lane, source: Path, *flags: str) -> list[str]:
    return [*lane.server.enter, *publish_command(source, lane.model, lane.seen_folder.parent, *flags)]


def _publish(lane: Lane, source: Path, *flags: str, most_bytes: int = 0) -> subprocess.CompletedProcess:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    return subprocess.run(
        _publish_line(lane, source, *flags), capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False,
        preexec_fn=limit if most_bytes else None,
    )  # fmt: skip
