"""A copy of a version's folder that is as its source was at one moment, or is refused.

Knows folders, fingerprints and checksums; must not know what the files are. Everything here blocks.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from sentinova_server.errors import LoadError
from sentinova_server.repository.checksums import verify_checksums
from sentinova_server.repository.fingerprint import take_fingerprint


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied: the number of files, and the bytes in them."""

    files: int
    size: int


def copy_version(source: Path, target: Path) -> Copied:
    """Copies all files of a version's folder, also hidden ones and those in folders below; links become files.

    Args:
        source: the version's folder.
        target: where to; made where it is not there.

    Raises:
        LoadError: the source changes meanwhile, does not agree with its own checksums, or holds what cannot be copied;
            or the target cannot be written. The target then holds a part.
    """
    before = take_fingerprint(source)
    files = _list_files(source)
    verify_checksums(source)
    size = 0
    for file in files:
        copy = target / file.relative_to(source)
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
            size += copy.stat().st_size
        except OSError as error:
            raise LoadError(file, f"cannot be copied to {target.parent}: {error.strerror}") from error
    if take_fingerprint(source) != before:
        raise LoadError(source, "changed while it was copied: try again once it is complete")
    try:
        # Once more on the copy: a disk or a memory that errs does so without a word.
        verify_checksums(target)
    except LoadError as error:
        file = source / error.file.relative_to(target)
        raise LoadError(file, f"was copied, and the copy {error.message}") from error
    return Copied(len(files), size)


def _list_files(source: Path) -> list[Path]:
    """Gives every file below a folder. Raises LoadError where something there cannot be copied."""
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    try:
        for place, _, names in os.walk(source, followlinks=True, onerror=_raise):
            status = os.stat(place)  # noqa: PTH116 - walk gives text
            if (status.st_dev, status.st_ino) in seen:
                raise LoadError(Path(place), "leads to a folder that is copied already: take the link away")
            seen.add((status.st_dev, status.st_ino))
            found += [Path(place, name) for name in names]
        for file in found:
            if not file.exists():
                raise LoadError(file, "is a link that leads nowhere: put the file there")
            if not file.is_file():
                raise LoadError(file, "is neither a file nor a folder: take it away")
    except OSError as error:
        raise LoadError(source, f"cannot be listed: {error}") from error
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error
