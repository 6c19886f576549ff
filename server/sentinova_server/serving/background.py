"""Documents that versions compute unseen, when live work leaves room: a bounded queue, and one worker.

Knows the queue, leases and when there is room; must not know why a document is computed. Used on the event loop only.

Live work comes first. A small batch starts only while no live document waits and a core is free, and there is one at a
time: so live work is held up by one small batch on one core at most. What finds no room for too long, or no place in
the queue, is dropped, and whoever asked for it is told.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from sentinova_server.errors import ServingError
from sentinova_server.serving.activity import Activity
from sentinova_server.serving.agreement import Answer
from sentinova_server.serving.analysis import Analysis, LongText
from sentinova_server.serving.scheduler import Clock

_log = structlog.get_logger()

# What the worker takes at a time: about as much as makes one small batch, where a token has four characters.
_GROUP_DOCUMENTS = 32
_GROUP_CHARACTERS = 1024


class BackgroundClassifier(Protocol):
    """What runs documents: a `TextClassifier`."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names, in the order of the scores."""

    async def analyze_in_background(self, texts: Sequence[str], long_text: LongText) -> list[Analysis | ServingError]:
        """Gives the outcomes of the first texts, as many as make one small batch; at least one."""


class Leased(Protocol):
    """What is lent of a version: a `VersionRecord`."""

    @property
    def served(self) -> BackgroundClassifier | None:
        """What answers requests."""


# Lends a version of a model: `Registry.lease`. Raises ServingError where it takes no requests.
Lease = Callable[[str, int], AbstractContextManager[Leased]]
# Told what became of a document; None: it was dropped.
Done = Callable[[Answer | ServingError | None], None]


@dataclass(frozen=True, slots=True, eq=False)
class BackgroundDocument:
    """A document to compute some time.

    Attributes:
        model: the model's name.
        version: the version that computes it.
        lease: lends versions.
        text: any Unicode text that is not over the server's limit of bytes.
        long_text: what happens where it has more tokens than the model reads.
        done: told what became of it, once; must not block.
    """

    model: str
    version: int
    lease: Lease
    text: str = field(repr=False)
    long_text: LongText
    done: Done = field(repr=False)

    def tell(self, outcome: Answer | ServingError | None) -> None:
        """Tells who asked what became of it; None: it was dropped."""
        try:
            self.done(outcome)
        except Exception:  # a defect in who asked must not end the worker, nor a live request that takes its place
            _log.exception("background_outcome_refused", model=self.model, version=self.version)


@dataclass(frozen=True, slots=True)
class BackgroundLimits:
    """Bounds of the queue.

    Attributes:
        documents: most documents that wait.
        characters: most characters of their texts; each takes up to four bytes.
        age: most seconds that one waits.
    """

    documents: int = 512
    characters: int = 1 << 20
    age: float = 10.0


# What the documents of one batch have in common: model, version, and what happens to long texts.
_Key = tuple[str, int, LongText]
# When a document came, and the document.
_Waiting = tuple[float, BackgroundDocument]


class BackgroundWork:
    """The queue and its worker."""

    def __init__(self, activity: Activity, clock: Clock, limits: BackgroundLimits = BackgroundLimits()) -> None:
        """Makes it, on the event loop that serves.

        Args:
            activity: tells when there is room.
            clock: seconds that only grow.
            limits: bounds of the queue.
        """
        self._activity = activity
        self._clock = clock
        self._limits = limits
        # Each in the order in which its documents came, and none is empty.
        self._queues: dict[_Key, deque[_Waiting]] = {}
        self._count = 0
        self._characters = 0
        self._worker: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many documents wait."""
        return self._count

    def submit(self, document: BackgroundDocument) -> None:
        """Computes a document some time, or drops it; where there is no place, the oldest ones go.

        Who asked for it may be told before this returns.
        """
        if self._closed or len(document.text) > self._limits.characters:
            document.tell(None)
            return
        self._expire()
        key = (document.model, document.version, document.long_text)
        self._queues.setdefault(key, deque()).append((self._clock(), document))
        self._account(+1, document)
        self._trim()
        if self._worker is None or self._worker.done():
            self._worker = asyncio.get_running_loop().create_task(self._work())

    async def close(self) -> None:
        """Ends the worker and forgets what waits; a batch that runs ends by itself."""
        self._closed = True
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait({self._worker})
        self._queues.clear()
        self._count = self._characters = 0

    async def _work(self) -> None:
        """Computes what waits, until nothing does."""
        while self._queues:
            await self._activity.wait_until_idle()
            self._expire()
            if self._queues:
                await self._run(self._oldest())

    async def _run(self, key: _Key) -> None:
        """Computes documents in one small batch; those that had no place in it wait on at their old places."""
        group = self._take(key)
        answers = await _compute(key, [document for _, document in group])
        self._put_back(key, group[len(answers) :])
        for (_, document), answer in zip(group, answers, strict=False):
            document.tell(answer)

    def _oldest(self) -> _Key:
        """Gives the key of the document that came first; there must be one."""
        return min(self._queues, key=lambda key: self._queues[key][0][0])

    def _take(self, key: _Key) -> list[_Waiting]:
        """Takes the first documents of a key out of the queue: at least one, and few characters."""
        group: list[_Waiting] = []
        characters = 0
        while key in self._queues and len(group) < _GROUP_DOCUMENTS:
            characters += len(self._queues[key][0][1].text)
            if group and characters > _GROUP_CHARACTERS:
                break
            group.append(self._pop(key))
        return group

    def _put_back(self, key: _Key, group: Sequence[_Waiting]) -> None:
        if group:
            self._queues.setdefault(key, deque()).extendleft(reversed(group))
            for _, document in group:
                self._account(+1, document)
            self._trim()

    def _expire(self) -> None:
        """Drops what has waited for too long."""
        end = self._clock() - self._limits.age
        while self._queues and self._queues[key := self._oldest()][0][0] < end:
            self._drop(key)

    def _trim(self) -> None:
        """Drops the oldest documents where there are too many."""
        while self._count > self._limits.documents or self._characters > self._limits.characters:
            self._drop(self._oldest())

    def _drop(self, key: _Key) -> None:
        _, document = self._pop(key)
        document.tell(None)

    def _pop(self, key: _Key) -> _Waiting:
        queue = self._queues[key]
        came, document = queue.popleft()
        if not queue:
            del self._queues[key]
        self._account(-1, document)
        return came, document

    def _account(self, sign: int, document: BackgroundDocument) -> None:
        self._count += sign
        self._characters += sign * len(document.text)


async def _compute(key: _Key, group: Sequence[BackgroundDocument]) -> Sequence[Answer | ServingError | None]:
    """Computes the first documents of a group in one small batch, or gives None for all; never raises."""
    model, version, long_text = key
    try:
        # Lent only while the batch runs: what waits holds up no version that is to be unloaded.
        with group[0].lease(model, version) as record:
            if record.served is None:
                raise AssertionError("a leased version is always served")
            labels = record.served.labels
            outcomes = await record.served.analyze_in_background([document.text for document in group], long_text)
    except ServingError:  # the version is gone
        return [None] * len(group)
    except Exception:  # a defect must not end the worker
        _log.exception("background_failed", model=model, version=version)
        return [None] * len(group)
    return [outcome if isinstance(outcome, ServingError) else Answer(labels, outcome) for outcome in outcomes]
