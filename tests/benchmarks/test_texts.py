"""The mixes of texts: what they promise about lengths, and that they are the same every time."""

from pathlib import Path
from statistics import mean

import pytest
from sentinova_server.runtime.tokenizer import TextTokenizer

from benchmarks.accounting import percentile
from benchmarks.texts import MAX_TOKENS, MIXES, TOKEN_LENGTHS, WORDS, make_equal_texts, make_texts

VERSION = Path(__file__).resolve().parent.parent.parent / "model_repository" / "sentiment_en" / "2"


def count_tokens(text: str) -> int:
    return len(text.split()) + 2


@pytest.mark.parametrize("mix", MIXES)
def test_a_mix_is_the_same_every_time_and_another_with_another_seed(mix: str):
    assert make_texts(mix, 50) == make_texts(mix, 50)
    assert make_texts(mix, 50) != make_texts(mix, 50, seed=2)
    # A longer mix begins as a shorter one does.
    assert make_texts(mix, 60)[:50] == make_texts(mix, 50)


@pytest.mark.parametrize("mix", MIXES)
def test_no_text_is_empty_or_longer_than_the_model_reads(mix: str):
    assert all(3 <= count_tokens(text) <= MAX_TOKENS for text in make_texts(mix, 2000))


def test_mixed_texts_are_spread_as_reviews_are():
    lengths = [count_tokens(text) for text in make_texts("mixed", 20_000)]
    assert mean(lengths) == pytest.approx(24, abs=1)
    assert percentile(lengths, 0.99) == pytest.approx(95, abs=6)


def test_short_and_long_texts_do_not_overlap():
    assert max(map(count_tokens, make_texts("short", 500))) < min(map(count_tokens, make_texts("long", 500)))


@pytest.mark.parametrize("tokens", TOKEN_LENGTHS)
def test_equal_texts_have_as_many_tokens_as_asked_for(tokens: int):
    tokenizer = TextTokenizer.load(VERSION)
    for text in make_equal_texts(tokens, 5):
        assert tokenizer.tokenize(text).token_count == tokens


def test_every_word_is_one_token():
    tokenizer = TextTokenizer.load(VERSION)
    assert [tokenizer.tokenize(word).token_count for word in WORDS] == [3] * len(WORDS)
