"""The documents that wait for one model version, in the order of their turns and of their deadlines.

Knows levels, groups and deadlines; must not know the event loop, the model, or what becomes of a document that
leaves. Adding and removing a document costs the same however many wait, so that a thousand cancelled at once do not
hold up the rest.
"""

from __future__ import annotations

import heapq
import itertools
import operator
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from sentinova_server.serving.packing import Group

_rank = operator.attrgetter("level", "order")
# The heap of deadlines is rid of documents that have left when they are more than those that wait, and this many.
_MIN_SWEEP = 64


@dataclass(slots=True, eq=False)
class QueuedDocument:
    """What the queue knows of a document.

    Attributes:
        order: its place among all documents of the queue: the lower came earlier. No two have the same.
        level: how urgent it is; the lower the number, the sooner its turn.
        key: what it has in common with those of its group, beside its level: its padded length, as a rule.
        arrived: when it came, in seconds.
        deadline: when it leaves the queue unanswered, in seconds; None: it stays.
        alone: whether it must be in a batch of its own.
    """

    order: int
    level: int
    key: Hashable
    arrived: float
    deadline: float | None = None
    alone: bool = False


_D = TypeVar("_D", bound=QueuedDocument)


class DocumentQueue(Generic[_D]):
    """The documents that wait."""

    def __init__(self) -> None:
        # OrderedDict, as a dict whose first entries are removed again and again finds its new first one ever slower.
        self._groups: dict[Group, OrderedDict[int, _D]] = {}
        self._alone: dict[int, _D] = {}
        # Documents that have left stay in it until they come up, or are too many.
        self._deadlines: list[tuple[float, int, _D]] = []
        self._serials = itertools.count()  # documents of one deadline cannot be compared
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, document: _D) -> None:
        """Puts a document in. One that came before may come again, at its old place."""
        if document.alone:
            self._alone[document.order] = document
        else:
            self._groups.setdefault((document.level, document.key), OrderedDict())[document.order] = document
        self._size += 1
        if document.deadline is not None:
            heapq.heappush(self._deadlines, (document.deadline, next(self._serials), document))
            self._sweep()

    def discard(self, document: _D) -> bool:
        """Takes a document out; tells whether it was in."""
        if document.alone:
            found = self._alone.pop(document.order, None) is not None
        else:
            key = (document.level, document.key)
            group = self._groups.get(key)
            found = group is not None and group.pop(document.order, None) is not None
            if found and not group:
                del self._groups[key]
        self._size -= found
        return found

    def first(self) -> _D:
        """Gives the document whose turn is next: the oldest of the highest level. Some must wait."""
        return min(self._heads(), key=_rank)

    def last(self) -> _D:
        """Gives the document whose turn is last: the newest of the lowest level. Some must wait."""
        tails = [next(reversed(group.values())) for group in self._groups.values()]
        return max([*tails, *self._alone.values()], key=_rank)

    def oldest_arrival(self) -> float:
        """Gives when the document that has waited longest came, in seconds. Some must wait."""
        return min(document.arrived for document in self._heads())

    def counts(self) -> Mapping[Group, int]:
        """Gives the number of documents by group, without those that must be alone."""
        return {key: len(group) for key, group in self._groups.items()}

    def take(self, plan: Mapping[Group, int]) -> list[_D]:
        """Takes the planned number of documents out of each group, the oldest first."""
        taken: list[_D] = []
        for key, count in plan.items():
            group = self._groups[key]
            taken += [group.popitem(last=False)[1] for _ in range(count)]
            if not group:
                del self._groups[key]
        self._size -= len(taken)
        return taken

    def take_expired(self, now: float) -> list[_D]:
        """Takes out the documents whose deadline is `now` or earlier."""
        expired: list[_D] = []
        while (deadline := self.next_deadline()) is not None and deadline <= now:
            document = heapq.heappop(self._deadlines)[2]
            self.discard(document)
            expired.append(document)
        return expired

    def next_deadline(self) -> float | None:
        """Gives the earliest deadline of a document that waits; None: none has one."""
        while self._deadlines:
            deadline, _, document = self._deadlines[0]
            if self._holds(document, deadline):
                return deadline
            heapq.heappop(self._deadlines)
        return None

    def _heads(self) -> list[_D]:
        return [next(iter(group.values())) for group in self._groups.values()] + list(self._alone.values())

    def _holds(self, document: _D, deadline: float) -> bool:
        """Tells whether an item of the heap stands for a document that waits, and for its present deadline."""
        if document.deadline != deadline:
            return False
        group = self._alone if document.alone else self._groups.get((document.level, document.key), {})
        return document.order in group

    def _sweep(self) -> None:
        if len(self._deadlines) > 2 * self._size + _MIN_SWEEP:
            self._deadlines = [item for item in self._deadlines if self._holds(item[2], item[0])]
            heapq.heapify(self._deadlines)
