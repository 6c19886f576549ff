"""Memory: what loading a version takes at most, and whether there is room for it; what the process gives back.

Knows the process's resident memory; must not know models.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# Once its file was read, a load took up 2.3 to 3.4 times the bytes of the version's weights in float32, for models of
# 70 and 91 MB (OpenVINO 2026.4.1): the rewritten graph, and two compiled forms, of which the second is that of a lower
# precision, beside the one that proved the files, or that of texts that come alone.
PEAK_FACTOR = 3.5
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# glibc's malloc.h; elsewhere there is no such function, or it refuses the number.
_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 1 << 20
_STATM = Path("/proc/self/statm")


class NoRoomError(Exception):
    """A load that would take more memory than the server may have; says how much, and what would help."""


def measure_resident() -> int:
    """Gives the process's resident memory in bytes; 0 where the system does not tell (it is not Linux)."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


def keep_large_blocks_apart() -> None:
    """Has the C library take each large block from the system by itself, and give it back when it is freed.

    glibc does so at first, but once large blocks have been freed it takes ever larger ones from its heap, where small
    ones that live on hold their memory: 16 versions of 35 and 45 MB loaded and freed in turn left 152 to 263 MB, and
    with this 150 to 154 MB. Batches took as much CPU time with it as without. To be called before threads start.
    """
    try:
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
    except (AttributeError, OSError):
        return


def trim_memory() -> None:
    """Gives memory that was freed back to the system, where the C library can: glibc keeps it otherwise."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return


class MemoryBudget:
    """What loads may take up together; safe to use from any thread."""

    def __init__(self, limit: int, measure: Callable[[], int] = measure_resident) -> None:
        """Makes it.

        Args:
            limit: most bytes that the process may have; 0: no limit.
            measure: gives the bytes that it has now.
        """
        self._limit = limit
        self._measure = measure
        self._lock = threading.Lock()
        self._reserved = 0

    @contextmanager
    def reserving(self) -> Iterator[Callable[[int], None]]:
        """Gives the function that reserves room for one load, told its weights' bytes; the room is freed at the end.

        The function raises NoRoomError where there is none. It counts what other loads have reserved in full, though
        part of that is in the process's memory already: rather a load too few than a server that is killed.
        """
        taken = 0

        def reserve(weights: int) -> None:
            nonlocal taken
            needed = int(weights * PEAK_FACTOR)
            if not self._limit:
                return
            with self._lock:
                free = self._limit - self._measure() - self._reserved
                if needed > free:
                    raise NoRoomError(
                        f"loading takes about {needed / 1e6:,.0f} MB, and --memory-budget-bytes leaves "
                        f"{max(free, 0) / 1e6:,.0f} MB: unload another model or version, or raise the budget"
                    )
                self._reserved += needed
                taken += needed

        try:
            yield reserve
        finally:
            with self._lock:
                self._reserved -= taken
