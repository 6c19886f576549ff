"""Small batches straight on a model, past its queue: for work that nobody waits for.

Knows the model and sizes; must not know text, nor when there is room for such work. A batch is small so that it holds
up live work for a moment only, on one core.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
import structlog
from numpy.typing import NDArray

from sentinova_server.errors import ServingError
from sentinova_server.serving.scheduler import BatchModel, Clock, Inference, explain_failure, failure_of

_log = structlog.get_logger()

# What takes texts as token ids, and gives `[class]` float32 logits for each.
LogitsModel = BatchModel[Sequence[int], NDArray[np.float32]]

# Most tokens of a batch, padding included. Fewer cost more for each token; more would be felt by live work: these took
# 24 ms in version 1 of the shipped model and 52 ms in version 2, in float32 on one core of an AMD EPYC at 2.6 GHz.
SMALL_BATCH_TOKENS = 256


def count_small_batch(model: LogitsModel, lengths: Sequence[int]) -> int:
    """Gives how many documents, from the first on, make a small batch: at least one, however long it is.

    Args:
        model: what runs them.
        lengths: tokens of each document, special ones included.
    """
    count = min(1, len(lengths))
    while count < len(lengths) and model.batch_tokens(lengths[: count + 1]) <= SMALL_BATCH_TOKENS:
        count += 1
    return count


async def infer_small_batch(
    model: LogitsModel, batch: Sequence[Sequence[int]], clock: Clock
) -> list[Inference[NDArray[np.float32]] | ServingError]:
    """Runs a batch on one of the model's threads.

    Args:
        model: what runs it.
        batch: token ids of each document, special ones included; at least one document.
        clock: seconds that only grow.

    Returns:
        What became of the documents, in their order. Where the model fails on the batch, the first alone is tried again
        and given: the others' turn comes with the next batch, and one that the model fails on fails alone.
    """
    started = clock()
    future = await _run(model, batch)
    error = failure_of(future, len(batch))
    if error is None:
        seconds, tokens = clock() - started, sum(map(len, batch))
        return [Inference(row, 0.0, seconds, tokens) for row in future.result()]
    if len(batch) > 1:
        return await infer_small_batch(model, batch[:1], clock)
    _log.warning("background_document_failed", error=str(error))
    return [explain_failure(error)]


async def _run(model: LogitsModel, batch: Sequence[Sequence[int]]) -> Future[NDArray[np.float32]]:
    """Runs a batch and waits until it has ended, well or not."""
    try:
        future = model.submit(batch)
    except Exception as error:  # as of a model that is closed
        future = Future()
        future.set_exception(error)
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    future.add_done_callback(lambda _: loop.call_soon_threadsafe(ended.set))
    await ended.wait()
    return future
