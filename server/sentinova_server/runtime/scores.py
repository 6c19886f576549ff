"""Scores: calibrated probabilities out of logits."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def softmax(logits: Sequence[float], temperature: float) -> tuple[float, ...]:
    """Turns the logits of one text into calibrated probabilities, which sum to 1.

    The softmax of logits / temperature: temperature scaling as in Guo et al., "On Calibration of Modern Neural
    Networks", ICML 2017. In plain Python: for a handful of classes that takes a tenth of what numpy takes.

    Args:
        logits: one a class; finite.
        temperature: above 0; 1 leaves them as the model has them.
    """
    highest = max(logits)
    powers = [math.exp((logit - highest) / temperature) for logit in logits]
    total = sum(powers)
    return tuple([power / total for power in powers])


def score_differences(logits: NDArray[np.float32], reference: NDArray[np.floating], temperature: float) -> list[float]:
    """Gives the largest difference of a class's score for each text; infinity where a logit is not a number.

    Args:
        logits: `[text, class]`.
        reference: `[text, class]`, what they are held against; finite.
        temperature: what both are divided by before softmax.
    """
    return [
        max(abs(a - b) for a, b in zip(softmax(own, temperature), softmax(right, temperature), strict=True))
        if all(map(math.isfinite, own))
        else math.inf
        for own, right in zip(logits.tolist(), reference.tolist(), strict=True)
    ]
