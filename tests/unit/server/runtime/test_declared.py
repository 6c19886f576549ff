"""What a config declares narrows what the model file takes, and never widens or renames it."""

from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sentinova_server.errors import LoadError
from sentinova_server.repository.config import TensorConfig
from sentinova_server.runtime.declared import apply_declared
from sentinova_server.runtime.tensors import TensorSpec

FILE = Path("models/m/config.pbtxt")
FOUND = (TensorSpec("image", "FP32", (-1, 3, -1, -1)), TensorSpec("size", "INT64", (-1,)))
DIMS = st.lists(st.one_of(st.just(-1), st.integers(0, 4)), max_size=4).map(tuple)


def apply(*declared, batched=True, found=FOUND):
    return apply_declared(FILE, "input", declared, found, batched=batched)


def test_nothing_declared_changes_nothing():
    assert apply() == FOUND
    assert apply(TensorConfig("size"), TensorConfig("image", "FP32")) == FOUND


def test_dimensions_are_narrowed_beside_the_batch_and_the_order_is_the_files():
    narrow = apply(TensorConfig("size", "INT64"), TensorConfig("image", "FP32", (3, 224, -1)))
    assert narrow == (TensorSpec("image", "FP32", (-1, 3, 224, -1)), FOUND[1])


def test_without_a_batch_all_dimensions_are_declared():
    narrow = apply(TensorConfig("image", "", (1, 3, -1, 8)), batched=False)
    assert narrow[0].shape == (1, 3, -1, 8)


@pytest.mark.parametrize(
    ("declared", "batched", "told"),
    [
        (TensorConfig("picture"), True, r"'picture' is not in the model, which has \['image', 'size'\]"),
        (TensorConfig("image", "FP16"), True, "'image' is declared FP16; the model has FP32"),
        (TensorConfig("image", "", (4, 8, 8)), True, r"dims \[4, 8, 8\]; the model has \[3, -1, -1\] after the batch"),
        (TensorConfig("image", "", (3, 8)), True, r"dims \[3, 8\]"),
        (TensorConfig("image", "", (-1, 3, 8, 8)), True, r"dims \[-1, 3, 8, 8\]"),
        (TensorConfig("image", "", (3, 8, 8)), False, r"dims \[3, 8, 8\]; the model has \[-1, 3, -1, -1\]$"),
    ],
)
def test_what_is_at_odds_with_the_file_is_told_by_name(declared, batched, told):
    with pytest.raises(LoadError, match=told) as caught:
        apply(declared, batched=batched)
    assert caught.value.file == FILE
    assert "field `input`" in caught.value.message


@given(DIMS, DIMS, st.booleans())
def test_any_dimensions_give_what_both_allow_or_are_refused(ours, theirs, batched):
    assume(ours)  # none declared: all are as the file has them
    own = (-1, *theirs) if batched else theirs
    declared = TensorConfig("x", "", ours)
    fits = len(ours) == len(theirs) and all(a in (-1, b) or b == -1 for a, b in zip(ours, theirs, strict=True))
    if not fits:
        with pytest.raises(LoadError, match="'x' is declared with dims"):
            apply(declared, batched=batched, found=(TensorSpec("x", "INT8", own),))
        return
    [spec] = apply(declared, batched=batched, found=(TensorSpec("x", "INT8", own),))
    # A size of the result is the one that either side gives, and open only where both are.
    assert spec.shape[len(own) - len(ours) :] == tuple(max(pair) for pair in zip(ours, theirs, strict=True))
    assert len(spec.shape) == len(own)
