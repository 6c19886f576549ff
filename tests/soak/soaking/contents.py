"""What versions are made of: contents whose every answer is known, so that an answer tells which content gave it.

A made content is a model of ten words, each with two weights; the logits are their sums over the text, times a scale.
Weights are short binary fractions, so float32 holds every sum exactly. Each content has golden values of its own.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

Weights = tuple[float, float]

WORDS: Mapping[str, Weights] = {
    "[PAD]": (0, 0), "[UNK]": (0, 0), "[CLS]": (0, 0), "[SEP]": (0, 0), "[MASK]": (0, 0), "good": (-1, 2),
    "bad": (2, -1), "not": (0.5, 0.25), "the": (0, 0), "film": (0.125, 0.125),
}  # fmt: skip
# Texts whose classes lie far enough apart for every scale to show.
TEXTS = (
    "good", "bad film", "the film not good", "the " * 20 + "bad", "not bad", "film film good", "not good not",
    "bad the not the film",
)  # fmt: skip
LABELS = ("negative", "positive")
SUMS_FILE = "SHA256SUMS"
MODEL_FILES = ("model.xml", "model.bin", "vocab.txt", "tokenizer_config.json", "labels.txt", "golden.json")


@dataclass(frozen=True)
class Content:
    """A made content.

    Attributes:
        name: its name, one for each content.
        scale: what all weights are multiplied by; below 0, every label is the other one.
        words: weights of each word, by which contents may differ too.
    """

    name: str
    scale: float = 1.0
    words: Mapping[str, Weights] = field(default_factory=lambda: WORDS, hash=False)

    def logits(self, text: str) -> list[float]:
        """Gives the logits of a text of the content's own words, `[class]`."""
        return [float(self.scale * sum(self.words[word][c] for word in text.split())) for c in (0, 1)]

    def positive(self, text: str) -> float:
        """Gives the probability of the class "positive"."""
        negative, positive = self.logits(text)
        return 1 / (1 + math.exp(negative - positive))

    def ids(self, text: str) -> list[int]:
        """Gives the token ids of a text."""
        vocabulary = list(self.words)
        return [vocabulary.index(word) for word in ("[CLS]", *text.split(), "[SEP]")]

    def build(self, folder: Path, *, cases: int = 4) -> Path:
        """Writes a version with everything that a version has; `cases` golden texts: many make a load last longer."""
        import openvino as ov
        from openvino import opset13 as ops

        folder.mkdir(parents=True)
        ids = ops.parameter([-1, -1], np.int64, name="input_ids")
        ids.output(0).set_names({"input_ids"})
        table = ops.constant(np.array(list(self.words.values()), np.float32) * np.float32(self.scale))
        vectors = ops.gather(table, ids, ops.constant(np.int64(0)))
        logits = ops.reduce_sum(vectors, ops.constant(np.int64(1)), keep_dims=False)
        logits.output(0).set_names({"logits"})
        ov.save_model(ov.Model([logits], [ids], "soak"), folder / "model.xml", compress_to_fp16=False)
        (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in self.words))
        settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 64}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        (folder / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
        self.write_golden(folder, cases=cases)
        return folder

    def write_golden(self, folder: Path, *, cases: int = 4, error: float = 0.0, extra: Sequence[dict] = ()) -> None:
        """Writes the golden values; `error` spoils one logit, `extra` are more cases."""
        chosen = [TEXTS[number % len(TEXTS)] for number in range(cases)]
        golden = [{"text": text, "input_ids": self.ids(text), "logits": self.logits(text)} for text in chosen]
        golden[-1]["logits"][0] += error
        content = {"format_version": 1, "tolerance": 0.001, "cases": [*golden, *extra]}
        (folder / "golden.json").write_text(json.dumps(content))


# Sixteen contents: neighbours differ in every label, and no two give any text the same score.
CONTENTS = tuple(
    Content(f"made-{number}", (0.25 + 0.125 * (number // 2)) * (-1 if number % 2 else 1)) for number in range(16)
)


def content_of(version: int) -> Content:
    """Gives the made content for a version: another one than its neighbours'."""
    return CONTENTS[version % len(CONTENTS)]


class Shelf:
    """Contents written once, and copied from there. Threads may share it."""

    def __init__(self, root: Path) -> None:
        """Makes it in a folder of its own."""
        self._root = root
        self._lock = threading.Lock()

    def folder(self, content: Content, *, cases: int = 4) -> Path:
        """Gives the folder of a content; nobody may change it."""
        folder = self._root / f"{content.name}-{cases}"
        with self._lock:
            if not folder.exists():
                content.build(folder, cases=cases)
        return folder

    def copy(self, content: Content, target: Path, *, cases: int = 4) -> Path:
        """Writes a content to a new folder."""
        return shutil.copytree(self.folder(content, cases=cases), target)


def write_sums(folder: Path, change: Callable[[str, str], str] = lambda _, digest: digest) -> None:
    """Writes `SHA256SUMS` as `sha256sum *` does; `change` makes another digest of a file's name and its right one."""
    files = sorted(file for file in folder.iterdir() if file.name != SUMS_FILE)
    digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    (folder / SUMS_FILE).write_text("".join(f"{change(name, digest)}  {name}\n" for name, digest in digests.items()))
