"""What one version has done since it was loaded, in sums: how often, and for how long.

Knows counts and times; must not know messages. Used on the event loop only. Prometheus has the distributions; these
sums are what clients ask the server itself for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Durations:
    """How often something was done, and the sum of the times that it took.

    Attributes:
        count: how often.
        seconds: the sum.
    """

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float, count: int = 1) -> None:
        """Counts one more, or several that took so long together."""
        self.count += count
        self.seconds += seconds


@dataclass(frozen=True, slots=True)
class RequestTimes:
    """Where the time of one request went, in seconds.

    Attributes:
        total: from its coming to its answer.
        queue: the longest wait of a document of it for its batch.
        prepare: to make what the model takes of it.
        infer: the longest time that a batch with a document of it took.
        finish: to make the answer of what the model gave.
    """

    total: float
    queue: float = 0.0
    prepare: float = 0.0
    infer: float = 0.0
    finish: float = 0.0


@dataclass(slots=True)
class VersionStatistics:
    """The sums of one version.

    Attributes:
        clock: seconds since the epoch.
        requests: requests answered well.
        failures: requests that failed.
        queue, prepare, infer, finish: where the time of those answered well went.
        rows: documents, or rows of tensors, that the model has computed.
        batches: batches that the model has run.
        by_size: time of the batches in the model, by their number of rows.
        last: when the last request came to its end, in seconds since the epoch; 0: none has.
    """

    clock: Callable[[], float]
    requests: Durations = field(default_factory=Durations)
    failures: Durations = field(default_factory=Durations)
    queue: Durations = field(default_factory=Durations)
    prepare: Durations = field(default_factory=Durations)
    infer: Durations = field(default_factory=Durations)
    finish: Durations = field(default_factory=Durations)
    rows: int = 0
    batches: int = 0
    by_size: dict[int, Durations] = field(default_factory=lambda: defaultdict(Durations))
    last: float = 0.0

    def batch_done(self, rows: int, seconds: float) -> None:
        """Told of a batch that went well."""
        self.rows += rows
        self.batches += 1
        self.by_size[rows].add(seconds)

    def answered(self, times: RequestTimes) -> None:
        """Told of a request that was answered well."""
        self.last = self.clock()
        self.requests.add(times.total)
        self.queue.add(times.queue)
        self.prepare.add(times.prepare)
        self.infer.add(times.infer)
        self.finish.add(times.finish)

    def failed(self, seconds: float) -> None:
        """Told of a request that failed after so many seconds."""
        self.last = self.clock()
        self.failures.add(seconds)
