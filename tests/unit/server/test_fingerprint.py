"""A fingerprint differs where a file does, and looking at a folder never fails."""

import os
import shutil

import pytest
from sentinova_server.repository.fingerprint import FileEntry, Fingerprint, fingerprint_file, take_fingerprint


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "1"
    (folder / "assets").mkdir(parents=True)
    (folder / "model.xml").write_text("graph")
    (folder / "assets" / "names").write_text("names")
    (folder / ".hidden").write_text("")
    return folder


def paths(fingerprint):
    return [file.path for file in fingerprint.files]


def test_every_file_is_seen(folder):
    fingerprint = take_fingerprint(folder)
    assert paths(fingerprint) == [".hidden", "assets/names", "model.xml"]
    status = (folder / "model.xml").stat()
    assert fingerprint.files[2] == FileEntry(
        "model.xml", 5, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev
    )
    assert fingerprint.is_whole


def test_what_has_not_changed_is_equal_and_has_one_hash(folder):
    assert take_fingerprint(folder) == take_fingerprint(folder)
    assert len({take_fingerprint(folder), take_fingerprint(folder)}) == 1


def until_the_clock_ticks(file, change):
    """Changes a file until its change time is another one: some file systems' clocks are coarse."""
    before = file.stat().st_ctime_ns
    while file.stat().st_ctime_ns == before:
        change(file)


def rewrite_in_place(folder):
    # The same size, and the time put back: only the kernel's own time tells.
    def change(file):
        status = file.stat()
        file.write_text("GRAPH")
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    until_the_clock_ticks(folder / "model.xml", change)


def put_another_in_its_place(folder):
    shutil.copy2(folder / "model.xml", folder / "new")
    (folder / "new").rename(folder / "model.xml")


CHANGES = {
    "a byte more": lambda folder: (folder / "model.xml").write_text("graphs"),
    "rewritten in place": rewrite_in_place,
    "replaced": put_another_in_its_place,
    "another mode": lambda folder: until_the_clock_ticks(folder / "model.xml", lambda file: file.chmod(0o600)),
    "a file more": lambda folder: (folder / "golden.json").write_text(""),
    "a hidden file more": lambda folder: (folder / ".part").write_text(""),
    "a file less": lambda folder: (folder / "model.xml").unlink(),
    "another name": lambda folder: (folder / "model.xml").rename(folder / "model.bin"),
    "a change below": lambda folder: (folder / "assets" / "names").write_text("other"),
    "a link that leads nowhere": lambda folder: (folder / "link").symlink_to("nowhere"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_is_seen(folder, change):
    before = take_fingerprint(folder)
    change(folder)
    assert take_fingerprint(folder) != before


def test_renaming_the_folder_is_no_change(folder):
    before = take_fingerprint(folder)
    after = take_fingerprint(folder.rename(folder.with_name("2")))
    assert (after, after.newest_ns) == (before, before.newest_ns)


def test_the_newest_change_is_that_of_a_file_or_of_the_names(folder):
    after_all = (1 << 62) + 1
    for path in (folder, folder / "assets", *folder.rglob("*")):
        os.utime(path, ns=(0, 0))
    kernel = max(path.stat().st_ctime_ns for path in folder.rglob("*") if path.is_file())
    assert take_fingerprint(folder).newest_ns == kernel
    os.utime(folder / "assets", ns=(0, kernel + 5))
    assert take_fingerprint(folder).newest_ns == kernel + 5
    os.utime(folder / "model.xml", ns=(0, after_all))
    assert take_fingerprint(folder).newest_ns == after_all


def test_links_are_followed(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "model.bin").write_text("weights")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "vocab.txt").symlink_to(tmp_path / "elsewhere" / "model.bin")
    before = take_fingerprint(folder)
    assert {"linked/model.bin", "vocab.txt"} <= set(paths(before))
    (tmp_path / "elsewhere" / "model.bin").write_text("other weights")
    assert take_fingerprint(folder) != before
    (tmp_path / "link").symlink_to(folder)
    assert take_fingerprint(tmp_path / "link") == take_fingerprint(folder)


def test_links_in_circles_end(folder):
    (folder / "assets" / "up").symlink_to(folder)
    (folder / "self").symlink_to("self")
    assert paths(take_fingerprint(folder)) == [".hidden", "assets/names", "assets/up/", "model.xml", "self"]


def test_what_is_no_folder_has_none(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    assert [take_fingerprint(tmp_path / name) for name in ("file", "missing", "link")] == [None] * 3


def test_an_empty_folder_has_one(tmp_path):
    fingerprint = take_fingerprint(tmp_path)
    assert fingerprint == Fingerprint((), 0)
    assert fingerprint.newest_ns == tmp_path.stat().st_mtime_ns


def test_what_cannot_be_looked_at_is_an_entry(folder, monkeypatch):
    whole = take_fingerprint(folder)
    scandir = os.scandir

    def refuse(place):
        if str(place).rstrip("/").endswith("assets"):
            raise PermissionError(13, "Permission denied")
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refuse)
    fingerprint = take_fingerprint(folder)
    assert fingerprint.files[1] == FileEntry("assets/", size=-1)
    assert paths(fingerprint) == [".hidden", "assets/", "model.xml"]
    assert fingerprint != whole
    assert not fingerprint.is_whole


def test_a_file_that_vanishes_meanwhile_is_an_entry(folder, monkeypatch):
    stat = os.stat

    def vanish(place, **more):
        if str(place).endswith("model.xml"):
            monkeypatch.setattr(os, "stat", stat)
            (folder / "model.xml").unlink()
        return stat(place, **more)

    monkeypatch.setattr(os, "stat", vanish)
    assert FileEntry("model.xml", size=-1) in take_fingerprint(folder).files


def test_a_folder_that_vanishes_meanwhile_has_none(folder, monkeypatch):
    scandir = os.scandir

    def vanish(place):
        monkeypatch.setattr(os, "scandir", scandir)
        shutil.rmtree(folder)
        return scandir(place)

    monkeypatch.setattr(os, "scandir", vanish)
    assert take_fingerprint(folder) is None


def test_one_file(folder, tmp_path):
    file = folder / "model.xml"
    before = fingerprint_file(file)
    assert paths(before) == ["model.xml"]
    assert before.newest_ns == file.stat().st_ctime_ns
    assert before == fingerprint_file(file)
    file.write_text("longer than before")
    assert fingerprint_file(file) != before
    assert fingerprint_file(tmp_path / "missing") is None
    assert fingerprint_file(file / "below") is None


def test_one_file_that_cannot_be_looked_at(folder, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.stat", refuse)
    assert fingerprint_file(folder / "model.xml") == Fingerprint((FileEntry("model.xml", size=-1),), 0)
