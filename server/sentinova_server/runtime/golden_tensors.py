"""Golden values of a tensor model: what Paddle itself gave for a set of inputs when the model was exported.

Knows the file and the comparison; must not know how outputs come about.

`golden.npz` is a zip of numpy arrays (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html): for case
N, from 0, `N/input/NAME` for each input and `N/output/NAME` for each output, and optionally `tolerance`, the largest
allowed difference of a number (0.001 where it is not there).
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sentinova_server.errors import LoadError
from sentinova_server.runtime.golden import GoldenReport
from sentinova_server.runtime.tensors import Tensor

GOLDEN_TENSORS_FILE = "golden.npz"
_KEY = re.compile(r"(0|[1-9][0-9]*)/(input|output)/(.+)", re.DOTALL)
_TOLERANCE = 1e-3
# numpy's kinds of element types: booleans, integers, floats; and bytes and texts.
_NUMBERS = "biuf"
_KINDS = _NUMBERS + "SU"


@dataclass(frozen=True, slots=True, eq=False)
class GoldenTensors:
    """One case: its number in the file, inputs, and what Paddle made of them, each by name."""

    number: int
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class GoldenTensorSet:
    """The content of a `golden.npz`.

    Attributes:
        cases: in the order of their numbers.
        tolerance: largest allowed difference of a number.
    """

    cases: Sequence[GoldenTensors]
    tolerance: float


def read_golden_tensors(folder: Path, inputs: Sequence[str], outputs: Sequence[str]) -> GoldenTensorSet | None:
    """Reads the golden values of a version; None where the folder has none.

    Args:
        folder: the version's folder.
        inputs: the model's inputs.
        outputs: the model's outputs.

    Raises:
        LoadError: the file cannot be read or is not as described above; names the array.
    """
    file = folder / GOLDEN_TENSORS_FILE
    arrays = _read_arrays(file)
    if arrays is None:
        return None
    tolerance = _take_tolerance(file, arrays)
    if not 0 < tolerance <= 1:
        raise LoadError(file, f"tolerance is {tolerance:g}; it must be above 0, and 1 at most")
    found: dict[int, dict[str, dict[str, Tensor]]] = defaultdict(lambda: {"input": {}, "output": {}})
    for key, array in arrays.items():
        parts = _KEY.fullmatch(key)
        if parts is None:
            raise LoadError(file, f"array {key!r} is none of N/input/NAME, N/output/NAME and tolerance")
        found[int(parts[1])][parts[2]][parts[3]] = array
    cases = [GoldenTensors(number, found[number]["input"], found[number]["output"]) for number in sorted(found)]
    for case in cases:
        _check_names(file, f"{case.number}/input", case.inputs, inputs)
        _check_names(file, f"{case.number}/output", case.outputs, outputs)
    if not cases:
        raise LoadError(file, "holds no case: export the model again, or remove the file")
    return GoldenTensorSet(cases, tolerance)


def _read_arrays(file: Path) -> dict[str, Tensor] | None:
    """Reads every array of the file by its name; None where there is no file. Raises LoadError."""
    try:
        with file.open("rb") as stream:
            content = np.load(stream, allow_pickle=False)
            if not isinstance(content, np.lib.npyio.NpzFile):
                raise LoadError(file, "is a single array, not numpy's npz: write it with numpy.savez")
            with content:
                arrays = dict(content)
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise LoadError(file, f"cannot be read as numpy's npz: {error}: export the model again") from error
    for key, array in arrays.items():
        if array.dtype.kind not in _KINDS:
            raise LoadError(file, f"array {key!r} has elements of type {array.dtype}: numbers and texts may be")
    return arrays


def _take_tolerance(file: Path, arrays: dict[str, Tensor]) -> float:
    array = arrays.pop("tolerance", np.array(_TOLERANCE))
    if array.shape or array.dtype.kind not in _NUMBERS:
        raise LoadError(file, f"tolerance has shape {array.shape} and type {array.dtype}; it must be a single number")
    return float(array)


def compare_tensors(file: Path, golden: GoldenTensorSet, outputs: Sequence[Mapping[str, Tensor]]) -> GoldenReport:
    """Compares outputs with Paddle's.

    Args:
        file: the golden file, for the message.
        golden: Paddle's values.
        outputs: the model's, one mapping a case.

    Raises:
        LoadError: a number differs by more than the tolerance, or a shape is another one; names the case and output.
    """
    worst = 0.0
    for case, own in zip(golden.cases, outputs, strict=True):
        for name, expected in case.outputs.items():
            place = f"{case.number}/output/{name}"
            if own[name].shape != expected.shape:
                raise LoadError(
                    file, f"{place}: the model gives shape {own[name].shape} and Paddle gave {expected.shape}"
                )
            texts = own[name].dtype == np.object_
            if texts != (expected.dtype.kind not in _NUMBERS):
                raise LoadError(file, f"{place}: the model gives {'texts' if texts else 'numbers'}, and Paddle did not")
            difference = _differ_in_texts(own[name], expected) if texts else _largest_difference(own[name], expected)
            if difference > golden.tolerance:
                raise LoadError(
                    file,
                    f"{place}: a number differs from Paddle's by {difference:.2g}, more than the tolerance "
                    f"{golden.tolerance:g}: model files and golden values are not of one export",
                )
            worst = max(worst, difference)
    return GoldenReport(len(golden.cases), worst)


def _largest_difference(own: Tensor, expected: Tensor) -> float:
    if not expected.size:
        return 0.0
    # A number that is none on one side only differs by infinity: no comparison may pass it.
    numbers = (own.astype(np.float64), expected.astype(np.float64))
    both = (own == expected) | (np.isnan(numbers[0]) & np.isnan(numbers[1]))
    with np.errstate(invalid="ignore"):  # infinity less infinity is no number
        differences = np.abs(numbers[0] - numbers[1])
    return float(np.where(both, 0.0, np.nan_to_num(differences, nan=np.inf)).max())


def _differ_in_texts(own: Tensor, expected: Tensor) -> float:
    texts = (text.encode() if isinstance(text, str) else text for text in expected.ravel().tolist())
    return 0.0 if own.ravel().tolist() == list(texts) else np.inf


def _check_names(file: Path, place: str, found: Mapping[str, Tensor], expected: Sequence[str]) -> None:
    if set(found) != set(expected):
        raise LoadError(file, f"{place} has {sorted(found)}; the model has {sorted(expected)}")
