"""The best classes of an output, in place of its numbers: Triton's classification extension. Pure functions.

Knows numbers and class names; must not know messages.

Format: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_classification.md: each
class is the text `value:index`, or `value:index:name` where classes have names; the best come first.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

import numpy as np

from sentinova_server.errors import Reason, ServingError
from sentinova_server.runtime.tensors import Tensor

_INTEGERS = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
_FLOATS = ("FP32", "FP64")


def classify(output: str, datatype: str, tensor: Tensor, count: int, labels: Sequence[str], *, batched: bool) -> Tensor:
    """Gives the best classes of an output.

    Args:
        output: its name.
        datatype: its element type.
        tensor: its numbers, `[batch, ...]` where `batched`; the other dimensions together are the classes.
        count: how many classes are asked for; where there are fewer, all are given.
        labels: names of the classes by index; may be fewer than the classes.
        batched: whether the first dimension is the batch's.

    Returns:
        BYTES `[batch, count]`, or `[count]`.

    Raises:
        ServingError: INVALID_FIELD; the output's elements are no numbers that can be ordered so.
    """
    if datatype not in _INTEGERS + _FLOATS:
        message = f"output {output!r} is {datatype}: classification is for integers, FP32 and FP64"
        raise ServingError(Reason.INVALID_FIELD, message, field=f"outputs[{output!r}]")
    rows = tensor.reshape(tensor.shape[0], math.prod(tensor.shape[1:])) if batched else tensor.reshape(1, tensor.size)
    best = [_best_of(row.tolist(), count, labels, floats=datatype in _FLOATS) for row in rows]
    found = np.empty((len(rows), min(count, rows.shape[1])), np.object_)
    for index, texts in enumerate(best):
        found[index] = texts
    return found if batched else found.reshape(-1)


def _best_of(values: Sequence[float], count: int, labels: Sequence[str], *, floats: bool) -> list[bytes]:
    # Equal ones in the order of their index; what is no number comes last.
    order = heapq.nsmallest(count, range(len(values)), key=lambda i: (values[i] != values[i], -values[i], i))
    texts = []
    for index in order:
        value = f"{values[index]:f}" if floats else str(values[index])
        name = f":{labels[index]}" if index < len(labels) else ""
        texts.append(f"{value}:{index}{name}".encode())
    return texts
