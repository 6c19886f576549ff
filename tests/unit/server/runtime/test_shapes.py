"""Sizes are rounded up to few values, and every token of a batch has one place."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova_server.runtime.shapes import join_texts, lay_out, round_length, round_rows, round_tokens

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=40)


@pytest.mark.parametrize(("rounded", "waste"), [(round_tokens, 1 / 8), (round_length, 1 / 3), (round_rows, 1 / 2)])
def test_sizes_are_rounded_up_a_little_and_stay_where_they_are(rounded, waste):
    for size in range(1, 3000):
        up = rounded(size)
        # Small sizes may lose up to a step.
        assert size <= up <= max(size * (1 + waste), size + 7)
        assert rounded(up) == up
        assert up <= rounded(size + 1)


@pytest.mark.parametrize(("rounded", "most"), [(round_tokens, 48), (round_length, 20), (round_rows, 18)])
def test_there_are_few_sizes(rounded, most):
    assert len({rounded(size) for size in range(1, 513)}) <= most


@given(LENGTHS, st.integers(0, 5), st.integers(0, 5))
def test_each_token_has_one_place_in_its_own_row(lengths, more_rows, more_length):
    shape = (len(lengths) + more_rows, max(lengths) + more_length)
    layout = lay_out(lengths, shape)
    expected = [row * shape[1] + at for row, length in enumerate(lengths) for at in range(length)]
    assert layout.positions.tolist() == expected


@given(LENGTHS)
def test_packing_and_putting_back_gives_every_token_back(lengths):
    layout = lay_out(lengths, (round_rows(len(lengths)), round_length(max(lengths))))
    rng = np.random.default_rng(0)
    padded = np.zeros(layout.shape)
    for row, length in zip(padded, lengths, strict=False):
        row[:length] = rng.random(length)
    packed = padded.reshape(-1)[layout.packed_positions()]
    assert len(packed) == round_tokens(sum(lengths))
    again = packed[layout.packed_rows()]
    real = list(itertools.chain.from_iterable([(row, at) for at in range(n)] for row, n in enumerate(lengths)))
    assert all(again[place] == padded[place] for place in real)


@given(LENGTHS, st.integers(60, 512))
def test_texts_that_share_rows_keep_their_tokens_together(lengths, max_tokens):
    joined = join_texts(lengths, max_tokens)
    length = joined.shape[1]
    assert max(lengths) <= length <= max_tokens
    places = np.split(joined.positions, np.cumsum(lengths)[:-1])
    for number, text in enumerate(places, start=1):
        # In one row, one after the other.
        assert text[0] // length == text[-1] // length
        assert (np.diff(text) == 1).all()
        assert (joined.texts.reshape(-1)[text] == number).all()
    assert len(np.unique(joined.positions)) == sum(lengths)
    assert (joined.texts != 0).sum() == sum(lengths)
    again = np.arange(sum(lengths))[joined.packed_rows()].reshape(-1)[joined.positions]
    assert again.tolist() == list(range(sum(lengths)))
    assert len(joined.packed_positions()) == round_tokens(sum(lengths))


@given(LENGTHS)
def test_no_two_rows_of_texts_would_fit_in_one(lengths):
    joined = join_texts(lengths, 512)
    taken = sorted(count for count in (joined.texts != 0).sum(axis=1) if count)
    assert len(taken) < 2 or taken[0] + taken[1] > joined.shape[1]


def test_one_text_has_a_row_of_its_own_length():
    assert join_texts([24], 512).shape == (1, 24)
    assert join_texts([500], 500).shape == (1, 500)
    assert join_texts([5] * 9, 512).shape == (1, 48)


def test_joined_rows_have_few_shapes():
    rng = np.random.default_rng(0)
    shapes = {
        join_texts(rng.integers(1, rng.integers(2, 200), rng.integers(1, 40)).tolist(), 512).shape for _ in range(3000)
    }
    assert len(shapes) <= 150
