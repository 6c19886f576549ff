"""TLS and mutual TLS of the gRPC port, from PEM files.

Knows files and credentials; must not know services.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc

from sentinova_server.errors import LoadError


def read_credentials(cert: Path, key: Path, client_ca: Path | None) -> grpc.ServerCredentials:
    """Reads the server's certificate and key, and the authorities of client certificates for mutual TLS.

    Raises:
        LoadError: a file cannot be read, is not PEM, or the key is not the certificate's; names the file.
    """
    chain, private = _read(cert), _read(key)
    # gRPC reports bad PEM only as a port that does not open: Python's own TLS says what is wrong.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key, password=lambda: _refuse_password(key))
    except ssl.SSLError as error:
        raise LoadError(cert, f"is no PEM certificate that goes with the key {key}: {error.reason}") from error
    authorities = None
    if client_ca is not None:
        authorities = _read(client_ca)
        try:
            context.load_verify_locations(client_ca)
        except ssl.SSLError as error:
            raise LoadError(client_ca, f"holds no PEM certificates: {error.reason}") from error
    return grpc.ssl_server_credentials(
        [(private, chain)], root_certificates=authorities, require_client_auth=authorities is not None
    )


def _refuse_password(key: Path) -> str:
    raise LoadError(key, "is encrypted: give an unencrypted key, readable by the server alone")


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise LoadError(file, f"cannot be read: {error.strerror}") from error
