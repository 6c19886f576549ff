"""Documents to try a model version with: token ids of as many lengths as real texts have.

Knows tokenizers and lengths; must not know files, models or queues.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sentinova_server.runtime.tokenizer import TextTokenizer

# What is drawn by chance is the same every time.
_SEED = 0
# A trial goes through its documents again and again: so many have every length that matters.
MAX_DOCUMENTS = 10_000
_DRAWN_DOCUMENTS = 4_000
# Short reviews: ln(tokens) without the special ones is normal, so that the mean is about 24 and one in a hundred has
# more than about 95, special ones included.
_LOG_MEAN, _LOG_DEVIATION = 2.82, 0.737


class WorkloadError(Exception):
    """Texts that nothing can be tried with; says why."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Documents as the model gets them.

    Attributes:
        documents: token ids of each, special ones included, in no order of length.
        source: where they are from, in words.
    """

    documents: tuple[tuple[int, ...], ...]
    source: str

    @property
    def origin(self) -> str:
        """Where they are from and how long they are, in words."""
        lengths = f"{self.mean_tokens:.0f} tokens in the mean, one in a hundred over {self.p99_tokens:.0f}"
        return f"{self.source} ({lengths})"

    @property
    def mean_tokens(self) -> float:
        """The mean number of tokens."""
        return float(np.mean([len(ids) for ids in self.documents]))

    @property
    def p99_tokens(self) -> float:
        """The number of tokens that one document in a hundred goes over."""
        return float(np.percentile([len(ids) for ids in self.documents], 99))


def tokenize_documents(tokenizer: TextTokenizer, texts: Sequence[str], name: str) -> Workload:
    """Turns texts into documents, once; where there are very many, a part of them drawn by chance.

    Args:
        tokenizer: the model's.
        texts: any.
        name: of the file that they are from.

    Raises:
        WorkloadError: no text has a token.
    """
    # Also puts them in another order: a file may be sorted by length.
    drawn = random.Random(_SEED).sample(texts, min(len(texts), MAX_DOCUMENTS))  # noqa: S311
    found = [text for text in tokenizer.tokenize_batch(drawn, truncate=True) if not text.is_empty]
    if not found:
        raise WorkloadError("has no text of which a token is left")
    part = f"{len(found):,} of the " if len(found) < len(texts) else ""
    cut = sum(text.truncated for text in found)
    source = f"{part}{len(texts):,} texts of {name}" + (f", {cut:,} cut to what the model reads" if cut else "")
    return Workload(tuple(tuple(text.input_ids) for text in found), source)


def draw_documents(tokenizer: TextTokenizer) -> Workload:
    """Makes documents as long as short reviews, of tokens drawn from the vocabulary."""
    rng = random.Random(_SEED)  # noqa: S311
    vocabulary = [token for token in range(tokenizer.vocab_size) if token != tokenizer.pad_id]
    lengths = [_draw_length(rng, tokenizer.max_length) for _ in range(_DRAWN_DOCUMENTS)]
    documents = tuple(tuple(rng.choices(vocabulary, k=length)) for length in lengths)
    return Workload(documents, "documents as long as short reviews, as there is no --data")


def _draw_length(rng: random.Random, max_length: int) -> int:
    # [CLS] and [SEP] come around the text's own tokens.
    return min(2 + max(1, round(rng.lognormvariate(_LOG_MEAN, _LOG_DEVIATION))), max_length)
