"""Batches keep their limits, hold the document whose turn it is, waste little, and let no lower level go first."""

from hypothesis import given, settings
from hypothesis import strategies as st
from sentinova_server.serving.packing import BatchLimits, is_full, plan_batch

GROUPS = st.tuples(st.integers(1, 3), st.integers(1, 32).map(lambda step: step * 16))
# Few of each, or many: which of them fit depends on who else is in.
WAITING = st.one_of(
    st.dictionaries(GROUPS, st.integers(1, 100), min_size=1),
    st.dictionaries(GROUPS, st.integers(1, 3), min_size=1, max_size=60),
)
LIMITS = st.builds(BatchLimits, tokens=st.integers(16, 2048), documents=st.integers(0, 64), packed=st.booleans())


def draw_anchor(data, waiting):
    return data.draw(st.sampled_from(sorted(waiting)), label="anchor")


def padded(plan):
    return sum(plan.values()) * max(length for _, length in plan)


def real(plan):
    return sum(length * taken for (_, length), taken in plan.items())


def cost(plan, limits):
    return real(plan) if limits.packed else padded(plan)


def least_fill(limits):
    return 0.5 if limits.packed else 0.75


def allowed(plan, waiting, anchor, limits):
    """Whether a plan keeps every rule but that of turns."""
    lower = [length for level, length in plan if level > anchor[0]]
    width = max(length for level, length in plan if level <= anchor[0])
    return (
        all(taken <= waiting[group] for group, taken in plan.items())
        and cost(plan, limits) <= limits.tokens
        and (limits.documents == 0 or sum(plan.values()) <= limits.documents)
        and real(plan) >= least_fill(limits) * padded(plan)
        and max(lower, default=0) <= width
    )


@given(WAITING, LIMITS, st.data())
def test_a_batch_keeps_its_limits_and_holds_the_anchor(waiting, limits, data):
    anchor = draw_anchor(data, waiting)
    plan = plan_batch(waiting, anchor, limits)
    assert plan[anchor] >= 1
    # Every document of it waits, and none is taken twice.
    assert all(0 < taken <= waiting[group] for group, taken in plan.items())
    # A document over the limit goes alone; any other batch is within it.
    assert sum(plan.values()) == 1 or cost(plan, limits) <= limits.tokens
    assert limits.documents == 0 or sum(plan.values()) <= limits.documents


@given(WAITING, LIMITS, st.data())
def test_at_most_a_quarter_of_a_batch_is_padding_or_half_of_its_rows_where_tokens_are_packed(waiting, limits, data):
    plan = plan_batch(waiting, draw_anchor(data, waiting), limits)
    assert real(plan) >= least_fill(limits) * padded(plan)


@given(WAITING, LIMITS, st.data())
def test_a_batch_leaves_no_document_that_fits(waiting, limits, data):
    anchor = draw_anchor(data, waiting)
    plan = plan_batch(waiting, anchor, limits)
    for group in waiting:
        assert not allowed({**plan, group: plan.get(group, 0) + 1}, waiting, anchor, limits)


@given(WAITING, LIMITS, st.data())
def test_lower_levels_ride_along_in_room_that_is_left(waiting, limits, data):
    anchor = draw_anchor(data, waiting)
    plan = plan_batch(waiting, anchor, limits)
    width = max(length for level, length in plan if level <= anchor[0])
    assert all(length <= width for level, length in plan if level > anchor[0])


@settings(max_examples=300)
@given(WAITING, LIMITS, st.data())
def test_no_document_goes_before_one_of_a_higher_level_or_nearer_length_that_fits(waiting, limits, data):
    anchor = draw_anchor(data, waiting)
    order = sorted(waiting, key=lambda group: (group[0], abs(group[1] - anchor[1]), group[1]))
    # The rule word for word, slowly: every document is looked for anew among all that wait.
    expected = {anchor: 1}
    while True:
        larger = ({**expected, group: expected.get(group, 0) + 1} for group in order)
        found = next((plan for plan in larger if allowed(plan, waiting, anchor, limits)), None)
        if found is None:
            break
        expected = found
    assert plan_batch(waiting, anchor, limits) == expected


