"""The peers' own environments, made from lock files when they are missing.

Knows virtual environments and pip; must not know what is installed in them. An environment is made again when its lock
file changes.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.targets.base import ROOT, Unavailable

_INSTALL_SECONDS = 900.0


def ensure_environment(name: str, folder: Path, *options: str) -> Path:
    """Installs `requirements/bench-NAME.lock`, unless that is done, and gives the environment's folder.

    Args:
        name: the peer's.
        folder: where the environment goes.
        options: more options for pip.

    Raises:
        Unavailable: pip could not install it; tells its last line.
    """
    lock = ROOT / "requirements" / f"bench-{name}.lock"
    mark = folder / "installed"
    content = hashlib.sha256(lock.read_bytes()).hexdigest()
    if mark.exists() and mark.read_text() == content:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    _run(sys.executable, "-m", "venv", str(folder))
    pip = (str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet", "install")
    _run(*pip, "--require-hashes", *options, "--requirement", str(lock))
    mark.write_text(content)
    return folder


def site_packages(folder: Path) -> Path:
    """Gives the folder of an environment's packages."""
    return folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def installed_version(folder: Path, package: str) -> str:
    """Gives the version of a package in an environment, or "?"."""
    found = site_packages(folder).glob(f"{package.replace('-', '_')}-*.dist-info")
    return next((entry.name.removesuffix(".dist-info").rpartition("-")[2] for entry in found), "?")


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"not installed within {_INSTALL_SECONDS:.0f} s") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise Unavailable(f"cannot be installed: {last}")
