"""Scores: calibrated probabilities out of logits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def softmax(logits: NDArray[np.floating[Any]], temperature: float) -> NDArray[np.float64]:
    """Turns logits into calibrated probabilities.

    The softmax of logits / temperature: temperature scaling as in Guo et al., "On Calibration of Modern Neural
    Networks", ICML 2017.

    Args:
        logits: `[..., class]`.
        temperature: above 0; 1 leaves them as the model has them.

    Returns:
        `[..., class]` float64, summing to 1 over the classes.
    """
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    result: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return result
