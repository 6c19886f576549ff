"""`grpc.health.v1.Health` kept true: the server as "", each service and each model by name.

Knows the health service; must not know what ready means: `Readiness` tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio

from sentinova_server.serving.served import ModelRegistry

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class HealthReporter:
    """Holds the health servicer up to date."""

    def __init__(self, registry: ModelRegistry, why_not_ready: Callable[[], str], services: tuple[str, ...]) -> None:
        """Makes it.

        Args:
            registry: the models, each a service name of its own.
            why_not_ready: tells why the server takes no traffic; empty: it does.
            services: full names of the services that share the server's own health.
        """
        self.servicer = aio.HealthServicer()
        self._registry = registry
        self._why_not_ready = why_not_ready
        self._services = ("", *services)
        self._lock = asyncio.Lock()

    async def refresh(self) -> None:
        """Sets every status anew from what holds now."""
        # One at a time: of two changes the later one must be told last.
        async with self._lock:
            ready = not self._why_not_ready()
            for service in self._services:
                await self.servicer.set(service, _SERVING if ready else _NOT_SERVING)
            for model in self._registry.models:
                await self.servicer.set(model.name, _SERVING if model.default else _NOT_SERVING)

    async def shut_down(self) -> None:
        """Sets everything NOT_SERVING for good."""
        async with self._lock:
            await self.servicer.enter_graceful_shutdown()
