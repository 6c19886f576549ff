"""A staged folder is seen whole or not at all, and one that a killed process left is removed."""

import errno
import fcntl
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from sentinova_server.errors import LoadError
from sentinova_server.repository import staging
from sentinova_server.repository.scanner import MAX_VERSION
from sentinova_server.repository.staging import (
    choose_number,
    publish_model,
    publish_version,
    remove_leftovers,
    stage_model,
    stage_version,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def dead():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def leave(folder, pid, name="2"):
    leftover = folder / f".{name}.stage-{pid}-abcdefgh"
    (leftover / "assets").mkdir(parents=True)
    (leftover / "model.bin").write_text("half")
    return leftover


@contextmanager
def locked(folder):
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def test_a_version_is_hidden_until_it_is_published(tmp_path):
    with stage_version(tmp_path, 2) as stage:
        assert stage.parent == tmp_path
        assert stage.name.startswith(f".2.stage-{os.getpid()}-")
        assert stage.stat().st_mode & 0o777 == 0o700
        (stage / "model.xml").write_text("graph")
        assert publish_version(stage, 2) == tmp_path / "2"
        assert names(tmp_path) == ["2"]
    assert names(tmp_path) == ["2"]
    assert names(tmp_path / "2") == ["model.xml"]
    (tmp_path / "usual").mkdir()
    assert (tmp_path / "2").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_model_is_hidden_until_it_is_published(tmp_path):
    with stage_model(tmp_path, "tiny") as stage:
        assert stage.name.startswith(".tiny.stage-")
        (stage / "1").mkdir()
        assert publish_model(stage, "tiny") == tmp_path / "tiny"
    assert names(tmp_path) == ["tiny"]
    assert names(tmp_path / "tiny") == ["1"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_what_fails_leaves_nothing(tmp_path, error):
    def fail():
        with stage_version(tmp_path, 2) as stage:
            (stage / "model.xml").write_text("graph")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == []


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.write_text(""),
                                  lambda path: path.symlink_to("nowhere")])  # fmt: skip
def test_what_appeared_meanwhile_is_kept(tmp_path, make):
    for stage, publish, name in ((stage_version, publish_version, 2), (stage_model, publish_model, "m")):
        with stage(tmp_path, name) as staged:
            make(tmp_path / str(name))
            with pytest.raises(LoadError, match="exists by now") as error:
                publish(staged, name)
        assert error.value.file == tmp_path / str(name)
    assert names(tmp_path) == ["2", "m"]


def test_what_appears_in_the_last_moment_is_kept(tmp_path, monkeypatch):
    with stage_version(tmp_path, 2) as staged:
        (tmp_path / "2").mkdir()
        (tmp_path / "2" / "model.xml").write_text("another's")
        monkeypatch.setattr(os.path, "lexists", lambda _: False)
        with pytest.raises(LoadError, match="exists by now: give another number by --to"):
            publish_version(staged, 2)
    assert (tmp_path / "2" / "model.xml").read_text() == "another's"


def test_files_are_on_the_disk_before_the_name_is_and_the_name_is_at_the_end(tmp_path, monkeypatch):
    done = []
    fsync, rename = os.fsync, staging.Path.rename

    def note_sync(descriptor):
        place = Path(f"/proc/self/fd/{descriptor}").readlink()
        done.append(place.name if place.is_file() else f"{place}/")
        fsync(descriptor)

    def note_rename(path, target):
        done.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(staging.Path, "rename", note_rename)
    with stage_version(tmp_path, 2) as staged:
        (staged / "assets").mkdir()
        (staged / "assets" / "names").write_text("names")
        (staged / "model.xml").write_text("graph")
        publish_version(staged, 2)
    at = done.index("rename")
    assert sorted(done[:at]) == sorted(["names", "model.xml", f"{staged}/", f"{staged}/assets/"])
    assert done[at + 1 :] == [f"{tmp_path}/"]


