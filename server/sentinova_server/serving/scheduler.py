"""The batches of one model version: documents wait in its queue, and leave in batches as the model has room.

The next batch is planned around the document whose turn it is: the oldest of the highest level that waits. It is in the
batch; what else is in it, `packing` says. So levels are strict, as in Triton: a document waits for as long as documents
of higher levels keep the model busy. Within a level nothing starves:

    Of a document that does not leave the queue otherwise (cancelled, expired, its place taken by a higher level), let n
    be the number of documents of its own and of higher levels that wait when it comes, and of those of higher levels
    that come while it waits. At most n batches start before the one that holds it. Where p batches run at once, none
    longer than t seconds, that one starts within max_delay + ceil((n + 1) / p) * t seconds.

For each batch that starts before has one of the n as its first in turn. A document of a batch that failed has its turn
once more, at its old place, in a batch of its own: where batches fail, n is to be doubled, and the documents of its own
and of higher levels that run when it comes are to be added.

A document is whatever the model takes: a text's token ids, or the tensors of one request. Knows batches, time and the
event loop; must not know text, tensors, scores or gRPC. Everything here runs on the event loop but
the model itself, which has threads of its own.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Mapping, Sequence, Sized
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import structlog

from sentinova_server.errors import Reason, ServingError
from sentinova_server.serving.document_queue import DocumentQueue, QueuedDocument
from sentinova_server.serving.expiry import ExpiryTimer
from sentinova_server.serving.packing import BatchLimits, Group, RowLimits, make_packing

_log = structlog.get_logger()

Clock = Callable[[], float]

# A version that takes over is warmed up with as many: a second of work or so.
_RECENT_BATCHES = 16
# After company so many batches come by themselves before one takes all cores again: with two clients, what one of them
# sends would mostly find the cores taken, and both were slower for it (158 texts a second in place of 174).
_LONELY_BATCHES = 2


# What the model takes, and what it gives for each.
Item = TypeVar("Item", bound=Sized)
Output = TypeVar("Output")
ItemTaken_contra = TypeVar("ItemTaken_contra", contravariant=True)
OutputGiven_co = TypeVar("OutputGiven_co", covariant=True)


class BatchModel(Protocol[ItemTaken_contra, OutputGiven_co]):
    """What the scheduler needs of a model. The length of what it takes is in tokens, or in rows of tensors."""

    @property
    def parallelism(self) -> int:
        """How many batches run at once."""

    def padded_length(self, tokens: int) -> int:
        """Gives the length that a document of `tokens` tokens takes."""

    def batch_tokens(self, lengths: Sequence[int]) -> int:
        """Gives the tokens, padding included, that it works on in a batch of documents of these token counts."""

    def submit(self, batch: Sequence[ItemTaken_contra], *, alone: bool = False) -> Future[Any]:
        """Runs a batch; the future gives a sequence with what each document's caller gets.

        Args:
            batch: the documents.
            alone: whether nothing else runs or waits, nor did lately, so that it may take all cores.
        """


class BatchObserver(Protocol):
    """Who is told of batches and the queue's length."""

    def batch_started(self, *, alone: bool) -> None:
        """Told when a batch starts, and whether it may take all cores."""

    def batch_ended(self, *, alone: bool) -> None:
        """Told once for each batch that started, when it has ended, well or not; `alone` as it was then."""

    def batch_done(self, documents: int, tokens: int, padded_tokens: int, seconds: float) -> None:
        """Told when a batch has run well."""

    def queue_changed(self, documents: int) -> None:
        """Told when the number of waiting documents changes."""


@dataclass(frozen=True, slots=True)
class SchedulerLimits:
    """Bounds of a queue.

    Attributes:
        batch: how large a batch may get.
        queue_size: most documents that wait; one more is refused.
        max_delay: seconds that a batch which is not full waits for more; 0: it never waits while the model has room.
        priority_levels: levels that documents may have, 1 the highest; 0: none.
        default_priority: level of a document that asks for none; 0 where there are none.
        queue_timeout: most seconds that a document waits for its batch to start; 0: until its deadline.
    """

    batch: BatchLimits | RowLimits
    queue_size: int
    max_delay: float = 0.0
    priority_levels: int = 0
    default_priority: int = 0
    queue_timeout: float = 0.0


@dataclass(frozen=True, slots=True)
class Inference(Generic[Output]):
    """What the model gave for one document.

    Attributes:
        output: of a text its logits, `[class]` float32; of tensors the outputs by name.
        queue_seconds: time between coming and the start of its batch.
        inference_seconds: time its batch took in the model.
        batch_tokens: tokens of all documents of its batch, without padding.
    """

    output: Output
    queue_seconds: float
    inference_seconds: float
    batch_tokens: int


