"""What a model repository holds: model folders, their configs and their numbered versions.

Knows folder names; must not know what is inside a version's folder: `runtime` reads that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sentinova_server.errors import LoadError
from sentinova_server.repository.config import CONFIG_FILE, ModelConfig, read_config
from sentinova_server.repository.policy import choose_versions, missing_versions

# A version is a folder named by a positive 64-bit number without leading zeros; `01`, `abc`, `.tmp` are not versions.
_VERSION = re.compile(r"[1-9][0-9]{0,18}")
_MAX_VERSION = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model as found on disk.

    Attributes:
        name: the model's name.
        path: its folder.
        config: its configuration; None where `problem` tells that it cannot be read.
        versions: the folders of the versions that the policy chose, by number, ascending.
        ignored: names in the folder that are neither a version nor a known file.
        missing: versions that the policy names and the folder lacks.
        problem: what is wrong with the model as a whole; empty: nothing.
    """

    name: str
    path: Path
    config: ModelConfig | None
    versions: Mapping[int, Path]
    ignored: tuple[str, ...] = ()
    missing: tuple[int, ...] = ()
    problem: str = ""


def scan_repository(root: Path) -> list[ModelFolder]:
    """Lists the models of a repository, ordered by name; hidden folders are passed over.

    Raises:
        LoadError: `root` is not a folder, or cannot be listed.
    """
    if not root.is_dir():
        raise LoadError(root, "is not a folder: give the folder that holds one folder per model")
    try:
        folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise LoadError(root, f"cannot be listed: {error.strerror}") from error
    return [scan_model(folder) for folder in folders]


def find_model(root: Path, name: str) -> Path:
    """Gives the folder of one model of a repository.

    Raises:
        LoadError: `root` is not a folder, or has no such model.
    """
    if not root.is_dir():
        raise LoadError(root, "is not a folder: give the folder that holds one folder per model")
    models = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if name not in models:
        raise LoadError(root, f"has no model {name!r}, only {models}")
    return root / name


def scan_model(folder: Path) -> ModelFolder:
    """Reads one model's folder. Never raises: what is wrong is told by `problem`."""
    try:
        config = read_config(folder)
        names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        found = list_versions(folder)
    except LoadError as error:
        return ModelFolder(folder.name, folder, None, {}, problem=str(error))
    except OSError as error:
        return ModelFolder(folder.name, folder, None, {}, problem=f"{folder}: cannot be listed: {error.strerror}")
    chosen = choose_versions(found, config.version_policy)
    return ModelFolder(
        name=folder.name,
        path=folder,
        config=config,
        versions={version: folder / str(version) for version in chosen},
        ignored=tuple(name for name in names if (folder / name).is_dir() and not _is_version(folder / name)),
        missing=tuple(missing_versions(found, config.version_policy)),
        problem="" if chosen else f"{folder}: has no version to serve: add a numbered folder, or see {CONFIG_FILE}",
    )


def list_versions(folder: Path) -> list[int]:
    """Gives the versions in a model's folder, served or not, in ascending order. Raises OSError."""
    return sorted(int(path.name) for path in folder.iterdir() if _is_version(path))


def _is_version(path: Path) -> bool:
    return bool(_VERSION.fullmatch(path.name)) and int(path.name) <= _MAX_VERSION and path.is_dir()
