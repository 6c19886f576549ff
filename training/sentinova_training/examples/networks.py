"""The networks of the example models, and their weights.

Knows Paddle's layers; must not know about files. Imports Paddle at once, so import it only where a network is at hand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional

from sentinova_training.half import halve

WORDS = 200
ITEMS = 100
KINDS = 12
HEAD_GAIN = 3  # sets the classes apart


class Residual(nn.Layer):  # type: ignore[misc]
    """Two convolutions with batch normalisation, and a way around them."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2D(channels_in, channels_out, 3, stride=stride, padding=1, bias_attr=False),
            nn.BatchNorm2D(channels_out),
            nn.ReLU(),
            nn.Conv2D(channels_out, channels_out, 3, padding=1, bias_attr=False),
            nn.BatchNorm2D(channels_out),
        )
        self.around = nn.Sequential(
            nn.Conv2D(channels_in, channels_out, 1, stride=stride, bias_attr=False), nn.BatchNorm2D(channels_out)
        )

    def forward(self, features: Any) -> Any:
        """Maps `[batch, channels_in, height, width]` to `[batch, channels_out, height / stride, width / stride]`."""
        return functional.relu(self.body(features) + self.around(features))


class ImageCnn(nn.Layer):  # type: ignore[misc]
    """A ResNet for ten classes of images of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2D(3, 12, 3, stride=2, padding=1, bias_attr=False), nn.BatchNorm2D(12), nn.ReLU()
        )
        self.blocks = nn.Sequential(Residual(12, 12, 1), Residual(12, 24, 2), Residual(24, 36, 2))
        self.head = nn.Linear(36, 10)

    def forward(self, image: Any) -> Any:
        """Maps `[batch, 3, height, width] float32` to probabilities `[batch, 10] float32`."""
        features = self.blocks(self.stem(image))
        pooled = functional.adaptive_avg_pool2d(features, 1).flatten(1)
        return functional.softmax(self.head(pooled), axis=-1)


class TextLstm(nn.Layer):  # type: ignore[misc]
    """A bidirectional LSTM over token ids, its states pooled by maximum and by mean."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 16)
        self.lstm = nn.LSTM(16, 24, direction="bidirect")
        self.head = nn.Linear(4 * 24, 4)

    def forward(self, token_ids: Any) -> Any:
        """Maps `[batch, seq] int64` to logits `[batch, 4] float32`; nothing masks padding."""
        states, _ = self.lstm(self.embedding(token_ids))
        return self.head(paddle.concat([states.max(axis=1), states.mean(axis=1)], axis=-1))


class TwoInputs(nn.Layer):  # type: ignore[misc]
    """A recommender: what a user is like and what was seen give a score and a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.user = nn.Linear(8, 32)
        self.items = nn.Embedding(ITEMS, 16)
        self.vector = nn.Linear(32 + 16, 16)
        self.score = nn.Linear(16, 1)

    def forward(self, user_features: Any, item_ids: Any) -> tuple[Any, Any]:
        """Maps `[batch, 8] float32` and `[batch, 4] int64` to a score `[batch, 1]` and a vector `[batch, 16]`."""
        seen = self.items(item_ids).mean(axis=1)
        vector = paddle.tanh(self.vector(paddle.concat([functional.relu(self.user(user_features)), seen], axis=-1)))
        return functional.sigmoid(self.score(vector)), vector


class PageDetector(nn.Layer):  # type: ignore[misc]
    """Tells for each pixel how likely it belongs to text, as the detector of an OCR chain does."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2D(3, 12, 3, stride=2, padding=1, bias_attr=False),
            nn.BatchNorm2D(12),
            nn.ReLU(),
            nn.Conv2D(12, 16, 3, stride=2, padding=1, bias_attr=False),
            nn.BatchNorm2D(16),
            nn.Hardswish(),
        )
        self.up = nn.Sequential(nn.Conv2DTranspose(16, 8, 2, stride=2), nn.ReLU(), nn.Conv2D(8, 1, 3, padding=1))

    def forward(self, image: Any) -> Any:
        """Maps `[batch, 3, height, width] float32` to probabilities `[batch, 1, height, width] float32`."""
        size = paddle.shape(image)[2:]
        return functional.sigmoid(functional.interpolate(self.up(self.down(image)), size=size, mode="bilinear"))


