"""A file in the making: whatever interrupts it, going on gives the bytes that an uninterrupted run gives."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova.checkpoint import BusyError, CheckpointError, OtherWorkError, Part, Progress

WORK = {"input": "abc", "--column": "text"}
HEAD = b"head\n"
LINES = [f"line {number}\n".encode() for number in range(20)]


class Clock:
    """Each look at it is so many seconds after the one before."""

    def __init__(self, step: float) -> None:
        self.step = step
        self.now = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def part(tmp_path, work=None, step=0.0) -> Part:
    return Part(tmp_path / "out", WORK if work is None else work, Progress(offset=7, line=1), Clock(step))


def files(tmp_path) -> set[str]:
    return {each.name for each in tmp_path.iterdir()}


def write(made: Part, until: int) -> None:
    """Writes lines up to one, from where it is."""
    for number in range(made.progress.rows, until):
        made.append(LINES[number], Progress(rows=number + 1, offset=7 + number, line=number))


def abandon(made: Part) -> None:
    """Lets go of a part as the end of its process does."""
    made._file.close()
    made._file = None


def test_a_file_is_made(tmp_path):
    with part(tmp_path) as made:
        made.open(HEAD, restart=False)
        assert made.progress == Progress(offset=7, line=1, written=len(HEAD))
        write(made, 20)
        assert files(tmp_path) == {"out.part", "out.part.json"}
        made.finish()
    assert files(tmp_path) == {"out"}
    assert (tmp_path / "out").read_bytes() == HEAD + b"".join(LINES)


def test_a_file_that_was_there_is_there_until_the_new_one_is_complete(tmp_path):
    (tmp_path / "out").write_text("old")
    with part(tmp_path) as made:
        made.open(HEAD, restart=False)
        write(made, 20)
        assert (tmp_path / "out").read_text() == "old"
        made.finish()
    assert (tmp_path / "out").read_bytes() == HEAD + b"".join(LINES)


@given(
    ends=st.lists(st.tuples(st.integers(0, 20), st.booleans(), st.binary(max_size=9)), max_size=6),
    step=st.sampled_from([0.0, 0.2, 5.0]),
)
def test_however_often_it_is_interrupted_it_is_the_same_in_the_end(tmp_path_factory, ends, step):
    folder = tmp_path_factory.mktemp("part")
    for until, killed, torn in ends:
        made = part(folder, step=step)
        made.open(HEAD, restart=False)
        write(made, until)
        if killed:
            made._write(made._file, torn)  # a row that was being written
            abandon(made)
        else:
            made.close()
    with part(folder, step=step) as made:
        made.open(HEAD, restart=False)
        write(made, 20)
        made.finish()
    assert files(folder) == {"out"}
    assert (folder / "out").read_bytes() == HEAD + b"".join(LINES)


def test_what_was_counted_comes_back(tmp_path):
    done = Progress(rows=3, offset=70, line=9, labels={"ü": 2}, failures={"TEXT_EMPTY": 1}, versions={"m/1": 2})
    with part(tmp_path) as made:
        made.open(HEAD, restart=False)
        made.append(b"x" * 9, done)
        written = made.progress
    with part(tmp_path) as made:
        made.open(HEAD, restart=False)
        assert made.progress == written
        assert (written.rows, written.written, written.labels) == (3, len(HEAD) + 9, {"ü": 2})


def test_a_run_that_did_nothing_leaves_nothing(tmp_path):
    with part(tmp_path) as made:
        made.open(HEAD, restart=False)
    assert files(tmp_path) == set()


def begun(tmp_path, rows=5) -> None:
    with part(tmp_path) as made:
        made.open(HEAD, restart=False)
        write(made, rows)


def refused(tmp_path, work=None, error=CheckpointError) -> CheckpointError:
    before = {each: each.read_bytes() for each in tmp_path.iterdir()}
    with part(tmp_path, work) as made, pytest.raises(error) as caught:
        made.open(HEAD, restart=False)
    assert {each: each.read_bytes() for each in tmp_path.iterdir()} == before
    return caught.value


def test_other_work_does_not_go_on_with_it(tmp_path):
    begun(tmp_path)
    error = refused(tmp_path, {"input": "other", "--column": "text", "--model": "new"}, OtherWorkError)
    assert error.differences == {"input": "abc", "--model": None}


def test_other_work_can_begin_anew(tmp_path):
    begun(tmp_path)
    with part(tmp_path, {"input": "other"}) as made:
        made.open(HEAD, restart=True)
        write(made, 2)
        made.finish()
    assert (tmp_path / "out").read_bytes() == HEAD + b"".join(LINES[:2])


@pytest.mark.parametrize(
    "state", [b"", b"{}", b"\xff", b"[]", b'{"version": 1, "work": {}, "progress": {"rows": 1, "x": 2}}']
)
def test_a_damaged_checkpoint_is_refused(tmp_path, state):
    begun(tmp_path)
    (tmp_path / "out.part.json").write_bytes(state)
    assert "damaged" in str(refused(tmp_path))


def test_a_checkpoint_of_another_version_is_refused(tmp_path):
    begun(tmp_path)
    path = tmp_path / "out.part.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99}))
    assert "another version" in str(refused(tmp_path))


def test_a_part_that_was_cut_is_refused(tmp_path):
    begun(tmp_path)
    os.truncate(tmp_path / "out.part", 9)
    assert "has 9 bytes, but had" in str(refused(tmp_path))


def test_a_part_of_nobody_is_refused(tmp_path):
    (tmp_path / "out.part").write_text("mine")
    assert "tells how far it is" in str(refused(tmp_path))


@pytest.mark.parametrize("how", ["removed", "emptied"])
def test_a_part_without_anything_is_begun_anew(tmp_path, how):
    begun(tmp_path)
    if how == "removed":
        (tmp_path / "out.part").unlink()
    else:
        os.truncate(tmp_path / "out.part", 0)
    with part(tmp_path) as made:
        made.open(HEAD, restart=False)
        assert made.progress.rows == 0
        write(made, 20)
        made.finish()
    assert (tmp_path / "out").read_bytes() == HEAD + b"".join(LINES)


def test_other_work_begins_anew_where_nothing_was_done(tmp_path):
    made = part(tmp_path)
    made.open(HEAD, restart=False)
    abandon(made)
    with part(tmp_path, {"input": "other"}) as made:
        made.open(HEAD, restart=False)
        write(made, 2)
        made.finish()
    assert (tmp_path / "out").read_bytes() == HEAD + b"".join(LINES[:2])


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("step", ["truncate", "fsync", "replace", "write"])
def test_a_process_that_is_killed_as_it_begins_is_gone_on_with(tmp_path, monkeypatch, step, restart):
    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    if restart:
        begun(tmp_path)
    made = part(tmp_path)
    with monkeypatch.context() as patched:
        if step == "fsync":
            patched.setattr(os, "fsync", die)
        elif step == "replace":
            patched.setattr(type(tmp_path), "replace", die)
        elif step == "write":
            patched.setattr(made, "_write", die)
        else:
            patched.setattr(made, "_save", die)
        with pytest.raises(Killed):
            made.open(HEAD, restart=restart)
    abandon(made)
    with part(tmp_path) as made:
        made.open(HEAD, restart=False)
        write(made, 20)
        made.finish()
    assert (tmp_path / "out").read_bytes() == HEAD + b"".join(LINES)


def test_two_cannot_make_the_same_file(tmp_path):
    with part(tmp_path) as made:
        made.open(HEAD, restart=False)
        write(made, 5)
        for restart in (False, True):
            with part(tmp_path) as other, pytest.raises(BusyError):
                other.open(HEAD, restart=restart)
        write(made, 20)
        made.finish()
    assert (tmp_path / "out").read_bytes() == HEAD + b"".join(LINES)


def test_a_part_that_was_finished_meanwhile_is_left_alone(tmp_path, monkeypatch):
    with part(tmp_path) as made:
        made.open(HEAD, restart=False)
        write(made, 20)
        other = part(tmp_path)
        lock = other._lock

        def finish_first(file):
            made.finish()
            lock(file)

        monkeypatch.setattr(other, "_lock", finish_first)
        with pytest.raises(BusyError):
            other.open(HEAD, restart=True)
    assert (tmp_path / "out").read_bytes() == HEAD + b"".join(LINES)


def test_a_checkpoint_is_taken_now_and_then(tmp_path):
    with part(tmp_path, step=0.15) as made:
        made.open(HEAD, restart=False)
        counted = []
        for until in range(1, 9):
            write(made, until)
            counted.append(json.loads((tmp_path / "out.part.json").read_text())["progress"]["rows"])
    assert counted == [0, 0, 0, 4, 4, 4, 4, 8]


def test_a_disk_that_is_full_loses_nothing_of_what_was_written(tmp_path, monkeypatch):
    made = part(tmp_path)
    made.open(HEAD, restart=False)
    write(made, 5)

    def full(file, data):
        file.write(data[:3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(made, "_write", full)
    with pytest.raises(OSError, match="No space"):
        write(made, 6)
    made.close()
    with part(tmp_path) as made:
        made.open(HEAD, restart=False)
        assert made.progress.rows == 5
        write(made, 20)
        made.finish()
    assert (tmp_path / "out").read_bytes() == HEAD + b"".join(LINES)
