"""`golden.npz`: tensors in, and what Paddle made of them, which a server must reproduce before it serves a version.

Knows the file's form: for case N, from 0, `N/input/NAME` and `N/output/NAME`, and optionally `tolerance`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sentinova_training.examples.catalogue import Array

FILE = "golden.npz"
TOLERANCE = 1e-3  # of a file that names none
Case = tuple[Mapping[str, Array], Mapping[str, Array]]


def write(path: Path, cases: Sequence[Case], tolerance: float | None) -> None:
    """Writes inputs and outputs of all cases, by name; numpy stamps the entries with a fixed date."""
    arrays: dict[str, Array] = {}
    for number, (inputs, outputs) in enumerate(cases):
        for role, tensors in (("input", inputs), ("output", outputs)):
            arrays |= {f"{number}/{role}/{name}": tensor for name, tensor in tensors.items()}
    if tolerance is not None:
        arrays["tolerance"] = np.asarray(tolerance, np.float32)
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def read(path: Path) -> tuple[list[Case], float]:
    """Gives the cases and the tolerance."""
    with np.load(path, allow_pickle=False) as content:
        arrays = dict(content)
    tolerance = float(arrays.pop("tolerance", TOLERANCE))
    cases: list[tuple[dict[str, Array], dict[str, Array]]] = []
    for key, array in sorted(arrays.items(), key=lambda item: int(item[0].split("/")[0])):
        number, role, name = key.split("/", maxsplit=2)
        if int(number) == len(cases):
            cases.append(({}, {}))
        cases[int(number)][role == "output"][name] = array
    return list(cases), tolerance


def largest_difference(found: Mapping[str, Array], wanted: Mapping[str, Array]) -> float:
    """Largest absolute difference of a number; infinite where names, shapes or element types differ."""
    if found.keys() != wanted.keys():
        return float("inf")
    worst = 0.0
    for name, tensor in wanted.items():
        own = found[name]
        if own.shape != tensor.shape or own.dtype != tensor.dtype:
            return float("inf")
        difference = np.abs(own.astype(np.float64) - tensor.astype(np.float64)).max(initial=0.0)
        worst = max(worst, float(np.nan_to_num(difference, nan=np.inf)))
    return worst
