"""When files that are being copied are complete: when nothing about them has changed for a while.

Knows fingerprints and two clocks; must not know what the files are. Not for use by several threads at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from sentinova_server.repository.fingerprint import Fingerprint


@dataclass(slots=True)
class _Seen:
    """What was last seen at a path, since when on the monotonic clock, and whether that is complete."""

    fingerprint: Fingerprint | None
    since: float
    settled: bool


class Settling:
    """Tells which of the paths that it is shown are complete.

    What is there is complete once the same fingerprint was seen for `settle_seconds`. What is first seen when its
    newest change lies that long ago is complete at once, so that a server does not wait for files that were there all
    along. That one judgement goes by the wall clock and the kernel's change times, which copying does not carry over;
    every other goes by the monotonic clock, which nobody sets. Change times in the future prove nothing, nor does what
    could not be looked at.
    """

    def __init__(
        self,
        settle_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Makes it.

        Args:
            settle_seconds: seconds without a change after which files are complete; 0: they always are.
            clock: monotonic seconds.
            wall: seconds since 1970.
        """
        self._settle_seconds = settle_seconds
        self._clock = clock
        self._wall = wall
        self._seen: dict[Path, _Seen] = {}

    def observe(self, path: Path, fingerprint: Fingerprint | None) -> bool:
        """Takes what a path looks like now; tells whether that is complete.

        None stands for a file that is not there. That is a state like any other: an editor may take a file away for a
        moment. Where it is the first that is seen of a path, it is complete at once.
        """
        now = self._clock()
        seen = self._seen.get(path)
        if seen is None:
            seen = self._seen[path] = _Seen(fingerprint, now, self._is_old(fingerprint))
        elif seen.fingerprint != fingerprint:
            seen = self._seen[path] = _Seen(fingerprint, now, settled=self._settle_seconds <= 0)
        seen.settled = seen.settled or now >= self._due(seen)
        return seen.settled

    def forget(self, path: Path) -> None:
        """Drops a path: what is there later is seen for the first time."""
        self._seen.pop(path, None)

    def keep_only(self, paths: Iterable[Path]) -> None:
        """Drops every path but these."""
        kept = set(paths)
        self._seen = {path: seen for path, seen in self._seen.items() if path in kept}

    def next_due(self, now: float) -> float | None:
        """Gives when to look again: when something that is not complete yet is so, if it does not change until then.

        Args:
            now: the monotonic clock.

        Returns:
            Seconds from now, 0 or more; None: all is complete.
        """
        due = [self._due(seen) for seen in self._seen.values() if not seen.settled]
        return max(0.0, min(due) - now) if due else None

    def _due(self, seen: _Seen) -> float:
        return seen.since + self._settle_seconds

    def _is_old(self, fingerprint: Fingerprint | None) -> bool:
        if fingerprint is None:
            return True
        age = self._wall() - fingerprint.newest_ns / 1e9
        return fingerprint.is_whole and age >= self._settle_seconds
