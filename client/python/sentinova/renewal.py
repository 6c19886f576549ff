"""The renewal of a watch of models: after which ends it goes on with another one, and after how long a wait.

Knows errors and waits. Must not know the terminal: whoever follows a watch says what it wants to say.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing

from grpc import StatusCode

from sentinova.errors import SentinovaError
from sentinova.results import ModelEvent

FIRST_WAIT = 0.25  # seconds
LONGEST_WAIT = 5.0

Watch = Callable[[], Generator[ModelEvent, None, None]]

# The server is away, or has cancelled what it had not begun as it stopped, or events were not read quickly enough.
_PASSING = {StatusCode.UNAVAILABLE, StatusCode.CANCELLED, StatusCode.ABORTED}


def waits() -> Iterator[float]:
    """Gives the waits between attempts, in seconds: each twice as long as the one before, up to `LONGEST_WAIT`."""
    wait = FIRST_WAIT
    while True:
        yield wait
        wait = min(2 * wait, LONGEST_WAIT)


def watch_again(
    watch: Watch, tell: Callable[[SentinovaError | None], None], sleep: Callable[[float], None]
) -> Generator[ModelEvent, None, None]:
    """Gives the events of a watch, and then those of the watches that take its place, without end.

    A new watch tells again how things are: what changed in between is in its INITIAL events.

    Args:
        watch: Begins a watch.
        tell: Is told once, until events come again, of each way in which a watch ended: its error, or None where the
            server ended it without one.
        sleep: Waits for so many seconds.

    Raises:
        SentinovaError: A watch ended with an error that will not pass by itself.
    """
    told: set[tuple[StatusCode, str] | None] = set()
    pauses = waits()
    while True:
        error = None
        try:
            with closing(watch()) as events:
                for event in events:
                    told.clear()
                    pauses = waits()
                    yield event
        except SentinovaError as failure:
            if failure.code not in _PASSING or failure.reason == "CLIENT_CLOSED":
                raise
            error = failure
        cause = None if error is None else (error.code, error.reason)
        if cause not in told:
            told.add(cause)
            tell(error)
        asked = 0.0 if error is None else error.retry_after or 0.0
        sleep(min(max(next(pauses), asked), LONGEST_WAIT))
