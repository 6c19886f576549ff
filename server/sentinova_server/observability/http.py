"""The HTTP pages: /metrics for Prometheus, /livez and /readyz for orchestrators. Any other path is 404.

Knows HTTP; must not know models: whether the server lives and is ready is asked of the caller.
"""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

# A peer that connects and says nothing holds a thread for no longer than this.
_PEER_SECONDS = 10.0

Reason = Callable[[], str]


class HttpPages:
    """The HTTP server, on threads of its own: a page that is slow to read never holds up a request."""

    def __init__(self, registry: CollectorRegistry, why_not_live: Reason, why_not_ready: Reason) -> None:
        """Makes the pages. Both reasons are asked on other threads than the event loop's.

        Args:
            registry: the metrics to show.
            why_not_live: tells why the server should be started anew; empty: it lives.
            why_not_ready: tells why it takes no traffic now; empty: it does.
        """
        self._metrics = make_wsgi_app(registry)
        self._reasons = {"/livez": ("live", why_not_live), "/readyz": ("ready", why_not_ready)}
        self._server: WSGIServer | None = None

    def start(self, host: str, port: int) -> int:
        """Listens; gives the port, which is the system's choice where `port` is 0. Raises OSError where it is taken."""
        kind = _ServerV6 if ":" in host else _Server
        try:
            self._server = make_server(host, port, self._answer, kind, _Handler)
        except OSError as error:
            raise OSError(f"cannot listen on {host}:{port} for HTTP: {error.strerror}") from error
        threading.Thread(target=self._server.serve_forever, name="http", daemon=True).start()
        return self._server.server_port

    def stop(self) -> None:
        """Stops listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            pages: Iterable[bytes] = self._metrics(environ, start_response)
            return pages
        if path not in self._reasons:
            return _respond(start_response, "404 Not Found", "no such page: there are /metrics, /livez and /readyz")
        good, why_not = self._reasons[path]
        reason = why_not()
        return _respond(start_response, "503 Service Unavailable" if reason else "200 OK", reason or good)


def _respond(start_response: StartResponse, status: str, text: str) -> Iterable[bytes]:
    body = f"{text}\n".encode()
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        # The standard one looks up the host's full name, which takes seconds where name service is slow.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _ServerV6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = _PEER_SECONDS

    def log_message(self, *_: object) -> None:
        """Logs nothing: probes come every few seconds."""
