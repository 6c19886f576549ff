"""The server's Prometheus metrics.

Knows names, labels and buckets; must not know who measures. Times are seconds. Label values are names that the server
itself has (models, versions, methods, codes), never a client's text, so that the number of series stays bounded.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)

# From a tokenizer's tens of microseconds to a call that waits for its whole deadline.
_SECONDS = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
_DOCUMENTS = (1, 2, 4, 8, 16, 32, 64, 128)
_TOKENS = (16, 32, 64, 128, 256, 384, 512, 768, 1024, 2048, 4096)


Child = TypeVar("Child", Counter, Histogram)
Kept = TypeVar("Kept", Counter, Gauge, Histogram)


class Metrics:
    """All metrics, in a registry of their own: several servers can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        version = ("model", "version")
        self._versioned: list[Counter | Gauge | Histogram] = []
        self.build = Info("sentinova_build", "Versions of the server and of what it runs on.", registry=self.registry)
        self.requests = self._counter("requests", "Calls answered.", (*version, "method", "code"))
        self.request_seconds = self._histogram(
            "request_duration_seconds", "Time of a call from its first byte read to its last one given to gRPC.",
            (*version, "method"), _SECONDS,
        )  # fmt: skip
        self.documents = self._counter("documents", "Documents answered.", (*version, "method", "code"))
        self.tokenize_seconds = self._histogram(
            "tokenize_duration_seconds", "Time to turn a document into tokens.", version, _SECONDS
        )
        self.queue_seconds = self._histogram(
            "queue_duration_seconds", "Time a document waited for its batch to start.", version, _SECONDS
        )
        self.inference_seconds = self._histogram(
            "inference_duration_seconds", "Time a batch took in the model.", version, _SECONDS
        )
        self.batch_documents = self._histogram("batch_documents", "Documents in a batch.", version, _DOCUMENTS)
        self.batch_tokens = self._histogram("batch_tokens", "Tokens in a batch, padding included.", version, _TOKENS)
        self.padding_tokens = self._counter("padding_tokens", "Tokens that were padding.", version)
        self.queued_documents = self._gauge("queued_documents", "Documents that wait.", version)
        self.cache_hits = self._counter("cache_hits", "Documents answered with a kept answer.", version)
        self.cache_misses = self._counter("cache_misses", "Documents computed where answers are kept.", version)
        self.cache_shared = self._counter(
            "cache_shared", "Documents answered by the inference of an equal one that was under way.", version
        )
        self.cache_evictions = self._counter("cache_evictions", "Answers dropped for others to have room.", version)
        self.cache_bytes = self._gauge("cache_bytes", "Memory of the answers that are kept.", version)
        self.cache_entries = self._gauge("cache_entries", "Answers that are kept.", version)
        self.version_state = self._gauge(
            "model_version_state",
            "1 for the state that a model version is in, 0 for the others.",
            (*version, "state"),
        )
        self.version_load_seconds = self._gauge(
            "model_version_load_duration_seconds",
            "Time the version took to read, compile, check and warm up.",
            version,
        )
        self.version_memory = self._gauge(
            "model_version_memory_bytes", "Memory that the weights of the version take up.", version
        )
        self.rollbacks = self._counter(
            "rollbacks", "Times that a version was taken out of service.", (*version, "cause")
        )
        self.compilations = self._counter("model_compilations", "Compilations of a model version.", version)
        self.golden_difference = self._gauge(
            "model_version_golden_max_difference",
            "Largest difference of a logit from Paddle's, at load.",
            version,
        )
        self.golden_score_difference = self._gauge(
            "model_version_golden_score_max_difference",
            "Largest difference of a score from Paddle's, at load, in the precision that is served.",
            version,
        )
        self.version_precision = self._gauge(
            "model_version_precision", "1 for what the version computes in.", (*version, "precision")
        )
        compared = (*version, "baseline")
        self.comparison_documents = self._counter(
            "comparison_documents",
            "Documents that two versions were to compute: agreed, disagreed, dropped or failed.",
            (*compared, "outcome"),
        )
        self.comparison_mean_distance = self._gauge(
            "comparison_mean_distance", "Mean over documents of the largest difference of a score.", compared
        )
        self.comparison_max_distance = self._gauge(
            "comparison_max_distance", "Largest difference of a score, over documents.", compared
        )
        self.comparison_latency_ratio = self._gauge(
            "comparison_latency_ratio", "Time in the model for a token, over that of the baseline.", compared
        )
        # Children by label values: prometheus-client's own look-up takes a lock and copies, ten times a call.
        self._children: dict[tuple[object, ...], Any] = {}
        self.ready = Gauge("sentinova_ready", "1 while the server takes traffic.", registry=self.registry)

    def child(self, metric: Child, *labels: str) -> Child:
        """Gives `metric.labels(*labels)`, looked up once; what labels there are is bounded."""
        key = (metric, *labels)
        found = self._children.get(key)
        if found is None:
            found = self._children[key] = metric.labels(*labels)
        return cast("Child", found)

    def forget(self, model: str, version: str) -> None:
        """Drops all series of a version that is gone: otherwise each version that ever was would have its own."""
        for metric in self._versioned:
            metric.remove_by_labels({"model": model, "version": version})
        self._children = {key: child for key, child in self._children.items() if key[1:3] != (model, version)}

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return self._keep(Counter(f"sentinova_{name}", text, labels, registry=self.registry))

    def _gauge(self, name: str, text: str, labels: tuple[str, ...]) -> Gauge:
        return self._keep(Gauge(f"sentinova_{name}", text, labels, registry=self.registry))

    def _histogram(self, name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
        return self._keep(Histogram(f"sentinova_{name}", text, labels, buckets=buckets, registry=self.registry))

    def _keep(self, metric: Kept) -> Kept:
        self._versioned.append(metric)
        return metric
