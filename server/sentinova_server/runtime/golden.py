"""Golden values: what Paddle itself gave for a set of texts when the model was exported.

Knows the file and the comparison; must not know how logits come about.

`golden.json` is one object: `format_version` (1), `tolerance` (largest allowed difference of a logit in float32),
`score_tolerance` (largest allowed difference of a class's score in bfloat16 or 8-bit integers; 0.05 where it is not
there), `precision` (what Paddle computed in) and `cases`, a list of `text`, `input_ids` (what Paddle's tokenizer gave
for it, special tokens included) and `logits` (one number a class). Other keys are for people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from sentinova_server.errors import LoadError
from sentinova_server.runtime.scores import score_differences

GOLDEN_FILE = "golden.json"


class GoldenCase(BaseModel):
    """One text with what Paddle made of it."""

    model_config = ConfigDict(frozen=True)

    text: str
    input_ids: Annotated[list[int], Field(min_length=1)]
    logits: Annotated[list[FiniteFloat], Field(min_length=1)]


class GoldenSet(BaseModel):
    """The content of a `golden.json`."""

    model_config = ConfigDict(frozen=True)

    format_version: Annotated[int, Field(ge=1, le=1)]
    tolerance: Annotated[float, Field(gt=0, le=1)]
    score_tolerance: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    cases: Annotated[list[GoldenCase], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class GoldenReport:
    """What a check found.

    Attributes:
        cases: number of texts compared.
        max_difference: largest difference between a logit, or a score, and Paddle's.
    """

    cases: int
    max_difference: float


def read_golden(folder: Path) -> GoldenSet | None:
    """Reads the golden values of a version; None where the folder has none.

    Raises:
        LoadError: the file cannot be read or is not as described above; names the place in the file.
    """
    file = folder / GOLDEN_FILE
    try:
        return GoldenSet.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LoadError(file, f"cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise LoadError(file, f"{place}: {first['msg']}: export the model again") from error


def compare_ids(file: Path, golden: GoldenSet, ids: Sequence[Sequence[int]]) -> None:
    """Checks that the tokenizer gives Paddle's own token ids for every golden text.

    Raises:
        LoadError: for one text it does not; names the case.
    """
    for number, (case, own) in enumerate(zip(golden.cases, ids, strict=True)):
        if list(own) != case.input_ids:
            raise LoadError(
                file,
                f"cases.{number}: the tokenizer gives other token ids than Paddle's for {case.text[:60]!r}: "
                "vocab.txt or tokenizer_config.json is not that of the exported model",
            )


def compare_logits(file: Path, golden: GoldenSet, logits: NDArray[np.float32]) -> GoldenReport:
    """Compares logits with Paddle's.

    Args:
        file: the golden file, for the message.
        golden: Paddle's values.
        logits: the model's, `[case, class]` float32.

    Raises:
        LoadError: a logit differs by more than the tolerance, is not a number, or the number of classes differs; names
            the worst case.
    """
    if any(len(case.logits) != logits.shape[1] for case in golden.cases):
        raise LoadError(file, f"has another number of logits than the model's {logits.shape[1]} classes")
    expected = np.array([case.logits for case in golden.cases], dtype=np.float64)
    # A logit that is not a number differs by infinity: no comparison may pass it.
    differences = np.nan_to_num(np.abs(logits - expected), nan=np.inf).max(axis=1)
    worst = int(differences.argmax())
    if differences[worst] > golden.tolerance:
        raise LoadError(
            file,
            f"cases.{worst}: the model gives logits {[round(float(x), 5) for x in logits[worst]]} and Paddle gave "
            f"{[round(x, 5) for x in golden.cases[worst].logits]}; they differ by {differences[worst]:.2g}, more than "
            f"the tolerance {golden.tolerance:g}: model files and golden values are not of one export",
        )
    return GoldenReport(len(golden.cases), float(differences[worst]))


def compare_scores(file: Path, golden: GoldenSet, logits: NDArray[np.float32], temperature: float) -> GoldenReport:
    """Compares scores with those of Paddle's logits: what arithmetic of low precision is held to.

    No label can change where the first class leads the next by more than twice the tolerance.

    Args:
        file: the golden file, for the message.
        golden: Paddle's values.
        logits: the model's, `[case, class]` float32.
        temperature: what logits are divided by before softmax.

    Raises:
        LoadError: a score differs by more than the tolerance, or is not a number; names the worst case.
    """
    expected = np.array([case.logits for case in golden.cases])
    differences = np.array(score_differences(logits, expected, temperature))
    worst = int(differences.argmax())
    if differences[worst] > golden.score_tolerance:
        raise LoadError(
            file,
            f"cases.{worst}: a score differs from Paddle's by {differences[worst]:.2g}, more than the score_tolerance "
            f"{golden.score_tolerance:g}: this model needs a higher precision",
        )
    return GoldenReport(len(golden.cases), float(differences[worst]))
