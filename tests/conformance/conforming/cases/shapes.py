"""Shapes: ranks, dimensions, batches, and sizes that no tensor has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conforming.case import Case, infer
from conforming.observations import answered, refused
from conforming.requests import raw_input, request

TITLE = "Shapes and batches"

_REFUSED = refused("INVALID_ARGUMENT", "INPUT0")


def _batched(name: str, shape: Sequence[int], count: int, values: Sequence[Any] | None = None) -> Case:
    """Makes a case of a tensor for `batched`; refused where no `values` are expected."""
    message = request("batched", raw_input("INPUT0", "FP32", shape, [1] * count))
    expected = _REFUSED if values is None else answered("batched", ["OUTPUT0", "FP32", list(shape), list(values)])
    return infer(f"shape/{name}", message, expected)


def _unbatched(name: str, shape: Sequence[int], count: int, *, good: bool = False, deadly: bool = False) -> Case:
    message = request("identity_fp32", raw_input("INPUT0", "FP32", shape, [1] * count))
    expected = answered("identity_fp32", ["OUTPUT0", "FP32", list(shape), [1.0] * count]) if good else _REFUSED
    return infer(f"shape/no batch/{name}", message, expected, deadly=deadly)


def _ints(first: Sequence[int], second: Sequence[int], counts: tuple[int, int]) -> Any:
    pairs = zip(("INPUT0", "INPUT1"), (first, second), counts, strict=True)
    return request("simple", *[raw_input(name, "INT32", shape, [1] * count) for name, shape, count in pairs])


CASES = [
    _batched("rank too low", [2], 2),
    _batched("rank too high", [1, 1, 2], 2),
    _batched("no dimension", [], 1),
    _batched("negative", [1, -2], 2),
    _batched("minus one", [1, -1], 2),
    _batched("negative batch", [-1, 2], 2),
    _batched("both negative", [-1, -2], 2),
    _batched("empty batch", [0, 2], 0),
    _batched("empty rows", [1, 0], 0, []),
    _batched("huge", [1, 1 << 40], 2),
    _batched("largest batch", [8, 1], 8, [2.0] * 8),
    _batched("batch too large", [9, 1], 9),
    _batched("batch far too large", [1 << 31, 1], 1),
    _batched("wide rows", [2, 5000], 10_000, [2.0] * 10_000),
    _unbatched("rank too low", [2], 2),
    _unbatched("rank too high", [1, 2, 1], 2),
    _unbatched("no dimension", [], 1),
    _unbatched("any first dimension", [9, 1], 9, good=True),
    _unbatched("first dimension 0", [0, 2], 0, good=True),
    _unbatched("second dimension 0", [3, 0], 0, good=True),
    _unbatched("both 0", [0, 0], 0, good=True),
    _unbatched("both negative", [-1, -2], 2),
    _unbatched("0 and negative", [0, -1], 0),
    _unbatched("0 and huge", [0, 1 << 62], 0, deadly=True),
    _unbatched("product past 63 bits", [1 << 62, 4], 2),
    _unbatched("product past 64 bits", [(1 << 63) - 1, 2], 2),
    _unbatched("product that wraps to 0", [1 << 32, 1 << 32], 0, deadly=True),
    infer(
        "shape/no batch/greatest and 0",
        request("identity_int8", raw_input("INPUT0", "INT8", [(1 << 63) - 1, 0], [])),
        _REFUSED,
    ),
    infer("shape/fixed dimension", _ints([1, 15], [1, 16], (15, 16)), _REFUSED),
    infer("shape/fixed dimension 0", _ints([1, 0], [1, 16], (0, 16)), _REFUSED),
    infer("shape/unequal batches", _ints([1, 16], [2, 16], (16, 32)), refused("INVALID_ARGUMENT")),
    infer(
        "shape/huge count of texts",
        request("identity_bytes", raw_input("INPUT0", "BYTES", [1, 1 << 40], ["a"])),
        _REFUSED,
    ),
]
