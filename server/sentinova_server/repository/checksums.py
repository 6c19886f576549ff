"""The file `SHA256SUMS` in a version's folder: the digest of each of its files, as coreutils' `sha256sum` writes it.

Knows the format and which files must be listed; must not know what they hold. Everything here blocks.

A line is 64 hexadecimal digits, a space, a space or `*`, and a name relative to the folder; empty lines and lines that
begin with `#` are passed over, as `sha256sum --check` does. Names that sha256sum would write with backslashes are
refused. https://www.gnu.org/software/coreutils/manual/html_node/md5sum-invocation.html
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from sentinova_server.errors import LoadError

CHECKSUMS_FILE = "SHA256SUMS"

# What a server reads of a version: where there is a list, one of these that it leaves out is not part of the version.
MODEL_FILE_NAMES = (
    "model.pdmodel",
    "model.pdiparams",
    "model.json",
    "model.xml",
    "model.bin",
    "vocab.txt",
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "labels.txt",
    "golden.json",
    "golden.npz",
)
_LINE = re.compile(r"([0-9A-Fa-f]{64}) [ *](.+)", re.DOTALL)
_ESCAPED = frozenset("\\\n\r")


def verify_checksums(folder: Path) -> None:
    """Holds the files of a version against its `SHA256SUMS`; without that file, does nothing.

    Raises:
        LoadError: a listed file is missing, unreadable or another one, a model file is not listed, or the list itself
            is wrong; names the file, and for the list the line.
    """
    file = folder / CHECKSUMS_FILE
    try:
        text = os.fsdecode(file.read_bytes())
    except FileNotFoundError:
        return
    except OSError as error:
        raise LoadError(file, f"cannot be read: {error.strerror}") from error
    listed = parse_checksums(text, file)
    _require_model_files(folder, listed)
    for name, digest in listed.items():
        if _digest(folder / name) != digest:
            raise LoadError(
                folder / name, f"is not the file that {CHECKSUMS_FILE} lists: copy it again, or write the list anew"
            )


def parse_checksums(text: str, file: Path) -> dict[str, str]:
    """Reads the text of a `SHA256SUMS`.

    Args:
        text: its content.
        file: where it stands, for the message.

    Returns:
        The digest of each file, in small letters, by its name relative to the folder.

    Raises:
        LoadError: a line is not as described above, leaves the folder or contradicts another one, or there is none.
    """
    listed: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")  # noqa: PLW2901 - as Windows ends lines
        if not line or line.startswith("#"):
            continue
        name, digest = _parse_line(line, number, file)
        if listed.setdefault(name, digest) != digest:
            raise LoadError(file, f"line {number} lists {name!r} again, with another digest")
    if not listed:
        raise LoadError(file, "lists no file: write it with `sha256sum`, or take it away")
    return listed


def write_checksums(folder: Path) -> None:
    """Lists every file of a version, so that `sha256sum --check SHA256SUMS` in its folder tells whether all are right.

    Raises:
        LoadError: a file cannot be read, the list cannot be written, or a name has no place in it.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    lines = []
    for name in names:
        if name == CHECKSUMS_FILE:
            continue
        if _ESCAPED.intersection(name):
            raise LoadError(folder, f"{name!r} has a backslash or a line break in its name: give the file another name")
        lines.append(f"{_digest(folder / name)}  {name}\n")
    try:
        (folder / CHECKSUMS_FILE).write_bytes(os.fsencode("".join(lines)))
    except OSError as error:
        raise LoadError(folder / CHECKSUMS_FILE, f"cannot be written: {error.strerror}") from error


def _parse_line(line: str, number: int, file: Path) -> tuple[str, str]:
    """Gives the name and the digest of a line."""
    if line.startswith("\\"):
        raise LoadError(
            file, f"line {number} lists a name with a backslash or a line break: give that file another one"
        )
    found = _LINE.fullmatch(line)
    if not found:
        raise LoadError(
            file, f"line {number} is not a SHA-256 digest, two spaces and a file's name, as sha256sum writes"
        )
    path = PurePosixPath(found[2])
    if path.is_absolute() or ".." in path.parts or "\0" in found[2]:
        raise LoadError(file, f"line {number} lists {found[2]!r}, which is not in the folder")
    if str(path) == CHECKSUMS_FILE:
        raise LoadError(file, f"line {number} lists {CHECKSUMS_FILE} itself, which no digest fits: take the line out")
    return str(path), found[1].lower()


def _require_model_files(folder: Path, listed: Mapping[str, str]) -> None:
    """Refuses model files that are not listed: what nobody vouches for is not served."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise LoadError(folder, f"cannot be listed: {error.strerror}") from error
    for name in names:
        if name not in listed and any(fnmatchcase(name, pattern) for pattern in MODEL_FILE_NAMES):
            raise LoadError(folder / name, f"is not in {CHECKSUMS_FILE}: write the list anew, or take the file away")


def _digest(file: Path) -> str:
    """Gives a file's SHA-256 in small hexadecimal letters. Raises LoadError where it cannot be read."""
    try:
        # Opening anything else, as a pipe, might wait for ever.
        if not file.is_file():
            if file.exists():
                raise LoadError(file, f"is not a plain file, and {CHECKSUMS_FILE} lists nothing else")
            raise LoadError(file, f"is missing, and {CHECKSUMS_FILE} lists it: copy it there")
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise LoadError(file, f"cannot be read: {error.strerror}") from error
