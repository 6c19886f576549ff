"""Which waiting items make the next batch. Pure functions: no clock, no queue, no model.

Documents wait in groups of equal level and padded length. A batch costs its documents times the length of its longest
one, so like lengths go together; where the model packs its tokens, only attention costs that, and it costs the lengths
of its documents. The anchor, whose turn it is, is in every batch; the rest of the batch is for who gains most:
documents of the highest levels that fit, and of those the ones of the nearest length.

Tensors wait in groups of equal level, shape and number of rows. A batch joins the rows of equal shapes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Mapping, Sized
from dataclasses import dataclass
from typing import Any, Protocol

from sentinova_server.runtime.tensors import RowsKey, TensorRows

# A batch takes in documents of other lengths only while at least this share of its rows is theirs. Where tokens are
# packed, padding costs in attention alone, a tenth of the work or less: twice that is the most it may come to.
_MIN_FILL = 0.75
_MIN_FILL_PACKED = 0.5

# Items of equal level (the lower the number, the more urgent) and equal key: of documents that is their padded length
# in tokens, of tensors a `RowsKey`.
Group = tuple[int, Any]


class Packing(Protocol):
    """How the items of one queue are grouped and put together."""

    def key(self, item: Any) -> Hashable:
        """Gives what an item has in common with those of its group, beside its level."""

    def plan(self, waiting: Mapping[Group, int], anchor: Group) -> dict[Group, int]:
        """Chooses how many items of each group the next batch takes; at least one of `anchor`, whose turn it is."""

    def is_full(self, plan: Mapping[Group, int]) -> bool:
        """Tells whether waiting longer could add nothing to a planned batch."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How large a batch may get.

    Attributes:
        tokens: most tokens that the model works on, padding included; a single longer document is a batch of its own.
        documents: most documents; 0: bounded by tokens alone.
        packed: whether the model works on the documents' tokens alone, or on all places of the rows.
    """

    tokens: int
    documents: int = 0
    packed: bool = False

    def cost(self, rows: int, tokens: int) -> int:
        """Gives the tokens that the model works on.

        Args:
            rows: places in the batch's rows.
            tokens: sum of the documents' padded lengths.
        """
        return tokens if self.packed else rows

    def fill(self) -> float:
        """Gives the least share of the rows' places that documents take."""
        return _MIN_FILL_PACKED if self.packed else _MIN_FILL


@dataclass(frozen=True, slots=True)
class RowLimits:
    """How large a batch of tensors may get.

    Attributes:
        rows: most rows, unless one request alone has more.
    """

    rows: int


@dataclass(frozen=True, slots=True)
class TokenPacking:
    """Documents of like length together, within a budget of tokens.

    Attributes:
        limits: the budget.
        padded_length: gives the length that a document of so many tokens takes.
    """

    limits: BatchLimits
    padded_length: Callable[[int], int]

    def key(self, item: Sized) -> int:
        """Gives the padded length of a document."""
        return self.padded_length(len(item))

    def plan(self, waiting: Mapping[Group, int], anchor: Group) -> dict[Group, int]:
        """See `plan_batch`."""
        return plan_batch(waiting, anchor, self.limits)

    def is_full(self, plan: Mapping[Group, int]) -> bool:
        """See `is_full`."""
        return is_full(plan, self.limits)