def test_like_lengths_go_together():
    waiting = {(0, 16): 10, (0, 32): 4, (0, 512): 3}
    # One 32 among ten 16s would make 192 tokens take the room of 352.
    assert plan_batch(waiting, (0, 16), BatchLimits(512)) == {(0, 16): 10}
    # Four 16s among four 32s: 192 tokens in the room of 256, three quarters.
    assert plan_batch(waiting, (0, 32), BatchLimits(512)) == {(0, 32): 4, (0, 16): 4}
    assert plan_batch(waiting, (0, 512), BatchLimits(512)) == {(0, 512): 1}


def test_packed_documents_cost_their_own_lengths():
    waiting = {(0, 16): 4, (0, 32): 2, (0, 64): 3}
    # 4 * 16 + 2 * 32 + 64 tokens, in rows of 7 * 64 places: less than half, so the 64 stays out.
    assert plan_batch(waiting, (0, 16), BatchLimits(512, packed=True)) == {(0, 16): 4, (0, 32): 2}
    # Beside three of 64 everything comes in: 320 tokens in rows of 576 places.
    assert plan_batch(waiting, (0, 64), BatchLimits(512, packed=True)) == waiting
    assert plan_batch(waiting, (0, 64), BatchLimits(290, packed=True)) == {(0, 64): 3, (0, 32): 2, (0, 16): 2}


def test_a_full_batch_of_one_length_is_not_widened():
    assert plan_batch({(0, 16): 100, (0, 32): 100}, (0, 16), BatchLimits(512)) == {(0, 16): 32}


def test_higher_levels_fill_the_batch_first_and_lower_ones_take_what_is_left():
    waiting = {(1, 64): 2, (1, 48): 1, (2, 64): 100, (2, 80): 1, (3, 64): 100}
    assert plan_batch(waiting, (1, 64), BatchLimits(512)) == {(1, 64): 2, (1, 48): 1, (2, 64): 5}
    # The one of 80 of level 2 would fit, and does not come in: it would make the batch wider.
    waiting[2, 64] = 1
    assert plan_batch(waiting, (1, 64), BatchLimits(512)) == {(1, 64): 2, (1, 48): 1, (2, 64): 1, (3, 64): 4}


def test_a_short_document_of_a_higher_level_comes_in_as_soon_as_others_make_room_for_it():
    # Beside one of 64 a 16 is too much padding; beside two it is not, and it goes before a third.
    waiting = {(1, 64): 1, (1, 16): 1, (2, 64): 3}
    assert plan_batch(waiting, (1, 64), BatchLimits(192)) == {(1, 64): 1, (2, 64): 1, (1, 16): 1}


def test_a_long_document_of_a_higher_level_comes_in_as_soon_as_others_make_room_for_it():
    # Beside 32, 48 and 64 an 80 is too much padding (224 tokens in the room of 320); beside four more of 64 it is not.
    waiting = {(1, 32): 1, (1, 48): 1, (1, 64): 1, (1, 80): 1, (2, 64): 20}
    plan = plan_batch(waiting, (1, 48), BatchLimits(640))
    assert plan == {(1, 32): 1, (1, 48): 1, (1, 64): 1, (2, 64): 4, (1, 80): 1}


def test_a_batch_is_full_where_no_other_of_its_width_fits():
    assert is_full({(1, 16): 1, (2, 64): 3}, BatchLimits(256))
    assert not is_full({(1, 16): 1, (2, 64): 2}, BatchLimits(256))
    assert is_full({(1, 16): 2, (2, 16): 1}, BatchLimits(256, documents=3))
    assert not is_full({(1, 16): 2}, BatchLimits(256, documents=3))
    assert is_full({(1, 16): 1, (2, 64): 3}, BatchLimits(256, packed=True))
    assert not is_full({(1, 16): 4, (2, 64): 2}, BatchLimits(256, packed=True))
