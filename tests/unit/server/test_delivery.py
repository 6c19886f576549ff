"""What is compared, what counts, and when a canary is rolled back: with a background that is run by hand."""

import gc
import random
import weakref
from contextlib import contextmanager

import pytest
from sentinova_server.errors import Reason, ServingError
from sentinova_server.observability.metrics import Metrics
from sentinova_server.repository.traffic import CanaryLimits
from sentinova_server.serving.agreement import Answer
from sentinova_server.serving.analysis import Analysis, LongText
from sentinova_server.serving.delivery import Deliveries

LIMITS = CanaryLimits()


def analysis(positive, *, seconds=1.0):
    """Gives an analysis of version 1; version 2 has its labels the other way round."""
    return Analysis((1 - positive, positive), int(positive > 0.5), 10, False, 0.0, 0.0, seconds, 10, ())


def turned(positive, *, seconds=1.0):
    return Analysis((positive, 1 - positive), int(positive <= 0.5), 10, False, 0.0, 0.0, seconds, 10, ())


class Served:
    def __init__(self, *labels):
        self.labels = labels


class HandBackground:
    """Keeps the documents, to be answered by hand."""

    def __init__(self):
        self.documents = []

    def submit(self, document):
        self.documents.append(document)


class Bench:
    def __init__(self, seed=0):
        self.background, self.metrics = HandBackground(), Metrics()
        self.served = {1: Served("negative", "positive"), 2: Served("positive", "negative")}
        self.served[3] = Served("negative", "positive")
        self.leases, self.rollbacks = 0, []
        self.deliveries = Deliveries(self.background, self.metrics, self.lease, self.roll_back, random.Random(seed))

    @contextmanager
    def lease(self, model, version):
        if version not in self.served:
            raise ServingError(Reason.VERSION_NOT_FOUND, "gone")
        self.leases += 1
        yield type("Record", (), {"served": self.served[version]})
        self.leases -= 1

    def roll_back(self, *arguments):
        self.rollbacks.append(arguments)

    def configure(self, *, baseline=1, canaries=(), shadow=None, percent=100, limits=LIMITS, model="m"):
        self.deliveries.configure(
            model, baseline=baseline, canaries=canaries, shadow=shadow, shadow_percent=percent, limits=limits
        )

    def answer(self, version, outcome, text="a", model="m"):
        self.deliveries.answered(model, version, text, LongText.TRUNCATE, outcome)

    def compute(self, outcome):
        """Answers the oldest document of the background."""
        document = self.background.documents.pop(0)
        labels = self.served[document.version].labels
        document.tell(Answer(labels, outcome) if isinstance(outcome, Analysis) else outcome)

    def view(self, model="m"):
        [comparison] = self.deliveries.comparisons(model)
        return comparison

    def metric(self, name, version=2, baseline=1, **labels):
        labels = {"model": "m", "version": str(version), "baseline": str(baseline), **labels}
        return self.metrics.registry.get_sample_value(f"sentinova_comparison_{name}", labels)

    def counts(self):
        """Gives the documents that agreed, disagreed, were dropped, and failed, by the metrics."""
        outcomes = ("agreed", "disagreed", "dropped", "failed")
        return [self.metric("documents_total", outcome=outcome) for outcome in outcomes]


@pytest.fixture
def bench():
    return Bench()


def failure(reason):
    return ServingError(reason, "an error")


# A shadow


