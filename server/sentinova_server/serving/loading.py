"""Loading: from the folders found to versions that answer.

Knows the order of the steps; must not know what each one does. Reading, compiling and checking block, and run on
threads of their own; states change on the event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import structlog

from sentinova_server.errors import LoadError
from sentinova_server.observability.metrics import Metrics
from sentinova_server.repository.config import ModelConfig
from sentinova_server.repository.scanner import ModelFolder
from sentinova_server.runtime.engine import Engine
from sentinova_server.runtime.preparation import Preparation
from sentinova_server.runtime.text_model import TextModel
from sentinova_server.serving.analysis import Analysis, TextClassifier
from sentinova_server.serving.packing import BatchLimits
from sentinova_server.serving.registry import Registry, VersionRecord
from sentinova_server.serving.response_cache import ResponseCache
from sentinova_server.serving.scheduler import SchedulerLimits

_log = structlog.get_logger()

ModelRegistry = Registry[TextClassifier]


@dataclass(frozen=True, slots=True)
class ServingDefaults:
    """What models get whose config does not say.

    Attributes:
        max_batch_tokens: most padded tokens in one batch.
        max_queue_size: most documents that wait for one version.
        max_text_bytes: most UTF-8 bytes in one text.
    """

    max_batch_tokens: int
    max_queue_size: int
    max_text_bytes: int


class Loader:
    """Loads and unloads the versions of a registry."""

    def __init__(
        self,
        engine: Engine,
        registry: ModelRegistry,
        metrics: Metrics,
        defaults: ServingDefaults,
        threads: int,
        *,
        cache: ResponseCache[Analysis] | None = None,
    ) -> None:
        """Makes it.

        Args:
            engine: what runs models.
            registry: where versions go.
            metrics: where it measures, and the versions too.
            defaults: what models get whose config does not say.
            threads: versions loaded at once.
            cache: where versions keep their answers whose config says so; None: none does.
        """
        self._engine = engine
        self._registry = registry
        self._metrics = metrics
        self._defaults = defaults
        self._cache = cache
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="load")

    async def load(self, folders: Sequence[ModelFolder]) -> None:
        """Loads every version of every model. A version that fails is FAILED with its reason; the others go on."""
        loads = []
        for folder in folders:
            record = self._registry.add_model(folder.name, list(folder.versions), _describe_problem(folder))
            if record.message:
                _log.warning("model_incomplete", model=folder.name, reason=record.message)
            if folder.ignored:
                _log.warning(
                    "folders_ignored",
                    model=folder.name,
                    folders=folder.ignored,
                    reason="not a version number",
                )
            if folder.config is not None:
                loads += [
                    self._load_version(record.versions[version], path, folder.config)
                    for version, path in folder.versions.items()
                ]
        await asyncio.gather(*loads)

    async def close(self, timeout: float) -> None:
        """Retires every available version, frees the memory and ends the threads.

        Args:
            timeout: seconds that running requests get.
        """
        for model in self._registry.models:
            for record in model.versions.values():
                if record.served is not None:
                    served = await self._registry.retire(record, timeout)
                    if served is not None:
                        await asyncio.to_thread(served.close)
        self._executor.shutdown(wait=True, cancel_futures=True)

    async def _load_version(self, record: VersionRecord[TextClassifier], path: Path, config: ModelConfig) -> None:
        log = _log.bind(model=record.model, version=record.version)
        labels = (record.model, str(record.version))
        started = time.monotonic()
        try:
            preparation = Preparation(path, config, record.version, self._engine)
            model, proof = await asyncio.get_running_loop().run_in_executor(self._executor, preparation.run)
        except LoadError as error:
            log.error("version_failed", reason=str(error))
            self._registry.fail(record, str(error))
            return
        except Exception as error:  # a defect must not take the other models down
            log.exception("version_failed", reason="unexpected error")
            self._registry.fail(record, f"{path}: unexpected {type(error).__name__}; the server's log has the cause")
            return
        seconds = time.monotonic() - started
        self._metrics.compilations.labels(*labels).inc()
        self._metrics.version_load_seconds.labels(*labels).set(seconds)
        self._metrics.version_precision.labels(*labels, proof.precision.value).set(1)
        if proof.logits is not None:
            self._metrics.golden_difference.labels(*labels).set(proof.logits.max_difference)
        if proof.scores is not None:
            self._metrics.golden_score_difference.labels(*labels).set(proof.scores.max_difference)
        message = str(proof)
        self._registry.publish(record, self._make_classifier(record, model, config), message)
        log.info(
            "version_available",
            seconds=round(seconds, 3),
            checked=message,
            streams=model.parallelism,
            precision=proof.precision.value,
            rewrites=model.rewrites,
        )

    def _make_classifier(
        self, record: VersionRecord[TextClassifier], model: TextModel, config: ModelConfig
    ) -> TextClassifier:
        defaults = self._defaults
        limits = SchedulerLimits(
            batch=BatchLimits(
                config.max_batch_tokens or defaults.max_batch_tokens, config.max_batch_size, packed=model.packs
            ),
            queue_size=config.max_queue_size or defaults.max_queue_size,
            max_delay=config.max_queue_delay,
            priority_levels=config.priority_levels,
            default_priority=config.default_priority,
            queue_timeout=config.queue_timeout,
        )
        cache = self._cache if config.response_cache else None
        return TextClassifier(
            record.model,
            record.version,
            model,
            limits,
            temperature=config.temperature(record.version),
            max_text_bytes=defaults.max_text_bytes,
            metrics=self._metrics,
            cache=cache.open(record.model, record.version) if cache else None,
        )


def _describe_problem(folder: ModelFolder) -> str:
    if folder.problem:
        return folder.problem
    if folder.missing:
        return f"{folder.path}: the version policy names versions that are not there: {list(folder.missing)}"
    return ""
