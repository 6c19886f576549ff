"""What BERT takes for words: texts rewritten so that whitespace separates them, as PaddleNLP's `BertTokenizer` does.

Knows Unicode and special tokens; must not know vocabularies, ids or files.

A text is lower-cased, loses control characters and accents, and gets spaces around ideographs, punctuation and
symbols: all by tables inside `str.translate`. The tables are made from Python's own `unicodedata`, as PaddleNLP's
decisions are, and not from the Unicode tables of another library. So the words are PaddleNLP's under the same
Python; characters that only a newer Unicode defines are dropped, as there.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Callable, Sequence

# A longer text is rewritten piece by piece, so that other threads get the GIL in between.
PIECE_CHARS = 16_384
# Characters that a table keeps; texts that use more are read correctly, only slower.
_TABLE_SIZE = 65_536
# Special tokens become private-use characters from here on, which no cleaned text holds.
_FIRST_MARK = 0xE000
# CJK blocks whose characters BERT takes for words. The later extensions (F and on) are not among them.
_IDEOGRAPHS = (
    range(0x3400, 0x4DC0),
    range(0x4E00, 0xA000),
    range(0xF900, 0xFB00),
    range(0x20000, 0x2A6E0),
    range(0x2A700, 0x2CEB0),
    range(0x2F800, 0x2FA20),
)
# Not symbols in Unicode, but PaddleNLP counts them so.
_MORE_SYMBOLS = frozenset("\u00ad²ºµØŋƱ〇")


class WordSplitter:
    """Rewrites texts so that whitespace separates words, punctuation, symbols and special tokens.

    Attributes:
        marks: for each special token the private-use character that stands in its place, a word of its own.
    """

    def __init__(self, lower: bool, strip_accents: bool, ideographs: bool, specials: Sequence[str]) -> None:
        """`specials` are visible ASCII and none is part of another; see PaddleNLP for the flags."""
        self.marks = {token: chr(_FIRST_MARK + number) for number, token in enumerate(specials)}
        self._strip = strip_accents
        self._fold = _folding_table(lower, ideographs, strip_accents)
        self._split = _splitting_table(strip_accents)
        any_special = "|".join(map(re.escape, specials))
        self._specials = re.compile(f"({any_special})")
        # Lower-casing brings forth a special token only if that has no capital.
        self._lowers_to_specials = lower and any(token == token.lower() for token in specials)
        # What is no special token in the text may become one by dropping characters, if it is then a whole word.
        self._special_words = re.compile(rf"(?<!\S)(?:{any_special})(?!\S)")
        self._cleans_to_specials = self._lowers_to_specials or not lower
        self._gap = re.compile("[ \t\n\r\u3000\u3400-\u4dbf\u4e00-\u9fff]" if ideographs else "[ \t\n\r\u3000]")

    def split(self, text: str) -> list[str]:
        """Rewrites a text, a long one in several pieces. No word spans two."""
        if len(text) <= PIECE_CHARS:
            return [self._rewrite(text)]
        pieces = []
        start = 0
        while gap := self._gap.search(text, start + PIECE_CHARS):
            pieces.append(self._rewrite(text[start : gap.start()]))
            start = gap.start()
        pieces.append(self._rewrite(text[start:]))
        return pieces

    def _rewrite(self, text: str) -> str:
        parts = self._specials.split(text)  # every second one is a special token
        if self._lowers_to_specials:
            parts[::2] = ["".join(map(str.lower, part)) for part in parts[::2]]
            parts = self._specials.split("".join(parts))
        if len(parts) == 1:
            return self._spread(parts[0])
        return " ".join(self.marks[part] if at % 2 else self._spread(part) for at, part in enumerate(parts))

    def _spread(self, text: str) -> str:
        text = text.translate(self._fold)
        if self._strip and not text.isascii() and not unicodedata.is_normalized("NFD", text):
            text = _order_marks(text)
        if self._cleans_to_specials:
            if self._strip:
                text = text.translate(_splitting_table(strip_accents=True, spread=False))
            text = self._special_words.sub(lambda found: self.marks[found[0]], text)
        return text.translate(self._split)


class _CharTable(dict[int, int | str | None]):
    """What `str.translate` puts in a character's place, worked out when the character is first met."""

    def __init__(self, rewrite: Callable[[str], str]) -> None:
        super().__init__()
        self._rewrite = rewrite

    def __missing__(self, code: int) -> int | str | None:
        text = self._rewrite(chr(code))
        # None deletes; an unchanged character costs less as its number.
        value = None if not text else code if text == chr(code) else text
        if len(self) < _TABLE_SIZE:
            self[code] = value
        return value


@functools.cache
def _folding_table(lower: bool, ideographs: bool, decompose: bool) -> _CharTable:
    """Lower-cases, drops control characters, makes whitespace spaces, sets ideographs apart, decomposes."""

    def clean(char: str) -> str:
        category = unicodedata.category(char)
        if char in "\t\n\r":
            return " "
        if category[0] == "C" or char == "\ufffd":
            return ""
        if category == "Zs" or char.isspace():
            return " "
        if ideographs and any(ord(char) in block for block in _IDEOGRAPHS):
            return f" {char} "
        return char

    def fold(char: str) -> str:
        # One character at a time, so that a capital sigma is σ at the end of a word too.
        text = "".join(map(clean, char.lower() if lower else char))
        return unicodedata.normalize("NFD", text) if decompose else text

    return _CharTable(fold)


@functools.cache
def _splitting_table(strip_accents: bool, spread: bool = True) -> _CharTable:
    """Drops the accents of decomposed text; sets punctuation and symbols apart (if `spread`)."""

    def split(char: str) -> str:
        category = unicodedata.category(char)
        if strip_accents and category == "Mn":
            return ""
        if spread and (category[0] in "PS" or char in _MORE_SYMBOLS):
            return f" {char} "
        return char

    return _CharTable(split)


def _order_marks(text: str) -> str:
    """Puts the combining marks of decomposed text in canonical order (Unicode Standard, section 3.11, D109).

    `unicodedata.normalize` does it too, but its time grows with the square of a run's length: a megabyte of marks
    would hold the GIL for minutes.
    """
    runs = itertools.groupby(text, key=lambda char: unicodedata.combining(char) > 0)
    return "".join("".join(sorted(run, key=unicodedata.combining) if marks else run) for marks, run in runs)
