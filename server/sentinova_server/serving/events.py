"""Changes of models and versions, told to whoever watches.

Knows events and watchers; must not know what brings a change about, nor gRPC. Used on the event loop only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from sentinova_server.errors import Reason, ServingError
from sentinova_server.serving.registry import State

# Events that may wait for one watcher: some megabytes.
_MAX_WAITING = 10_000


class EventKind(StrEnum):
    """What an event tells."""

    STATE = "STATE"
    TRAFFIC = "TRAFFIC"
    ROLLBACK = "ROLLBACK"
    WARNING = "WARNING"


@dataclass(frozen=True, slots=True)
class ModelEvent:
    """A change.

    Attributes:
        kind: what it tells.
        model: the model's name.
        version: the version's number; 0: the model as a whole.
        state: the state that the version is in; None: the event is of no version.
        message: why, in words; may be empty.
        default: the version that answers by default after it; 0: none.
        time: when it came to be, UTC.
    """

    kind: EventKind
    model: str
    version: int = 0
    state: State | None = None
    message: str = ""
    default: int = 0
    time: datetime = field(default_factory=lambda: datetime.now(UTC))


class Watch:
    """What one watcher has not read yet."""

    def __init__(self) -> None:
        """Use `ModelEvents.watch`."""
        self._waiting: deque[ModelEvent] = deque()
        self._changed = asyncio.Event()
        self._ended = False
        self._overrun = False

    def add(self, event: ModelEvent) -> None:
        """Adds an event, or notes that the watcher has fallen too far behind."""
        if len(self._waiting) >= _MAX_WAITING:
            self._overrun = True
            self._waiting.clear()
        if not self._overrun:
            self._waiting.append(event)
        self._changed.set()

    def end(self) -> None:
        """Lets the watcher read what waits, and no more."""
        self._ended = True
        self._changed.set()

    async def next(self) -> ModelEvent | None:
        """Gives the next event; None: there will be no more.

        Raises:
            ServingError: WATCH_TOO_SLOW; events were lost.
        """
        while not self._waiting:
            if self._overrun:
                raise ServingError(
                    Reason.WATCH_TOO_SLOW,
                    f"more than {_MAX_WAITING:,} changes waited to be read: watch anew",
                    retry_after=1.0,
                )
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._waiting.popleft()


class ModelEvents:
    """Tells all watchers of every change."""

    def __init__(self) -> None:
        self._watches: set[Watch] = set()
        self._closed = False

    def tell(self, event: ModelEvent) -> None:
        """Tells all watchers of a change."""
        for watch in self._watches:
            watch.add(event)

    @contextmanager
    def watch(self) -> Iterator[Watch]:
        """Gives a watcher its events from now on."""
        watch = Watch()
        if self._closed:
            watch.end()
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)

    def close(self) -> None:
        """Ends all watches: a server that stops must not wait for them."""
        self._closed = True
        for watch in self._watches:
            watch.end()