@dataclass(slots=True, eq=False, kw_only=True)
class _Entry(QueuedDocument, Generic[Item, Output]):
    """A document, from its coming to its answer.

    `deadline` is that of its wait; `call_deadline` is when the answer is of no more use.
    """

    item: Item
    call_deadline: float | None
    answer: asyncio.Future[Inference[Output]] = field(repr=False)


class Scheduler(Generic[Item, Output]):
    """The queue and the batches of one model version."""

    def __init__(
        self, model: BatchModel[Item, Output], limits: SchedulerLimits, observer: BatchObserver, clock: Clock
    ) -> None:
        """Makes the queue.

        Args:
            model: what runs the batches.
            limits: bounds of the queue.
            observer: told of every batch.
            clock: seconds that only grow, from any start; no slower or faster than the event loop's.
        """
        self._model = model
        self._limits = limits
        self._packing = make_packing(limits.batch, model.padded_length)
        self._observer = observer
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._queue: DocumentQueue[_Entry[Item, Output]] = DocumentQueue()
        # Not the clock: two documents may come at one reading of it.
        self._orders = itertools.count()
        self._running = 0
        self._dispatch_due = False
        self._delay_timer: asyncio.TimerHandle | None = None
        self._expiry = ExpiryTimer(clock)
        self._recent: deque[tuple[int, ...]] = deque(maxlen=_RECENT_BATCHES)
        # Batches in a row beside which nothing ran or waited when they started.
        self._lonely = _LONELY_BATCHES

    @property
    def waiting(self) -> int:
        """How many documents wait."""
        return len(self._queue)

    @property
    def recent_batches(self) -> list[tuple[int, ...]]:
        """Token counts of the documents of the latest batches."""
        return list(self._recent)

    def level_of(self, priority: int) -> int:
        """Gives the level that a request's priority stands for; 0: the default level.

        Raises:
            ServingError: INVALID_FIELD; there is no such level.
        """
        levels = self._limits.priority_levels
        if not 0 <= priority <= levels:
            allowed = f"1, the highest, to {levels}, or 0 for its default level" if levels else "0: it has no levels"
            raise ServingError(
                Reason.INVALID_FIELD,
                f"config.priority is {priority}; this model takes {allowed}",
                field="config.priority",
                metadata={"priority_levels": str(levels)},
            )
        return priority or self._limits.default_priority

    async def infer(self, item: Item, deadline: float | None = None, priority: int = 0) -> Inference[Output]:
        """Puts a document in the queue and gives what the model makes of it.

        Where the caller is cancelled while the document waits, it leaves the queue at once.

        Args:
            item: the document: token ids, special ones included, or tensors.
            deadline: when the answer is of no more use, on the scheduler's clock.
            priority: its level, 1 the highest; 0: the default level.

        Raises:
            ServingError: INVALID_FIELD, QUEUE_FULL, DEADLINE_EXCEEDED or INFERENCE_FAILED.
        """
        level = self.level_of(priority)
        self._make_room(level)
        entry: _Entry[Item, Output] = _Entry(
            order=next(self._orders),
            level=level,
            key=self._packing.key(item),
            arrived=self._clock(),
            item=item,
            call_deadline=deadline,
            answer=self._loop.create_future(),
        )
        self._enqueue(entry)
        self._dispatch_soon()
        try:
            return await entry.answer
        except asyncio.CancelledError:
            if self._queue.discard(entry):
                self._tell_queue()
            raise

    def _make_room(self, level: int) -> None:
        """Sees that one more document of a level may wait; in a full queue one of a lower level gives way to it."""
        if len(self._queue) < self._limits.queue_size:
            return
        self._expire()
        if len(self._queue) < self._limits.queue_size:
            return
        last = self._queue.last()
        if last.level <= level:
            raise _queue_full(f"{len(self._queue)} documents wait for this model already")
        self._queue.discard(last)
        _fail(last, _queue_full("the queue is full, and documents of higher priority came"))

    def _enqueue(self, entry: _Entry[Item, Output]) -> None:
        """Puts a document in its place; its wait begins."""
        entry.deadline = entry.call_deadline
        if timeout := self._limits.queue_timeout:
            end = self._clock() + timeout
            entry.deadline = end if entry.deadline is None else min(end, entry.deadline)
        self._queue.add(entry)
        self._tell_queue()
        if entry.deadline is not None:
            self._expiry.watch(entry.deadline, self._expire)

    def _tell_queue(self) -> None:
        self._observer.queue_changed(len(self._queue))

    def _expire(self) -> float | None:
        """Answers the documents whose deadline has passed and takes them out of the queue; gives the next deadline."""
        expired = self._queue.take_expired(self._clock())
        for entry in expired:
            message = "the deadline passed while the document waited"
            if entry.deadline != entry.call_deadline:
                message = f"the document waited for {self._limits.queue_timeout:g} s, as long as this model lets it"
            _fail(entry, ServingError(Reason.DEADLINE_EXCEEDED, message))
        if expired:
            self._tell_queue()
        return self._queue.next_deadline()

    def _dispatch_soon(self) -> None:
        # Not at once: what else has come in this turn of the loop joins the same batch.
        if not self._dispatch_due:
            self._dispatch_due = True
            self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        """Starts batches while the model has room and documents wait."""
        self._dispatch_due = False
        if self._delay_timer is not None:
            self._delay_timer.cancel()
            self._delay_timer = None
        self._expire()
        while self._queue and self._running < self._model.parallelism:
            batch = self._take_batch()
            if batch is None:
                return
            # The caller of one may be gone, and not yet have come to take it out.
            if batch := [entry for entry in batch if not entry.answer.done()]:
                self._start(batch)

    def _take_batch(self) -> list[_Entry[Item, Output]] | None:
        """Takes the next batch out of the queue; None where it is worth waiting for more."""
        first = self._queue.first()
        if first.alone:
            self._queue.discard(first)
            batch = [first]
        else:
            plan = self._packing.plan(self._queue.counts(), (first.level, first.key))
            if self._waits_for_more(plan):
                return None
            batch = self._queue.take(plan)
        self._tell_queue()
        return batch

    def _waits_for_more(self, plan: Mapping[Group, int]) -> bool:
        """Tells whether a batch may wait, and sets a timer for its end if so.

        What counts is the document that has waited longest, also where it is not in the batch: otherwise one of a low
        level would wait anew with each that comes before it.
        """
        if self._limits.max_delay == 0 or self._packing.is_full(plan):
            return False
        rest = self._limits.max_delay - (self._clock() - self._queue.oldest_arrival())
        if rest > 0:
            self._delay_timer = self._loop.call_later(rest, self._dispatch)
        return rest > 0

    def _start(self, batch: list[_Entry[Item, Output]]) -> None:
        started = self._clock()
        self._lonely = 0 if self._running or self._queue else self._lonely + 1
        alone = self._lonely > _LONELY_BATCHES
        self._running += 1
        self._recent.append(tuple(len(entry.item) for entry in batch))
        self._observer.batch_started(alone=alone)
        try:
            future = self._model.submit([entry.item for entry in batch], alone=alone)
        except Exception as error:  # a model that takes no batch, as one that is closed, has failed on it
            future = Future()
            future.set_exception(error)
        future.add_done_callback(
            lambda done: self._loop.call_soon_threadsafe(self._finish, batch, started, alone, done)
        )

    def _finish(self, batch: list[_Entry[Item, Output]], started: float, alone: bool, done: Future[Any]) -> None:
        self._running -= 1
        self._observer.batch_ended(alone=alone)
        seconds = self._clock() - started
        error = failure_of(done, len(batch))
        if error is None:
            self._answer(batch, done.result(), started, seconds)
        elif len(batch) > 1:
            self._retry_alone(batch, error)
        else:
            _fail(batch[0], explain_failure(error))
        self._dispatch_soon()

    def _answer(
        self, batch: list[_Entry[Item, Output]], outputs: Sequence[Output], started: float, seconds: float
    ) -> None:
        lengths = [len(entry.item) for entry in batch]
        tokens = sum(lengths)
        self._observer.batch_done(len(batch), tokens, self._model.batch_tokens(lengths), seconds)
        for entry, output in zip(batch, outputs, strict=True):
            if not entry.answer.done():
                entry.answer.set_result(Inference(output, started - entry.arrived, seconds, tokens))

    def _retry_alone(self, batch: list[_Entry[Item, Output]], error: BaseException) -> None:
        """Puts the documents of a failed batch back, each for itself: one that the model fails on must fail alone."""
        _log.warning("batch_failed", documents=len(batch), error=str(error))
        for entry in batch:
            if not entry.answer.done():
                entry.alone = True
                self._enqueue(entry)


def _fail(entry: _Entry[Any, Any], error: ServingError) -> None:
    if not entry.answer.done():
        entry.answer.set_exception(error)


def _queue_full(problem: str) -> ServingError:
    return ServingError(Reason.QUEUE_FULL, f"{problem}: try again later, or send fewer at once", retry_after=0.1)


def explain_failure(error: BaseException) -> ServingError:
    """Gives what the caller of a document is told that the model failed on."""
    if isinstance(error, ServingError):
        return error  # the model has said what is wrong with it
    failure = ServingError(Reason.INFERENCE_FAILED, "the model failed on this document; the server's log has the cause")
    failure.__cause__ = error
    return failure


def failure_of(done: Future[Any], documents: int) -> BaseException | None:
    """Gives why a batch has no answers; None: it has one for each of its documents."""
    if done.cancelled():
        return CancelledError()
    error = done.exception()
    if error is None and len(done.result()) != documents:
        return RuntimeError(f"the model gave {len(done.result())} rows of logits for {documents} documents")
    return error
