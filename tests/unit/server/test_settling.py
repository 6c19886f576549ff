"""What is there counts as complete only when nothing has changed for a while, whatever the wall clock does."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova_server.repository.fingerprint import FileEntry, Fingerprint
from sentinova_server.repository.settling import Settling

PATH = Path("model/1")
EPOCH = 1_000_000


class Clocks:
    """A monotonic and a wall clock that move when told to."""

    def __init__(self):
        self.monotonic = 50.0
        self.wall = float(EPOCH)

    def settling(self, seconds):
        return Settling(seconds, lambda: self.monotonic, lambda: self.wall)

    def advance(self, seconds):
        self.monotonic += seconds
        self.wall += seconds


@pytest.fixture
def clocks():
    return Clocks()


def seen(content, at):
    """Gives a fingerprint of one file, last changed at a time of the wall clock."""
    return Fingerprint((FileEntry("model.xml", content, 0, int(at * 1e9), 1, 1),), int(at * 1e9))


def test_what_is_new_settles_when_it_has_not_changed_for_long_enough(clocks):
    settling = clocks.settling(2)
    look = seen(1, EPOCH)
    assert settling.observe(PATH, look) is False
    clocks.advance(1.5)
    assert settling.observe(PATH, look) is False
    clocks.advance(0.5)
    assert settling.observe(PATH, look) is True
    assert settling.observe(PATH, look) is True


def test_each_change_begins_anew(clocks):
    settling = clocks.settling(2)
    for content in range(5):
        assert settling.observe(PATH, seen(content, clocks.wall)) is False
        clocks.advance(1.9)
    assert settling.observe(PATH, seen(5, clocks.wall)) is False
    clocks.advance(2)
    assert settling.observe(PATH, seen(4, EPOCH)) is False  # it is as old as it says only to who sees it first
    clocks.advance(2)
    assert settling.observe(PATH, seen(4, EPOCH)) is True


@pytest.mark.parametrize(
    ("age", "settled"), [(0, False), (1.9, False), (2, True), (100, True), (-0.1, False), (-9e9, False)]
)
def test_what_was_there_all_along_is_complete_at_once_and_the_future_proves_nothing(clocks, age, settled):
    assert clocks.settling(2).observe(PATH, seen(1, EPOCH - age)) is settled


def test_a_change_in_the_future_settles_by_being_seen(clocks):
    settling, look = clocks.settling(2), seen(1, EPOCH + 3600)
    assert settling.observe(PATH, look) is False
    clocks.advance(2)
    assert settling.observe(PATH, look) is True


def test_what_could_not_be_looked_at_settles_by_being_seen(clocks):
    settling = clocks.settling(2)
    look = Fingerprint((FileEntry("model.xml"),), 0)
    assert settling.observe(PATH, look) is False
    clocks.advance(2)
    assert settling.observe(PATH, look) is True


def test_an_old_file_that_takes_the_place_of_another_must_settle(clocks):
    settling = clocks.settling(2)
    assert settling.observe(PATH, seen(1, EPOCH - 100)) is True
    assert settling.observe(PATH, seen(2, EPOCH - 200)) is False


def test_with_no_time_to_settle_all_is_complete(clocks):
    settling = clocks.settling(0)
    assert all(settling.observe(PATH, seen(content, EPOCH + 9)) for content in range(3))
    assert settling.next_due(clocks.monotonic) is None


def test_a_file_that_is_not_there_is_a_state_like_any_other(clocks):
    settling = clocks.settling(2)
    assert settling.observe(PATH, None) is True
    assert settling.observe(PATH, seen(1, EPOCH - 100)) is False
    clocks.advance(2)
    assert settling.observe(PATH, seen(1, EPOCH - 100)) is True
    assert settling.observe(PATH, None) is False
    clocks.advance(2)
    assert settling.observe(PATH, None) is True


def test_what_is_forgotten_is_seen_for_the_first_time(clocks):
    settling = clocks.settling(2)
    for forget in (lambda: settling.forget(PATH), lambda: settling.keep_only([])):
        settling.observe(PATH, seen(1, EPOCH))
        assert settling.next_due(clocks.monotonic) == 2
        forget()
        assert settling.next_due(clocks.monotonic) is None
        assert settling.observe(PATH, seen(2, EPOCH - 2)) is True
        settling.forget(PATH)
    settling.observe(PATH, seen(1, EPOCH))
    settling.keep_only([PATH, Path("other")])
    settling.forget(Path("other"))
    assert settling.next_due(clocks.monotonic) == 2


def test_the_next_look_is_due_when_the_first_may_settle(clocks):
    settling = clocks.settling(2)
    assert settling.next_due(clocks.monotonic) is None
    settling.observe(Path("old"), seen(1, 0))
    assert settling.next_due(clocks.monotonic) is None
    settling.observe(Path("a"), seen(1, EPOCH))
    clocks.advance(0.5)
    settling.observe(Path("b"), seen(1, EPOCH))
    assert settling.next_due(clocks.monotonic) == 1.5
    clocks.advance(5)
    assert settling.next_due(clocks.monotonic) == 0


# Steps of a world: time passes, the wall clock is set, somebody writes, somebody looks. Times are eighths of a second,
# which floats hold exactly.
PASS = st.tuples(st.just("pass"), st.integers(0, 40).map(lambda n: n / 8))
JUMP = st.tuples(st.just("jump"), st.integers(-800_000, 800_000).map(lambda n: n / 8))
WRITE = st.tuples(st.just("write"), st.just(0.0))
LOOK = st.tuples(st.just("look"), st.just(0.0))
STEPS = st.lists(PASS | JUMP | WRITE | LOOK, max_size=40)


@given(STEPS, st.sampled_from([0.125, 1, 2.5]))
def test_after_the_first_look_nothing_is_complete_too_early(steps, seconds):
    clocks = Clocks()
    settling = clocks.settling(seconds)
    content, look = 0, seen(0, clocks.wall)
    settling.observe(PATH, look)
    written = clocks.monotonic
    for step, amount in steps:
        if step == "pass":
            clocks.advance(amount)
        elif step == "jump":
            clocks.wall += amount
        elif step == "write":
            content += 1
            look, written = seen(content, clocks.wall), clocks.monotonic
        elif settling.observe(PATH, look):
            assert clocks.monotonic - written >= seconds


@given(STEPS, st.sampled_from([0.125, 1, 2.5]))
def test_who_looks_when_it_is_due_finds_it_complete(steps, seconds):
    clocks = Clocks()
    settling = clocks.settling(seconds)
    look = seen(0, clocks.wall)
    complete = settling.observe(PATH, look)
    for content, (step, amount) in enumerate(steps, 1):
        if step == "pass":
            clocks.advance(amount)
        elif step == "jump":
            clocks.wall += amount
        elif step == "write":
            look = seen(content, clocks.wall)
            complete = settling.observe(PATH, look)
        due = settling.next_due(clocks.monotonic)
        assert (due is None) == complete
        if due is not None and step == "look":
            assert 0 <= due <= seconds
            clocks.advance(due)
            complete = settling.observe(PATH, look)
            assert complete
