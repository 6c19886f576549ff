"""Texts to ask about: mixes of lengths like those that people send.

Knows words and lengths; must not know tokenizers, requests or targets. Pure: the same seed gives the same texts.

Every word is one token of an English BERT vocabulary, so that a text has as many tokens as words, and two more.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

WORDS = tuple("the film was good bad story not very great boring long short time people we it of acting plot".split())
# [CLS] and [SEP].
SPECIAL_TOKENS = 2
# Most tokens that a BERT reads.
MAX_TOKENS = 512
TOKEN_LENGTHS = (8, 16, 32, 64, 128, 256, 512)
# One text of this many tokens is asked for again and again where a single call's latency is measured.
TYPICAL_TOKENS = 24


def _short(rng: random.Random) -> int:
    """A line of praise or blame: 6 to 18 tokens."""
    return rng.randint(6, 18)


def _mixed(rng: random.Random) -> int:
    """Reviews: the mean is about 24 tokens, and one in a hundred has more than about 95."""
    return min(SPECIAL_TOKENS + max(1, round(rng.lognormvariate(2.82, 0.737))), MAX_TOKENS)


def _long(rng: random.Random) -> int:
    """Documents of 150 to 500 tokens."""
    return rng.randint(150, 500)


def _random(rng: random.Random) -> int:
    """Reviews, and 3 in 100 of any length that the model reads: in the end every shape there can be."""
    return rng.randint(3, MAX_TOKENS) if rng.random() < 0.03 else _mixed(rng)


MIXES: Mapping[str, Callable[[random.Random], int]] = {
    "short": _short,
    "mixed": _mixed,
    "long": _long,
    "random": _random,
}


def make_text(tokens: int, rng: random.Random) -> str:
    """Makes one text of so many tokens, special ones included; 3 at least."""
    return " ".join(rng.choices(WORDS, k=tokens - SPECIAL_TOKENS))


def make_texts(mix: str, count: int, seed: int = 1) -> list[str]:
    """Makes texts of one of the `MIXES`."""
    rng = random.Random(f"{mix} {seed}")
    length = MIXES[mix]
    return [make_text(length(rng), rng) for _ in range(count)]


def make_equal_texts(tokens: int, count: int, seed: int = 1) -> list[str]:
    """Makes texts of the same number of tokens each."""
    rng = random.Random(f"equal {tokens} {seed}")
    return [make_text(tokens, rng) for _ in range(count)]
