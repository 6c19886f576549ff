"""Batches hold every sentence once, alike in length."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sentinova_training import batching

LENGTHS = st.lists(st.integers(1, 512), min_size=1, max_size=200)


@given(LENGTHS, st.integers(1, 40), st.integers(0, 10))
def test_an_epoch_holds_every_sentence_once(lengths: list[int], size: int, seed: int):
    batches = batching.shuffled(lengths, size, seed, pool=3)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert max(map(len, batches)) <= size
    assert batches == batching.shuffled(lengths, size, seed, pool=3)


@given(LENGTHS, st.integers(1, 40))
def test_evaluation_goes_by_length(lengths: list[int], size: int):
    order = [index for batch in batching.by_length(lengths, size) for index in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[index] for index in order] == sorted(lengths)


def test_short_rows_are_filled_up():
    found = batching.padded([[5, 6, 7], [8]], pad=0)
    assert found.dtype == np.int64
    assert found.tolist() == [[5, 6, 7], [8, 0, 0]]
