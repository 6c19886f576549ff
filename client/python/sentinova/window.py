"""The documents of a stream that have no answer yet, and the matching of answers to them.

Knows indices, ids and times. Must not know threads, event loops or calls: the clients bring events and a
clock, the window says what to send, what to hand out, and how long to wait. Methods may be called from two
threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from sentinova.conversion import Outcome, document, outcome
from sentinova.errors import DeadlineExceededError, InternalError, InvalidArgumentError, SentinovaError
from sentinova.results import Answer, Sentiment
from sentinova.v1 import sentiment_service_pb2 as pb

Item = str | tuple[str, str]


@dataclass(frozen=True, slots=True)
class Refused:
    """A document that cannot be sent; the stream goes on."""

    index: int
    error: SentinovaError


@dataclass(frozen=True, slots=True)
class InputFailed:
    """The caller's input raised an exception, which is raised again when what was read has its answers."""

    cause: Exception


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is over, with an error or without."""

    error: SentinovaError | None = None


Event = pb.StreamAnalyzeSentimentResponse | Refused | InputFailed | Ended


class Window:
    """The unanswered documents of one stream.

    Args:
        clock: Gives the time in seconds, from any start, never running backwards.
        timeout: The longest wait in seconds for the next answer while documents wait for theirs; None: no
            limit.
        ordered: Whether answers are handed out in the order of the input.

    The caller keeps the number of documents between `admit` and the handing out of their answers bounded.
    """

    def __init__(self, clock: Callable[[], float], timeout: float | None, *, ordered: bool) -> None:
        self._clock = clock
        self._timeout = timeout
        self._ordered = ordered
        self._lock = threading.Lock()
        self._waiting: dict[int, tuple[str, float]] = {}  # index -> (id, time of admission), oldest first
        self._held: dict[int, Answer] = {}  # answered before a predecessor was
        self._admitted = 0
        self._handed_out = 0
        self._last_answer = clock()
        self._input_ended = False
        self._input_failure: Exception | None = None

    @property
    def complete(self) -> bool:
        """Whether every document of the input has its answer."""
        with self._lock:
            return self._input_ended and not self._waiting

    def admit(self, item: Item) -> pb.StreamAnalyzeSentimentRequest | Refused:
        """Takes in the next document, and gives what to send for it, or that it cannot be sent.

        Raises:
            TypeError: The item is neither a text nor a pair of an id and a text.
        """
        identity, text = _parts(item)
        with self._lock:
            index = self._admitted
            self._admitted += 1
            self._waiting[index] = (str(index) if identity is None else identity, self._clock())
        try:
            return pb.StreamAnalyzeSentimentRequest(document=document(text, index))
        except InvalidArgumentError as error:
            return Refused(index, error)

    def end_input(self) -> None:
        """Notes that no document follows."""
        with self._lock:
            self._input_ended = True

    def settle(self, event: Event) -> list[Answer]:
        """Takes in an event, and gives the answers that may be handed out now.

        Raises:
            SentinovaError: The call ended with an error, or ended or answered against the rules of the API.
            Exception: Whatever the caller's input raised.
        """
        match event:
            case InputFailed(cause):
                self._input_failure = cause
                return []
            case Ended(error):
                self._check_end(error)
                return []
            case Refused(index, error):
                return self._answer(index, error)
            case _:
                return self._answer(_index_of(event), outcome(event))

    def patience(self) -> float | None:
        """Gives how many seconds to wait for the next event before asking again; None: as long as it takes.

        Raises:
            DeadlineExceededError: Documents wait, and no answer has come for longer than the timeout.
        """
        if self._timeout is None:
            return None
        with self._lock:
            now = self._clock()
            oldest = next(iter(self._waiting.values()), None)
            since = now if oldest is None else max(oldest[1], self._last_answer)
            count = len(self._waiting)
        left = since + self._timeout - now
        if left <= 0:
            raise DeadlineExceededError(
                f"no answer came for {self._timeout:g} s while {count} documents waited for theirs"
            )
        return left

    def _answer(self, index: int, result: Outcome) -> list[Answer]:
        with self._lock:
            entry = self._waiting.pop(index, None)
            if entry is None:
                raise InternalError(
                    "the server answered a document that waits for no answer", reason="UNEXPECTED_ANSWER"
                )
            self._last_answer = self._clock()
            if isinstance(result, Sentiment):
                answer = Answer(index, entry[0], result=result)
            else:
                answer = Answer(index, entry[0], error=result)
            if not self._ordered:
                return [answer]
            self._held[index] = answer
            return self._next_in_order()

    def _next_in_order(self) -> list[Answer]:
        ready = []
        while self._handed_out in self._held:
            ready.append(self._held.pop(self._handed_out))
            self._handed_out += 1
        return ready

    def _check_end(self, error: SentinovaError | None) -> None:
        if self._input_failure is not None:
            raise self._input_failure
        if error is not None:
            raise error
        if not self.complete:
            raise InternalError("the server ended the stream with documents unanswered", reason="STREAM_CUT")


def _parts(item: Item) -> tuple[str | None, str]:
    match item:
        case str():
            return None, item
        case (str() as identity, str() as text):
            return identity, text
        case _:
            raise TypeError(f"a document is a text or a pair (id, text) of strings, not {type(item).__name__}")


def _index_of(response: pb.StreamAnalyzeSentimentResponse) -> int:
    return int(response.id) if response.id.isascii() and response.id.isdecimal() else -1
