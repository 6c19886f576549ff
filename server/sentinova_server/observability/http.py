"""The HTTP pages: /metrics for Prometheus, /livez and /readyz for orchestrators. Any other path is 404.

Knows HTTP; must not know models: whether the server is ready is asked of the caller.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder


class HttpPages:
    """The HTTP server. It runs on the event loop that serves gRPC: where that loop hangs, /livez does not answer."""

    def __init__(self, registry: CollectorRegistry, why_not_ready: Callable[[], str]) -> None:
        """Makes the pages.

        Args:
            registry: the metrics to show.
            why_not_ready: tells why the server takes no traffic now; empty: it does.
        """
        self._registry = registry
        self._why_not_ready = why_not_ready
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listens; gives the port, which is the system's choice where `port` is 0. Raises OSError where it is taken."""
        pages = web.Application()
        pages.add_routes(
            [
                web.get("/metrics", self._metrics),
                web.get("/livez", self._live),
                web.get("/readyz", self._ready),
            ]
        )
        self._runner = web.AppRunner(pages, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stops listening; running answers get a second."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})

    async def _live(self, _: web.Request) -> web.Response:
        return web.Response(text="live\n")

    async def _ready(self, _: web.Request) -> web.Response:
        reason = self._why_not_ready()
        return web.Response(text=f"{reason or 'ready'}\n", status=503 if reason else 200)
