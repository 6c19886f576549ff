"""Progressive delivery: answers of a model's new versions, held against those of the version that is trusted.

Knows which versions are compared and which documents; must not know how a document is computed, nor what a rollback
does. Used on the event loop only.

A shadow computes, unseen, documents that the baseline answered. A canary answers clients itself, and the baseline
computes the same documents: only a canary can fail clients, so it alone is judged by its limits. All this is computed
in the background, where there is room.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, field
from functools import partial
from weakref import ref

import structlog

from sentinova_server.errors import Reason, ServingError
from sentinova_server.observability.metrics import Metrics
from sentinova_server.repository.traffic import CanaryLimits
from sentinova_server.serving.agreement import Answer
from sentinova_server.serving.analysis import Analysis, LongText
from sentinova_server.serving.background import BackgroundDocument, BackgroundWork, Lease
from sentinova_server.serving.comparison import Comparison, RunningComparison

__all__ = ["Comparison", "Deliveries"]

_log = structlog.get_logger()

# Errors that are a version's own; all others are the client's, or say that there was no time.
_OWN_FAILURES = frozenset({Reason.INFERENCE_FAILED, Reason.INTERNAL})

# Model, version and reason: has a version taken out of service.
RollBack = Callable[[str, int, str], None]
# A candidate and its baseline: their numbers, and what serves them.
_Pair = tuple[int, int, Hashable, Hashable]


@dataclass(slots=True)
class _Delivery:
    """What is compared of one model.

    Attributes:
        shadow_percent: share of the baseline's documents that the shadow computes.
        running: all comparisons, in ascending order of candidates.
        canaries: those that are live, by candidate.
        shadow: the one that is not; None: there is none.
    """

    shadow_percent: int
    running: dict[_Pair, RunningComparison] = field(default_factory=dict)
    canaries: dict[int, RunningComparison] = field(default_factory=dict)
    shadow: RunningComparison | None = None

    def add(self, pair: _Pair, comparison: RunningComparison, *, live: bool, limits: CanaryLimits) -> None:
        comparison.configure(live=live, limits=limits)
        self.running[pair] = comparison
        if live:
            self.canaries[comparison.candidate] = comparison
        else:
            self.shadow = comparison


class Deliveries:
    """The comparisons of all models."""

    def __init__(
        self,
        background: BackgroundWork,
        metrics: Metrics,
        lease: Lease,
        roll_back: RollBack,
        rng: random.Random,
    ) -> None:
        """Makes it: nothing is compared.

        Args:
            background: computes what nobody waits for.
            metrics: where comparisons are shown.
            lease: lends versions by model and number.
            roll_back: has a canary taken out of service that passed a limit; called once, and must not block.
            rng: chooses the shadow's documents.
        """
        self._background = background
        self._metrics = metrics
        self._lease = lease
        self._roll_back = roll_back
        self._rng = rng
        # Only models of which something is compared.
        self._deliveries: dict[str, _Delivery] = {}

    def configure(
        self,
        model: str,
        *,
        baseline: int | None,
        canaries: Collection[int],
        shadow: int | None,
        shadow_percent: int,
        limits: CanaryLimits,
    ) -> None:
        """Says what of a model is compared. Comparisons whose two versions stay go on; others begin anew, or end.

        A version that was loaded anew is another one, also where it has the same number.

        Args:
            model: the model's name.
            baseline: the version that others are compared with; None: nothing is compared.
            canaries: other versions that answer clients.
            shadow: the version that computes documents unseen; None: none. One that answers clients is compared as a
                canary alone.
            shadow_percent: share of the baseline's documents that the shadow computes, 1 to 100.
            limits: what canaries are held to.
        """
        before = self._deliveries.pop(model, None)
        running = before.running if before else {}
        pairs: dict[_Pair, tuple[int, int]] = {}
        if baseline is not None:
            for version in sorted({*canaries, *(() if shadow is None else (shadow,))} - {baseline}):
                pair = (version, baseline, self._identify(model, version), self._identify(model, baseline))
                pairs[pair] = (version, baseline)
        # Those that end go first: one that begins anew has the gauges of the one before.
        for pair, comparison in running.items():
            if pair not in pairs:
                comparison.end()
        if not pairs:
            return
        delivery = self._deliveries[model] = _Delivery(shadow_percent)
        for pair, numbers in pairs.items():
            comparison = running.get(pair) or RunningComparison(self._metrics, model, *numbers)
            delivery.add(pair, comparison, live=comparison.candidate in canaries, limits=limits)

    def answered(
        self, model: str, version: int, text: str, long_text: LongText, outcome: Analysis | ServingError
    ) -> None:
        """Told of every document that a leased version answered; compares it where that is due.

        Args:
            model: the model's name.
            version: the version that answered.
            text: the document's text.
            long_text: what was asked for where it is too long.
            outcome: what the client gets.
        """
        delivery = self._deliveries.get(model)
        if delivery is None:
            return
        canary = delivery.canaries.get(version)
        if canary is not None:
            if isinstance(outcome, Analysis) or outcome.reason in _OWN_FAILURES:
                canary.count_own(failed=isinstance(outcome, ServingError))
            self._take(canary, version, text, long_text, outcome)
            self._judge(canary)
            return
        shadow = delivery.shadow
        if shadow is not None and version == shadow.baseline and self._rng.random() * 100 < delivery.shadow_percent:
            self._take(shadow, version, text, long_text, outcome)

    def comparisons(self, model: str) -> list[Comparison]:
        """Gives how the versions of a model compare now, in ascending order of versions."""
        delivery = self._deliveries.get(model)
        return [running.view() for running in delivery.running.values()] if delivery else []

    def forget(self, model: str) -> None:
        """Ends all comparisons of a model."""
        delivery = self._deliveries.pop(model, None)
        for running in delivery.running.values() if delivery else ():
            running.end()

    def _take(
        self,
        comparison: RunningComparison,
        version: int,
        text: str,
        long_text: LongText,
        outcome: Analysis | ServingError,
    ) -> None:
        """Has one version of a comparison compute a document that the other, `version`, has answered."""
        if isinstance(outcome, ServingError):
            if outcome.reason in _OWN_FAILURES:
                comparison.fail()
            return
        labels = self._find_labels(comparison.model, version)
        if len(labels) != len(outcome.scores):  # the version is being unloaded, or was just loaded anew with others
            comparison.drop()
            return
        other = comparison.baseline if version == comparison.candidate else comparison.candidate
        done = partial(self._computed, comparison, other, Answer(labels, outcome))
        self._background.submit(BackgroundDocument(comparison.model, other, self._lease, text, long_text, done))

    def _computed(
        self,
        comparison: RunningComparison,
        version: int,
        given: Answer,
        found: Answer | ServingError | None,
    ) -> None:
        """Adds to a comparison what became of a document that `version` was to compute."""
        if comparison.ended:
            return
        if found is None:
            comparison.drop()
        elif isinstance(found, ServingError):
            comparison.fail()
        elif version == comparison.baseline:
            comparison.compare(given, found)
        else:
            comparison.compare(found, given)
        self._judge(comparison)

    def _judge(self, comparison: RunningComparison) -> None:
        reason = comparison.judge()
        if reason:
            try:
                self._roll_back(comparison.model, comparison.candidate, reason)
            except Exception:  # a defect there must not fail the request whose answer was the last straw
                _log.exception("rollback_failed", model=comparison.model, version=comparison.candidate, reason=reason)

    def _find_labels(self, model: str, version: int) -> tuple[str, ...]:
        """Gives a version's class names; none where it takes no requests."""
        try:
            with self._lease(model, version) as record:
                return record.served.labels if record.served else ()
        except ServingError:
            return ()

    def _identify(self, model: str, version: int) -> Hashable:
        """Gives what differs once a version is loaded anew, and keeps nothing of it in memory."""
        try:
            with self._lease(model, version) as record:
                return ref(record.served) if record.served else None
        except ServingError:
            return None
