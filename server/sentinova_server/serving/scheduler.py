"""The queue of one model version: documents wait here, and leave in batches as the model has room.

Knows batches, time and the event loop; must not know text, scores or gRPC. Everything here runs on the event loop but
the model itself, which has threads of its own.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from sentinova_server.errors import Reason, ServingError
from sentinova_server.serving.packing import BatchLimits, is_full, plan_batch

_log = structlog.get_logger()

Clock = Callable[[], float]


class BatchModel(Protocol):
    """What the scheduler needs of a model."""

    @property
    def parallelism(self) -> int:
        """How many batches run at once."""

    def padded_length(self, tokens: int) -> int:
        """Gives the length that a document of `tokens` tokens takes."""

    def submit(self, batch: Sequence[Sequence[int]]) -> Future[NDArray[np.float32]]:
        """Runs a batch; the future gives `[batch, class]` float32."""


class BatchObserver(Protocol):
    """Who is told of batches and the queue's length."""

    def batch_done(self, documents: int, tokens: int, padded_tokens: int, seconds: float) -> None:
        """Told when a batch has run."""

    def queue_changed(self, documents: int) -> None:
        """Told when the number of waiting documents changes."""


@dataclass(frozen=True, slots=True)
class SchedulerLimits:
    """Bounds of a queue.

    Attributes:
        batch: how large a batch may get.
        queue_size: most documents that wait; one more is refused.
        max_delay: seconds that a batch which is not full waits for more; 0: it never waits while the model has room.
    """

    batch: BatchLimits
    queue_size: int
    max_delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Inference:
    """What the model gave for one document.

    Attributes:
        logits: `[class]` float32.
        queue_seconds: time between coming and the start of its batch.
        inference_seconds: time its batch took in the model.
    """

    logits: NDArray[np.float32]
    queue_seconds: float
    inference_seconds: float


@dataclass(slots=True, eq=False)
class _Entry:
    order: int
    ids: Sequence[int]
    length: int
    deadline: float | None
    arrived: float
    answer: asyncio.Future[Inference] = field(repr=False)


