"""Logits to figures: accuracy and its interval, likelihood, calibration.

Pure numpy but for `paddle_logits`. Logits are `[texts, classes] float32`, labels `[texts] int64`.
"""

# ruff: noqa: PLC0415 - numpy alone is needed where no network is run.

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from sentinova_training import batching

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
Labels = np.ndarray[Any, np.dtype[np.int64]]


def paddle_logits(
    network: Any, ids: Sequence[Sequence[int]], pad: int, size: int = 32, label: str | None = None
) -> Floats:
    """Logits of a Paddle classifier in evaluation mode, in the order of `ids`; a label shows a progress bar."""
    import paddle

    rows: dict[int, Floats] = {}
    with paddle.no_grad():
        batches = batching.by_length([len(row) for row in ids], size)
        for batch in tqdm(batches, desc=label, unit="batch", disable=label is None):
            tensor = paddle.to_tensor(batching.padded([ids[index] for index in batch], pad))
            logits = network(tensor, paddle.zeros_like(tensor)).numpy()
            rows.update(zip(batch, logits, strict=True))
    return np.stack([rows[index] for index in range(len(ids))])


def log_probabilities(logits: Floats, temperature: float = 1.0) -> Floats:
    """Logarithm of softmax(logits / temperature), float64."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    scaled = scaled - scaled.max(axis=-1, keepdims=True)
    normalised: Floats = scaled - np.log(np.exp(scaled).sum(axis=-1, keepdims=True))
    return normalised


def negative_log_likelihood(logits: Floats, labels: Labels, temperature: float = 1.0) -> float:
    """Mean of -log p(label), in nats."""
    chosen = log_probabilities(logits, temperature)[np.arange(len(labels)), labels]
    return float(-chosen.mean())


def accuracy(logits: Floats, labels: Labels) -> float:
    """Share of texts whose largest logit is the label's, 0 to 1."""
    return float((logits.argmax(axis=-1) == labels).mean())


def figures(logits: Floats, labels: Labels) -> dict[str, float]:
    """Accuracy, and negative log-likelihood at the temperature that suits these logits best."""
    best = fit_temperature(logits, labels)
    return {"accuracy": accuracy(logits, labels), "nll": negative_log_likelihood(logits, labels, best)}


def wilson(correct: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a proportion (E. B. Wilson, 1927), 95% by default."""
    if total <= 0:
        return (0.0, 1.0)
    share, square = correct / total, z * z
    centre = (share + square / (2 * total)) / (1 + square / total)
    spread = z / (1 + square / total) * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    return (max(0.0, centre - spread), min(1.0, centre + spread))


def calibration_error(logits: Floats, labels: Labels, temperature: float = 1.0, bins: int = 15) -> float:
    """Expected calibration error (Guo et al., 2017): equal-width bins of the winning class's score."""
    scores = np.exp(log_probabilities(logits, temperature))
    confidence, right = scores.max(axis=-1), scores.argmax(axis=-1) == labels
    bucket = np.minimum((confidence * bins).astype(int), bins - 1)
    error = 0.0
    for index in range(bins):
        inside = bucket == index
        if inside.any():
            error += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return float(error)


def fit_temperature(logits: Floats, labels: Labels, low: float = 0.05, high: float = 20.0) -> float:
    """The temperature that minimises the negative log-likelihood, by golden-section search on its logarithm.

    The likelihood has one peak in the inverse temperature (log-softmax is concave in it), so the search finds it.
    """
    ratio = (math.sqrt(5.0) - 1.0) / 2.0
    left, right = math.log(low), math.log(high)
    for _ in range(80):
        lower, upper = right - ratio * (right - left), left + ratio * (right - left)
        if negative_log_likelihood(logits, labels, math.exp(lower)) < negative_log_likelihood(
            logits, labels, math.exp(upper)
        ):
            right = upper
        else:
            left = lower
    return math.exp((left + right) / 2)
