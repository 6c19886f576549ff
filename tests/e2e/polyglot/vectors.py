"""The vectors in tests/vectors: texts and errors with what every client must be told of them.

Knows the files; must not know how a client is run. `make_vectors.py` beside the files wrote them, and says from what.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "vectors"
VERSIONS = (1, 2)


@dataclass(frozen=True)
class Expected:
    """What Paddle makes of a text in one version."""

    label: str
    scores: dict[str, float]
    logits: list[float]
    token_count: int


@dataclass(frozen=True)
class Text:
    """A text, and what each version must say of it."""

    id: str
    text: str
    versions: dict[int, Expected]

    @property
    def document(self) -> dict[str, str]:
        """The document as a runner reads it."""
        return {"id": self.id, "text": self.text}


@dataclass(frozen=True)
class ErrorCase:
    """A fault, and what it must be answered with.

    `field` has the path of the field for each way of asking that has the fault; `{index}` is the document's place.
    """

    name: str
    code: str
    reason: str
    field: dict[str, str]
    text: str = "good"
    id: str = ""
    config: dict[str, Any] | None = None
    documents: int = 1

    @property
    def document(self) -> dict[str, str]:
        """The document as a runner reads it."""
        return {"id": self.id or self.name, "text": self.text}


@dataclass(frozen=True)
class Texts:
    """One file of texts.

    `logit_tolerance` is the golden values'. `score_tolerance` is what the golden values' tolerance of logits allows the probability of one of two classes to
    differ by: p' = p (1 - p) / temperature, for a difference of twice the tolerance at most.
    """

    name: str
    model: str
    cases: tuple[Text, ...]
    truncated: tuple[Text, ...]
    logit_tolerance: float
    score_tolerance: dict[int, float]

    @property
    def documents(self) -> list[dict[str, str]]:
        """The documents as a runner reads them."""
        return [case.document for case in self.cases]


def spelled(text: Any) -> str:
    """Gives a string of a vector in full."""
    return text if isinstance(text, str) else "".join(piece * times for piece, times in text)


@cache
def texts(name: str) -> Texts:
    """Reads sentiment.json or unicode.json."""
    content = json.loads((FOLDER / f"{name}.json").read_text())
    tolerance = {
        int(version): content["logit_tolerance"] / (2 * temperature)
        for version, temperature in content["temperatures"].items()
    }
    cases, truncated = _texts(content["cases"]), _texts(content.get("truncated", []))
    return Texts(name, content["model"], cases, truncated, content["logit_tolerance"], tolerance)


@cache
def errors(group: str) -> tuple[ErrorCase, ...]:
    """Reads the cases of errors.json that are about "documents" or about whole "calls"."""
    content = json.loads((FOLDER / "errors.json").read_text())
    return tuple(_error(case) for case in content[group])


def _texts(cases: Iterable[dict[str, Any]]) -> tuple[Text, ...]:
    return tuple(
        Text(
            case["id"],
            spelled(case["text"]),
            {int(version): Expected(**expected) for version, expected in case["versions"].items()},
        )
        for case in cases
    )


def _error(case: dict[str, Any]) -> ErrorCase:
    given = {key: spelled(case[key]) for key in ("text", "id") if key in case}
    config = {
        key: spelled(value) if isinstance(value, list) else value for key, value in case.get("config", {}).items()
    }
    return ErrorCase(case["name"], **case["expected"], **given, config=config, documents=case.get("documents", 1))
