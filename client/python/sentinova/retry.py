"""Which calls are made again after which errors, and when: what gRPC's own retries do not cover.

Knows errors, waits and deadlines. Must not know what is called.

gRPC repeats a call a few times within about three seconds, which a restart outlasts: the port is closed, then models
load. And it does not repeat a call that a stopping server has cancelled. So a call that changes nothing is made again
until its deadline, where the server has said that it is there: by an answer before, or by the reason of the error. A
server that was never there is most likely a wrong address, and waiting would only hide it.
"""

from __future__ import annotations

from collections.abc import Callable

from grpc import StatusCode

from sentinova.errors import SentinovaError
from sentinova.renewal import waits

LONGEST_WAIT = 2.0  # seconds


class Retry:
    """The attempts at one call."""

    def __init__(self, timeout: float | None, clock: Callable[[], float], *, repeated: bool) -> None:
        """Begins.

        Args:
            timeout: Seconds for all attempts together; None: no limit.
            clock: Seconds that only grow.
            repeated: Whether the call may be made again at all.
        """
        self._end = None if timeout is None else clock() + timeout
        self._clock = clock
        self._repeated = repeated
        self._waits = waits()

    @property
    def left(self) -> float | None:
        """Seconds that the next attempt has; None: no limit."""
        return None if self._end is None else max(self._end - self._clock(), 0.001)

    def pause_after(self, error: SentinovaError, *, reached: bool) -> float | None:
        """Gives the seconds to wait before the call is made again; None: it is not.

        Args:
            error: What the last attempt ended with.
            reached: Whether the server has answered this client before.
        """
        passing = error.code is StatusCode.UNAVAILABLE and (reached or error.reason)
        cancelled = error.code is StatusCode.CANCELLED and error.reason != "CLIENT_CLOSED"
        if not self._repeated or not (passing or cancelled):
            return None
        pause = min(max(next(self._waits), error.retry_after or 0.0), LONGEST_WAIT)
        return pause if self._end is None or self._clock() + pause < self._end else None