def test_a_shadow_computes_what_the_baseline_answered_and_is_compared_by_label(bench):
    bench.configure(shadow=2)
    bench.answer(1, analysis(0.9, seconds=1.0), "some text")
    [document] = bench.background.documents
    assert (document.model, document.version, document.text) == ("m", 2, "some text")
    assert document.long_text is LongText.TRUNCATE
    bench.compute(turned(0.7, seconds=3.0))
    bench.answer(1, analysis(0.4))
    bench.compute(turned(0.8, seconds=3.0))
    view = bench.view()
    assert (view.version, view.baseline, view.live) == (2, 1, False)
    assert (view.documents, view.agreed, view.dropped, view.failed) == (2, 1, 0, 0)
    assert (view.mean_distance, view.max_distance, view.latency_ratio) == pytest.approx((0.3, 0.4, 3.0))
    assert bench.counts() == [1, 1, 0, 0]
    gauges = [bench.metric(name) for name in ("mean_distance", "max_distance", "latency_ratio")]
    assert gauges == pytest.approx([0.3, 0.4, 3.0])
    assert bench.leases == 0


def test_only_what_the_baseline_answered_goes_to_the_shadow(bench):
    bench.configure(shadow=2)
    bench.answer(2, turned(0.9))
    bench.answer(3, analysis(0.9))
    bench.answer(1, analysis(0.9), model="other")
    assert bench.background.documents == []


def test_a_shadow_is_never_rolled_back(bench):
    bench.configure(shadow=2, limits=CanaryLimits(0.0, 0.0, 1))
    for _ in range(20):
        bench.answer(1, analysis(0.9))
        bench.compute(turned(0.1))
        bench.answer(1, analysis(0.9))
        bench.compute(failure(Reason.INFERENCE_FAILED))
    assert bench.rollbacks == []
    assert (bench.view().documents, bench.view().agreed, bench.view().failed) == (20, 0, 20)


def test_a_share_of_the_documents_goes_to_the_shadow(bench):
    bench.configure(shadow=2, percent=20)
    for _ in range(2000):
        bench.answer(1, analysis(0.9))
    # Five standard deviations around 400.
    assert 311 <= len(bench.background.documents) <= 489


def test_documents_that_one_of_the_two_failed_on_or_that_found_no_room_are_counted(bench):
    bench.configure(shadow=2)
    bench.answer(1, failure(Reason.INFERENCE_FAILED))
    for reason in (Reason.TEXT_EMPTY, Reason.QUEUE_FULL, Reason.DEADLINE_EXCEEDED):
        bench.answer(1, failure(reason))
    assert bench.background.documents == []
    for _ in range(3):
        bench.answer(1, analysis(0.9))
    bench.compute(None)
    bench.compute(failure(Reason.TEXT_TOO_LONG))
    bench.compute(turned(0.9))
    assert (bench.view().documents, bench.view().dropped, bench.view().failed) == (1, 1, 2)
    assert bench.counts() == [1, 0, 1, 2]


def test_a_version_that_is_being_unloaded_as_it_answers_is_not_compared(bench):
    bench.configure(shadow=2)
    del bench.served[1]
    bench.answer(1, analysis(0.9))
    assert (bench.background.documents, bench.view().dropped) == ([], 1)


def test_an_answer_of_the_version_before_it_was_loaded_anew_with_other_labels_is_not_compared(bench):
    bench.configure(shadow=2)
    bench.served[1] = Served("negative", "neutral", "positive")
    bench.answer(1, analysis(0.9))
    assert (bench.background.documents, bench.view().dropped) == ([], 1)


def test_a_kept_answer_is_compared_but_not_timed(bench):
    bench.configure(shadow=2)
    bench.answer(1, analysis(0.9, seconds=0.0))
    bench.compute(turned(0.9))
    assert (bench.view().documents, bench.view().agreed, bench.view().latency_ratio) == (1, 1, 0)


# A canary


def test_the_baseline_computes_what_a_canary_answered(bench):
    bench.configure(canaries=[2])
    bench.answer(1, analysis(0.9))
    bench.answer(2, turned(0.9, seconds=3.0))
    [document] = bench.background.documents
    assert document.version == 1
    bench.compute(analysis(0.8, seconds=1.0))
    view = bench.view()
    assert (view.version, view.baseline, view.live) == (2, 1, True)
    assert (view.documents, view.agreed) == (1, 1)
    assert (view.max_distance, view.latency_ratio) == pytest.approx((0.1, 3.0))


