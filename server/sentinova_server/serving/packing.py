"""Which waiting documents make the next batch. Pure functions: no clock, no queue, no model.

Documents wait in buckets of equal padded length. A batch costs its documents times the length of its longest one, so
like lengths go together, and the oldest waiting document is in every batch: a document waits for at most as many
batches as there were documents before it when it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# A batch takes in documents of other lengths only while at least this share of its padded tokens is theirs.
_MIN_FILL = 0.75


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How large a batch may get.

    Attributes:
        tokens: most padded tokens; a single longer document is a batch of its own.
        documents: most documents; 0: bounded by tokens alone.
    """

    tokens: int
    documents: int = 0


def plan_batch(waiting: Mapping[int, int], anchor: int, limits: BatchLimits) -> dict[int, int]:
    """Chooses how many documents of each length the next batch takes.

    Args:
        waiting: number of waiting documents by padded length, in tokens.
        anchor: padded length of the oldest waiting document; `waiting[anchor]` is at least 1.
        limits: how large the batch may get.

    Returns:
        Documents to take by padded length; at least one of length `anchor`.
    """
    taken = {anchor: 1}
    count, width, real = 1, anchor, anchor
    # Nearest lengths first; of two equally near the shorter, which does not widen the batch.
    for length in sorted(waiting, key=lambda length: (abs(length - anchor), length)):
        available = waiting[length] - (length == anchor)
        while available > 0:
            wider = max(width, length)
            if (count + 1) * wider > limits.tokens or (limits.documents and count >= limits.documents):
                break
            if real + length < _MIN_FILL * (count + 1) * wider:
                break
            taken[length] = taken.get(length, 0) + 1
            count, width, real, available = count + 1, wider, real + length, available - 1
    return taken


def is_full(plan: Mapping[int, int], limits: BatchLimits) -> bool:
    """Tells whether waiting longer can not add a document of the batch's own width to it."""
    count, width = sum(plan.values()), max(plan)
    if limits.documents and count >= limits.documents:
        return True
    return (count + 1) * width > limits.tokens
