"""nginx with the shipped configuration, on other ports.

Knows nginx and deploy/nginx/sentinova.conf; must not know who calls.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from polyglot.languages import ROOT
from polyglot.servers import free_port, until

CONFIG = ROOT / "deploy" / "nginx" / "sentinova.conf"
_LISTEN, _SERVERS = "listen 8000 http2;", ("127.0.0.1:8001", "127.0.0.1:8003")
# Debian has it where not every user's PATH leads.
_FOLDERS = "/usr/sbin:/usr/local/sbin"
_MAIN = """\
daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
    access_log off;
    {temporary}
    include {config};
}}
"""


def find_nginx() -> str | None:
    """Gives where nginx is; None where it is not installed."""
    return shutil.which("nginx") or shutil.which("nginx", path=_FOLDERS)


@contextmanager
def run_nginx(folder: Path, servers: Sequence[str]) -> Iterator[str]:
    """Runs nginx before servers; gives its address. Only ports are other than in the shipped file."""
    program = find_nginx()
    assert program is not None
    address, text = f"127.0.0.1:{free_port()}", CONFIG.read_text()
    for old, new in ((_LISTEN, f"listen {address} http2;"), *zip(_SERVERS, servers, strict=True)):
        assert text.count(old) == 1, f"{old} is not in {CONFIG} once"
        text = text.replace(old, new)
    (folder / "sentinova.conf").write_text(text)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(_MAIN.format(temporary=temporary, config=folder / "sentinova.conf"))
    with (folder / "error.log").open("w") as log:
        # One process, which is this user's: nothing has to be given away to another one.
        command = (program, "-p", str(folder), "-e", "stderr", "-c", "nginx.conf")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)
        try:
            until(lambda: _listens(address) or process.poll() is not None, bool)
            assert process.poll() is None, (folder / "error.log").read_text()
            yield address
        finally:
            process.terminate()
            process.wait()


def _listens(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0
