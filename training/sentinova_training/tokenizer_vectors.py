"""Writes what PaddleNLP's `BertTokenizer` makes of a few hundred awkward texts, for tests that run without Paddle.

Run with `python -m sentinova_training.tokenizer_vectors --vocab vocab.txt --output bert_tokenizer.json`. The texts use
only characters that every Unicode version from 14 on treats alike, so that the file holds under any Python.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import random
import sys
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

MAX_LENGTH = 512
FORMAT_VERSION = 1
_SETTINGS = {"uncased": {"do_lower_case": True}, "cased": {"do_lower_case": False}}
_RANDOM_TEXTS = 160
_SEED = 20

_SENTENCES = """\
A gripping story, well told.
It's not good; it's not even bad -- it's just... there.
"Unmissable!" (says who?) 10/10, would cry again
THE BEST FILM OF 2019?! i don't THINK so :-(
He said:'no'.She said:"yes".
cost $12.50 + 7% tax = £13.38 / €15,20 or ¥1,500
e-mail me@example.com, or see https://example.com/a_b?c=d&e=f#g
snake_case camelCase kebab-case C++ C# .NET a/b\\c ~x ^y `z` {w} |v| <u>
antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis
hte moive wsa abslutely amzaing
1234567890 3.14159 1e-9 0x1F 1,000,000 ½ ⅓ x² m³ H₂O 5µm 90° nº1 1ª
Café crème brûlée, naïve façade, señor, Ångström, Øresund, smörgåsbord
Cafe\u0301 cre\u0300me na\u0131\u0308ve A\u030angstro\u0308m
Nguyễn Tường Việt đẹp quá
Straße GROẞ ﬁne ﬀect Ĳssel ǅungla Ŀ ŉ
ΟΔΥΣΣΕΥΣ ΌΔΟΣ Σίσυφος άέήίόύώ ΐΰ
İstanbul IŞIK ılık DİYARBAKIR
Привет, МИР! Ёлка, й и\u0306, Їжак
Ქართული ენა Գեղեցիկ ՖԻԼՄ
שָׁלוֹם עוֹלָם, מַה נִּשְׁמָע?
السلامُ عليكُم، فيلمٌ رائع؟ \u0634\u0651\u064e \u0634\u064e\u0651
हिन्दी फ़िल्म बहुत अच्छी थी। क\u093c
বাংলা தமிழ் తెలుగు ಕನ್ನಡ മലയാളം සිංහල
ภาพยนตร์เรื่องนี้ดีมาก ພາສາລາວ မြန်မာ ភាសាខ្មែរ
这部电影太好看了！强烈推荐。
電影《臥虎藏龍》很好看，但結局有點悲。
映画はとても面白かったです。ガガが パ\u309a ﾊﾟ
영화가 정말 재미있었어요 \u1112\u1161\u11ab\u1100\u1173\u11af 한글
中English文mixed字123号№5㈱㍿Ⅷⅷ①⑳
〇一二三 㐀䶵 \U00020000\U0002a6d6 \U0002f800 \uf900\ufa0e \U00030000
全角ＡＢＣ１２３！？　スペース
love this 😀😀 so much ❤️!!
👩‍👩‍👧‍👦 👍🏽 🏳️‍🌈 🇩🇪🇫🇷 1️⃣ ☺︎ ☺️ 👨🏿‍🚀
good😀movie a❤b 😀.😀 (👍) ¯\\_(ツ)_/¯ ಠ_ಠ
™®© § ¶ † ‡ • … ‰ ′ ″ ‹›«» “”‘’ – — ‐ ‑ ‒ ⁓
∑∏√∞≠≤≥±×÷∂∇∈∉⊂ ← ↑ → ⇒ ⟶ ■ □ ▲ ♠ ♪ ☃ ✓
\u037e \u1fef \u0387 \u212a\u212b\u2126 \u1e9b\u0323
\U0001d400\U0001d41a\U0001d7ce 𝒜 𝔊 \U00010400\U00010428 \U0001e900\U0001e922
Ø ø ŋ Ŋ Ʊ ʊ µ μ º ª ² ³ ¹
"""
_FRAGMENTS = """\
[CLS] [SEP] [PAD] [MASK] [UNK] [cls] [sep] [Mask] [unused1] [SEP SEP] [ ] [[SEP]] [SEP][SEP] a[SEP]b [MASK]ed
un[UNK]known [S\u00c9P] [SE\u0301P] [S\u0000EP] [S\u200bEP] [MAS\u212a] ［SEP］ ## ##s s##
The the movie's GREAT don't unaffable cafe\u0301 Naïve ÅÄÖ ΟΔΟΣ ΣΑΣ. İi straße 電影 字 字字 ガ 한국 हि ไท قرآن 中[SEP]文
. , ! ? ' " - _ ( ) @ # $ % ^ & * + = < > | ~ ` \\ / : ;
😀 ❤️ 👩‍👩‍👧‍👦 👍🏽 🇩🇪 ☺︎ ™ № ½ ² º µ Ø ŋ Ʊ 〇 € ± → 、 。 「 」 ・ ー ‐ … “ ” ¿ ¡
"""
_BLANKS = (
    "\t\n\r\v\f\0\x07\x1b\x1c\x1f\x7f\x85\xa0\xad\u034f\u061c\u1680\u180e\u2003\u200b\u200c\u200d\u200e\u2028\u2029"
)
_BLANKS += "\u202e\u202f\u205f\u2060\u2066\u3000\u3164\ufe0e\ufe0f\ufeff\ufff9\ufffd\ufffe\uffff"
_BLANKS += "\ue000\ue001\ue004\uf8ff\U000e0001\U000e0041\U000e0100\U000f0000\U0010fffd\U0010ffff\ufdd0\U0001fffe"
_MARKS = (
    "\u0300\u0301\u0308\u0323\u0345\u0488\u05b4\u05bc\u064b\u0651\u093c\u094d\u0f71\u0f74\u1161\u1b44\u20dd\u302e\u3099"
)
_MARKS += "\U0001d165\U0001d16d\U0001d16e"
_DECOMPOSED = (
    "\u0344\u0958\u0f73\u0f77\u1e69\u1eed\u1fb7\u2260\u226e\u2adc\u30d1\uac01\ufb1d\ufb2a\ufb4e\U0001d15f\U000110ab"
)


def awkward_texts() -> list[str]:
    """Gives the texts, none twice: real sentences in many scripts, and all that is rare or hostile."""
    return list(dict.fromkeys([*_chosen_texts(), *_random_texts()]))


def truncated_texts() -> list[tuple[str, int]]:
    """Gives texts with the length to cut them to."""
    words = "a rather long review of an unremarkable film about nothing "
    return [
        ("", 3),
        ("good", 3),
        ("good film", 3),
        ("good film", 4),
        ("unaffable [SEP] people", 5),
        ("电影很好看", 6),
        (words * 3, 16),
        (words * 60, MAX_LENGTH),
        ("good " * (MAX_LENGTH - 2), MAX_LENGTH),
        ("good " * (MAX_LENGTH - 1), MAX_LENGTH),
    ]


def _chosen_texts() -> Iterator[str]:
    yield from ("", " ", "\t\n\r ", "a", "A", ".", "\u0301", "\0", "\ufffd", "\u200b\u200d", "[UNK]", "xyzzyq")
    yield from _SENTENCES.splitlines()
    yield _SENTENCES
    yield from _FRAGMENTS.split()
    yield from _FRAGMENTS.splitlines()
    for char in _BLANKS:
        yield f"one{char}two{char}{char}. [S{char}EP]"
    for char in _MARKS:
        yield f"e{char} {char}x \u0301{char}\u0323 ı{char}{char}\u0300"
    for char in _DECOMPOSED:
        yield f"{char} x{char}\u0323y"
    for length in (99, 100, 101, 200):
        yield "a" * length
        yield "é" * length + " ok"
        yield "e\u0301" * length
        yield "字" * length
        yield "x" + "." * length
    yield from ("a" * 10_000, "ab" * 5_000 + "! fine", "\u0301" * 10_000)


def _random_texts() -> Iterator[str]:
    source = random.Random(_SEED)  # noqa: S311  # for tests, not for secrets
    words = [*_FRAGMENTS.split(), *_SENTENCES.split()]
    singles = [
        *_BLANKS,
        *_MARKS,
        *_DECOMPOSED,
        *(chr(code) for code in range(128)),
        *(chr(code) for code in range(160, 384)),
    ]
    for _ in range(_RANDOM_TEXTS):
        parts = source.choices((words, singles, (" ",)), weights=(5, 4, 4), k=source.randint(1, 24))
        yield "".join(source.choice(part) for part in parts)


def make_vectors(vocab: Path) -> dict[str, Any]:
    """Runs PaddleNLP on the texts, once lower-casing and once not."""
    tokenizers = {name: _make_tokenizer(vocab, **settings) for name, settings in _SETTINGS.items()}
    uncased = tokenizers["uncased"]
    return {
        "format_version": FORMAT_VERSION,
        "paddlenlp": importlib.metadata.version("paddlenlp"),
        "unicode": unicodedata.unidata_version,
        "vocab_sha256": hashlib.sha256(vocab.read_bytes()).hexdigest(),
        "settings": _SETTINGS,
        "cases": [
            {"text": text} | {name: tokenizer(text)["input_ids"] for name, tokenizer in tokenizers.items()}
            for text in awkward_texts()
        ],
        "truncations": [
            {
                "text": text,
                "max_length": length,
                "input_ids": uncased(text, max_length=length, truncation=True)["input_ids"],
                "token_count": len(uncased(text)["input_ids"]),
            }
            for text, length in truncated_texts()
        ],
    }


def _make_tokenizer(vocab: Path, **settings: bool) -> Any:
    from paddlenlp.transformers import BertTokenizer  # noqa: PLC0415  # slow to import

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "vocab.txt").write_bytes(vocab.read_bytes())
        config = settings | {"model_max_length": MAX_LENGTH}
        (Path(folder) / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
        return BertTokenizer.from_pretrained(folder)


def write_vectors(file: Path, vectors: dict[str, Any]) -> None:
    """Writes one case a line, all but ASCII escaped: no editor or checkout can change a text unseen."""
    lists = {key: value for key, value in vectors.items() if isinstance(value, list)}
    head = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in vectors.items() if key not in lists]
    tail = [
        f"{json.dumps(key)}: [\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]"
        for key, cases in lists.items()
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("{\n" + ",\n".join(head + tail) + "\n}\n", encoding="ascii", newline="\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; gives its exit code."""
    parser = argparse.ArgumentParser(prog="python -m sentinova_training.tokenizer_vectors", description=__doc__)
    parser.add_argument("--vocab", type=Path, required=True, help="vocab.txt of the tokenizer")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    arguments = parser.parse_args(argv)
    if not arguments.vocab.is_file():
        parser.error(f"{arguments.vocab}: no such file")
    vectors = make_vectors(arguments.vocab)
    write_vectors(arguments.output, vectors)
    print(f"{arguments.output}: {len(vectors['cases'])} texts, {len(vectors['truncations'])} truncations")
    return 0


if __name__ == "__main__":
    sys.exit(main())
