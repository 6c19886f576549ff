"""Batches keep their limits, hold the oldest document, and waste little."""

from hypothesis import given
from hypothesis import strategies as st
from sentinova_server.serving.packing import BatchLimits, is_full, plan_batch

LENGTHS = st.integers(1, 32).map(lambda step: step * 16)
WAITING = st.dictionaries(LENGTHS, st.integers(1, 100), min_size=1)
LIMITS = st.builds(BatchLimits, tokens=st.integers(16, 2048), documents=st.integers(0, 64))


@given(WAITING, LIMITS, st.data())
def test_a_batch_keeps_its_limits_and_holds_the_anchor(waiting, limits, data):
    anchor = data.draw(st.sampled_from(sorted(waiting)))
    plan = plan_batch(waiting, anchor, limits)
    count, width = sum(plan.values()), max(plan)
    assert plan[anchor] >= 1
    assert all(0 < taken <= waiting[length] for length, taken in plan.items())
    # A document over the limit goes alone; any other batch is within it.
    assert count == 1 or count * width <= limits.tokens
    assert limits.documents == 0 or count <= limits.documents


@given(WAITING, LIMITS, st.data())
def test_at_most_a_quarter_of_a_batch_is_padding(waiting, limits, data):
    plan = plan_batch(waiting, data.draw(st.sampled_from(sorted(waiting))), limits)
    real = sum(length * taken for length, taken in plan.items())
    assert real >= 0.75 * sum(plan.values()) * max(plan)


@given(WAITING, LIMITS, st.data())
def test_a_batch_leaves_no_document_of_its_own_width_that_fits(waiting, limits, data):
    anchor = data.draw(st.sampled_from(sorted(waiting)))
    plan = plan_batch(waiting, anchor, limits)
    if not is_full(plan, limits):
        assert waiting[max(plan)] == plan[max(plan)]


def test_like_lengths_go_together():
    waiting = {16: 10, 32: 4, 512: 3}
    # One 32 among ten 16s would make 192 tokens take the room of 352.
    assert plan_batch(waiting, 16, BatchLimits(512)) == {16: 10}
    # Four 16s among four 32s: 192 tokens in the room of 256, three quarters.
    assert plan_batch(waiting, 32, BatchLimits(512)) == {32: 4, 16: 4}
    assert plan_batch(waiting, 512, BatchLimits(512)) == {512: 1}


def test_a_full_batch_of_one_length_is_not_widened():
    assert plan_batch({16: 100, 32: 100}, 16, BatchLimits(512)) == {16: 32}