def test_a_canary_that_disagrees_too_often_is_rolled_back_once(bench):
    bench.configure(canaries=[2], limits=CanaryLimits(max_disagreement=0.05, min_documents=200))
    for i in range(210):
        bench.answer(2, turned(0.9))
        bench.compute(analysis(0.1 if i < 62 else 0.8))
        assert bench.rollbacks == [] or i >= 199
    reason = "31.0% of 200 documents got another label than from version 1, more than the limit of 5%"
    assert bench.rollbacks == [("m", 2, reason)]


def test_a_canary_that_fails_too_often_is_rolled_back_once(bench):
    bench.configure(canaries=[2])
    for i in range(120):
        bench.answer(2, failure(Reason.INFERENCE_FAILED if i % 2 else Reason.INTERNAL) if i < 6 else turned(0.9))
        assert bool(bench.rollbacks) == (i >= 99)
    assert bench.rollbacks == [("m", 2, "it failed on 6.0% of 100 documents, more than the limit of 5%")]
    assert bench.view().failed == 6


def test_what_is_the_fault_of_clients_of_load_or_of_the_baseline_does_not_count_against_a_canary(bench):
    bench.configure(canaries=[2], limits=CanaryLimits(0.0, 0.0, 1))
    bench.answer(2, turned(0.9))
    for reason in (Reason.TEXT_EMPTY, Reason.TEXT_TOO_LONG, Reason.QUEUE_FULL, Reason.DEADLINE_EXCEEDED):
        bench.answer(2, failure(reason))
    bench.compute(failure(Reason.INFERENCE_FAILED))
    bench.answer(1, failure(Reason.INFERENCE_FAILED))
    bench.answer(2, turned(0.9))
    bench.compute(None)
    assert bench.rollbacks == []
    assert (bench.view().failed, bench.view().dropped) == (1, 1)


def test_without_a_limit_disagreement_is_only_shown(bench):
    bench.configure(canaries=[2], limits=CanaryLimits(min_documents=1))
    for _ in range(10):
        bench.answer(2, turned(0.9))
        bench.compute(analysis(0.1))
    assert (bench.rollbacks, bench.view().agreed) == ([], 0)


def test_a_rollback_that_changes_what_is_compared_at_once_is_no_trouble(bench):
    bench.deliveries._roll_back = lambda *_: bench.configure()
    bench.configure(canaries=[2], limits=CanaryLimits(0.0, 0.0, 1))
    bench.answer(2, turned(0.9))
    bench.answer(2, turned(0.9))
    bench.compute(analysis(0.1))
    assert bench.deliveries.comparisons("m") == []
    bench.compute(analysis(0.1))  # comes late, and counts no more
    bench.answer(2, turned(0.9))
    assert bench.background.documents == []


def test_a_rollback_that_fails_does_not_fail_the_request(bench):
    def fail(*_):
        raise RuntimeError("a defect")

    bench.deliveries._roll_back = fail
    bench.configure(canaries=[2], limits=CanaryLimits(0.0, None, 1))
    bench.answer(2, failure(Reason.INTERNAL))
    assert bench.view().failed == 1


def test_several_canaries_and_a_shadow_are_compared_each_for_itself(bench):
    bench.served[4] = Served("negative", "positive")
    bench.configure(canaries=[3, 2], shadow=4)
    for version in (1, 2, 3):
        bench.answer(version, analysis(0.9))
    assert [document.version for document in bench.background.documents] == [4, 1, 1]
    for _ in range(3):
        bench.compute(analysis(0.9))
    views = bench.deliveries.comparisons("m")
    assert [(view.version, view.documents, view.live) for view in views] == [(2, 1, True), (3, 1, True), (4, 1, False)]


def test_a_shadow_that_answers_clients_is_a_canary_and_the_baseline_is_neither(bench):
    bench.configure(canaries=[2, 1], shadow=2)
    assert [(view.version, view.live) for view in bench.deliveries.comparisons("m")] == [(2, True)]
    bench.configure(shadow=1)
    assert bench.deliveries.comparisons("m") == []


