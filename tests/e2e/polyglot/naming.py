"""A name that stands for two addresses, for one process alone: an /etc/hosts of its own, in a mount namespace.

Knows Linux's namespaces; must not know clients.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

NAME = "sentinova.test"
ADDRESSES = ("127.0.0.1", "127.0.0.2")
_HOSTS = "127.0.0.1 localhost\n" + "".join(f"{address} {NAME}\n" for address in ADDRESSES)
_ENTER = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"')


def named(command: Sequence[str], folder: Path) -> tuple[str, ...]:
    """Gives a command line that runs a command where the name is known; the file for it goes into a folder."""
    hosts = folder / "hosts"
    hosts.write_text(_HOSTS)
    return (*_ENTER, str(hosts), *command)


def why_not(folder: Path) -> str:
    """Says why a process cannot have names of its own here; empty where it can."""
    if shutil.which("unshare") is None:
        return "no `unshare`"
    command = named(("getent", "ahostsv4", NAME), folder)
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode or not all(address in done.stdout for address in ADDRESSES):
        return f"no namespace with names of its own: {done.stderr.strip() or done.stdout.strip()}"
    return ""
