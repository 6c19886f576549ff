"""What a folder or file looks like from outside: enough to tell that it changed, without reading what is in it.

Knows names and what the file system says of them; must not know what the files are, nor when a change counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

# Stands for the size of what could not be looked at: no file has it.
_UNREADABLE = -1


@dataclass(frozen=True, slots=True, order=True)
class FileEntry:
    """One file as it was seen.

    The change time (ctime) also moves with the file's mode, owner and number of links, and no program can set it.

    Attributes:
        path: its name, relative to the folder, with `/` between folders.
        size: bytes in it; -1: it could not be looked at, and all below is 0.
        mtime_ns: when its content changed, as nanoseconds since 1970; programs can set it to anything.
        ctime_ns: when it changed in any way, as nanoseconds since 1970; set by the kernel alone.
        inode: its number in its file system.
        device: the number of its file system.
    """

    path: str
    size: int = _UNREADABLE
    mtime_ns: int = 0
    ctime_ns: int = 0
    inode: int = 0
    device: int = 0


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A folder, or a file, as it was seen; equal to another where no file differs.

    Attributes:
        files: its files, ordered by name.
        newest_ns: the latest time at which something in it changed, as nanoseconds since 1970; also counts when names
            came and went, and takes no part in comparisons.
    """

    files: tuple[FileEntry, ...]
    newest_ns: int = field(compare=False)

    @property
    def is_whole(self) -> bool:
        """Whether all of it could be looked at."""
        return all(file.size != _UNREADABLE for file in self.files)


def take_fingerprint(folder: Path) -> Fingerprint | None:
    """Looks at every file below a folder; links are followed, hidden files count too.

    Never raises: what cannot be looked at, vanishes meanwhile or leads nowhere is an entry of its own.

    Returns:
        The fingerprint; None where there is no such folder.
    """
    if not _is_folder(folder):
        return None
    found: list[FileEntry] = []
    times = [0]
    for entry, changed_ns in _look_below(folder):
        times.append(changed_ns)
        if entry is not None:
            found.append(entry)
    if found == [FileEntry("")] and not _is_folder(folder):
        return None  # it went away while it was looked at
    return Fingerprint(tuple(sorted(found)), max(times))


def fingerprint_file(file: Path) -> Fingerprint | None:
    """Looks at one file, as `take_fingerprint` does at a folder; None where there is none, or a link leads nowhere."""
    try:
        entry = _make_entry(file.name, file.stat())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return Fingerprint((FileEntry(file.name),), 0)
    return Fingerprint((entry,), max(entry.mtime_ns, entry.ctime_ns))


def _is_folder(folder: Path) -> bool:
    """Tells whether there is a folder, or something of which nobody can see what it is."""
    try:
        return folder.is_dir()
    except OSError:
        return True


def _look_below(folder: Path) -> Iterator[tuple[FileEntry | None, int]]:
    """Gives each file with the time of its last change, and for each folder None with the time of its last one."""
    seen: set[tuple[int, int]] = set()
    waiting = [("", os.fspath(folder))]
    while waiting:
        prefix, place = waiting.pop()
        try:
            status = os.stat(place)  # noqa: PTH116 - a Path for each file would cost more than the look itself
            # Links may lead in circles: what a folder holds counts once, however often it is linked.
            if (status.st_dev, status.st_ino) in seen:
                yield _make_entry(prefix, status), 0
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(place) as entries:
                names = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            yield FileEntry(prefix), 0
            continue
        # Its ctime would count the renaming of a folder that is whole.
        yield None, status.st_mtime_ns
        for name in names:
            path = f"{prefix}{name.name}"
            try:
                if name.is_dir():
                    waiting.append((f"{path}/", name.path))
                    continue
                entry = _make_entry(path, os.stat(name.path))  # noqa: PTH116 - as above
            except OSError:
                yield FileEntry(path), 0
            else:
                yield entry, max(entry.mtime_ns, entry.ctime_ns)


def _make_entry(path: str, status: os.stat_result) -> FileEntry:
    return FileEntry(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)
