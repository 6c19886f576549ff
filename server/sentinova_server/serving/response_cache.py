"""Answers kept for texts that come again, and one inference for equal texts that come at once.

Knows keys, sizes, the order of use and who waits for whom; must not know models, tokens or what is in an answer.
Used on the event loop only, but for `VersionCache.close`.

A version never changes its answer to a text, so an answer is kept until its bytes are needed or its version goes:
nothing expires. Errors are not kept. Each version has an `OrderedDict` of its own, and all share one bound:
cachetools' `LRUCache` bounds bytes too, but one of them for all versions could drop a version's answers only by a walk
through everybody's.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from sentinova_server.errors import Reason, ServingError
from sentinova_server.observability.metrics import Metrics

Value = TypeVar("Value")
Clock = Callable[[], float]

# Bytes of an entry beside its value on CPython 3.11: key, entry, its numbers, and its place in the dictionary when that
# has just grown. A test holds it against what the interpreter allocates.
ENTRY_BYTES = 300
_KEY_BYTES = 32
# A closed version's entries go this many in a turn of the event loop, about half a millisecond's work.
_DROPPED_AT_ONCE = 1000


def make_key(text: str, *parameters: str) -> bytes:
    """Gives the key of a request to one version: a digest of its text and of all else that the answer depends on.

    Of the text, not of its tokens: who hits pays for no tokenization. A digest, not the text: keys are of one small
    size, and no client's text stays in memory. BLAKE2b with 256 bits (RFC 7693): that two requests share a key is
    out of reach, also for one who searches for it.

    Args:
        text: any Unicode text, half characters (lone surrogates) too.
        parameters: words of the server's own without NUL, always as many and in the same order.
    """
    content = "\0".join((*parameters, text)).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(content, digest_size=_KEY_BYTES).digest()


@dataclass(frozen=True, slots=True)
class Answer(Generic[Value]):
    """What a request got from the cache.

    Attributes:
        value: the answer; not to be changed, others have it too.
        computed: whether this request's own `compute` gave it.
        waited_seconds: time this request waited for what others computed.
    """

    value: Value
    computed: bool
    waited_seconds: float


@dataclass(slots=True)
class _Entry(Generic[Value]):
    value: Value
    size: int
    used: int


# Requests that wait for another's answer, first come first; each future gives the answer, or None where there is none
# and its request is to compute it.
_Followers = deque[asyncio.Future[Value | None]]


class ResponseCache(Generic[Value]):
    """The answers of all versions that keep theirs, within one bound. The least recently used ones leave it first."""

    def __init__(self, max_bytes: int, measure: Callable[[Value], int], metrics: Metrics, clock: Clock) -> None:
        """Makes it, empty.

        Args:
            max_bytes: most bytes of entries; an entry counts as `ENTRY_BYTES` and those of its value. One that is
                larger than this by itself is not kept; 0: none is.
            measure: tells the bytes of a value.
            metrics: where it counts.
            clock: seconds that only grow; what deadlines are on.
        """
        self._max_bytes = max_bytes
        self._measure = measure
        self._metrics = metrics
        self._clock = clock
        self._bytes = 0
        self._versions: list[VersionCache[Value]] = []
        self._uses = itertools.count()

    @property
    def size_bytes(self) -> int:
        """Bytes of all entries."""
        return self._bytes

    def open(self, model: str, version: int) -> VersionCache[Value]:
        """Gives a place to a version that was just loaded: empty, also where one of its name and number was here."""
        cache = VersionCache(self, self._measure, _Counts(self._metrics, model, str(version)), self._clock)
        self._versions.append(cache)
        return cache

    def next_use(self) -> int:
        """Gives a number higher than any before: of two entries, the one with the higher was used later."""
        return next(self._uses)

    def make_room(self, size: int) -> bool:
        """Takes `size` bytes of the bound, evicting what was used least recently; tells whether they fit at all."""
        if size > self._max_bytes:
            return False
        while self._bytes + size > self._max_bytes:
            # Few versions, so to look at the oldest entry of each is cheap.
            min((own for own in self._versions if own.entry_count), key=lambda own: own.oldest_use).evict()
        self._bytes += size
        return True

    def give_back(self, size: int) -> None:
        """Takes back bytes that entries no longer hold."""
        self._bytes -= size

    def forget(self, cache: VersionCache[Value]) -> None:
        """Forgets a version whose entries are gone."""
        if cache in self._versions:
            self._versions.remove(cache)


class VersionCache(Generic[Value]):
    """The answers of one loaded version."""

    def __init__(
        self, whole: ResponseCache[Value], measure: Callable[[Value], int], counts: _Counts, clock: Clock
    ) -> None:
        """Use `ResponseCache.open`."""
        self._whole = whole
        self._measure = measure
        self._counts = counts
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._closed = False
        # Least recently used first.
        self._entries: OrderedDict[bytes, _Entry[Value]] = OrderedDict()
        # Keys whose answers are being computed, and who waits for each.
        self._flights: dict[bytes, _Followers[Value]] = {}

    @property
    def entry_count(self) -> int:
        """How many answers are kept."""
        return len(self._entries)

    def __contains__(self, key: bytes) -> bool:
        """Tells whether an answer is kept or under way."""
        return key in self._entries or key in self._flights

    async def get(
        self, key: bytes, compute: Callable[[], Awaitable[Value]], deadline: float | None = None
    ) -> Answer[Value]:
        """Gives the answer that is kept, else the one that another request computes just now, else computes it.

        Where the other request fails or is cancelled, one of those who wait for it computes in its place: nobody fails
        for another's error, deadline or cancellation.

        Args:
            key: from `make_key`.
            compute: gives the answer, never None; keeps to the deadline itself.
            deadline: when the answer is of no more use, on the cache's clock.

        Raises:
            ServingError: DEADLINE_EXCEEDED while this waited for another request; and what `compute` raises.
        """
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
            entry.used = self._whole.next_use()
            self._counts.hits.inc()
            return Answer(entry.value, computed=False, waited_seconds=0.0)
        followers = self._flights.get(key)
        waited = 0.0
        if followers is None:
            followers = self._flights[key] = deque()
        else:
            joined = self._clock()
            value = await self._follow(key, followers, deadline)
            waited = self._clock() - joined
            if value is not None:
                self._counts.shared.inc()
                return Answer(value, computed=False, waited_seconds=waited)
        self._counts.misses.inc()
        return Answer(await self._lead(key, followers, compute), computed=True, waited_seconds=waited)

    async def _lead(self, key: bytes, followers: _Followers[Value], compute: Callable[[], Awaitable[Value]]) -> Value:
        """Computes an answer, for those who follow too."""
        value: Value | None = None
        try:
            value = await compute()
            self._keep(key, value)
            return value
        finally:
            if value is None:
                self._hand_over(key, followers)
            else:
                del self._flights[key]
                for follower in followers:
                    if not follower.done():
                        follower.set_result(value)

    async def _follow(self, key: bytes, followers: _Followers[Value], deadline: float | None) -> Value | None:
        """Waits for the answer of another; None: there is none, and this request leads now."""
        timeout = None if deadline is None else max(deadline - self._clock(), 0.0)
        turn: asyncio.Future[Value | None] = self._loop.create_future()
        followers.append(turn)
        try:
            await asyncio.wait({turn}, timeout=timeout)
        except asyncio.CancelledError:
            if not turn.cancel() and turn.result() is None:
                self._hand_over(key, followers)  # the lead came just as this request left
            raise
        if turn.cancel():
            raise ServingError(Reason.DEADLINE_EXCEEDED, "the deadline passed while the document waited")
        return turn.result()

    def _hand_over(self, key: bytes, followers: _Followers[Value]) -> None:
        """Lets the first who still waits lead, and the others wait on: to wake all each time would cost n² for n."""
        while followers:
            follower = followers.popleft()
            if not follower.done():
                follower.set_result(None)
                return
        del self._flights[key]

    def _keep(self, key: bytes, value: Value) -> None:
        size = ENTRY_BYTES + self._measure(value)
        # A request may outlive its version's close: what it brings then would never be dropped.
        if self._closed or not self._whole.make_room(size):
            return
        self._entries[key] = _Entry(value, size, self._whole.next_use())
        self._counts.entries.inc()
        self._counts.bytes.inc(size)

    @property
    def oldest_use(self) -> int:
        """When the least recently used entry was used; there must be one."""
        return next(iter(self._entries.values())).used

    def evict(self) -> None:
        """Drops the least recently used entry, for others to have its bytes."""
        self._drop_oldest()
        self._counts.evictions.inc()

    def close(self) -> None:
        """Drops all entries, soon, and keeps no more. From any thread."""
        self._loop.call_soon_threadsafe(self._drop_all)

    def _drop_all(self) -> None:
        """Drops the entries some at a time: there may be millions, and the event loop must turn."""
        self._closed = True
        for _ in range(min(_DROPPED_AT_ONCE, len(self._entries))):
            self._drop_oldest()
        if self._entries:
            self._loop.call_soon(self._drop_all)
        else:
            self._whole.forget(self)

    def _drop_oldest(self) -> None:
        _, entry = self._entries.popitem(last=False)
        self._whole.give_back(entry.size)
        self._counts.entries.dec()
        self._counts.bytes.dec(entry.size)


class _Counts:
    """The metrics of one version; its label values are looked up once, not for every request."""

    def __init__(self, metrics: Metrics, model: str, version: str) -> None:
        labels = (model, version)
        self.hits = metrics.cache_hits.labels(*labels)
        self.misses = metrics.cache_misses.labels(*labels)
        self.shared = metrics.cache_shared.labels(*labels)
        self.evictions = metrics.cache_evictions.labels(*labels)
        self.entries = metrics.cache_entries.labels(*labels)
        self.bytes = metrics.cache_bytes.labels(*labels)
