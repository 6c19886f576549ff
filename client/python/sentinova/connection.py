"""How a server is reached: address, TLS, and the gRPC channel options with the retry policy.

Knows gRPC's settings. Must not know what is asked of the server.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

import sentinova

DEFAULT_ADDRESS = "127.0.0.1:8001"
DEFAULT_TIMEOUT = 30.0
DEFAULT_LOAD_TIMEOUT = 600.0  # of calls that load or unload versions: large models are compiled, requests run to an end
MOST_ATTEMPTS = 5  # gRPC itself allows no more

_SCHEMES = ("unix:", "unix-abstract:", "dns:", "ipv4:", "ipv6:", "xds:")
_HOST_PORT = re.compile(r"(?P<host>\[[^\]]+\]|[^:/\[\]]+):(?P<port>\d{1,5})")
_RETRIED_METHODS = [
    {"service": "sentinova.v1.SentimentService", "method": "AnalyzeSentiment"},
    {"service": "sentinova.v1.SentimentService", "method": "BatchAnalyzeSentiment"},
    {"service": "sentinova.v1.ModelService", "method": "ListModels"},
    {"service": "sentinova.v1.ModelService", "method": "GetModel"},
    # Setting the same thing twice is as good as once. The other methods that change something are not that harmless:
    # a second rollback goes back one version more, a second load undoes what was done between the two.
    {"service": "sentinova.v1.ModelService", "method": "SetModelLabel"},
    {"service": "sentinova.v1.ModelService", "method": "SetModelWeights"},
    {"service": "sentinova.v1.ModelService", "method": "SetModelShadow"},
]

_BALANCING: list[dict[str, Any]] = [{"round_robin": {}}]

Metadata = Mapping[str, str] | Iterable[tuple[str, str | bytes]]


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS to the server, and the client's own certificate where the server asks for one (mutual TLS).

    Attributes:
        ca: PEM file with the certificates to trust. None: those that gRPC brings along.
        cert: PEM file with the client's certificate chain. Needs `key`.
        key: PEM file with the client's private key. Needs `cert`.
        server_name: The name that the server's certificate must carry, where it is not the host of the
            address.
    """

    ca: str | Path | None = None
    cert: str | Path | None = None
    key: str | Path | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise ValueError("a client certificate needs its key, and a key its certificate: give both, or neither")


@dataclass(frozen=True, slots=True)
class Connection:
    """Everything that decides how a server is reached, checked when it is made.

    Attributes:
        address: `host:port`, `[v6]:port`, `unix:/path`, `dns:///name:port`, or another of gRPC's target
            forms.
        tls: How to secure the channel; None: no TLS.
        timeout: Default deadline of a call in seconds; None: none.
        attempts: How often a call that may be repeated is tried in all while the server is UNAVAILABLE, from 1 to 5.
        metadata: Sent with every call.
        first_backoff: Mean wait before the second attempt, in seconds; each further wait is twice as long, up
            to 2 s.

    Raises:
        ValueError: Where a value makes no sense.
    """

    address: str = DEFAULT_ADDRESS
    tls: Tls | None = None
    timeout: float | None = DEFAULT_TIMEOUT
    attempts: int = MOST_ATTEMPTS
    metadata: tuple[tuple[str, str | bytes], ...] = ()
    first_backoff: float = field(default=0.2)

    def __post_init__(self) -> None:
        check_address(self.address)
        check_timeout(self.timeout)
        if not 1 <= self.attempts <= MOST_ATTEMPTS:
            raise ValueError(f"attempts must be from 1 to {MOST_ATTEMPTS}, not {self.attempts}")
        for key, _ in self.metadata:
            if key != key.lower():
                raise ValueError(f"metadata keys are lower case: {key!r} is not")

    def credentials(self) -> grpc.ChannelCredentials | None:
        """Reads the certificates.

        Raises:
            OSError: Where a file cannot be read.
        """
        if self.tls is None:
            return None
        return grpc.ssl_channel_credentials(
            root_certificates=_bytes_of(self.tls.ca),
            private_key=_bytes_of(self.tls.key),
            certificate_chain=_bytes_of(self.tls.cert),
        )

    def options(self) -> list[tuple[str, Any]]:
        """Gives the channel's options: retries, keepalive, the user agent."""
        options: list[tuple[str, Any]] = [
            ("grpc.primary_user_agent", f"sentinova-python/{sentinova.__version__}"),
            ("grpc.service_config", json.dumps(service_config(self.attempts, self.first_backoff))),
            ("grpc.enable_retries", 1),
            # The answers to a large batch take more than gRPC's 4 MiB.
            ("grpc.max_receive_message_length", 64 << 20),
            # A request that does not fit the buffer is not retried: room for a batch of long texts.
            ("grpc.per_rpc_retry_buffer_size", 4 << 20),
            # Reconnect quickly enough for the retries to meet a server that has come back.
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 5_000),
            # A dead peer is noticed within 80 s while a call waits for it. Idle channels send no pings.
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.keepalive_permit_without_calls", 0),
            # A watch may be silent for long; gRPC would send two pings, and no more.
            ("grpc.http2.max_pings_without_data", 0),
        ]
        if is_local(self.address):
            options.append(("grpc.enable_http_proxy", 0))
        if self.tls is not None and self.tls.server_name is not None:
            options.append(("grpc.ssl_target_name_override", self.tls.server_name))
        return options


def service_config(attempts: int, first_backoff: float) -> dict[str, Any]:
    """Makes gRPC's service config: what may be repeated is retried on UNAVAILABLE alone, with jittered backoff.

    Calls go to all addresses of a name in turn.

    Format: https://github.com/grpc/grpc-proto/blob/master/grpc/service_config/service_config.proto

    Args:
        attempts: Attempts in all; 1 means no retries.
        first_backoff: Mean wait before the second attempt, in seconds.
    """
    if attempts == 1:
        return {"loadBalancingConfig": _BALANCING}
    policy = {
        "maxAttempts": attempts,
        "initialBackoff": f"{first_backoff:g}s",
        "maxBackoff": "2s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return {"loadBalancingConfig": _BALANCING, "methodConfig": [{"name": _RETRIED_METHODS, "retryPolicy": policy}]}


def check_address(address: str) -> None:
    """Checks that an address has a form that gRPC takes.

    Raises:
        ValueError: Where it has not; the message says what to write.
    """
    if address.startswith(_SCHEMES):
        return
    if "://" in address:
        raise ValueError(f"{address!r} is a URL; a gRPC address is host:port, without the scheme")
    match = _HOST_PORT.fullmatch(address)
    if match is None or not 1 <= int(match["port"]) <= 65_535:
        raise ValueError(f"{address!r} is not an address: write host:port, [ipv6]:port, unix:/path or dns:///host:port")


def check_timeout(timeout: float | None) -> None:
    """Checks a time limit in seconds.

    Raises:
        ValueError: Where it is not above 0.
    """
    if timeout is not None and not timeout > 0:
        raise ValueError(f"a timeout is a number of seconds above 0, not {timeout}")


def is_local(address: str) -> bool:
    """Tells whether an address is on this machine, where an HTTP proxy has no business."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    match = _HOST_PORT.fullmatch(address)
    if match is None:
        return False
    host = match["host"].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def metadata_pairs(metadata: Metadata | None) -> tuple[tuple[str, str | bytes], ...]:
    """Gives metadata as the pairs that gRPC takes."""
    if metadata is None:
        return ()
    return tuple(metadata.items()) if isinstance(metadata, Mapping) else tuple(metadata)


def _bytes_of(path: str | Path | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()
