"""New folders in the repository: made out of sight, and published whole or not at all.

Knows names, and how a folder outlives a crash; must not know what is in the folders. Everything here blocks.

A folder is made under a hidden name beside the one that it is to get, `.NAME.stage-PID-RANDOM`, and locked (flock) for
as long as its process lives. Once its files are on the disk, it is renamed. What a killed process left is removed when
the next stage is made beside it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sentinova_server.errors import LoadError
from sentinova_server.repository.scanner import MAX_VERSION, list_versions

_LEFTOVER = re.compile(r"\..+\.stage-([0-9]{1,10})-[a-z0-9_]+", re.DOTALL)
_ANOTHER_NUMBER = "give another number by --to"


def choose_number(model: Path, wanted: int = 0) -> int:
    """Gives the number of a new version.

    Args:
        model: the model's folder, which need not be there.
        wanted: the number asked for; 0: one more than the highest.

    Raises:
        LoadError: the number is taken, there is none above the highest, or the folder cannot be listed.
    """
    try:
        versions = list_versions(model) if model.exists() else []
        number = wanted or max(versions, default=0) + 1
        if number > MAX_VERSION:
            raise LoadError(model, f"has the version {MAX_VERSION}, above which there is none: {_ANOTHER_NUMBER}")
        if os.path.lexists(model / str(number)):
            raise LoadError(model / str(number), f"exists: {_ANOTHER_NUMBER}, or none for the next free one")
    except OSError as error:
        raise LoadError(model, f"cannot be listed: {error.strerror}") from error
    return number


@contextmanager
def stage_version(model: Path, version: int) -> Iterator[Path]:
    """Gives a new hidden folder in a model's folder, where servers pass it over; removes it at the end.

    Raises:
        LoadError: it cannot be made.
    """
    with _stage(model, str(version), "no version can be written there") as folder:
        yield folder


def publish_version(staged: Path, version: int) -> Path:
    """Makes a staged folder a version, at once; when this returns, it outlives a crash.

    Raises:
        LoadError: the version exists by now, or the folder cannot be written or renamed.
    """
    return _publish(staged, staged.parent / str(version), f"exists by now: {_ANOTHER_NUMBER}")


@contextmanager
def stage_model(repository: Path, name: str) -> Iterator[Path]:
    """Gives a new hidden folder in a repository, where servers pass it over; removes it at the end.

    Raises:
        LoadError: it cannot be made.
    """
    with _stage(repository, name, "no model can be written there") as folder:
        yield folder


def publish_model(staged: Path, name: str) -> Path:
    """Makes a staged folder a model, at once, with the versions in it; when this returns, it outlives a crash.

    Raises:
        LoadError: the model exists by now, or the folder cannot be written or renamed.
    """
    return _publish(staged, staged.parent / name, "exists by now: try again")


def remove_leftovers(folder: Path) -> None:
    """Removes the stages in a folder whose processes were killed; what cannot be removed stays hidden."""
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            found = _LEFTOVER.fullmatch(path.name)
            if found and not _is_alive(int(found[1])):
                _remove_unlocked(path)


@contextmanager
def _stage(parent: Path, name: str, problem: str) -> Iterator[Path]:
    remove_leftovers(parent)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{name}.stage-{os.getpid()}-", dir=parent))
    except OSError as error:
        raise LoadError(parent, f"{problem}: {error.strerror}") from error
    lock = None
    try:
        lock = _lock(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _publish(staged: Path, target: Path, taken: str) -> Path:
    try:
        # It was made for its owner's eyes only; what is published is as open as any new folder.
        mask = os.umask(0)
        os.umask(mask)
        staged.chmod(0o777 & ~mask)
        _sync_below(staged)
        # An empty folder of that name would be replaced without a word.
        if os.path.lexists(target):
            raise LoadError(target, taken)
        staged.rename(target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            raise LoadError(target, taken) from error
        raise LoadError(target, f"cannot be made: {error.strerror}") from error
    try:
        _sync(target.parent)
    except OSError as error:
        raise LoadError(target, f"is published, but may be gone after a crash: {error.strerror}") from error
    return target


def _sync_below(folder: Path) -> None:
    """Waits until the disk has every file and folder: what a rename shows after a crash must be whole."""
    for place, _, names in os.walk(folder):
        for name in names:
            _sync(Path(place, name))
        _sync(Path(place))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems have no such thing for folders, and say so.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def _is_alive(process: int) -> bool:
    """Tells whether another process of this number runs; in a container, the next process may have the same number."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _remove_unlocked(folder: Path) -> None:
    """Removes a stage that nobody has locked; another machine or container may have, whose processes cannot be seen."""
    lock = _lock(folder)
    if lock is not None:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _lock(folder: Path) -> int | None:
    """Locks a folder until the descriptor is closed; None where another process has it, or locks are not to be had."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
