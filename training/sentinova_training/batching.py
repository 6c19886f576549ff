"""Batches of like length, so that little of a batch is padding.

Knows token ids and targets; must not know about networks.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

Ids = np.ndarray[Any, np.dtype[np.int64]]


def shuffled(lengths: Sequence[int], size: int, seed: int, pool: int = 24) -> list[list[int]]:
    """Indices of each batch for one epoch: random, yet of like length within a batch.

    Args:
        lengths: token count of each example.
        size: examples in a batch; the last may hold fewer.
        seed: of the shuffle; another one for each epoch.
        pool: batches that are sorted together; more means less padding and less chance.
    """
    order = list(range(len(lengths)))
    generator = random.Random(seed)  # noqa: S311 - an order, not a secret
    generator.shuffle(order)
    batches: list[list[int]] = []
    for start in range(0, len(order), size * pool):
        chunk = sorted(order[start : start + size * pool], key=lambda index: lengths[index])
        batches.extend(chunk[at : at + size] for at in range(0, len(chunk), size))
    generator.shuffle(batches)
    return batches


def by_length(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Indices of each batch in order of length, for evaluation."""
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])
    return [order[at : at + size] for at in range(0, len(order), size)]


def padded(rows: Sequence[Sequence[int]], pad: int) -> Ids:
    """One array `[batch, longest] int64`, short rows filled up with `pad`."""
    out = np.full((len(rows), max(len(row) for row in rows)), pad, dtype=np.int64)
    for index, row in enumerate(rows):
        out[index, : len(row)] = row
    return out