def test_a_disk_that_fails_before_the_end_publishes_nothing(tmp_path, monkeypatch):
    def fail(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with stage_version(tmp_path, 2) as staged:
        (staged / "model.xml").write_text("graph")
        with pytest.raises(LoadError, match="2: cannot be made: No space left on device"):
            publish_version(staged, 2)
    assert names(tmp_path) == []


def test_a_disk_that_cannot_sync_folders_is_no_hindrance(tmp_path, monkeypatch):
    fsync = os.fsync

    def refuse(descriptor):
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    with stage_version(tmp_path, 2) as staged:
        (staged / "model.xml").write_text("graph")
        publish_version(staged, 2)
    assert names(tmp_path) == ["2"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with (
        pytest.raises(LoadError, match="no version can be written there: No such file or directory"),
        stage_version(tmp_path / "missing", 2),
    ):
        pass
    with (
        pytest.raises(LoadError, match="no model can be written there: File name too long"),
        stage_model(tmp_path, "m" * 250),
    ):
        pass


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path, dead):
    leave(tmp_path, dead)
    leave(tmp_path, os.getpid(), "3")  # the number of a process in another container, or in one that came before
    alive = leave(tmp_path, os.getppid(), "4")
    for name in (".git", f".2.stage-{dead}", f"2.stage-{dead}-abcdefgh", f".backup-{dead}-abcdefgh", "1"):
        (tmp_path / name).mkdir()
    kept = set(names(tmp_path))
    with stage_version(tmp_path, 5) as stage:
        kept -= {f".2.stage-{dead}-abcdefgh", f".3.stage-{os.getpid()}-abcdefgh"}
        assert set(names(tmp_path)) == {*kept, stage.name}
    assert set(names(tmp_path)) == kept
    assert names(alive) == ["assets", "model.bin"]


def test_a_stage_that_is_in_use_elsewhere_stays(tmp_path, dead):
    leftover = leave(tmp_path, dead)
    with locked(leftover):
        remove_leftovers(tmp_path)
        assert names(tmp_path) == [leftover.name]
    remove_leftovers(tmp_path)
    assert names(tmp_path) == []


def test_two_stages_at_once_leave_each_other_alone(tmp_path):
    with stage_version(tmp_path, 2) as first, stage_version(tmp_path, 2) as second:
        assert set(names(tmp_path)) == {first.name, second.name}
        publish_version(second, 2)
        with pytest.raises(LoadError, match="exists by now"):
            publish_version(first, 2)


def test_a_link_in_a_stages_name_leads_to_no_removal(tmp_path, dead):
    (tmp_path / "real").mkdir()
    (tmp_path / f".2.stage-{dead}-abcdefgh").symlink_to(tmp_path / "real")
    remove_leftovers(tmp_path)
    assert "real" in names(tmp_path)


def test_without_locks_leftovers_stay_and_stages_work(tmp_path, monkeypatch, dead):
    def refuse(*_):
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(fcntl, "flock", refuse)
    leftover = leave(tmp_path, dead)
    with stage_version(tmp_path, 2) as stage:
        publish_version(stage, 2)
    assert names(tmp_path) == [leftover.name, "2"]


def test_a_folder_that_is_not_there_has_no_leftovers(tmp_path):
    remove_leftovers(tmp_path / "missing")


def test_numbers(tmp_path):
    model = tmp_path / "m"
    assert choose_number(model) == 1
    assert choose_number(model, 7) == 7
    for name in ("1", "9", "x", "010", ".11"):
        (model / name).mkdir(parents=True)
    assert choose_number(model) == 10
    assert choose_number(model, 3) == 3
    (model / "3").write_text("")
    (model / "4").symlink_to("nowhere")
    for taken in (1, 3, 4):
        with pytest.raises(LoadError, match=f"{taken}: exists: give another number by --to, or none"):
            choose_number(model, taken)
    (model / str(MAX_VERSION)).mkdir()
    with pytest.raises(LoadError, match="above which there is none: give another number by --to"):
        choose_number(model)