# Changes


def test_a_comparison_goes_on_while_its_two_versions_stay(bench):
    bench.configure(canaries=[2])
    bench.answer(2, turned(0.9))
    bench.configure(canaries=[2, 3], limits=CanaryLimits(0.5), percent=7)
    bench.compute(analysis(0.9))
    assert bench.deliveries.comparisons("m")[0].documents == 1


def test_new_limits_hold_for_what_was_counted_before(bench):
    bench.configure(canaries=[2], limits=CanaryLimits(max_error_rate=1.0, min_documents=1))
    bench.answer(2, failure(Reason.INTERNAL))
    bench.configure(canaries=[2], limits=CanaryLimits(max_error_rate=0.1, min_documents=1))
    bench.answer(2, turned(0.9))
    assert bench.rollbacks == [("m", 2, "it failed on 50.0% of 2 documents, more than the limit of 10%")]


@pytest.mark.parametrize("change", [{"baseline": 3}, {"canaries": [3]}, {"canaries": []}, {"baseline": None}])
def test_a_comparison_ends_with_one_of_its_versions_and_its_gauges_go(bench, change):
    bench.configure(canaries=[2])
    bench.answer(2, turned(0.9))
    bench.compute(analysis(0.8))
    bench.answer(2, turned(0.9))
    assert bench.metric("max_distance") == pytest.approx(0.1)
    bench.configure(**{"canaries": [2], **change})
    bench.compute(analysis(0.8))  # comes late
    assert [view.documents for view in bench.deliveries.comparisons("m")] in ([], [0])
    assert bench.metric("max_distance") is None
    assert bench.counts() == [1, 0, 0, 0]


@pytest.mark.parametrize("version", [1, 2])
def test_a_comparison_begins_anew_with_a_version_that_was_loaded_anew(bench, version):
    bench.configure(canaries=[2])
    bench.answer(2, turned(0.9))
    bench.compute(analysis(0.8))
    bench.served[version] = Served(*bench.served[version].labels)
    gc.collect()
    bench.configure(canaries=[2])
    assert bench.view().documents == 0
    bench.answer(2, turned(0.9))
    bench.compute(analysis(0.7))
    assert bench.metric("max_distance") == pytest.approx(0.2)


def test_a_shadow_that_becomes_a_canary_is_judged_by_what_comes_from_then(bench):
    limits = CanaryLimits(max_disagreement=0.5, min_documents=2)
    bench.configure(shadow=2, limits=limits)
    for _ in range(10):
        bench.answer(1, analysis(0.9))
        bench.compute(turned(0.1))
    bench.answer(1, analysis(0.9))  # under way as it becomes one
    bench.configure(canaries=[2], limits=limits)
    bench.compute(turned(0.9))
    assert (bench.view().documents, bench.view().agreed, bench.view().live) == (11, 1, True)
    bench.answer(2, turned(0.9))
    bench.compute(analysis(0.1))
    assert bench.rollbacks == []
    bench.answer(2, turned(0.9))
    bench.compute(analysis(0.1))
    assert len(bench.rollbacks) == 1


def test_a_model_that_is_forgotten_has_no_comparisons(bench):
    bench.configure(canaries=[2])
    bench.configure(shadow=2, model="other")
    bench.answer(2, turned(0.9))
    bench.deliveries.forget("m")
    bench.deliveries.forget("never seen")
    assert bench.deliveries.comparisons("m") == []
    assert bench.metric("mean_distance") is None
    bench.compute(analysis(0.9))
    assert len(bench.deliveries.comparisons("other")) == 1


def test_comparisons_keep_no_unloaded_version_in_memory(bench):
    bench.configure(canaries=[2])
    gone = weakref.ref(bench.served.pop(2))
    gc.collect()
    assert gone() is None
