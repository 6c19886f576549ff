"""Weights kept as float16 and cast to float32 in the forward pass: half the file, float32 arithmetic.

Knows Paddle's layers; imports Paddle at once, so import it only where a network is at hand.
"""

from __future__ import annotations

from typing import Any

import paddle
from paddle import nn


class HalfLinear(nn.Layer):  # type: ignore[misc]
    """A Linear layer whose matrix `[in, out]` is stored as float16; the bias stays float32."""

    def __init__(self, linear: Any) -> None:
        """Takes the weights of a `paddle.nn.Linear`."""
        super().__init__()
        self.register_buffer("stored", linear.weight.astype("float16"))
        self.bias = linear.bias

    @property
    def weight(self) -> Any:
        """The matrix as float32; PaddleNLP also asks it for its dtype when it makes the padding mask."""
        return self.stored.astype("float32")

    def forward(self, states: Any) -> Any:
        """Maps `[..., in] float32` to `[..., out] float32`."""
        return nn.functional.linear(states, self.weight, self.bias)


class HalfEmbedding(nn.Layer):  # type: ignore[misc]
    """An Embedding whose table `[ids, width]` is stored as float16."""

    def __init__(self, embedding: Any) -> None:
        """Takes the table of a `paddle.nn.Embedding`."""
        super().__init__()
        self.register_buffer("stored", embedding.weight.astype("float16"))

    def forward(self, ids: Any) -> Any:
        """Maps `[...] int64` to `[..., width] float32`."""
        return nn.functional.embedding(ids, self.stored.astype("float32"))


def rounded(network: Any) -> Any:
    """Rounds every matrix that `halve` would store as float16, in place; the arithmetic stays as it was.

    Such a network gives the logits of the stored one without casting its weights at every call.
    """
    for layer in network.sublayers():
        if isinstance(layer, nn.Linear | nn.Embedding):
            layer.weight.set_value(layer.weight.astype("float16").astype("float32"))
    return network


def halve(network: Any) -> Any:
    """Replaces every Linear and Embedding below a network, in place, and returns it."""
    for name, child in list(network.named_children()):
        if isinstance(child, nn.Linear):
            setattr(network, name, HalfLinear(child))
        elif isinstance(child, nn.Embedding):
            setattr(network, name, HalfEmbedding(child))
        else:
            halve(child)
    return network


class Served(nn.Layer):  # type: ignore[misc]
    """A classifier as it is exported: two inputs, logits out."""

    def __init__(self, network: Any) -> None:
        """Wraps a `BertForSequenceClassification`, stored as float16 from here on, in evaluation mode."""
        super().__init__()
        self.network = halve(network)
        self.eval()

    def forward(self, input_ids: Any, token_type_ids: Any) -> Any:
        """Maps two `[batch, seq] int64` to logits `[batch, classes] float32`; id 0 is padding."""
        return self.network(input_ids, token_type_ids)


def parameter_count(network: Any) -> int:
    """Number of weights, stored as float16 or not."""
    return sum(int(paddle.numel(tensor)) for tensor in network.state_dict().values())
