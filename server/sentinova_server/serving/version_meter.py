"""What is measured of one version while it serves, for the metrics and for who asks when there is room.

Knows metrics and activity; must not know what a document is.
"""

from __future__ import annotations

from sentinova_server.observability.metrics import Metrics
from sentinova_server.serving.activity import Activity
from sentinova_server.serving.statistics import VersionStatistics


class VersionMeter:
    """Measures one version; its label values are looked up once, not for every document."""

    def __init__(
        self,
        metrics: Metrics,
        model: str,
        version: str,
        statistics: VersionStatistics,
        *,
        counts_tokens: bool = True,
    ) -> None:
        """Makes it.

        Args:
            metrics: told of what it measures.
            model: the model's name.
            version: the version's number.
            statistics: told of its batches, too.
            counts_tokens: whether batches are of tokens; otherwise they are of rows of tensors.
        """
        self._statistics = statistics
        self._counts_tokens = counts_tokens
        labels = (model, version)
        self._queue_length = metrics.queued_documents.labels(*labels)
        self._inference = metrics.inference_seconds.labels(*labels)
        self._documents = metrics.batch_documents.labels(*labels)
        self._queue = metrics.queue_seconds.labels(*labels)
        if counts_tokens:
            self._tokenize = metrics.tokenize_seconds.labels(*labels)
            self._tokens = metrics.batch_tokens.labels(*labels)
            self._padding = metrics.padding_tokens.labels(*labels)
        self._activity: Activity | None = None
        self._cores = self._cores_alone = 0
        self._waiting = 0

    def report_to(self, activity: Activity, cores: int, cores_alone: int = 0) -> None:
        """Has an activity told of all batches and of the queue.

        Args:
            activity: who is told.
            cores: those that a batch takes.
            cores_alone: those that one takes which may take all, where these are more.
        """
        self._activity, self._cores, self._cores_alone = activity, cores, max(cores, cores_alone)

    def tokenized(self, seconds: float) -> None:
        """Told of the time that turning a document into tokens took."""
        self._tokenize.observe(seconds)

    def waited(self, seconds: float) -> None:
        """Told of the time that a document waited for its batch."""
        self._queue.observe(seconds)

    def batch_started(self, *, alone: bool) -> None:
        """Told when a batch starts, and whether it may take all cores."""
        if self._activity is not None:
            self._activity.batch_started(self._cores_alone if alone else self._cores)

    def batch_ended(self, *, alone: bool) -> None:
        """Told when a batch has ended, well or not, and what was told at its start."""
        if self._activity is not None:
            self._activity.batch_ended(self._cores_alone if alone else self._cores)

    def batch_done(self, documents: int, tokens: int, padded_tokens: int, seconds: float) -> None:
        """Told of a batch that went well."""
        self._inference.observe(seconds)
        if self._counts_tokens:
            self._tokens.observe(padded_tokens)
            self._padding.inc(padded_tokens - tokens)
        else:
            documents = tokens
        self._documents.observe(documents)
        self._statistics.batch_done(documents, seconds)

    def queue_changed(self, documents: int) -> None:
        """Told of the number of documents that wait."""
        self._queue_length.set(documents)
        if self._activity is not None:
            self._activity.waiting_changed(documents - self._waiting)
            self._waiting = documents
