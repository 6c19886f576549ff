"""The analysis of very many texts: batches of them, a few calls at a time, in the order of the input.

Knows what may be tried again and how many texts are in flight. Must not know where the texts come from or where the
answers go: files are scored by `sentinova.file_scoring`, data frames by `sentinova.pandas`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from grpc import StatusCode

from sentinova.conversion import Outcome
from sentinova.errors import InvalidArgumentError, SentinovaError
from sentinova.renewal import waits

TEXTS_PER_CALL = 32
BYTES_PER_CALL = 1 << 20  # of the input: far within what a server takes in one message
CALLS = 4  # at once: the server has the next texts before it is done with the first

Item = TypeVar("Item")
Analyze = Callable[[list[str]], list[Outcome]]

_PASSING = {
    StatusCode.UNAVAILABLE,
    StatusCode.RESOURCE_EXHAUSTED,
    StatusCode.DEADLINE_EXCEEDED,
    StatusCode.ABORTED,
    StatusCode.CANCELLED,  # by a server that stops
}


@dataclass(frozen=True, slots=True)
class Entry(Generic[Item]):
    """Something to be analyzed.

    Attributes:
        item: What it is to the caller.
        text: Its text; or why it has none that could be sent.
        size: Bytes that it takes up while it waits.
    """

    item: Item
    text: str | SentinovaError
    size: int


class Scorer:
    """Analyzes batches, and tries again where the server has no place or no time, or is away, as long as that may help.

    Args:
        analyze: Makes one call: gives an outcome for each text, in order, or raises a SentinovaError.
        patience: Seconds after which a batch is given up of which nothing more is answered; None: never. Until the
            first answer has come, a server that is away is a failure at once.
        tell: Is told of each failure that is waited for.
        clock: Gives the time in seconds, never running backwards.
    """

    def __init__(
        self,
        analyze: Analyze,
        patience: float | None,
        *,
        tell: Callable[[SentinovaError], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._analyze = analyze
        self._patience = patience
        self._tell = tell
        self._clock = clock
        self._stopped = threading.Event()
        self._answered = False
        self._most = TEXTS_PER_CALL

    def score(
        self, entries: Iterable[Entry[Item]], calls: int = CALLS
    ) -> Generator[list[tuple[Item, Outcome]], None, None]:
        """Analyzes entries; reads no more than a few batches ahead of those that it has given.

        Args:
            entries: The entries; may be endless.
            calls: Calls in flight at once.

        Yields:
            The items of a batch with their outcomes, in order.

        Raises:
            SentinovaError: A call failed for good; what was given until then is all that came before it.
        """
        pool = ThreadPoolExecutor(calls, thread_name_prefix="sentinova-scoring")
        waiting: deque[tuple[list[Entry[Item]], Future[list[Outcome]]]] = deque()
        try:
            for batch in batches(entries):
                if len(waiting) == calls:
                    yield _settled(*waiting.popleft())
                waiting.append((batch, pool.submit(self._outcomes, [each.text for each in batch])))
            while waiting:
                yield _settled(*waiting.popleft())
        finally:
            # What is in flight ends by itself, or when the client is closed: nobody waits for it here.
            self._stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _outcomes(self, texts: Sequence[str | SentinovaError]) -> list[Outcome]:
        answers = iter(self._answers([each for each in texts if isinstance(each, str)]))
        return [next(answers) if isinstance(each, str) else each for each in texts]

    def _answers(self, texts: list[str]) -> list[Outcome]:
        """Gives the outcome of each text; none that may pass.

        Raises:
            SentinovaError: The calls failed for good.
        """
        outcomes: dict[int, Outcome] = {}
        left = list(range(len(texts)))
        since, pauses = self._clock(), waits()
        while left:
            answers = self._try([texts[place] for place in left])
            again = [place for place, answer in zip(left, answers, strict=True) if _passes(answer)]
            failure = next((answer for answer in answers if _passes(answer)), None)
            outcomes |= {place: answer for place, answer in zip(left, answers, strict=True) if not _passes(answer)}
            if len(again) < len(left):
                since, pauses = self._clock(), waits()
            left = again
            if isinstance(failure, SentinovaError):
                self._wait(failure, since, next(pauses))
        return [outcomes[place] for place in range(len(texts))]

    def _try(self, texts: list[str]) -> list[Outcome]:
        """Makes one call, or more of them where one is too large for the server, or takes it too long.

        Returns:
            For each text its outcome; where the call failed in a way that may pass, that error for each.
        """
        if len(texts) > self._most:
            return self._halves(texts)
        try:
            answers = self._analyze(texts)
        except SentinovaError as error:
            return self._failed(error, texts)
        self._answered = True
        return answers

    def _failed(self, error: SentinovaError, texts: list[str]) -> list[Outcome]:
        late = error.code is StatusCode.DEADLINE_EXCEEDED
        if late and len(texts) > 1:
            self._most = max(1, len(texts) // 4)  # (each attempt costs a whole deadline, so not by halves)
            return self._halves(texts)
        if _is_too_large(error) and len(texts) > 1:
            if error.code is not StatusCode.RESOURCE_EXHAUSTED:  # (how many bytes there are depends on the texts)
                self._most = len(texts) // 2
            return self._halves(texts)
        if _is_too_large(error):
            return [error]
        never_there = error.code is StatusCode.UNAVAILABLE and not error.reason and not self._answered
        if late or never_there or not _passes(error):
            raise error
        return [error] * len(texts)

    def _halves(self, texts: list[str]) -> list[Outcome]:
        half = len(texts) // 2
        return self._try(texts[:half]) + self._try(texts[half:])

    def _wait(self, failure: SentinovaError, since: float, pause: float) -> None:
        pause = max(pause, failure.retry_after or 0.0)
        if self._patience is not None and self._clock() + pause - since > self._patience:
            raise failure
        self._tell(failure)
        if self._stopped.wait(pause):
            raise failure


def batches(
    entries: Iterable[Entry[Item]], count: int = TEXTS_PER_CALL, size: int = BYTES_PER_CALL
) -> Iterator[list[Entry[Item]]]:
    """Gives entries in lists of at most `count`, and at most `size` bytes where they are more than one."""
    batch: list[Entry[Item]] = []
    total = 0
    for entry in entries:
        if batch and (len(batch) == count or total + entry.size > size):
            yield batch
            batch, total = [], 0
        batch.append(entry)
        total += entry.size
    if batch:
        yield batch


def describe(error: SentinovaError) -> str:
    """Puts the error of a text into one line: its reason, and what went wrong."""
    return " ".join(f"{error.reason or error.code.name}: {error.message}".split())


def _settled(batch: list[Entry[Item]], future: Future[list[Outcome]]) -> list[tuple[Item, Outcome]]:
    return [(entry.item, outcome) for entry, outcome in zip(batch, future.result(), strict=True)]


def _passes(outcome: Outcome) -> bool:
    if not isinstance(outcome, SentinovaError) or outcome.code not in _PASSING:
        return False
    return outcome.reason != "CLIENT_CLOSED" and not _is_too_large(outcome)


def _is_too_large(error: SentinovaError) -> bool:
    """Tells whether a server refused a call for its size, as gRPC does for bytes, and the server for documents."""
    if error.code is StatusCode.RESOURCE_EXHAUSTED:
        return not error.reason and "larger than max" in error.message.lower()
    return isinstance(error, InvalidArgumentError) and any(each.field == "documents" for each in error.field_violations)
