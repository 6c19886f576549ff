"""What stands beside the model files of a quantized version: tokenizer, class names, golden values, model card.

Knows the files that a version consists of; must not know how a model is quantized or measured.
"""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from sentinova_server.errors import LoadError
from sentinova_server.runtime.comparison import Comparison
from sentinova_server.runtime.golden import GOLDEN_FILE
from sentinova_server.runtime.tokenizer_files import (
    ADDED_TOKENS_FILE,
    CONFIG_FILE,
    SPECIAL_TOKENS_FILE,
    TOKENIZER_FILE,
    VOCAB_FILE,
)

CARD_FILE = "MODEL_CARD.md"
_TOKENIZER_FILES = (VOCAB_FILE, CONFIG_FILE, SPECIAL_TOKENS_FILE, ADDED_TOKENS_FILE, TOKENIZER_FILE)

# Above every tolerance that is chosen, and below 0.5, where labels could turn round unseen.
WIDEST_SCORE_TOLERANCE = 0.49
# Other CPUs round otherwise: twice what was measured here passes there.
_HEAD_ROOM = 2.0
_NARROWEST_SCORE_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class Account:
    """What a model card says of a quantization.

    Attributes:
        model: the model's name.
        source: the version that was quantized.
        version: the version that came of it.
        command: what was typed.
        made_with: names and versions of what did it.
        preset: which scale activations are on.
        texts: where calibration and comparison texts are from.
        calibrated: number of texts that set the ranges.
        comparison: float32 against 8 bits.
        golden_difference: largest difference of a golden text's score from Paddle's; None: there are no golden texts.
        score_tolerance: what the server allows of it at load; None: it does not look.
        bytes_before: size of the model files of `source`.
        bytes_after: size of the model files of `version`.
    """

    model: str
    source: int
    version: int
    command: str
    made_with: str
    preset: str
    texts: str
    calibrated: int
    comparison: Comparison
    golden_difference: float | None
    score_tolerance: float | None
    bytes_before: int
    bytes_after: int


def copy_companions(source: Path, target: Path, labels_file: str) -> None:
    """Copies a version's tokenizer and class names. Raises LoadError where one cannot be copied."""
    for name in (*_TOKENIZER_FILES, labels_file):
        if (source / name).exists():
            try:
                shutil.copyfile(source / name, target / name)
            except OSError as error:
                raise LoadError(source / name, f"cannot be copied to {target}: {error.strerror}") from error


def choose_score_tolerance(difference: float) -> float:
    """Gives the tolerance to check scores with at load, from the largest difference measured."""
    chosen = math.ceil(difference * _HEAD_ROOM * 1000) / 1000
    return min(max(chosen, _NARROWEST_SCORE_TOLERANCE), WIDEST_SCORE_TOLERANCE)


def copy_golden(source: Path, target: Path, *, quantized_from: int, score_tolerance: float) -> None:
    """Copies a version's golden values, still Paddle's own, with the tolerance that 8 bits need."""
    content = json.loads((source / GOLDEN_FILE).read_bytes())
    added = {"quantized_from": quantized_from, "score_tolerance": score_tolerance}
    cases = content.pop("cases")
    merged = {**content, **added, "cases": cases}
    (target / GOLDEN_FILE).write_text(json.dumps(merged, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_card(source: Path, target: Path, account: Account) -> None:
    """Writes the model card: what quantization cost, and then the card of the version that it started from."""
    text = "\n".join([*_head(account), *_costs(account), *_origin(account)])
    card = source / CARD_FILE
    if card.exists():
        original = card.read_text(encoding="utf-8", errors="replace")
        text += f"\n## The card of version {account.source}\n\nWord for word: figures and files are that version's.\n\n"
        text += _demote_headings(original)
    (target / CARD_FILE).write_text(text, encoding="utf-8")


def _head(account: Account) -> list[str]:
    return [
        f"# {account.model}, version {account.version}",
        "",
        f"Version {account.source}, quantized: its matrices and what they are multiplied with are in 8-bit integers. "
        "Classes, tokenizer, training, data and limits are those of that version.",
        "",
    ]


def _costs(account: Account) -> list[str]:
    found = account.comparison
    rows = [f"| | version {account.source}, float32 | version {account.version}, int8 |", "| --- | --- | --- |"]
    if found.labelled:
        rows.append(
            f"| accuracy on {found.texts:,} texts | {found.accuracy_before:.2f}% | {found.accuracy_after:.2f}% |"
        )
    rows.append(f"| model files | {account.bytes_before / 1e6:.1f} MB | {account.bytes_after / 1e6:.1f} MB |")
    changed = (
        f"Of {found.texts:,} texts, {found.changed:,} ({found.changed_percent:.2f}%) get another label. A text's score "
        f"differs by {found.mean_difference:.4f} in the mean and {found.max_difference:.3f} at most."
    )
    if account.golden_difference is None:
        golden = "There are no golden values, so no server checks this version against Paddle."
    else:
        golden = (
            f"Scores of the golden texts differ from Paddle's own by {account.golden_difference:.3f} at most; a server "
            f"that finds more than {account.score_tolerance:g} does not serve the version."
        )
    return ["## What quantization cost", "", *rows, "", f"Texts: {account.texts}. {changed}", "", golden, ""]


def _origin(account: Account) -> list[str]:
    return [
        "## How it was quantized",
        "",
        f"By {account.made_with}, preset {account.preset}; {account.calibrated:,} of those texts, one at a time and "
        "without padding, set the ranges:",
        "",
        "```",
        account.command,
        "```",
        "",
    ]


def _demote_headings(card: str) -> str:
    """Puts each heading of a card two levels deeper, so that it stays part of a section; code stays as it is."""
    lines: list[str] = []
    fenced = False
    for line in card.splitlines():
        fenced ^= line.startswith("```")
        lines.append(line if fenced else re.sub(r"^(#{1,4}) ", r"##\1 ", line))
    return "\n".join(lines) + "\n"
