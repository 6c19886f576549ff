"""One trial of a model behind its queue: as many documents in flight as are asked for, for a while.

Knows the queue, time and the process's CPU time; must not know how the model was set up, or what the
numbers decide.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sentinova_server.errors import ServingError
from sentinova_server.serving.scheduler import Scheduler, SchedulerLimits
from sentinova_server.serving.small_batch import LogitsModel

# What comes before the measurement in every trial, so that the queue is as it is in the middle.
_LEAD_SHARE = 0.25
_MAX_LEAD_SECONDS = 0.5


class TrialError(Exception):
    """The model failed on a document; says how."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a trial asks of a model.

    Attributes:
        documents: token ids of each; they come again and again.
        concurrency: documents in flight: a new one comes with each answer.
        seconds: how long is measured.
    """

    documents: Sequence[Sequence[int]]
    concurrency: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a trial gave.

    Attributes:
        documents_per_second: documents answered.
        tokens_per_second: their tokens, without padding.
        p50: median of the seconds from a document's coming to its answer.
        p99: 99th percentile of those.
        cpu_seconds: CPU time of the whole process for one document.
    """

    documents_per_second: float
    tokens_per_second: float
    p50: float
    p99: float
    cpu_seconds: float


async def run_trial(model: LogitsModel, limits: SchedulerLimits, load: Load) -> Measurement:
    """Runs a closed loop through a queue of its own; measures it for `load.seconds`, or until enough answers are there.

    Raises:
        TrialError: the model fails on a document.
    """
    answers = _Answers()
    scheduler = Scheduler(model, limits, _Nobody(), time.monotonic)
    documents = itertools.cycle(load.documents)
    clients = [asyncio.create_task(_ask(scheduler, documents, answers)) for _ in range(load.concurrency)]
    await asyncio.sleep(min(_LEAD_SHARE * load.seconds, _MAX_LEAD_SECONDS))
    answers.measured = True
    started, cpu_started = time.monotonic(), time.process_time()
    failed: set[asyncio.Task[None]] = set()
    # A slow model takes longer, so that there is something to take a percentile of.
    while not failed and len(answers.latencies) < load.concurrency:
        failed, _ = await asyncio.wait(clients, timeout=load.seconds, return_when=asyncio.FIRST_COMPLETED)
    answers.measured = False
    seconds, cpu_seconds = time.monotonic() - started, time.process_time() - cpu_started
    answers.over = True
    for failure in await asyncio.gather(*clients, return_exceptions=True):
        if isinstance(failure, ServingError):
            raise TrialError(str(failure.__cause__ or failure)) from failure
        if failure is not None:
            raise failure
    p50, p99 = np.percentile(answers.latencies, (50, 99))
    count = len(answers.latencies)
    return Measurement(count / seconds, answers.tokens / seconds, float(p50), float(p99), cpu_seconds / count)


@dataclass(slots=True)
class _Answers:
    """What has come back.

    Attributes:
        measured: whether answers count at the moment.
        over: whether no more documents are to come.
        latencies: seconds from coming to answer, of those that counted.
        tokens: the sum of their tokens.
    """

    measured: bool = False
    over: bool = False
    latencies: list[float] = field(default_factory=list)
    tokens: int = 0


async def _ask(
    scheduler: Scheduler[Sequence[int], NDArray[np.float32]], documents: Iterator[Sequence[int]], answers: _Answers
) -> None:
    """Asks for one document after the other."""
    while not answers.over:
        ids = next(documents)
        started = time.monotonic()
        await scheduler.infer(ids)
        if answers.measured:
            answers.latencies.append(time.monotonic() - started)
            answers.tokens += len(ids)


class _Nobody:
    """Who is told of batches, and does not care."""

    def batch_started(self, *, alone: bool) -> None:
        pass

    def batch_ended(self, *, alone: bool) -> None:
        pass

    def batch_done(self, documents: int, tokens: int, padded_tokens: int, seconds: float) -> None:
        pass

    def queue_changed(self, documents: int) -> None:
        pass
