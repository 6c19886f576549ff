"""A timer for the earliest of many deadlines.

Knows the event loop and the clock; must not know what expires. One timer for all documents of a queue: one for each
would cost about as much as the rest of its way through the queue.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

# Seconds that the timer looks ahead. While it is set it keeps alive what it calls: a model's queue, and with it the
# model's memory, which must not wait for a far deadline once the model is unloaded.
_HORIZON = 1.0

# Called when a deadline may have passed; gives the earliest one that is left, in seconds, or None.
Expire = Callable[[], float | None]


class ExpiryTimer:
    """Calls back at the earliest of the deadlines that it was told of, or earlier."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Makes it, on the event loop that it runs on.

        Args:
            clock: seconds, at the pace of the event loop's.
        """
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf

    def watch(self, deadline: float, expire: Expire) -> None:
        """Sees that `expire`, the same each time, is called no later than at `deadline`, in seconds on the clock."""
        if deadline >= self._due:
            return
        if self._timer is not None:
            self._timer.cancel()
        now = self._clock()
        self._due = min(deadline, now + _HORIZON)
        self._timer = self._loop.call_later(self._due - now, self._wake, expire)

    def _wake(self, expire: Expire) -> None:
        self._timer, self._due = None, math.inf
        deadline = expire()
        if deadline is not None:
            self.watch(deadline, expire)
