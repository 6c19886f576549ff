"""SHA256SUMS: what sha256sum would pass is passed, and what it would not is named."""

import hashlib
import os
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova_server.errors import LoadError
from sentinova_server.repository.checksums import parse_checksums, verify_checksums, write_checksums

DIGEST = hashlib.sha256(b"graph").hexdigest()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "1"
    (folder / "assets").mkdir(parents=True)
    (folder / "model.xml").write_text("graph")
    (folder / "model.bin").write_text("weights")
    (folder / "MODEL_CARD.md").write_text("# Card\n")
    (folder / "assets" / "two words é").write_text("names")
    return folder


def write(folder, text):
    (folder / "SHA256SUMS").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / "SHA256SUMS"


def lines(folder, *names):
    return "".join(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names)


def test_without_the_file_nothing_is_checked(tmp_path):
    verify_checksums(tmp_path)
    verify_checksums(tmp_path / "missing")


def test_what_is_written_is_true(folder):
    write_checksums(folder)
    assert (folder / "SHA256SUMS").read_text().splitlines() == [
        f"{hashlib.sha256(content).hexdigest()}  {name}"
        for name, content in [
            ("MODEL_CARD.md", b"# Card\n"),
            ("assets/two words é", b"names"),
            ("model.bin", b"weights"),
            ("model.xml", b"graph"),
        ]
    ]
    verify_checksums(folder)
    before = (folder / "SHA256SUMS").read_bytes()
    write_checksums(folder)
    assert (folder / "SHA256SUMS").read_bytes() == before


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_sha256sum_and_we_read_each_other(folder):
    write_checksums(folder)
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    subprocess.run(check, cwd=folder, check=True, capture_output=True)
    (folder / "model.xml").write_text("GRAPH")
    assert subprocess.run(check, cwd=folder, check=False, capture_output=True).returncode == 1
    for flag in ("--text", "--binary"):
        names = ["./model.xml", "model.bin", "assets/two words é"]
        text = subprocess.run(["sha256sum", flag, *names], cwd=folder, check=True, capture_output=True).stdout
        write(folder, text)
        verify_checksums(folder)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_a_name_that_sha256sum_escapes_is_refused_with_its_reason(folder):
    (folder / "a\nb").write_text("")
    text = subprocess.run(["sha256sum", "a\nb"], cwd=folder, check=True, capture_output=True).stdout
    write(folder, text)
    with pytest.raises(LoadError, match="line 1 lists a name with a backslash or a line break"):
        verify_checksums(folder)


@pytest.mark.parametrize("form", ["{}", "# a comment\n\n{}", "{}\n\n"])
def test_forms_that_are_taken(folder, form):
    text = form.format(lines(folder, "model.xml", "model.bin"))
    for content in (text, text.replace("\n", "\r\n"), text.rstrip("\n"), text.replace("  ", " *")):
        write(folder, content)
        verify_checksums(folder)
    write(folder, lines(folder, "model.xml").upper().replace("MODEL.XML", "model.xml") + lines(folder, "model.bin"))
    verify_checksums(folder)


@pytest.mark.parametrize(
    ("spoil", "file", "told"),
    [
        (lambda f: (f / "model.xml").write_text("GRAPH"), "model.xml", "is not the file that SHA256SUMS lists"),
        (lambda f: (f / "model.bin").write_text("weight"), "model.bin", "is not the file that SHA256SUMS lists"),
        (lambda f: (f / "assets" / "two words é").unlink(), "assets/two words é", "is missing"),
        (lambda f: (f / "MODEL_CARD.md").unlink(), "MODEL_CARD.md", "is missing"),
        (lambda f: ((f / "model.xml").unlink(), (f / "model.xml").mkdir()), "model.xml", "is not a plain file"),
        (lambda f: ((f / "model.xml").unlink(), os.mkfifo(f / "model.xml")), "model.xml", "is not a plain file"),
        (lambda f: ((f / "model.xml").unlink(), (f / "model.xml").symlink_to("no")), "model.xml", "is missing"),
    ],
)
def test_the_file_at_fault_is_named(folder, spoil, file, told):
    write_checksums(folder)
    spoil(folder)
    with pytest.raises(LoadError, match=told) as error:
        verify_checksums(folder)
    assert error.value.file == folder / file