class Scheduler:
    """The queue and the batches of one model version."""

    def __init__(self, model: BatchModel, limits: SchedulerLimits, observer: BatchObserver, clock: Clock) -> None:
        """Makes the queue.

        Args:
            model: what runs the batches.
            limits: bounds of the queue.
            observer: told of every batch.
            clock: seconds that only grow, from any start.
        """
        self._model = model
        self._limits = limits
        self._observer = observer
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._buckets: dict[int, deque[_Entry]] = {}
        # Documents of failed batches: next in turn, each as a batch of its own.
        self._suspects: deque[_Entry] = deque()
        # Not the clock: two documents may come at one reading of it.
        self._orders = itertools.count()
        self._waiting = 0
        self._running = 0
        self._dispatch_due = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many documents wait."""
        return self._waiting

    async def infer(self, ids: Sequence[int], deadline: float | None = None) -> Inference:
        """Puts a document in the queue and gives what the model makes of it.

        Where the caller is cancelled while the document waits, it leaves the queue at once.

        Args:
            ids: its token ids, special ones included.
            deadline: when the answer is of no more use, on the scheduler's clock.

        Raises:
            ServingError: QUEUE_FULL, DEADLINE_EXCEEDED or INFERENCE_FAILED.
        """
        if self._waiting >= self._limits.queue_size:
            raise ServingError(
                Reason.QUEUE_FULL,
                f"{self._waiting} documents wait for this model already: try again later, or send fewer at once",
                retry_after=0.1,
            )
        length = self._model.padded_length(len(ids))
        entry = _Entry(next(self._orders), ids, length, deadline, self._clock(), self._loop.create_future())
        self._enqueue(entry)
        try:
            return await entry.answer
        except asyncio.CancelledError:
            self._forget(entry)
            raise

    def _enqueue(self, entry: _Entry) -> None:
        self._buckets.setdefault(entry.length, deque()).append(entry)
        self._count(1)
        self._dispatch_soon()

    def _count(self, change: int) -> None:
        self._waiting += change
        self._observer.queue_changed(self._waiting)

    def _forget(self, entry: _Entry) -> None:
        bucket = self._buckets.get(entry.length)
        if bucket is not None and entry in bucket:
            bucket.remove(entry)
            if not bucket:
                del self._buckets[entry.length]
        elif entry in self._suspects:
            self._suspects.remove(entry)
        else:
            return  # its batch runs
        self._count(-1)

    def _dispatch_soon(self) -> None:
        # Not at once: what else has come in this turn of the loop joins the same batch.
        if not self._dispatch_due:
            self._dispatch_due = True
            self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        """Starts batches while the model has room and documents wait."""
        self._dispatch_due = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting and self._running < self._model.parallelism:
            if self._suspects:
                self._count(-1)
                self._start([self._suspects.popleft()])
                continue
            plan = self._plan()
            if plan is None:
                return
            if batch := self._take(plan):
                self._start(batch)

    def _plan(self) -> dict[int, int] | None:
        """Chooses the next batch; None where it is worth waiting for more, and then a timer is set."""
        oldest = min((bucket[0] for bucket in self._buckets.values()), key=lambda entry: entry.order)
        waiting = {length: len(bucket) for length, bucket in self._buckets.items()}
        plan = plan_batch(waiting, oldest.length, self._limits.batch)
        rest = self._limits.max_delay - (self._clock() - oldest.arrived)
        if rest > 0 and not is_full(plan, self._limits.batch):
            self._timer = self._loop.call_later(rest, self._dispatch)
            return None
        return plan

    def _take(self, plan: dict[int, int]) -> list[_Entry]:
        """Takes the planned documents from the queue, the oldest of each length first, and drops expired ones."""
        entries: list[_Entry] = []
        for length, count in plan.items():
            bucket = self._buckets[length]
            entries += [bucket.popleft() for _ in range(count)]
            if not bucket:
                del self._buckets[length]
        self._count(-len(entries))
        now = self._clock()
        expired = [entry for entry in entries if entry.deadline is not None and entry.deadline <= now]
        for entry in expired:
            if not entry.answer.done():
                entry.answer.set_exception(
                    ServingError(Reason.DEADLINE_EXCEEDED, "the deadline passed while the document waited")
                )
        return [entry for entry in entries if entry not in expired] if expired else entries

    def _start(self, batch: list[_Entry]) -> None:
        started = self._clock()
        self._running += 1
        future = self._model.submit([entry.ids for entry in batch])
        future.add_done_callback(lambda done: self._loop.call_soon_threadsafe(self._finish, batch, started, done))

    def _finish(self, batch: list[_Entry], started: float, done: Future[NDArray[np.float32]]) -> None:
        self._running -= 1
        seconds = self._clock() - started
        error = done.exception()
        if error is None:
            self._answer(batch, done.result(), started, seconds)
        elif len(batch) > 1:
            self._retry_alone(batch, error)
        elif not batch[0].answer.done():
            failure = ServingError(
                Reason.INFERENCE_FAILED, "the model failed on this document; the server's log has the cause"
            )
            failure.__cause__ = error
            batch[0].answer.set_exception(failure)
        self._dispatch_soon()

    def _answer(self, batch: list[_Entry], logits: NDArray[np.float32], started: float, seconds: float) -> None:
        tokens = sum(len(entry.ids) for entry in batch)
        self._observer.batch_done(len(batch), tokens, len(batch) * max(entry.length for entry in batch), seconds)
        for entry, row in zip(batch, logits, strict=True):
            if not entry.answer.done():
                entry.answer.set_result(Inference(row, started - entry.arrived, seconds))

    def _retry_alone(self, batch: list[_Entry], error: BaseException) -> None:
        """Puts the documents of a failed batch back, each for itself: one that the model fails on must fail alone."""
        _log.warning("batch_failed", documents=len(batch), error=str(error))
        waiting = [entry for entry in batch if not entry.answer.done()]
        self._suspects += waiting
        self._count(len(waiting))
