"""The classification extension: the best classes, in Triton's form and order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova_server.errors import ServingError
from sentinova_server.rpc.inference.classification import classify


def texts(found):
    return [element.decode() for element in found.flat]


def test_the_best_come_first_and_carry_their_names():
    scores = np.array([[0.1, 0.7, 0.15, 0.05]], np.float32)
    found = classify("s", "FP32", scores, 2, ["red", "green"], batched=True)
    assert found.shape == (1, 2)
    assert texts(found) == ["0.700000:1:green", "0.150000:2"]


def test_more_than_there_are_gives_all():
    assert classify("s", "INT32", np.zeros((3, 2), np.int32), 1 << 40, [], batched=True).shape == (3, 2)


def test_equal_ones_keep_their_order_and_what_is_no_number_is_last():
    found = classify("s", "FP64", np.array([0.5, np.nan, 1.0, 0.5]), 4, [], batched=False)
    assert texts(found) == ["1.000000:2", "0.500000:0", "0.500000:3", "nan:1"]


def test_without_a_batch_all_dimensions_are_classes():
    found = classify("s", "UINT64", np.array([[1, 2**64 - 1], [3, 0]], np.uint64), 1, [], batched=False)
    assert (found.shape, texts(found)) == ((1,), ["18446744073709551615:1"])


@pytest.mark.parametrize("datatype", ["BYTES", "BOOL", "FP16", "BF16"])
def test_other_types_are_refused(datatype):
    with pytest.raises(ServingError, match=f"output 's' is {datatype}"):
        classify("s", datatype, np.zeros((1, 2)), 1, [], batched=True)


@given(st.lists(st.lists(st.integers(-100, 100), min_size=3, max_size=3), min_size=1, max_size=4), st.integers(1, 5))
def test_any_rows_are_sorted_each_for_itself(rows, count):
    found = classify("s", "INT16", np.array(rows, np.int16), count, [], batched=True)
    for row, best in zip(rows, found, strict=True):
        values = [int(text.decode().split(":")[0]) for text in best]
        assert values == sorted(row, reverse=True)[:count]
        assert [row[int(text.decode().split(":")[1])] for text in best] == values
