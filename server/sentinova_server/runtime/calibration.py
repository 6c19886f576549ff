"""Texts that a quantization is calibrated with and measured on.

Knows tables of texts, tokenizers and golden values; must not know how a model is quantized.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from sentinova_server.errors import LoadError
from sentinova_server.runtime.golden import GOLDEN_FILE
from sentinova_server.runtime.text_parts import TextModelParts
from sentinova_server.runtime.text_table import number_labels, read_texts

# The texts that calibrate are drawn by chance, the same ones every time.
_SEED = 0


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts as token ids, none longer than the model reads.

    Attributes:
        calibrating: those that set the ranges.
        compared: those that are measured.
        truth: the class of each that is measured; None: not known.
        origin: where they are from, in words.
    """

    calibrating: list[list[int]]
    compared: list[list[int]]
    truth: list[int] | None
    origin: str


def read_table(parts: TextModelParts, file: Path, *, text_column: str, label_column: str, samples: int) -> Texts:
    """Takes texts from a file: of all of them some calibrate; those with a label, or else all, are measured.

    Args:
        parts: the model's.
        file: see `text_table`.
        text_column: column, or key, of the text.
        label_column: column, or key, of the label.
        samples: most texts that calibrate.

    Raises:
        LoadError: the file is not as it must be, or no text in it has a token.
    """
    rows = read_texts(file, text_column, label_column)
    labels = number_labels(file, rows, parts.labels)
    known = sum(label is not None for label in labels)
    origin = f"{file.name}, {len(rows):,} texts, {f'{known:,}' if known else 'none'} with a label"
    return _choose(parts, file, [row.text for row in rows], labels, samples=samples, origin=origin)


def read_golden_texts(parts: TextModelParts, *, samples: int) -> Texts:
    """Takes the golden texts of a version.

    Raises:
        LoadError: there are none.
    """
    file = parts.folder / GOLDEN_FILE
    if parts.golden is None:
        raise LoadError(file, "is not there to take texts from: give --data FILE")
    texts = [case.text for case in parts.golden.cases]
    origin = f"the {len(texts)} golden texts of version {parts.folder.name}"
    return _choose(parts, file, texts, [None] * len(texts), samples=samples, origin=origin)


def _choose(
    parts: TextModelParts, file: Path, texts: list[str], labels: list[int | None], *, samples: int, origin: str
) -> Texts:
    found = parts.tokenizer.tokenize_batch(texts, truncate=True)
    usable = [(text.input_ids, label) for text, label in zip(found, labels, strict=True) if not text.is_empty]
    if not usable:
        raise LoadError(file, "has no text of which a token is left")
    drawn = random.Random(_SEED).sample(usable, min(samples, len(usable)))  # noqa: S311
    labelled = [(ids, label) for ids, label in usable if label is not None]
    return Texts(
        calibrating=[ids for ids, _ in drawn],
        compared=[ids for ids, _ in labelled or usable],
        truth=[label for _, label in labelled] or None,
        origin=origin,
    )