@dataclass(frozen=True, slots=True)
class RowPacking:
    """Tensors of equal shapes together, within a number of rows.

    Attributes:
        limits: that number.
    """

    limits: RowLimits

    def key(self, item: TensorRows) -> RowsKey:
        """Gives the shapes and rows of a request."""
        return item.key

    def plan(self, waiting: Mapping[Group, int], anchor: Group) -> dict[Group, int]:
        """Fills the rows that the anchor leaves: the highest levels first, and of a level the largest requests."""
        shapes, rows = anchor[1]
        left, taken = self.limits.rows - rows, {anchor: 1}
        fitting = [group for group in waiting if group[1].shapes == shapes]
        for group in sorted(fitting, key=lambda group: (group[0], -group[1].rows)):
            # No rows take no room: however many such requests there are, they ride along.
            present, size = waiting[group] - taken.get(group, 0), group[1].rows
            count = min(present, left // size) if size else present
            if count > 0:
                taken[group] = taken.get(group, 0) + count
                left -= count * size
        return taken

    def is_full(self, plan: Mapping[Group, int]) -> bool:
        """Tells whether not even one more row fits."""
        rows: int = sum(key.rows * count for (_, key), count in plan.items())
        return rows >= self.limits.rows


def make_packing(limits: BatchLimits | RowLimits, padded_length: Callable[[int], int]) -> Packing:
    """Gives the packing that keeps to some limits; `padded_length` is asked where they are of tokens."""
    return RowPacking(limits) if isinstance(limits, RowLimits) else TokenPacking(limits, padded_length)


def plan_batch(waiting: Mapping[Group, int], anchor: Group, limits: BatchLimits) -> dict[Group, int]:
    """Chooses how many documents of each group the next batch takes.

    Documents are added one at a time: always one of the highest level that has one which fits, and of that level one of
    the length nearest to the anchor's. Documents of a lower level than the anchor's do not make the batch wider: they
    ride along in room that would stay empty.

    Args:
        waiting: number of waiting documents by level and padded length.
        anchor: group of the document whose turn it is; `waiting[anchor]` is at least 1.
        limits: how large the batch may get.

    Returns:
        Documents to take by group; at least one of `anchor`.
    """
    level, batch, taken = anchor[0], _Batch(limits, anchor[1]), {anchor: 1}
    # Of two lengths equally near the shorter comes first, which does not widen the batch.
    order = sorted(waiting, key=lambda group: (group[0], abs(group[1] - anchor[1]), group[1]))
    left = [waiting[group] - taken.get(group, 0) for group in order]
    # Lengths known not to fit: those up to `short`, which leave too much padding, and those from `long` on, which go
    # over the limit or make the batch too wide.
    position, short, long = 0, 0, sys.maxsize
    while position < len(order) and not batch.full:
        group = order[position]
        length = group[1]
        if not left[position] or not short < length < long or (length > batch.width and group[0] > level):
            position += 1
        elif batch.fits(length):
            batch.add(length)
            taken[group] = taken.get(group, 0) + 1
            left[position] -= 1
            # Who was passed over and fits now goes first. If any does, then `short` or `long` does.
            if short and batch.fits(short):
                position, short = 0, 0
            if long < sys.maxsize and batch.fits(long):
                position, long = 0, sys.maxsize
        elif length <= batch.width and not batch.is_over(length):
            short = length
        else:
            long = length
    return taken


def is_full(plan: Mapping[Group, int], limits: BatchLimits) -> bool:
    """Tells whether waiting longer can not add a document of the batch's own width to it."""
    count, width = sum(plan.values()), max(length for _, length in plan)
    tokens = sum(length * taken for (_, length), taken in plan.items())
    return 0 < limits.documents <= count or limits.cost((count + 1) * width, tokens + width) > limits.tokens


class _Batch:
    """A batch as it grows from its first document.

    Attributes:
        width: length of its longest document, in padded tokens.
        full: whether nothing more fits, however short.
    """

    def __init__(self, limits: BatchLimits, length: int) -> None:
        self.width = 0
        self.full = False
        self._limits = limits
        self._count = 0
        self._tokens = 0
        self.add(length)

    def is_over(self, length: int) -> bool:
        """Tells whether a document of `length` padded tokens takes the batch over its limit of tokens."""
        rows = (self._count + 1) * max(self.width, length)
        return self._limits.cost(rows, self._tokens + length) > self._limits.tokens

    def fits(self, length: int) -> bool:
        """Tells whether a document of `length` padded tokens may come in, where the batch is not full."""
        rows = (self._count + 1) * max(self.width, length)
        return not self.is_over(length) and self._tokens + length >= self._limits.fill() * rows

    def add(self, length: int) -> None:
        """Takes a document in."""
        self._count += 1
        self._tokens += length
        self.width = max(self.width, length)
        self.full = 0 < self._limits.documents <= self._count or self.is_over(1)
