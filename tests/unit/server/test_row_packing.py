"""Batches of tensors join equal shapes alone, keep to their rows, hold the anchor, and let no lower level go first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova_server.runtime.tensors import RowsKey, TensorRows
from sentinova_server.serving.document_queue import DocumentQueue, QueuedDocument
from sentinova_server.serving.packing import BatchLimits, RowLimits, RowPacking, TokenPacking, make_packing

SHAPES = st.sampled_from([(("x", (3,)),), (("x", (4,)),), (("x", (3,)), ("y", ()))])
GROUPS = st.tuples(st.integers(0, 3), st.builds(RowsKey, SHAPES, st.integers(0, 9)))
WAITING = st.dictionaries(GROUPS, st.integers(1, 12), min_size=1, max_size=20)
LIMITS = st.integers(1, 16)


def rows_of(plan):
    return sum(key.rows * taken for (_, key), taken in plan.items())


def draw_plan(data, waiting, limit):
    anchor = data.draw(st.sampled_from(sorted(waiting, key=repr)), label="anchor")
    return anchor, RowPacking(RowLimits(limit)).plan(waiting, anchor)


@given(WAITING, LIMITS, st.data())
def test_a_batch_holds_the_anchor_and_nobody_twice(waiting, limit, data):
    anchor, plan = draw_plan(data, waiting, limit)
    assert plan[anchor] >= 1
    assert all(0 < taken <= waiting[group] for group, taken in plan.items())


@given(WAITING, LIMITS, st.data())
def test_a_batch_keeps_to_its_rows_and_a_request_of_more_goes_alone(waiting, limit, data):
    anchor, plan = draw_plan(data, waiting, limit)
    if anchor[1].rows > limit:
        assert rows_of(plan) == anchor[1].rows
    else:
        assert rows_of(plan) <= limit


@given(WAITING, LIMITS, st.data())
def test_a_batch_is_of_one_shape(waiting, limit, data):
    anchor, plan = draw_plan(data, waiting, limit)
    assert {key.shapes for _, key in plan} == {anchor[1].shapes}


@given(WAITING, LIMITS, st.data())
def test_a_batch_leaves_nobody_who_fits(waiting, limit, data):
    anchor, plan = draw_plan(data, waiting, limit)
    for group, present in waiting.items():
        if group[1].shapes == anchor[1].shapes and present > plan.get(group, 0):
            assert rows_of(plan) + group[1].rows > max(limit, anchor[1].rows)


@given(WAITING, LIMITS, st.data())
def test_no_lower_level_takes_the_room_of_one_that_is_higher(waiting, limit, data):
    anchor, plan = draw_plan(data, waiting, limit)
    for group, present in waiting.items():
        if group[1].shapes != anchor[1].shapes or present == plan.get(group, 0) or group[1].rows == 0:
            continue
        # It stayed, so it did not fit beside the anchor and those of its own and of higher levels.
        before = {other: n - (other == anchor) for other, n in plan.items() if other[0] <= group[0]}
        assert anchor[1].rows + rows_of(before) + group[1].rows > limit


@given(st.lists(GROUPS, min_size=1, max_size=40), LIMITS)
def test_every_request_leaves_the_queue_once_and_in_turn_within_its_group(groups, limit):
    packing = RowPacking(RowLimits(limit))
    queue = DocumentQueue()
    for order, (level, key) in enumerate(groups):
        queue.add(QueuedDocument(order=order, level=level, key=key, arrived=0.0))
    left = []
    while queue:
        first = queue.first()
        batch = queue.take(packing.plan(queue.counts(), (first.level, first.key)))
        assert first in batch
        left += batch
    assert sorted(document.order for document in left) == list(range(len(groups)))
    for group in set(groups):
        turns = [document.order for document in left if (document.level, document.key) == group]
        assert turns == sorted(turns)


@given(WAITING, LIMITS, st.data())
def test_a_batch_is_full_when_no_row_is_left(waiting, limit, data):
    _, plan = draw_plan(data, waiting, limit)
    assert RowPacking(RowLimits(limit)).is_full(plan) == (rows_of(plan) >= limit)


def test_large_requests_of_a_level_go_before_small_ones():
    three, two, one = (RowsKey((), rows) for rows in (3, 2, 1))
    waiting = {(0, one): 9, (0, two): 1, (0, three): 1, (1, three): 5}
    plan = RowPacking(RowLimits(8)).plan(waiting, (0, one))
    assert plan == {(0, one): 3, (0, two): 1, (0, three): 1}


def test_without_a_batch_every_request_is_alone():
    key = TensorRows.of({"x": np.zeros((5, 2)), "y": np.zeros(3)}, batched=False).key
    assert key == RowsKey((), 1)
    packing = RowPacking(RowLimits(1))
    assert packing.plan({(0, key): 50}, (0, key)) == {(0, key): 1}
    assert packing.is_full({(0, key): 1})


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.integers(0, 9))
def test_a_request_is_known_by_its_shapes_and_rows(sizes, rows):
    tensors = {f"t{i}": np.zeros((rows, size), np.float32) for i, size in enumerate(sizes)}
    made = TensorRows.of(tensors, batched=True)
    assert len(made) == made.key.rows == rows
    assert RowPacking(RowLimits(1)).key(made) is made.key
    turned = TensorRows.of(dict(reversed(tensors.items())), batched=True)
    assert turned.key == made.key
    wider = TensorRows.of({**tensors, "t0": np.zeros((rows, sizes[0] + 1))}, batched=True)
    assert wider.key.shapes != made.key.shapes


def test_tensors_of_one_request_have_equally_many_rows():
    with pytest.raises(ValueError, match=r"first dimensions \[2, 3\]"):
        TensorRows.of({"x": np.zeros((2, 1)), "y": np.zeros((3, 1))}, batched=True)


def test_limits_choose_the_packing():
    assert isinstance(make_packing(RowLimits(4), lambda _: 0), RowPacking)
    tokens = make_packing(BatchLimits(64), lambda tokens: tokens + 1)
    assert isinstance(tokens, TokenPacking)
    assert tokens.key([7, 7]) == 3
