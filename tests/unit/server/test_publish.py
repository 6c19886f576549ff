"""The publish command: a version is in the repository whole and checked, or not at all."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner
from sentinova_server import cli, publish_command
from sentinova_server.repository import version_copy
from sentinova_server.repository.checksums import verify_checksums, write_checksums
from sentinova_server.repository.config import ModelConfig
from sentinova_server.repository.outlook import describe_serving
from sentinova_server.repository.scanner import scan_repository
from sentinova_server.repository.traffic import Traffic
from sentinova_server.settings import PublishSettings

FILES = ["golden.json", "labels.txt", "model.bin", "model.xml", "tokenizer_config.json", "vocab.txt"]


@pytest.fixture
def root(tmp_path, tiny_version):
    """A repository with the model `tiny`, version 1."""
    tiny_version(tmp_path / "repository" / "tiny" / "1")
    return tmp_path / "repository"


@pytest.fixture
def source(tmp_path, tiny_version):
    """A version that is not in the repository."""
    return tiny_version(tmp_path / "source")


@pytest.fixture
def run(root, source):
    def run(*arguments, name="tiny", folder=source):
        words = ["publish", str(folder), name, "--model-repository", str(root), *arguments]
        result = CliRunner().invoke(cli.main, words)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def everything(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))


def test_a_version_is_published(run, root, source):
    result = run()
    assert result.exit_code == 0, result.output
    assert names(root) == ["tiny"]
    assert names(root / "tiny") == ["1", "2"]
    assert names(root / "tiny" / "2") == ["SHA256SUMS", *FILES]
    for name in FILES:
        assert (root / "tiny" / "2" / name).read_bytes() == (source / name).read_bytes()
    verify_checksums(root / "tiny" / "2")
    assert f"Published: {root / 'tiny' / '2'}" in result.output
    assert "6 files, 0.0 MB, listed in SHA256SUMS." in result.output
    assert "Loaded as a server would: 4 golden texts, logits within" in result.output
    assert "version 2, and answers with it where no version is asked for. version_policy leaves out 1." in result.output
    assert names(source) == FILES


def test_a_new_model_is_published(run, root):
    result = run(name="new")
    assert result.exit_code == 0, result.output
    assert names(root) == ["new", "tiny"]
    assert names(root / "new" / "1") == ["SHA256SUMS", *FILES]
    assert [model.problem for model in scan_repository(root)] == ["", ""]
    assert (root / "new").stat().st_mode == (root / "tiny").stat().st_mode
    assert run("--to", "5", name="newer").exit_code == 0
    assert names(root / "newer") == ["5"]


def test_the_number_can_be_chosen_but_not_twice(run, root):
    assert run("--to", "7", "--no-check").exit_code == 0
    assert names(root / "tiny") == ["1", "7"]
    before = everything(root)
    result = run("--to", "7", "--no-check")
    assert result.exit_code == 1
    assert "7: exists: give another number by --to" in result.output
    assert everything(root) == before
    assert run("--no-check").exit_code == 0
    assert names(root / "tiny") == ["1", "7", "8"]


def test_the_policy_and_the_weights_say_who_serves(run, root):
    config = root / "tiny" / "config.pbtxt"
    config.write_text("version_policy { specific { versions: [1] } }")
    assert f"No server serves it yet: version_policy in {config} does not choose 2" in run("--no-check").output
    config.write_text(
        "version_policy { all {} }\n"
        'parameters { key: "weight.1" value { string_value: "90" } }\n'
        'parameters { key: "weight.3" value { string_value: "10" } }\n'
    )
    assert f"A server serves version 3; the weights in {config} say which version answers" in run("--no-check").output
    config.write_text('parameters { key: "label.next" value { string_value: "4" } }')
    assert "A server serves version 4, and answers with it" in run("--no-check").output
    config.write_text('version_policy { all {} } parameters { key: "label.stable" value { string_value: "9" } }')
    result = run("--to", "9", "--no-check")
    assert "A server serves version 9, and answers with it where no version is asked for.\n" in result.output
    assert "A server serves version 8, and answers with version 9" in run("--to", "8", "--no-check").output


def test_what_a_label_or_a_weight_names_is_served_too():
    def describe(**traffic):
        config = ModelConfig("tiny", traffic=Traffic(**traffic))
        return describe_serving(Path("tiny"), config, [1, 2, 7], 3)

    assert describe().startswith("No server serves it yet")
    told = (
        "A server serves version 3, and answers with version 7 where no version is asked for. version_policy leaves out"
    )
    assert describe(labels={"next": 3}) == f"{told} 1, 2."
    assert describe(labels={"next": 3, "old": 1}) == f"{told} 2."
    assert describe(weights={3: 1, 7: 99}).startswith("A server serves version 3; the weights in tiny/config.pbtxt say")


def test_without_checksums_none_are_written(run, root, source):
    assert run("--no-checksums").exit_code == 0
    assert names(root / "tiny" / "2") == FILES
    # Those that the source has are part of it.
    write_checksums(source)
    assert run("--no-checksums").exit_code == 0
    assert (root / "tiny" / "3" / "SHA256SUMS").read_bytes() == (source / "SHA256SUMS").read_bytes()


def test_folders_and_links_become_files_of_the_version(run, root, source, tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "names").write_text("names")
    (source / "assets").symlink_to(tmp_path / "assets")
    (source / ".hidden").write_text("hidden")
    (source / "vocab.txt").rename(tmp_path / "vocab.txt")
    (source / "vocab.txt").symlink_to(tmp_path / "vocab.txt")
    assert run().exit_code == 0
    new = root / "tiny" / "2"
    assert (new / "assets" / "names").read_text() == "names"
    assert (new / ".hidden").read_text() == "hidden"
    assert not any(path.is_symlink() for path in new.rglob("*"))
    assert "assets/names" in (new / "SHA256SUMS").read_text()


def test_a_version_that_no_server_could_serve_is_refused(run, root, tiny_version, tmp_path):
    spoiled = tiny_version(tmp_path / "spoiled", scale=1.5)
    before = everything(root)
    for name in ("tiny", "new"):
        result = run(folder=spoiled, name=name)
        assert result.exit_code == 1
        assert f"{spoiled / 'golden.json'}: cases." in result.output.replace("\n", " ")
        assert "No server could serve it; nothing was published" in result.output
        assert ".stage-" not in result.output
        assert everything(root) == before
    result = run("--no-check", folder=spoiled)
    assert result.exit_code == 0
    assert "It was not loaded to check it (--no-check)." in result.output
    assert names(root / "tiny") == ["1", "2"]


def spoil_checksums(source):
    write_checksums(source)
    (source / "vocab.txt").write_text("[PAD]\n")


SOURCES = {
    "no model": (lambda s: (s / "model.xml").unlink(), "model.xml", "is missing, and belongs to model.bin"),
    "no files": (lambda s: [path.unlink() for path in s.iterdir()], "model.pdmodel", "is missing"),
    "empty file": (lambda s: (s / "model.xml").write_text(""), "model.xml", "is empty"),
    "dangling link": (lambda s: (s / "notes").symlink_to("nowhere"), "notes", "is a link that leads nowhere"),
    "pipe": (lambda s: os.mkfifo(s / "pipe"), "pipe", "is neither a file nor a folder"),
    "circle": (lambda s: (s / "up").symlink_to("."), "up", "leads to a folder that is copied already"),
    "other files than listed": (spoil_checksums, "vocab.txt", "is not the file that SHA256SUMS lists"),
    "bad list": (lambda s: (s / "SHA256SUMS").write_text("x\n"), "SHA256SUMS", "line 1 is not"),
    "a name for no list": (lambda s: (s / "a\\b").write_text(""), "", "has a backslash or a line break"),
}


@pytest.mark.parametrize(("spoil", "file", "told"), SOURCES.values(), ids=SOURCES.keys())
@pytest.mark.parametrize("name", ["tiny", "new"])
def test_a_source_that_cannot_be_taken_is_named(run, root, source, spoil, file, told, name):
    before = everything(root)
    spoil(source)
    result = run("--no-check", name=name)
    assert result.exit_code == 1
    assert told in result.output
    if file:
        assert str(source / file) in result.output
    assert everything(root) == before


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "../tiny", "/tmp/x"])
def test_a_name_that_is_no_models_is_refused(run, root, name):
    before = everything(root.parent)
    result = run(name=name)
    assert result.exit_code == 1
    assert "a model's name is that of a folder" in result.output
    assert everything(root.parent) == before


def test_places_that_cannot_be_used_are_named(run, root, source, tmp_path):
    (root / "file").write_text("")
    (root / "lost").symlink_to("nowhere")
    for name in ("file", "lost"):
        assert f"{root / name}: is not a folder" in run(name=name).output
    (root / "tiny" / "config.pbtxt").write_text("nmae: 1")
    assert "config.pbtxt: line 1" in run().output
    assert "is not a folder" in run("--model-repository", str(tmp_path / "missing")).output
    shutil.move(root, source / "repository")
    assert "holds the model repository" in run("--model-repository", str(source / "repository")).output


def test_a_source_that_is_not_there_is_a_wrong_argument(run, tmp_path):
    assert run(folder=tmp_path / "missing").exit_code == 2


@pytest.fixture
def while_copying(monkeypatch):
    """Has something happen after the first file is copied."""
    copyfile = shutil.copyfile

    def when(happen):
        def copy(source, target):
            copied = copyfile(source, target)
            monkeypatch.setattr(version_copy.shutil, "copyfile", copyfile)
            happen()
            return copied

        monkeypatch.setattr(version_copy.shutil, "copyfile", copy)

    return when


@pytest.mark.parametrize("name", ["tiny", "new"])
@pytest.mark.parametrize("file", ["golden.json", "vocab.txt", "new.txt"])
def test_a_source_that_changes_meanwhile_is_refused(run, root, source, while_copying, file, name):
    before = everything(root)
    while_copying(lambda: (source / file).write_text("changed"))
    result = run("--no-check", name=name)
    assert result.exit_code == 1
    assert f"{source}: changed while it was copied" in result.output
    assert everything(root) == before


def test_a_source_that_vanishes_meanwhile_is_refused(run, root, source, while_copying):
    before = everything(root)
    while_copying(lambda: shutil.rmtree(source))
    result = run("--no-check")
    assert result.exit_code == 1
    assert "cannot be copied" in result.output
    assert everything(root) == before


def test_a_copy_that_is_not_what_the_source_lists_is_refused(run, root, source, while_copying):
    write_checksums(source)
    before = everything(root)

    def damage():
        [copied] = root.glob("tiny/.2.stage-*/SHA256SUMS")
        digest = copied.read_text()[:8]
        copied.write_text(copied.read_text().replace(digest, digest[::-1], 1))

    while_copying(damage)
    result = run("--no-check")
    assert result.exit_code == 1
    assert f"{source / 'golden.json'}: was copied, and the copy is not the file that SHA256SUMS lists" in result.output
    assert everything(root) == before


def test_a_source_that_is_not_what_it_lists_is_not_copied(run, source, while_copying):
    spoil_checksums(source)
    copied = []
    while_copying(lambda: copied.append(True))
    assert run("--no-check").exit_code == 1
    assert not copied


def test_a_number_that_is_taken_meanwhile_is_kept(run, root, while_copying):
    while_copying((root / "tiny" / "2").mkdir)
    result = run("--no-check")
    assert result.exit_code == 1
    assert "2: exists by now: give another number by --to" in result.output
    assert names(root / "tiny") == ["1", "2"]
    assert names(root / "tiny" / "2") == []


def test_nothing_is_seen_before_all_is_there(run, root, while_copying):
    seen = []
    for name in ("tiny", "new"):
        while_copying(lambda: seen.append([(model.name, list(model.found)) for model in scan_repository(root)]))
        assert run(name=name).exit_code == 0
    assert seen == [[("tiny", [1])], [("tiny", [1, 2])]]


@pytest.mark.parametrize(
    ("error", "told"),
    [(PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
     (OSError(errno.ENOSPC, "No space left on device"), "No space left on device")],
)  # fmt: skip
def test_a_place_that_cannot_be_written_is_named(run, root, monkeypatch, error, told):
    def refuse(*_, **__):
        raise error

    before = everything(root)
    for name in ("shutil.copyfile", "os.fsync", "tempfile.mkdtemp"):
        monkeypatch.setattr(name, refuse)
        for model in ("tiny", "new"):
            result = run(name=model)
            assert result.exit_code == 1
            assert told in result.output
        monkeypatch.undo()
    assert everything(root) == before


def test_an_interrupted_run_leaves_nothing(run, root, while_copying):
    def interrupt():
        raise KeyboardInterrupt

    before = everything(root)
    for name in ("tiny", "new"):
        while_copying(interrupt)
        assert run(name=name).exit_code == 1
    assert everything(root) == before


def test_the_signal_means_again_what_it_meant(run):
    before = signal.getsignal(signal.SIGTERM)
    assert run().exit_code == 0
    assert signal.getsignal(signal.SIGTERM) is before


# The command in a process of its own, in which something happens in the middle of the largest file.
CHILD = """
import os, resource, shutil, signal, sys
from sentinova_server.__main__ import main

