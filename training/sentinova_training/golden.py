"""The texts whose logits a server must reproduce before it serves a version.

Knows the file's form and the texts; must not know about networks. The texts were written for this file.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sentinova_training.workspace import write_json

FORMAT_VERSION = 1
TOLERANCE = 1e-3
LONG_TOKEN_COUNTS = (24, 40, 64, 100, 160, 256, 384, 512)

SHORT_TEXTS = (
    "Superb!",
    "Awful.",
    "Fine",
    "ok",
    "I love this kettle.",
    "I do not love this kettle.",
    "The soup was not bad at all.",
    "Nobody at the desk was ever unkind.",
    "The battery never once let me down.",
    "It is hardly the worst film of the year, but it is close.",
    "THIS IS THE BEST HOTEL I HAVE EVER STAYED IN!!!",
    "WORST. SERVICE. EVER.",
    "We waited an hour, and the fish was cold.",
    "Great cast, dull script.",
    "Dull script, great cast.",
    "It broke after two days and the shop refused a refund",
    "The café's crème brûlée was délicieux, très bien!",
    "Señor Muñoz cooked a piñata of flavours; ¡qué rico!",
    "Über-schön, but the Straße outside was loud.",
    "Ægir's naïve façade of a plot bored me.",
    "Loved it 😍😍😍",
    "Never again 😡👎",
    "Meh 🤷‍♀️ … could be ☕ or tea",
    "这家餐厅很好吃",
    "服务太差了，再也不来。",
    "とても楽しい映画でした。",
    "정말 실망스러운 제품입니다.",
    "Не понравилось совсем.",
    "A solid 8/10; costs $19.99 & worth it.",
    "3 stars? More like -3 stars @ best #fail",
    "Visit https://example.com/a?b=c for my full rant.",
    "Tabs\tand\nnew lines\r\n do not change how much I enjoyed it.",
    "Antidisestablishmentarianism has never been so entertaining.",
)

_CLAUSES = (
    "the room was clean and quiet",
    "breakfast came late on both days",
    "our guide knew every street",
    "the heating rattled all night",
    "I would gladly go back",
    "the price felt too high for what we got",
    "the staff smiled at everyone",
    "a lamp in the corner did not work",
    "the view over the harbour was lovely",
    "nobody answered the phone",
    "the bed was soft and wide",
    "the lift was out of order again",
    "the garden smelled of jasmine",
    "our bags were lost for a day",
    "the cook made a special dish for my son",
    "the music downstairs was far too loud",
    "everything was within a short walk",
    "the towels were thin and rough",
    "the owner gave us good advice",
)

Encode = Callable[[str], list[int]]


def long_text(encode: Encode, tokens: int, start: int) -> str:
    """A text of at most `tokens` tokens, as near to it as whole words come.

    Args:
        encode: gives a text's ids, uncut, with [CLS] and [SEP].
        tokens: wanted number of ids.
        start: the clause to begin with, so that texts differ.
    """
    clauses = itertools.islice(itertools.cycle(_CLAUSES), start, None)
    words: list[str] = []
    for clause in clauses:
        words.extend(f"{clause},".split())
        if len(encode(" ".join(words))) > tokens:
            break
    while len(encode(" ".join(words))) > tokens:
        words.pop()
    return " ".join(words)


def texts(encode: Encode, max_length: int) -> list[str]:
    """The golden texts, from one word to `max_length` ids."""
    counts = [count for count in LONG_TOKEN_COUNTS if count <= max_length]
    long_ones = [long_text(encode, count, start) for start, count in enumerate(counts)]
    return [*SHORT_TEXTS, *long_ones]


def document(cases: Sequence[tuple[str, list[int], list[float]]], paddlepaddle: str, paddlenlp: str) -> dict[str, Any]:
    """The golden file's content; each case is text, ids and logits."""
    return {
        "format_version": FORMAT_VERSION,
        "generator": {"paddlepaddle": paddlepaddle, "paddlenlp": paddlenlp},
        "precision": "float32",
        "tolerance": TOLERANCE,
        "cases": [{"text": text, "input_ids": ids, "logits": logits} for text, ids, logits in cases],
    }


def write(path: Path, content: dict[str, Any]) -> None:
    """Writes the golden file."""
    write_json(path, content)