@pytest.mark.parametrize(
    "name",
    ["model.pdmodel", "model.pdiparams", "model.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json",
     "special_tokens_map.json", "added_tokens.json", "labels.txt", "golden.json"],
)  # fmt: skip
def test_a_model_file_that_is_not_listed_is_refused_and_others_are_not(folder, name):
    write_checksums(folder)
    (folder / "notes.txt").write_text("mine")
    verify_checksums(folder)
    (folder / name).write_text("")
    with pytest.raises(LoadError, match="is not in SHA256SUMS") as error:
        verify_checksums(folder)
    assert error.value.file == folder / name


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "lists no file"),
        ("# nothing\n\n", "lists no file"),
        (f"{DIGEST}  model.xml\nmodel.bin\n", "line 2 is not a SHA-256 digest"),
        (f"{DIGEST[1:]}  model.xml\n", "line 1 is not"),
        (f"{DIGEST}0  model.xml\n", "line 1 is not"),
        (f"{DIGEST} model.xml\n", "line 1 is not"),
        (f"{DIGEST}  \n", "line 1 is not"),
        (f"g{DIGEST[1:]}  model.xml\n", "line 1 is not"),
        (f"SHA256 (model.xml) = {DIGEST}\n", "line 1 is not"),
        (f"{DIGEST}  ../other/model.xml\n", "line 1 lists '../other/model.xml', which is not in the folder"),
        (f"{DIGEST}  a/../../model.xml\n", "not in the folder"),
        (f"{DIGEST}  /etc/passwd\n", "not in the folder"),
        (f"{DIGEST}  a\0b\n", "not in the folder"),
        (f"{DIGEST}  SHA256SUMS\n", "line 1 lists SHA256SUMS itself"),
        (f"\\{DIGEST}  a\\nb\n", "line 1 lists a name with a backslash"),
        (f"{DIGEST}  model.xml\n{'0' * 64}  ./model.xml\n", "line 2 lists 'model.xml' again, with another digest"),
    ],
)
def test_a_wrong_list_is_named_with_its_line(folder, text, told):
    file = write(folder, text)
    with pytest.raises(LoadError) as error:
        verify_checksums(folder)
    assert told in error.value.message
    assert error.value.file == file


def test_one_file_twice_is_one_file(folder):
    assert parse_checksums(f"{DIGEST}  model.xml\n{DIGEST} *./model.xml\n", folder) == {"model.xml": DIGEST}


def test_a_list_that_cannot_be_read_is_named(folder):
    (folder / "SHA256SUMS").mkdir()
    with pytest.raises(LoadError, match="SHA256SUMS: cannot be read: Is a directory"):
        verify_checksums(folder)
    with pytest.raises(LoadError, match="cannot be written: Is a directory"):
        write_checksums(folder)


@pytest.mark.parametrize("name", ["a\nb", "a\\b", "a\rb"])
def test_names_that_have_no_place_in_a_list_are_refused(folder, name):
    (folder / name).write_text("")
    with pytest.raises(LoadError, match="has a backslash or a line break in its name"):
        write_checksums(folder)


def test_names_that_are_not_utf8_are_listed(tmp_path):
    (tmp_path / os.fsdecode(b"\xff")).write_text("graph")
    write_checksums(tmp_path)
    assert (tmp_path / "SHA256SUMS").read_bytes() == DIGEST.encode() + b"  \xff\n"
    verify_checksums(tmp_path)


@given(st.binary(max_size=200) | st.text(f"{DIGEST[0]} *\\\n\r#./a", max_size=80).map(str.encode))
def test_no_content_breaks_the_reader(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    (folder / "SHA256SUMS").write_bytes(content)
    with pytest.raises(LoadError):
        verify_checksums(folder)
