"""The server's tokenizer against PaddleNLP's own, on random text. Needs the training environment."""

from __future__ import annotations

import json
import unicodedata
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("paddlenlp", reason="PaddleNLP is installed in the training environment only")

from sentinova_server.runtime.tokenizer import TextTokenizer

SHIPPED = Path(__file__).parents[2] / "model_repository/sentiment_en/2"
EXAMPLES = 600
# The settings that change ids, each with special tokens as texts use them.
SETTINGS: dict[str, dict[str, Any]] = {
    "uncased": {"do_lower_case": True},
    "cased": {"do_lower_case": False},
    "cased without accents": {"do_lower_case": False, "strip_accents": True},
    "uncased with accents": {"do_lower_case": True, "strip_accents": False},
    "ideographs not apart": {"do_lower_case": True, "tokenize_chinese_chars": False},
    "special tokens without capitals": {
        "do_lower_case": True,
        "cls_token": "<s>",
        "sep_token": "</s>",
        "additional_special_tokens": ["[unused1]"],
    },
}
SPECIALS = [
    "[CLS]",
    "[SEP]",
    "[PAD]",
    "[MASK]",
    "[UNK]",
    "[sep]",
    "[unused1]",
    "[UNUSED1]",
    "<s>",
    "</s>",
    "<S>",
    "[S\u200bEP]",
    "[SÉP]",
    "[SÉP]",
    "[MASK]",
    "[[SEP]]",
    "[SEP",
]
SPACES = list(
    " \t\n\r\v\f\0\x1c\x1f\x85\xa0\xad\u034f\u1680\u180e\u2003\u200b\u200d\u2028\u2029\u202f\u2060\u3000\ufe0f\ufeff\ufffd\ue000"
)
WORDS = [
    "the",
    "The",
    "unaffable",
    "MOVIE's",
    "café",
    "Café",
    "ÅÄÖ",
    "ΟΔΟΣ",
    "İi",
    "straße",
    "電影",
    "ガ",
    "한국",
    "हिन्दी",
    "ไทย",
    "قرآن",
    "x²",
    "5µm",
    "Øŋ",
    "👩\u200d👩\u200d👧\u200d👦",
    "👍🏽",
    "❤️",
    "🇩🇪",
    "1️⃣",
    "##s",
]
CATEGORIES = [
    "Lu",
    "Ll",
    "Lt",
    "Lm",
    "Lo",
    "Mn",
    "Mc",
    "Me",
    "Nd",
    "Nl",
    "No",
    "Pc",
    "Pd",
    "Ps",
    "Pe",
    "Pi",
    "Pf",
    "Po",
    "Sm",
    "Sc",
    "Sk",
    "So",
    "Zs",
    "Zl",
    "Zp",
    "Cc",
    "Cf",
    "Co",
    "Cn",
]
MARKS = [chr(code) for code in range(0x300, 0x1F000) if unicodedata.combining(chr(code))]
COMPOSED = [
    chr(code)
    for code in range(0xC0, 0x20000)
    if unicodedata.decomposition(chr(code)) and "<" not in unicodedata.decomposition(chr(code))
]
PART = st.one_of(
    st.sampled_from(SPECIALS),
    st.sampled_from(SPACES),
    st.sampled_from(WORDS),
    st.sampled_from(CATEGORIES).flatmap(lambda category: st.characters(categories=[category])),
    st.lists(st.sampled_from(MARKS), min_size=1, max_size=4).map("".join),
    st.sampled_from(COMPOSED),
    st.characters(min_codepoint=0x20, max_codepoint=0x7E),
    st.characters(exclude_categories=["Cs"]),
    st.builds(str.__mul__, st.sampled_from("aÉ字"), st.sampled_from([99, 100, 101, 10_000])),
)
TEXT = st.lists(PART, max_size=16).map("".join)


@pytest.fixture(scope="module", params=SETTINGS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[TextTokenizer, Any]:
    """The server's tokenizer and PaddleNLP's, from the same files."""
    folder = tmp_path_factory.mktemp("tokenizer")
    vocab = (SHIPPED / "vocab.txt").read_text(encoding="utf-8")
    (folder / "vocab.txt").write_text(vocab + "<s>\n</s>\n", encoding="utf-8")
    config = SETTINGS[request.param] | {"model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PaddleNLP's own
        from paddlenlp.transformers import BertTokenizer

        return TextTokenizer.load(folder), BertTokenizer.from_pretrained(str(folder))


@given(text=TEXT)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_ids_are_paddlenlps(both: tuple[TextTokenizer, Any], text: str) -> None:
    own, paddle = both
    assert own.tokenize(text).input_ids == paddle(text)["input_ids"]


@given(text=TEXT, max_length=st.integers(3, 12))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_truncated_ids_are_paddlenlps(both: tuple[TextTokenizer, Any], text: str, max_length: int) -> None:
    own, paddle = both
    own.max_length = max_length
    expected = paddle(text, max_length=max_length, truncation=True)["input_ids"]
    assert own.tokenize(text, truncate=True).input_ids == expected
