"""The example models: what each takes, which cases its golden values cover, and what its card says.

Knows names, shapes and numbers; must not need Paddle to be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
MAX_BATCH_SIZE = 8


@dataclass(frozen=True)
class Input:
    """One input.

    Attributes:
        name: in the exported program.
        dtype: numpy's word for its element type.
        shape: its dimensions; None: any size.
        below: random integers are drawn from 0 to this, this left out.
        alike: axes along which random floats have something in common.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    below: int = 0
    alike: tuple[int, ...] = ()

    def draw(self, random: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Gives random values: integers below `below`, booleans, or floats between -2 and 2 in steps of 1/64.

        Half of a float is common to all places along the axes `alike`: without that, a network that averages over
        them gives nearly the same for all random values.
        """
        if self.dtype == "bool":
            return random.integers(0, 3, shape) > 0
        if self.dtype.startswith("int"):
            return random.integers(0, self.below, shape).astype(self.dtype)
        common = tuple(1 if axis in self.alike else size for axis, size in enumerate(shape))
        return ((random.integers(-64, 65, common) + random.integers(-64, 65, shape)) / 64).astype(self.dtype)


@dataclass(frozen=True)
class Example:
    """One model.

    Attributes:
        name: of the model and its folder.
        network: name of its class in `networks`.
        about: the card's first sentence.
        inputs: in the order of the forward pass's arguments.
        cases: shapes of all inputs, for each golden case.
        seed: of the weights and of the cases' values.
        batched: whether dimension 0 of every input and output is the batch.
        stored_as_half: whether matrices are stored as float16.
        tolerance: what golden.npz allows a number to differ by; None: says nothing, so that the reader's default holds.
    """

    name: str
    network: str
    about: str
    inputs: tuple[Input, ...]
    cases: tuple[tuple[tuple[int, ...], ...], ...]
    seed: int
    batched: bool = True
    stored_as_half: bool = False
    tolerance: float | None = None

    def draw_cases(self) -> list[Mapping[str, Array]]:
        """Gives the inputs of all golden cases, each by name."""
        random = np.random.default_rng([self.seed, 1])
        return [
            {given.name: given.draw(random, shape) for given, shape in zip(self.inputs, shapes, strict=True)}
            for shapes in self.cases
        ]


EXAMPLES = (
    Example(
        "image_cnn",
        "ImageCnn",
        "A ResNet with batch normalisation: an image of any size in, probabilities of ten classes out.",
        (Input("image", "float32", (None, 3, None, None), alike=(2, 3)),),
        (((1, 3, 32, 32),), ((2, 3, 24, 40),), ((1, 3, 47, 33),), ((5, 3, 16, 16),), ((1, 3, 1, 1),)),
        seed=11,
    ),
    Example(
        "text_lstm",
        "TextLstm",
        "A bidirectional LSTM: token ids below 200 in, logits of four classes out. Nothing masks padding.",
        (Input("token_ids", "int64", (None, None), below=200),),
        (((1, 1),), ((1, 12),), ((3, 7),), ((8, 30),)),
        seed=12,
    ),
    Example(
        "two_inputs",
        "TwoInputs",
        "A recommender: a user's features and the ids (below 100) of four items in, a score and a vector out.",
        (Input("user_features", "float32", (None, 8)), Input("item_ids", "int64", (None, 4), below=100)),
        (((1, 8), (1, 4)), ((4, 8), (4, 4)), ((8, 8), (8, 4))),
        seed=13,
    ),
    Example(
        "page_detector",
        "PageDetector",
        "A fully convolutional network: an image of any size in, a map of that size out, one probability a pixel.",
        (Input("image", "float32", (None, 3, None, None), alike=(2, 3)),),
        (((1, 3, 32, 48),), ((2, 3, 20, 16),), ((1, 3, 35, 21),), ((3, 3, 8, 8),)),
        seed=14,
        tolerance=1e-4,
    ),
    Example(
        "event_sequence",
        "EventSequence",
        "Values, kinds (ids below 12) and presence of a sequence of events in, probabilities of five classes and the "
        "likeliest class out. Absent events count for nothing, so padding is masked. Matrices are stored as float16.",
        (
            Input("values", "float32", (None, None, 6), alike=(1,)),
            Input("kinds", "int32", (None, None), below=12),
            Input("present", "bool", (None, None)),
        ),
        tuple(((b, t, 6), (b, t), (b, t)) for b, t in ((1, 1), (1, 9), (3, 5), (8, 20))),
        seed=15,
        stored_as_half=True,
    ),
    Example(
        "similarity_matrix",
        "SimilarityMatrix",
        "Two sets of vectors in, the cosine of every pair out. No dimension is a batch.",
        (Input("queries", "float32", (None, 16)), Input("documents", "float32", (None, 16))),
        (((1, 16), (1, 16)), ((3, 16), (5, 16)), ((7, 16), (2, 16))),
        seed=16,
        batched=False,
    ),
)
