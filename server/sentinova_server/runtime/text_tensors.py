"""A text classifier as a caller of tensors sees it: texts in, labels, scores and logits out.

Knows names, element types and shapes; must not know how a text is classified.
"""

from __future__ import annotations

from sentinova_server.runtime.tensors import BYTES, TensorSpec

TEXT_INPUT = TensorSpec("TEXT", BYTES, (-1, 1))

LABEL_OUTPUT = "LABEL"
SCORES_OUTPUT = "SCORES"
LOGITS_OUTPUT = "LOGITS"


def text_outputs(classes: int) -> tuple[TensorSpec, ...]:
    """Gives the outputs of a classifier of so many classes; the first dimension is that of the texts."""
    return (
        TensorSpec(LABEL_OUTPUT, BYTES, (-1, 1)),
        TensorSpec(SCORES_OUTPUT, "FP32", (-1, classes)),
        TensorSpec(LOGITS_OUTPUT, "FP32", (-1, classes)),
    )
