"""Sizes are rounded up to few values, and every token of a batch has one place."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova_server.runtime.shapes import lay_out, round_length, round_rows, round_tokens

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
