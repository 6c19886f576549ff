"""Packages are taken only when their hash is right."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from sentinova_training import sources
from sentinova_training.errors import RecipeError
from sentinova_training.sources import Package

CONTENT = b"sentences"
PACKAGE = Package("npm", "thing", "1.0.0", "thing-1.0.0.tgz", "", "MIT")


def with_digest(digest: str) -> Package:
    return Package(PACKAGE.registry, PACKAGE.name, PACKAGE.version, PACKAGE.filename, digest, PACKAGE.licence)


SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
SHA512 = "sha512-" + base64.b64encode(hashlib.sha512(CONTENT).digest()).decode()


@pytest.mark.parametrize("digest", [SHA256, SHA512])
def test_both_forms_of_digest_are_understood(tmp_path: Path, digest: str):
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    assert sources.matches(path, digest)
    path.write_bytes(CONTENT + b"!")
    assert not sources.matches(path, digest)


def test_a_kept_file_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / PACKAGE.filename).write_bytes(CONTENT)
    monkeypatch.setattr(sources, "_run_client", lambda *_: pytest.fail("fetched again"))
    assert sources.fetch(with_digest(SHA256), tmp_path).read_bytes() == CONTENT


def test_a_damaged_file_is_fetched_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / PACKAGE.filename).write_bytes(b"damaged")
    monkeypatch.setattr(sources, "_run_client", lambda p, folder: (folder / p.filename).write_bytes(CONTENT))
    assert sources.fetch(with_digest(SHA512), tmp_path).read_bytes() == CONTENT


def test_another_file_than_the_pinned_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sources, "_run_client", lambda p, folder: (folder / p.filename).write_bytes(b"other"))
    with pytest.raises(RecipeError, match="hash"):
        sources.fetch(with_digest(SHA256), tmp_path)
    assert not (tmp_path / PACKAGE.filename).exists()


def test_a_client_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sources, "_client_command", lambda *_: ["surely-not-installed"])
    with pytest.raises(RecipeError, match="surely-not-installed"):
        sources.fetch(with_digest(SHA256), tmp_path)


def test_a_failing_client_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sources, "_client_command", lambda *_: ["sh", "-c", "echo no such package >&2; exit 3"])
    with pytest.raises(RecipeError, match="no such package"):
        sources.fetch(with_digest(SHA256), tmp_path)
