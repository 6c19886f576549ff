"""The servers that the clients are tried on: repositories of tiny models, certificates, and a server that comes back.

Knows folders, flags and the pages of a server; must not know what a test is about.
"""

from __future__ import annotations

import socket
import time
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import trustme
from prometheus_client.parser import text_string_to_metric_families

# A bound, not a measure: what has not come by then does not come.
WAIT_SECONDS = 30.0
# Longer than any test waits: a document that waits for others of its batch.
_FOREVER_MICROSECONDS = 600_000_000
ALL_VERSIONS = "version_policy { all {} }\n"

Build = Callable[..., Path]
_T = TypeVar("_T")


def until(look: Callable[[], _T], found: Callable[[_T], object]) -> _T:
    """Looks again and again until what is seen is as it should be; gives that."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not found(seen := look()):
        assert time.monotonic() < deadline, f"did not come to be; now: {seen}"
        time.sleep(0.02)  # between two looks
    return seen


def free_port(host: str = "127.0.0.1") -> int:
    """Gives a port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind((host, 0))
        return int(listener.getsockname()[1])


def delayed(microseconds: int = _FOREVER_MICROSECONDS, *, queue: int = 0) -> str:
    """Gives the config of a model whose batches wait to be full, and whose queue holds so many (0: as the server has it)."""
    policy = f" default_queue_policy {{ max_queue_size: {queue} }}" if queue else ""
    return f"dynamic_batching {{ max_queue_delay_microseconds: {microseconds}{policy} }}\n"


def add_model(repository: Path, name: str, build: Build, config: str = "", **options: Any) -> Path:
    """Adds a tiny model of one version; gives its folder."""
    build(repository / name / "1", **options)
    if config:
        (repository / name / "config.pbtxt").write_text(config)
    return repository / name


def metric(server: Any, name: str, **labels: str) -> float:
    """Gives the sum of a metric's samples that have such labels; 0 where there is none."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=WAIT_SECONDS) as response:
        page = response.read().decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def queued(server: Any, model: str) -> float:
    """Gives how many documents wait for a model."""
    return metric(server, "sentinova_queued_documents", model=model)


class Certificates:
    """PEM files: an authority, the server's for its address, another for a name alone, a client's, a stranger's."""

    NAME = "sentinova.test"

    def __init__(self, folder: Path) -> None:
        """Writes them into a folder."""
        self._folder = folder
        authority, stranger = trustme.CA(), trustme.CA()
        for name, issuer in (("ca", authority), ("stranger-ca", stranger)):
            issuer.cert_pem.write_to_path(folder / f"{name}.pem")
        issued = {
            "server": authority.issue_cert("127.0.0.1"),
            "named-server": authority.issue_cert(self.NAME),
            "client": authority.issue_cert("client.test"),
            "stranger": stranger.issue_cert("client.test"),
        }
        for name, certificate in issued.items():
            certificate.private_key_pem.write_to_path(folder / f"{name}.key")
            for pem in certificate.cert_chain_pems:
                pem.write_to_path(folder / f"{name}.pem", append=True)

    def flags(self, name: str = "server", *, mutual: bool = False) -> tuple[str, ...]:
        """Gives the flags of a server with such a certificate."""
        flags = ("--tls-cert", str(self._folder / f"{name}.pem"), "--tls-key", str(self._folder / f"{name}.key"))
        return (*flags, "--tls-client-ca", str(self._folder / "ca.pem")) if mutual else flags

    def tls(
        self, client: str | None = None, *, ca: str = "ca", server_name: str | None = None
    ) -> dict[str, str | None]:
        """Gives what a runner reads."""
        return {
            "ca_file": str(self._folder / f"{ca}.pem"),
            "cert_file": str(self._folder / f"{client}.pem") if client else None,
            "key_file": str(self._folder / f"{client}.key") if client else None,
            "server_name": server_name,
        }


class ReturningServer:
    """A server that ends and comes back on the same port, on the same repository."""

    def __init__(self, start: Callable[..., AbstractContextManager[Any]], repository: Path, *flags: str) -> None:
        """Makes it; `start` starts a server."""
        self._start = start
        self._arguments = (repository, *flags, "--port", str(free_port()))
        self._context: AbstractContextManager[Any] | None = None
        self.server: Any = None

    def __enter__(self) -> ReturningServer:
        self.begin()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._context is not None:
            self._context.__exit__(None, None, None)

    @property
    def address(self) -> str:
        """The gRPC address, the same each time."""
        return str(self.server.address)

    def begin(self) -> None:
        """Starts it, and waits until it is ready."""
        self._context = self._start(*self._arguments)
        self.server = self._context.__enter__()

    def end(self, number: int) -> int:
        """Ends it by a signal; gives its exit code."""
        code = int(self.server.stop(number))
        assert self._context is not None
        self._context.__exit__(None, None, None)
        self._context = None
        return code
