"""Where faults are injected: a repository whose models have small file systems, and a server that permissions bind.

Where root runs the tests, the server gets a mount namespace of its own, which is gone when the server ends, and loses
root's right to read what it may not. What is not to be had is said, and the tests do without: a limit of a file's size
stands for the full disk, and permissions are left alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_DISK = "24m"
# Takes root's power over permissions away (capabilities(7)); everything else stays as it is.
_BOUND = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]
# Mounts a small file system over each folder, with what the folder held, and becomes the command.
_MOUNT = r"""
set -e
disk=$1; count=$2; shift 2
while [ "$count" -gt 0 ]; do
  kept=$(mktemp -d); cp -a "$1/." "$kept"
  mount -t tmpfs -o "size=$disk,mode=0755" soak "$1"
  cp -a "$kept/." "$1"; rm -rf "$kept"
  shift; count=$((count - 1))
done
exec "$@"
"""


@dataclass(frozen=True)
class Confinement:
    """What could be had.

    Attributes:
        wrapper: what the server's command line begins with.
        small_disk: whether each folder has a small file system of its own, which only the server sees.
        unreadable: whether the server is stopped by a file's permissions.
        notes: what could not be had, and why.
    """

    wrapper: Sequence[str]
    small_disk: bool
    unreadable: bool
    notes: Sequence[str]

    def enter(self, pid: int) -> list[str]:
        """Gives what a command begins with that is to see what the server sees."""
        return ["nsenter", "--target", str(pid), "--mount"] if self.small_disk else []

    def seen(self, pid: int, folder: Path) -> Path:
        """Gives where this process finds a folder of the server's."""
        return Path(f"/proc/{pid}/root{folder}") if self.small_disk else folder


def confine(folders: Sequence[Path]) -> Confinement:
    """Finds out what can be had for a server with these models' folders."""
    notes = []
    if os.geteuid() != 0:
        return Confinement([], small_disk=False, unreadable=True, notes=["not root: no small file systems of our own"])
    mount = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _MOUNT, "sh", _DISK]
    small_disk = _works([*mount, "1", str(folders[0]), "true"]) and shutil.which("nsenter") is not None
    if not small_disk:
        notes.append("no mount namespaces: a limit of a file's size stands for the full disk")
    unreadable = _works([*_BOUND, sys.executable, "-c", "import sentinova_server"])
    if not unreadable:
        notes.append("no setpriv, and permissions do not bind root: none are taken away")
    wrapper = [*mount, str(len(folders)), *map(str, folders)] if small_disk else []
    return Confinement([*wrapper, *(_BOUND if unreadable else [])], small_disk, unreadable, notes)


def _works(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    except OSError:
        return False
