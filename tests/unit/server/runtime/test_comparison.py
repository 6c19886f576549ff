"""Two models on the same texts: what is counted, and what counts as lost."""

import numpy as np
import pytest
from sentinova_server.runtime.comparison import compare_models

BEFORE = np.array([[2, 0], [0, 2], [0.1, 0], [0, 0.1]], np.float32)
AFTER = np.array([[2, 0], [0, 2], [0, 0.1], [0, 0.1]], np.float32)


def test_accuracy_is_compared_where_labels_are_known():
    found = compare_models(BEFORE, AFTER, [0, 1, 0, 0], temperature=1.0)
    assert (found.texts, found.right_before, found.right_after, found.changed) == (4, 3, 2, 1)
    assert (found.accuracy_before, found.accuracy_after, found.changed_percent, found.loss) == (75, 50, 25, 25)
    assert compare_models(AFTER, BEFORE, [0, 1, 0, 0], temperature=1.0).loss == -25


def test_half_of_the_changes_count_where_labels_are_not_known():
    found = compare_models(BEFORE, AFTER, None, temperature=1.0)
    assert not found.labelled
    assert (found.changed, found.loss) == (1, 12.5)


def test_scores_are_compared_at_the_models_temperature():
    found = compare_models(BEFORE, AFTER, None, temperature=0.05)
    # softmax([2, 0]) - softmax([0, 2]) in the one text that differs, and nothing in the three others.
    assert found.max_difference == pytest.approx(0.7616, abs=1e-4)
    assert found.mean_difference == pytest.approx(found.max_difference / 4)
