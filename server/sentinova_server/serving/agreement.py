"""How far the answers of two versions agree, and when a version has failed too often. Knows numbers and labels only.

Totals are kept for as long as two versions are compared. What is judged is the latest documents: a version that was
good for days and is not any more must not live on its past.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from sentinova_server.repository.traffic import CanaryLimits
from sentinova_server.serving.analysis import Analysis

# Documents that are judged: the latest so many.
WINDOW = 1000


@dataclass(frozen=True, slots=True)
class Answer:
    """What a version made of a document.

    Attributes:
        labels: the version's class names, in the order of the scores.
        analysis: its sentiment.
    """

    labels: tuple[str, ...]
    analysis: Analysis

    @property
    def label(self) -> str:
        """The name of the best class."""
        return self.labels[self.analysis.best]

    def distance(self, other: Answer) -> float:
        """Gives the largest difference of a class's probability, 0 to 1.

        Classes are matched by name; one that a version does not have has probability 0 there.
        """
        own = dict(zip(self.labels, self.analysis.scores, strict=True))
        others = dict(zip(other.labels, other.analysis.scores, strict=True))
        return max(abs(own.get(label, 0.0) - others.get(label, 0.0)) for label in own | others)


@dataclass(slots=True)
class Pace:
    """A version's time in the model.

    Attributes:
        seconds: documents' parts of the time of their batches.
        tokens: tokens of the same documents.
    """

    seconds: float = 0.0
    tokens: int = 0

    def add(self, analysis: Analysis) -> None:
        """Adds a document: of the time of its batch, as large a part as it has of the batch's tokens."""
        self.seconds += analysis.inference_seconds * analysis.token_count / analysis.batch_tokens
        self.tokens += analysis.token_count

    @property
    def seconds_per_token(self) -> float:
        """Time for a token; there must be some."""
        return self.seconds / self.tokens


class Window:
    """The latest outcomes, each good or bad."""

    def __init__(self) -> None:
        """Makes it, empty."""
        self._latest: deque[bool] = deque()
        self.total = 0
        self.bad = 0

    def __len__(self) -> int:
        """Gives the number of outcomes that are judged."""
        return len(self._latest)

    def add(self, *, bad: bool) -> None:
        """Adds an outcome; where the window is full, the oldest leaves it."""
        if len(self._latest) == WINDOW:
            self.bad -= self._latest.popleft()
        self._latest.append(bad)
        self.bad += bad
        self.total += 1

    def find_excess(self, limit: float, min_total: int) -> float | None:
        """Gives the share of bad outcomes, 0 to 1, where it is over a limit; None: it is not, or too few have come.

        Args:
            limit: highest share that is allowed.
            min_total: outcomes that must have come before any share counts.
        """
        if not self._latest or self.total < min_total:
            return None
        share = self.bad / len(self._latest)
        return share if share > limit else None


@dataclass(slots=True)
class Agreement:
    """How a candidate's answers compare with a baseline's, since the comparison began.

    Attributes:
        documents: documents compared.
        agreed: those that both gave the same label.
        distance_sum: sum of their distances.
        max_distance: largest of their distances.
        dropped: documents not compared.
        failed: documents that one of the two failed on.
        candidate_pace: of the documents that both spent time on: an answer that was kept took none.
        baseline_pace: the baseline's, of the same documents.
        disagreements: the latest documents compared; bad: another label.
        failures: the latest documents that the candidate got from clients; bad: it failed on it.
    """

    documents: int = 0
    agreed: int = 0
    distance_sum: float = 0.0
    max_distance: float = 0.0
    dropped: int = 0
    failed: int = 0
    candidate_pace: Pace = field(default_factory=Pace)
    baseline_pace: Pace = field(default_factory=Pace)
    disagreements: Window = field(default_factory=Window)
    failures: Window = field(default_factory=Window)

    @property
    def mean_distance(self) -> float:
        """Mean of the distances, 0 to 1; 0 until there are documents."""
        return min(self.distance_sum / self.documents, self.max_distance) if self.documents else 0.0

    @property
    def latency_ratio(self) -> float:
        """The candidate's time in the model for a token over the baseline's; 0 until there are documents.

        A hint, not a benchmark: one of the two runs live, beside what else came, and the other when a core is free. Two
        copies of one version mostly had 0.7 to 1.0, and 0.58 to 1.24 at the outside.
        """
        if not self.candidate_pace.seconds or not self.baseline_pace.seconds:
            return 0.0
        return self.candidate_pace.seconds_per_token / self.baseline_pace.seconds_per_token

    def compare(self, candidate: Answer, baseline: Answer) -> bool:
        """Adds what both made of one document; tells whether they gave it the same label."""
        same = candidate.label == baseline.label
        distance = candidate.distance(baseline)
        self.documents += 1
        self.agreed += same
        self.distance_sum += distance
        self.max_distance = max(self.max_distance, distance)
        self.disagreements.add(bad=not same)
        if _is_timed(candidate.analysis) and _is_timed(baseline.analysis):
            self.candidate_pace.add(candidate.analysis)
            self.baseline_pace.add(baseline.analysis)
        return same

    def restart_windows(self) -> None:
        """Begins anew with what is judged; the totals stay."""
        self.disagreements, self.failures = Window(), Window()


def judge(agreement: Agreement, limits: CanaryLimits, baseline: int) -> str:
    """Tells why a canary is to be rolled back; empty: it is not.

    Args:
        agreement: what is known of it.
        limits: what it is held to.
        baseline: number of the version that it is compared with.
    """
    share = agreement.failures.find_excess(limits.max_error_rate, limits.min_documents)
    if share is not None:
        count, limit = len(agreement.failures), limits.max_error_rate
        return f"it failed on {share:.1%} of {count:,} documents, more than the limit of {_percent(limit)}"
    if limits.max_disagreement is None:
        return ""
    share = agreement.disagreements.find_excess(limits.max_disagreement, limits.min_documents)
    if share is None:
        return ""
    count, limit = len(agreement.disagreements), limits.max_disagreement
    return (
        f"{share:.1%} of {count:,} documents got another label than from version {baseline}, "
        f"more than the limit of {_percent(limit)}"
    )


def _is_timed(analysis: Analysis) -> bool:
    return analysis.inference_seconds > 0 and analysis.batch_tokens > 0


def _percent(share: float) -> str:
    return f"{share * 100:g}%"
