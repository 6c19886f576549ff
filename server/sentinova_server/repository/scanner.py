"""What a model repository holds: model folders, their configs and their numbered versions.

Knows folder names; must not know what is inside a version's folder: `runtime` reads that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sentinova_server.errors import LoadError
from sentinova_server.repository.config import CONFIG_FILE, ModelConfig, parse_config, read_config_text
from sentinova_server.repository.fingerprint import Fingerprint, fingerprint_file, take_fingerprint
from sentinova_server.repository.policy import choose_versions, missing_versions

# A version is a folder named by a positive 64-bit number without leading zeros; `01`, `abc`, `.tmp` are not versions.
_VERSION = re.compile(r"[1-9][0-9]{0,18}")
MAX_VERSION = (1 << 63) - 1
# A config that is being written is read again; after this often, it is taken as it is: it is not complete yet anyway.
_CONFIG_READS = 3


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
        found: what every version in the folder looks like, chosen or not, by number, ascending; there even where the
            config cannot be read.
        config_text: the text of its `config.pbtxt`; empty where there is none, or it cannot be read.
        config_fingerprint: what its `config.pbtxt` looks like; None where there is none.
        listed: whether the folder could be listed; where not, `found` says nothing.
    """

    name: str
    path: Path
    config: ModelConfig | None
    versions: Mapping[int, Path]
    ignored: tuple[str, ...] = ()
    missing: tuple[int, ...] = ()
    problem: str = ""
    found: Mapping[int, Fingerprint] = field(default_factory=dict)
    config_text: str = ""
    config_fingerprint: Fingerprint | None = None
    listed: bool = True


class RepositoryScanner:
    """Scans one repository again and again, and is not misled where its file system goes away meanwhile."""

    def __init__(self, root: Path) -> None:
        """Takes the repository's folder, which need not be there yet."""
        self._root = root
        # The folder that held models at the last scan: the number of its file system, and its own in that.
        self._identity: tuple[int, int] | None = None

    def scan(self) -> list[ModelFolder]:
        """Lists the models of the repository, as `scan_repository` does.

        Raises:
            LoadError: the folder is gone or cannot be listed; or it is another one than before, and empty, as the place
                of a volume is that is not mounted. What was known of it says more than what is there.
        """
        before = self._identify()
        models = scan_repository(self._root)
        if before != self._identify():
            raise LoadError(self._root, "became another folder while it was looked at")
        if models:
            self._identity = before
        elif self._identity not in (None, before):
            raise LoadError(
                self._root, "is another folder now, and empty: mount its volume again, or put the models back"
            )
        return models

    def _identify(self) -> tuple[int, int]:
        try:
            status = self._root.stat()
        except OSError as error:
            raise LoadError(self._root, f"cannot be looked at: {error.strerror}") from error
        return status.st_dev, status.st_ino


def scan_repository(root: Path) -> list[ModelFolder]:
    """Lists the models of a repository, ordered by name; hidden folders are passed over.

    Raises:
        LoadError: `root` is not a folder, or cannot be listed.
    """
    return [scan_model(root / name) for name in list_models(root)]


def list_models(root: Path) -> list[str]:
    """Gives the names of a repository's models in alphabetic order; hidden folders are passed over.

    Raises:
        LoadError: `root` is not a folder, or cannot be listed.
    """
    if not root.is_dir():
        raise LoadError(root, "is not a folder: give the folder that holds one folder per model")
    try:
        return sorted(path.name for path in root.iterdir() if not path.name.startswith(".") and _may_be_folder(path))
    except OSError as error:
        raise LoadError(root, f"cannot be listed: {error.strerror}") from error


def find_model(root: Path, name: str) -> Path:
    """Gives the folder of one model of a repository.

    Raises:
        LoadError: `root` is not a folder, or has no such model.
    """
    models = list_models(root)
    if name not in models:
        raise LoadError(root, f"has no model {name!r}, only {models}")
    return root / name


def scan_model(folder: Path) -> ModelFolder:
    """Reads one model's folder. Never raises: what is wrong is told by `problem`."""
    text, fingerprint, config, problem = _read_config(folder)
    try:
        names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        numbers = list_versions(folder)
        ignored = tuple(name for name in names if _may_be_folder(folder / name) and not _is_version(folder / name))
    except OSError as error:
        problem = problem or f"{folder}: cannot be listed: {error.strerror}"
        return ModelFolder(
            folder.name,
            folder,
            None,
            {},
            problem=problem,
            config_text=text,
            config_fingerprint=fingerprint,
            listed=False,
        )
    looks = ((number, take_fingerprint(folder / str(number))) for number in numbers)
    found = {number: look for number, look in looks if look is not None}
    chosen = choose_versions(found, config.version_policy) if config else []
    if config and not chosen:
        problem = f"{folder}: has no version to serve: add a numbered folder, or see {CONFIG_FILE}"
    return ModelFolder(
        name=folder.name,
        path=folder,
        config=config,
        versions={version: folder / str(version) for version in chosen},
        ignored=ignored,
        missing=tuple(missing_versions(found, config.version_policy)) if config else (),
        problem=problem,
        found=found,
        config_text=text,
        config_fingerprint=fingerprint,
    )


def list_versions(folder: Path) -> list[int]:
    """Gives the versions in a model's folder, served or not, in ascending order. Raises OSError."""
    return sorted(int(path.name) for path in folder.iterdir() if _is_version(path))


def _may_be_folder(path: Path) -> bool:
    """Tells whether a name is a folder's; where the file system does not say, the problem will be told of a folder."""
    try:
        return path.is_dir()
    except OSError:
        return True


def _is_version(path: Path) -> bool:
    return bool(_VERSION.fullmatch(path.name)) and int(path.name) <= MAX_VERSION and _may_be_folder(path)


def _read_config(folder: Path) -> tuple[str, Fingerprint | None, ModelConfig | None, str]:
    """Reads a model's config: its text, what the file looked like then, what it says, and what is wrong with it."""
    file = folder / CONFIG_FILE
    fingerprint = fingerprint_file(file)
    text = ""
    try:
        for _ in range(_CONFIG_READS):
            text = read_config_text(folder)
            before, fingerprint = fingerprint, fingerprint_file(file)
            if before == fingerprint:
                break
        return text, fingerprint, parse_config(text, file), ""
    except LoadError as error:
        return text, fingerprint, None, str(error)
