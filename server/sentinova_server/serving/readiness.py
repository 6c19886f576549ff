"""Whether the server takes traffic: one answer for the health service, /readyz and the metrics.

Knows what ready means; must not know who asks.
"""

from __future__ import annotations

from sentinova_server.serving.served import ModelRegistry


class Readiness:
    """Ready: the first loading has ended, the server is not stopping, and enough models have an available version."""

    def __init__(self, registry: ModelRegistry, *, strict: bool, may_be_empty: bool = False) -> None:
        """Makes it, not ready.

        Args:
            registry: the models.
            strict: whether every model must have an available version; otherwise one is enough.
            may_be_empty: whether a server is ready that has no model to load, as it waits for calls that load one.
        """
        self._registry = registry
        self._may_be_empty = may_be_empty
        self._strict = strict
        self.loaded = False
        self.draining = False

    def why_not(self) -> str:
        """Tells why the server takes no traffic now; empty: it does."""
        if self.draining:
            return "stopping"
        if not self.loaded:
            return "loading models"
        models = [model for model in self._registry.models if model.loaded]
        if not models and self._may_be_empty:
            return ""
        unavailable = [model.name for model in models if model.default is None]
        if len(unavailable) == len(models):
            return "no model has an available version"
        if self._strict and unavailable:
            return f"models without an available version: {', '.join(unavailable)}"
        return ""
