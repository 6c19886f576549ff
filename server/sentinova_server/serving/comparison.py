"""One version's answers held against another's, as documents come: the totals, what is judged, and the metrics of both.

Knows two versions of one model; must not know which documents are compared, nor who computes them.
"""

from __future__ import annotations

from dataclasses import dataclass

from sentinova_server.observability.metrics import Metrics
from sentinova_server.repository.traffic import CanaryLimits
from sentinova_server.serving.agreement import Agreement, Answer, judge


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a version's answers compare with another's, at one moment.

    Attributes:
        version: the version whose answers are compared.
        baseline: the version that they are compared with.
        documents: documents compared.
        agreed: those that both gave the same label.
        mean_distance: mean of the distances: a document's is the largest difference of a class's probability.
        max_distance: largest of the distances.
        latency_ratio: time of `version` in the model for a token, over that of `baseline`; 0: not known yet.
        dropped: documents not compared.
        failed: documents that one of the two failed on.
        live: whether `version` gives answers to clients.
    """

    version: int
    baseline: int
    documents: int
    agreed: int
    mean_distance: float
    max_distance: float
    latency_ratio: float
    dropped: int
    failed: int
    live: bool


class RunningComparison:
    """A comparison while it goes on.

    Attributes:
        model: name of the model.
        candidate: the version whose answers are compared.
        baseline: the version that they are compared with.
        live: whether the candidate gives answers to clients, and is judged by its limits.
        ended: whether it has ended; what comes late counts no more.
    """

    def __init__(self, metrics: Metrics, model: str, candidate: int, baseline: int) -> None:
        """Begins it: a shadow, until it is said to be live.

        Args:
            metrics: where it is shown.
            model: name of the model.
            candidate: the version whose answers are compared.
            baseline: the version that they are compared with.
        """
        self.model = model
        self.candidate = candidate
        self.baseline = baseline
        self.live = False
        self.ended = False
        self._limits = CanaryLimits()
        self._judged = False
        self._agreement = Agreement()
        self._labels = (model, str(candidate), str(baseline))
        self._gauges = (
            metrics.comparison_mean_distance,
            metrics.comparison_max_distance,
            metrics.comparison_latency_ratio,
        )
        self._mean, self._max, self._ratio = (gauge.labels(*self._labels) for gauge in self._gauges)
        outcomes = ("agreed", "disagreed", "dropped", "failed")
        counters = (metrics.comparison_documents.labels(*self._labels, outcome) for outcome in outcomes)
        self._agreed, self._disagreed, self._dropped, self._failed = counters

    def configure(self, *, live: bool, limits: CanaryLimits) -> None:
        """Says whether the candidate gives answers to clients, and when it is to be rolled back then.

        One that begins to answer is judged by the documents that come from then on.
        """
        self._limits = limits
        if live and not self.live:
            self._agreement.restart_windows()
            self._judged = False
        self.live = live

    def compare(self, candidate: Answer, baseline: Answer) -> None:
        """Adds what both versions made of a document."""
        agreement = self._agreement
        (self._agreed if agreement.compare(candidate, baseline) else self._disagreed).inc()
        self._mean.set(agreement.mean_distance)
        self._max.set(agreement.max_distance)
        self._ratio.set(agreement.latency_ratio)

    def fail(self) -> None:
        """Adds a document that one of the two failed on."""
        self._agreement.failed += 1
        self._failed.inc()

    def drop(self) -> None:
        """Adds a document that could not be compared."""
        self._agreement.dropped += 1
        self._dropped.inc()

    def count_own(self, *, failed: bool) -> None:
        """Adds a document that the candidate got from a client, and whether it failed on it."""
        self._agreement.failures.add(bad=failed)

    def judge(self) -> str:
        """Tells, once, why the candidate is to be rolled back; empty: it is not, or that has been told."""
        if not self.live or self._judged:
            return ""
        reason = judge(self._agreement, self._limits, self.baseline)
        self._judged = bool(reason)
        return reason

    def end(self) -> None:
        """Ends it; its gauges go, its counters stay."""
        self.ended = True
        for gauge in self._gauges:
            gauge.remove(*self._labels)

    def view(self) -> Comparison:
        """Gives how things are now."""
        agreement = self._agreement
        return Comparison(
            version=self.candidate,
            baseline=self.baseline,
            documents=agreement.documents,
            agreed=agreement.agreed,
            mean_distance=agreement.mean_distance,
            max_distance=agreement.max_distance,
            latency_ratio=agreement.latency_ratio,
            dropped=agreement.dropped,
            failed=agreement.failed,
            live=self.live,
        )
