"""Looks at the model repository: what is there, and what of it has settled.

What comes counts once its files have not changed for a while. What goes counts as gone once it has been gone for as
long, and nothing has come to its place and gone again between two looks, as far as the folder that held it tells: a
folder that is renamed away for another to take its place leaves no gap.

Knows folders and times; must not know what becomes of a model. Looking blocks, and has a thread; what it finds is
judged on the event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from sentinova_server.repository.config import CONFIG_FILE
from sentinova_server.repository.fingerprint import Fingerprint
from sentinova_server.repository.scanner import ModelFolder, RepositoryScanner
from sentinova_server.repository.settling import Settling

_log = structlog.get_logger()

# How many settle times are waited for files to settle, and how many seconds at least.
_SETTLE_PATIENCE = 10
_LEAST_PATIENCE = 5.0
# Two looks are at least so far apart while something settles, in seconds.
_LEAST_PAUSE = 0.01
_MOST_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a look at a model's folder found.

    Attributes:
        folder: the model as its files tell it.
        settled: the versions whose files have not changed for a while, with their fingerprints.
        config_settled: whether the same holds for its config.
    """

    folder: ModelFolder
    settled: Mapping[int, Fingerprint]
    config_settled: bool

    @property
    def is_settled(self) -> bool:
        """Whether nothing of it is being changed."""
        return self.config_settled and len(self.settled) == len(self.folder.found)


@dataclass(frozen=True, slots=True)
class _Absence:
    """Something that was there and is not.

    Attributes:
        first: when it was first found missing.
        since: when the folder that held it was last found changed.
        stamp: when that folder says that it was changed, in nanoseconds.
    """

    first: float
    since: float
    stamp: int


class RepositoryLook:
    """The model repository as it is from one look to the next."""

    def __init__(self, root: Path, settle_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Makes it; nothing is looked at yet.

        Args:
            root: the model repository.
            settle_seconds: seconds for which files must not change to count as complete.
            clock: seconds that only grow.
        """
        self._root = root
        self._scanner = RepositoryScanner(root)
        self._settle_seconds = settle_seconds
        self._clock = clock
        self._settling = Settling(settle_seconds, clock, time.time)
        self._last: dict[str, Sighting] = {}
        # What is missing, by model, and version or None for the whole model.
        self._missing: dict[tuple[str, int | None], _Absence] = {}
        self._patience = max(_LEAST_PATIENCE, _SETTLE_PATIENCE * settle_seconds)
        self._lock = asyncio.Lock()

    async def look(self) -> dict[str, Sighting]:
        """Looks at the whole repository; gives its models by name.

        Raises:
            LoadError: it cannot be read.
        """
        async with self._lock:
            # Before the scan: what changes during it is seen as a change at the next look.
            stamps = await asyncio.to_thread(_stamp_folders, self._root, list(self._last))
            folders = await asyncio.to_thread(self._scanner.scan)
            versions = [folder.path / str(version) for folder in folders for version in folder.found]
            self._settling.keep_only([*versions, *(folder.path / CONFIG_FILE for folder in folders)])
            sightings = {folder.name: self._judge(folder) for folder in folders}
            self._last = self._keep_fading(sightings, stamps)
            return self._last

    async def look_settled(self, *names: str) -> dict[str, Sighting]:
        """Looks until what is there has settled; for ten settle times, or five seconds, at most.

        Args:
            names: the models that must settle; none: all.

        Raises:
            LoadError: the repository cannot be read.
        """
        end = self._clock() + self._patience
        while True:
            sightings = await self.look()
            waiting = [
                name for name, found in sightings.items() if not found.is_settled and (not names or name in names)
            ]
            if not waiting:
                return sightings
            if self._clock() > end:
                _log.warning("still_changing", models=waiting, reason="files change again and again")
                return sightings
            await asyncio.sleep(self.pause(_MOST_PAUSE))

    def pause(self, longest: float) -> float:
        """Gives the seconds until something may have settled, `longest` at most."""
        now = self._clock()
        waits = [absence.since + self._settle_seconds - now for absence in self._missing.values()]
        due = self._settling.next_due(now)
        if due is not None:
            waits.append(due)
        return min(max(min(waits), _LEAST_PAUSE), longest) if waits else longest

    def _judge(self, folder: ModelFolder) -> Sighting:
        settled = {
            version: fingerprint
            for version, fingerprint in folder.found.items()
            if self._settling.observe(folder.path / str(version), fingerprint)
        }
        config_settled = self._settling.observe(folder.path / CONFIG_FILE, folder.config_fingerprint)
        return Sighting(folder, settled, config_settled)

    def _keep_fading(self, sightings: Mapping[str, Sighting], stamps: Mapping[str | None, int]) -> dict[str, Sighting]:
        """Adds what was there at the last look and has not been gone for long, as something that is being changed."""
        kept, missing = dict(sightings), dict[tuple[str, int | None], _Absence]()
        now = self._clock()

        def fades(name: str, version: int | None) -> bool:
            stamp = stamps[None if version is None else name]
            absence = self._missing.get((name, version)) or _Absence(now, now, stamp)
            if absence.stamp != stamp:
                absence = _Absence(absence.first, now, stamp)
            # A folder that changes for ever must not keep what is gone for ever.
            if now - absence.since >= self._settle_seconds or now - absence.first >= self._patience:
                return False
            missing[name, version] = absence
            return True

        for name, last in self._last.items():
            if name not in kept:
                if fades(name, None):
                    kept[name] = replace(last, settled={}, config_settled=False)
                continue
            found = kept[name].folder.found
            fading = {
                version: fingerprint
                for version, fingerprint in last.folder.found.items()
                # A folder that cannot be listed says nothing of what is in it.
                if version not in found and (not kept[name].folder.listed or fades(name, version))
            }
            if fading:
                folder = replace(kept[name].folder, found={**found, **fading})
                kept[name] = replace(kept[name], folder=folder)
        self._missing = missing
        return kept


def _stamp_folders(root: Path, models: Sequence[str]) -> dict[str | None, int]:
    """Gives when the root (None) and its models' folders were changed last: when something in them came or went."""
    return {None: _stamp(root), **{name: _stamp(root / name) for name in models}}


def _stamp(folder: Path) -> int:
    """Gives a folder's time of change in nanoseconds; 0 where it cannot be told."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0
