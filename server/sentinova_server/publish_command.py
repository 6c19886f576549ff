"""The `publish` command: puts a version into a repository so that no server ever sees half of it.

Knows the order of the steps, and what is said about them; must not know how any of them is done.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click

from sentinova_server.errors import LoadError
from sentinova_server.repository.checksums import CHECKSUMS_FILE, write_checksums
from sentinova_server.repository.config import ModelConfig, read_config
from sentinova_server.repository.outlook import describe_serving
from sentinova_server.repository.scanner import list_models, list_versions
from sentinova_server.repository.staging import (
    choose_number,
    publish_model,
    publish_version,
    remove_leftovers,
    stage_model,
    stage_version,
)
from sentinova_server.repository.version_copy import Copied, copy_version
from sentinova_server.runtime.engine import Engine
from sentinova_server.runtime.model_files import find_model_files
from sentinova_server.runtime.preparation import Preparation, Proof
from sentinova_server.runtime.tensor_preparation import TensorPreparation
from sentinova_server.runtime.text_parts import holds_text_model, holds_text_versions
from sentinova_server.settings import PublishSettings


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be published, and as what.

    Attributes:
        source: the folder to copy.
        folder: the model's folder.
        is_new: whether the model is not there yet.
        config: its configuration.
        versions: those that the folder holds, ascending.
        target: the number of the new one.
    """

    source: Path
    folder: Path
    is_new: bool
    config: ModelConfig
    versions: tuple[int, ...]
    target: int


def publish(settings: PublishSettings, source: Path, model: str) -> None:
    """Publishes a folder as a version of a model, and says on stdout what was done.

    Raises:
        LoadError: the folder, the place or the number cannot be used; nothing was published.
    """
    job = plan(settings, source, model)
    with _cleaning_up():
        # Those of versions are removed as the next version is staged.
        remove_leftovers(settings.model_repository)
        staging = stage_model(job.folder.parent, model) if job.is_new else stage_version(job.folder, job.target)
        with staging as stage:
            version = stage / str(job.target) if job.is_new else stage
            copied = copy_version(source, version)
            with _naming_source(source, version):
                if settings.checksums:
                    write_checksums(version)
                proof = _prove(job, version) if settings.check else None
            published = publish_model(stage, model) if job.is_new else publish_version(stage, job.target)
    _tell_outcome(job, published / str(job.target) if job.is_new else published, copied, proof, settings)


def plan(settings: PublishSettings, source: Path, model: str) -> Job:
    """Finds out what is to be published, and under which number.

    Raises:
        LoadError: the folder holds no model, the name or the number cannot be used, or the model's config is wrong.
    """
    root = settings.model_repository
    list_models(root)
    if model in ("", ".", "..") or Path(model).name != model or model.startswith("."):
        raise LoadError(root, f"can have no model {model!r}: a model's name is that of a folder, without a leading dot")
    find_model_files(source)
    if root.resolve().is_relative_to(source.resolve()):
        raise LoadError(source, "holds the model repository: give the folder of one version")
    folder = root / model
    is_new = not os.path.lexists(folder)
    if not is_new and not folder.is_dir():
        raise LoadError(folder, "is not a folder: give the model another name")
    target = choose_number(folder, settings.to)
    versions = [] if is_new else list_versions(folder)
    return Job(source, folder, is_new, read_config(folder), tuple(versions), target)


def _prove(job: Job, version: Path) -> Proof:
    """Loads the copy as a server would. Raises LoadError where that fails."""
    try:
        is_text = holds_text_model(version) or holds_text_versions(job.folder)
        kind = Preparation if is_text else TensorPreparation
        model, proof = kind(version, job.config, job.target, engine=Engine()).run()
    except LoadError as error:
        raise LoadError(error.file, f"{error.message}. No server could serve it; nothing was published") from error
    model.close()
    return proof


@contextmanager
def _naming_source(source: Path, version: Path) -> Iterator[None]:
    """Has errors name the files of the source, not those of its copy: that is gone when they are read."""
    try:
        yield
    except LoadError as error:
        if not error.file.is_relative_to(version):
            raise
        raise LoadError(source / error.file.relative_to(version), error.message) from error


@contextmanager
def _cleaning_up() -> Iterator[None]:
    """Has SIGTERM end the command as Ctrl-C does, so that nothing half-made stays; a second one does not hurry it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread has signals
        return

    def end(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell_outcome(job: Job, folder: Path, copied: Copied, proof: Proof | None, settings: PublishSettings) -> None:
    listed = f", listed in {CHECKSUMS_FILE}" if settings.checksums else ""
    click.echo(f"Published: {folder}")
    click.echo(f"{copied.files} files, {copied.size / 1e6:.1f} MB{listed}.")
    click.echo(f"Loaded as a server would: {proof}." if proof else "It was not loaded to check it (--no-check).")
    click.echo(describe_serving(job.folder, job.config, job.versions, job.target))
