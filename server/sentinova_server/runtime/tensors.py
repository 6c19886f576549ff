"""Tensors as requests bring them: their element types, and those of one request as the model takes them.

Knows KServe v2's names of element types and numpy's; must not know OpenVINO, models or messages.

Format: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol (tensor data types)
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BYTES = "BYTES"
BF16 = "BF16"

# What holds the elements of each type: BF16 as its 16 bits, which numpy has no type for, and BYTES as `bytes` objects.
NUMPY_TYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    BF16: np.dtype(np.uint16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    BYTES: np.dtype(np.object_),
}

Tensor = NDArray[Any]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a model.

    Attributes:
        name: its name in the model file.
        datatype: its element type in KServe v2 words ("INT64"), or OpenVINO's own word where KServe has none.
        shape: its dimensions; -1: any size.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]


class RowsKey(NamedTuple):
    """What the tensors of one request look like to whoever puts batches together.

    Attributes:
        shapes: their shapes without the first dimension; only requests of equal shapes make one batch.
        rows: their first dimension.
    """

    shapes: Hashable
    rows: int


@dataclass(frozen=True, slots=True, eq=False)
class TensorRows:
    """The tensors of one request, and how many rows they have.

    Attributes:
        tensors: each by name; where the model batches, all have the same first dimension.
        key: what they look like.
    """

    tensors: Mapping[str, Tensor]
    key: RowsKey

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], *, batched: bool) -> TensorRows:
        """Takes the tensors of one request.

        Args:
            tensors: each by name.
            batched: whether their first dimension is the batch's; otherwise they are one row as they are.
        """
        if not batched:
            return cls(tensors, RowsKey((), 1))
        rows = {tensor.shape[0] for tensor in tensors.values()}
        if len(rows) != 1:
            raise ValueError(f"the tensors have first dimensions {sorted(rows)}; they must be equal")
        shapes = tuple(sorted((name, tensor.shape[1:]) for name, tensor in tensors.items()))
        return cls(tensors, RowsKey(shapes, rows.pop()))

    def __len__(self) -> int:
        return self.key.rows
