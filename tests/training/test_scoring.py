"""Accuracy's interval, likelihood and calibration."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova_training import scoring


def logits_at(temperature: float, count: int = 4000, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax at `temperature` is the truth that the labels are drawn from."""
    generator = np.random.default_rng(seed)
    true_logits = generator.normal(size=(count, 2)) * 2
    positive = np.exp(scoring.log_probabilities(true_logits))[:, 1]
    labels = (generator.random(count) < positive).astype(np.int64)
    return (true_logits * temperature).astype(np.float32), labels


def test_wilson_matches_published_values():
    low, high = scoring.wilson(81, 263)
    assert (low, high) == (pytest.approx(0.2553, abs=2e-4), pytest.approx(0.3662, abs=2e-4))


@given(st.integers(1, 5000), st.data())
def test_wilson_holds_the_share_and_stays_within_0_and_1(total: int, data: st.DataObject):
    correct = data.draw(st.integers(0, total))
    low, high = scoring.wilson(correct, total)
    assert 0.0 <= low <= correct / total + 1e-12
    assert correct / total - 1e-12 <= high <= 1.0


def test_wilson_of_nothing_says_nothing():
    assert scoring.wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_the_temperature_is_found_again(temperature: float):
    logits, labels = logits_at(temperature)
    assert scoring.fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.1)


def test_calibration_lowers_likelihood_and_error():
    logits, labels = logits_at(3.0)
    found = scoring.fit_temperature(logits, labels)
    assert scoring.negative_log_likelihood(logits, labels, found) < scoring.negative_log_likelihood(logits, labels)
    assert scoring.calibration_error(logits, labels, found) < scoring.calibration_error(logits, labels) / 2


def test_sure_and_right_is_perfectly_calibrated():
    logits = np.asarray([[50.0, -50.0], [-50.0, 50.0]], dtype=np.float32)
    assert scoring.calibration_error(logits, np.asarray([0, 1])) == pytest.approx(0.0)
    assert scoring.calibration_error(logits, np.asarray([1, 0])) == pytest.approx(1.0)


def test_log_probabilities_stay_finite_for_large_logits():
    found = scoring.log_probabilities(np.asarray([[1e4, -1e4]], dtype=np.float32))
    assert found[0, 0] == pytest.approx(0.0)
    assert math.isfinite(found[0, 1])


def test_accuracy_counts_the_largest_logit():
    logits = np.asarray([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0]], dtype=np.float32)
    assert scoring.accuracy(logits, np.asarray([0, 1, 1])) == pytest.approx(2 / 3)