def copy_half(source, target):
    copied = copyfile(source, target)
    if os.path.basename(source) == "model.xml":
        os.truncate(target, os.path.getsize(target) // 2)
        {happen}
    return copied

copyfile, shutil.copyfile = shutil.copyfile, copy_half
{before}
sys.argv = ["sentinova-server", "publish", *sys.argv[1:]]
main()
"""


def run_child(root, source, name, *, happen="pass", before="pass"):
    script = textwrap.dedent(CHILD).format(happen=happen, before=before)
    words = [sys.executable, "-c", script, str(source), name, "--model-repository", str(root), "--no-check"]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["tiny", "new"])
def test_a_killed_run_is_not_seen_and_the_next_one_cleans_up(run, root, source, name):
    result = run_child(root, source, name, happen="os.kill(os.getpid(), signal.SIGKILL)")
    assert result.returncode == -signal.SIGKILL
    # It was in the middle: half a file is there, and no server would see it.
    [half] = root.glob("**/.*.stage-*/**/model.xml")
    assert 0 < half.stat().st_size < (source / "model.xml").stat().st_size
    assert [(model.name, list(model.found), model.ignored) for model in scan_repository(root)] == [("tiny", [1], ())]
    # Whatever is published next, a stage of a model's is removed too.
    assert run("--no-check").exit_code == 0
    assert everything(root / "tiny" / "2") == ["SHA256SUMS", *FILES]
    assert names(root) == ["tiny"]
    assert names(root / "tiny") == ["1", "2"]


def test_a_run_that_is_asked_to_end_leaves_nothing(root, source):
    before = everything(root)
    twice = "[os.kill(os.getpid(), signal.SIGTERM) for _ in range(2)]"
    result = run_child(root, source, "new", happen=twice)
    assert result.returncode == 128 + signal.SIGTERM
    assert everything(root) == before


def test_a_file_that_may_not_grow_ends_the_run_and_leaves_nothing(root, source):
    (source / "model.bin").write_bytes(b"\0" * 100_000)
    before = everything(root)
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))"
    result = run_child(root, source, "tiny", before=limit)
    assert result.returncode == 1
    assert "model.bin: cannot be copied" in result.stderr
    assert "File too large" in result.stderr
    assert everything(root) == before


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 128 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if mount.returncode:
        pytest.skip(f"no file system can be mounted here: {mount.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("name", ["tiny", "new"])
def test_a_full_disk_ends_the_run_and_leaves_nothing(run, root, source, small_disk, name):
    shutil.copytree(root, small_disk / "repository")
    (source / "model.bin").write_bytes(b"\0" * 200_000)
    before = everything(small_disk)
    result = run("--model-repository", str(small_disk / "repository"), "--no-check", name=name)
    assert result.exit_code == 1
    assert f"{source / 'model.bin'}: cannot be copied" in result.output.replace("\n", " ")
    assert "No space left on device" in result.output
    assert everything(small_disk) == before
    # There is room again, and so it works.
    (source / "model.bin").write_bytes(b"\0" * 10)
    assert run("--model-repository", str(small_disk / "repository"), "--no-check", name=name).exit_code == 0


def test_settings_have_the_documented_defaults():
    settings = PublishSettings(model_repository="models")
    assert (settings.to, settings.check, settings.checksums) == (0, True, True)


@pytest.mark.parametrize(("option", "value"), [("--to", "-1"), ("--to", "9223372036854775808"), ("--to", "x")])
def test_wrong_flags_are_named(run, option, value):
    result = run(option, value)
    assert result.exit_code == 2
    assert option in result.output


def test_what_is_published_is_proved_with_the_models_own_config(run, root, monkeypatch):
    (root / "tiny" / "config.pbtxt").write_text('output [{ name: "logits" label_filename: "classes.txt" }]')
    result = run()
    assert result.exit_code == 1
    assert "classes.txt: is missing" in result.output
    assert names(root / "tiny") == ["1", "config.pbtxt"]


def test_a_thread_without_signals_can_publish(root, source):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as executor:
        settings = PublishSettings(model_repository=root, check=False)
        executor.submit(publish_command.publish, settings, source, "tiny").result()
    assert names(root / "tiny") == ["1", "2"]
