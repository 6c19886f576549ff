"""Tells when something in the model repository may have changed, so that nobody waits for the next look.

Knows that something changed, never what: the kernel's word (inotify, through `watchfiles`) is a hint. It is not given
for network file systems, for what links lead to elsewhere, or once the kernel's watches are used up; so whoever waits
here waits no longer than an interval, and looks for himself.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path

import structlog
import watchfiles

_log = structlog.get_logger()

# Changes that follow each other within a step are told of together, in a second at the latest.
_STEP_MS, _DEBOUNCE_MS = 100, 1000
# How often the root is looked at: where it is deleted and made anew, the kernel goes on watching what is gone.
_ROOT_CHECK_MS = 1000
_ROOT_CHECK_SECONDS = _ROOT_CHECK_MS / 1000


class RepositoryWatcher:
    """Watches one repository on a thread of its own. For one event loop, and one task at a time."""

    def __init__(self, root: Path, interval_seconds: float) -> None:
        """Makes it; it watches from the first wait on.

        Args:
            root: the repository's folder, which need not be there; it may go away and come back.
            interval_seconds: longest wait.
        """
        self._root = root
        self._interval = interval_seconds
        self._changed = asyncio.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._trouble_told = False

    async def changed(self, timeout: float | None = None) -> None:
        """Waits until something below the root changes, or may have: since this returned last, or while it waits.

        Where that is, or was, impossible to know, as when the watch begins, it returns once too.

        Args:
            timeout: most seconds to wait, where that is less than the interval; None: the interval.
        """
        self._start()
        try:
            async with asyncio.timeout(self._interval if timeout is None else min(timeout, self._interval)):
                await self._changed.wait()
        except TimeoutError:
            pass
        # Not before: what changes from here on is told by the next call.
        self._changed.clear()

    async def close(self) -> None:
        """Stops watching, and waits for the thread to end. Nothing waits here any more, nor will."""
        self._stop.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _start(self) -> None:
        if self._thread is None and not self._stop.is_set():
            loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._run, args=(loop,), name="watch", daemon=True)
            self._thread.start()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watches until `close`, and begins anew where the root is another folder, or the watch fails."""
        while not self._stop.is_set():
            pause = _ROOT_CHECK_SECONDS
            try:
                self._watch(loop)
            except FileNotFoundError:
                pass  # the root is gone: for those to tell who look at it
            except (OSError, RuntimeError) as error:  # the library's own error is a RuntimeError
                self._tell_trouble(error)
                pause = max(pause, self._interval)
            self._stop.wait(pause)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watches the folder that the root is now. Raises OSError or RuntimeError where it cannot."""
        identity = self._identify()
        watch = watchfiles.watch(
            self._root,
            watch_filter=None,
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            stop_event=self._stop,
            rust_timeout=_ROOT_CHECK_MS,
            yield_on_timeout=True,
            raise_interrupt=False,
        )
        with contextlib.closing(watch):
            first = True
            for changes in watch:
                # What changed before the watch was in place was told by nobody.
                if changes or first:
                    self._tell_change(loop)
                first = False
                if self._identify() != identity:
                    return

    def _tell_change(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop.is_closed():
            self._stop.set()  # nobody waits any more, and nobody called `close`
        else:
            loop.call_soon_threadsafe(self._changed.set)

    def _identify(self) -> tuple[int, int]:
        status = self._root.stat()
        return status.st_dev, status.st_ino

    def _tell_trouble(self, error: Exception) -> None:
        """Logs that changes are not told of, the first time."""
        if self._trouble_told:
            return
        self._trouble_told = True
        _log.warning(
            "watch_failed",
            folder=str(self._root),
            reason=str(error),
            effect=f"changes are seen at the next look, {self._interval:g} seconds later at most",
        )