class EventSequence(nn.Layer):  # type: ignore[misc]
    """Classifies a sequence of events of which some are absent; its matrices are stored as float16."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds = nn.Embedding(KINDS, 16)
        self.values = nn.Linear(6, 16)
        self.head = nn.Linear(16, 5)

    def forward(self, values: Any, kinds: Any, present: Any) -> tuple[Any, Any]:
        """Maps `[batch, seq, 6] float32`, `[batch, seq] int32` and `[batch, seq] bool` to probabilities and a class.

        Returns:
            `[batch, 5] float32` and `[batch] int64`.
        """
        weight = present.astype("float32").unsqueeze(-1)
        states = functional.gelu(self.values(values) + self.kinds(kinds)) * weight
        pooled = states.sum(axis=1) / paddle.clip(weight.sum(axis=1), min=1.0)
        probabilities = functional.softmax(self.head(pooled), axis=-1)
        # OpenVINO's frontend takes no axis of -1 here.
        return probabilities, probabilities.argmax(axis=1)


class SimilarityMatrix(nn.Layer):  # type: ignore[misc]
    """Compares every row of one input with every row of the other: no dimension is a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = nn.Linear(16, 24)
        self.documents = nn.Linear(16, 24)

    def forward(self, queries: Any, documents: Any) -> Any:
        """Maps `[rows, 16]` and `[columns, 16]`, both float32, to cosines `[rows, columns] float32`."""
        left = functional.normalize(self.queries(queries), axis=1)
        right = functional.normalize(self.documents(documents), axis=1)
        return paddle.matmul(left, right, transpose_y=True)


def build(layer: type[nn.Layer], seed: int, stored_as_half: bool) -> Any:
    """A network in evaluation mode, its weights and normalisation statistics drawn from a seed.

    Drawn evenly, with numpy: such numbers are the same with every version and on every machine.

    Args:
        layer: its class.
        seed: of the numbers.
        stored_as_half: whether Linear and Embedding matrices are kept as float16.
    """
    network = layer()
    random = np.random.default_rng(seed)
    for path, sublayer in network.named_sublayers(include_self=True):
        normalises = isinstance(sublayer, nn.BatchNorm2D)
        own = list(sublayer.named_parameters(include_sublayers=False))
        if normalises:
            own += sublayer.named_buffers(include_sublayers=False)
        for name, tensor in own:
            low, high = _statistics_range(name) if normalises else _weight_range(sublayer, tensor.shape)
            drawn = random.uniform(low, high, tensor.shape) * (HEAD_GAIN if path == "head" else 1)
            tensor.set_value(drawn.astype(np.float32))
    if stored_as_half:
        halve(network)
    network.eval()
    return network


def _statistics_range(name: str) -> tuple[float, float]:
    """Range of a batch normalisation's numbers: none of them is what an untrained one has."""
    return {"weight": (0.6, 1.4), "bias": (-0.5, 0.5), "_mean": (-0.4, 0.4), "_variance": (0.5, 2.0)}[name]


def _weight_range(layer: Any, shape: list[int]) -> tuple[float, float]:
    """Range that keeps the size of what goes through; a bias gets a fixed one, an embedding a variance of 1."""
    if isinstance(layer, nn.Embedding):
        bound = 3**0.5
    elif len(shape) == 1:
        bound = 0.3
    elif isinstance(layer, nn.Conv2D):
        bound = (6 / np.prod(shape[1:])) ** 0.5
    else:  # Linear and Conv2DTranspose have [in, out, …], an LSTM has [gates, in].
        inputs = shape[0] if isinstance(layer, nn.Linear | nn.Conv2DTranspose) else shape[1]
        bound = (6 / inputs) ** 0.5
    return -bound, bound
