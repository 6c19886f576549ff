"""Loading: from a version's folder to what answers requests, and back.

Knows the order of the steps; must not know what each one does, nor which versions are to be loaded. Reading, compiling
and checking block, and run on threads of their own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import structlog

from sentinova_server.errors import LoadError
from sentinova_server.observability.metrics import Metrics
from sentinova_server.repository.checksums import verify_checksums
from sentinova_server.repository.config import ModelConfig
from sentinova_server.repository.fingerprint import Fingerprint, take_fingerprint
from sentinova_server.runtime.engine import Engine
from sentinova_server.runtime.preparation import Preparation, Proof
from sentinova_server.runtime.tensor_model import TensorModel
from sentinova_server.runtime.tensor_preparation import TensorPreparation
from sentinova_server.runtime.text_model import Pace, TextModel
from sentinova_server.runtime.text_parts import holds_text_model, holds_text_versions
from sentinova_server.serving.activity import Activity
from sentinova_server.serving.analysis import Analysis, TextClassifier
from sentinova_server.serving.memory import MemoryBudget, NoRoomError, trim_memory
from sentinova_server.serving.packing import BatchLimits, RowLimits
from sentinova_server.serving.response_cache import ResponseCache
from sentinova_server.serving.scheduler import SchedulerLimits
from sentinova_server.serving.served import ServedModel
from sentinova_server.serving.tensor_runner import TensorRunner

_log = structlog.get_logger()

# Seconds that a load waits for room before each batch of its checks: some ten seconds in all where there is none.
_PATIENCE = 0.1


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


@dataclass(frozen=True, slots=True)
class VersionSource:
    """What a version is loaded from.

    Attributes:
        model: the model's name.
        version: the version's number.
        folder: the version's folder.
        fingerprint: of the folder, when its files had settled; None: it is loaded as it is.
        config: the model's configuration.
        text_only: whether it must be a text model, as where another version answers texts.
    """

    model: str
    version: int
    folder: Path
    fingerprint: Fingerprint | None
    config: ModelConfig
    text_only: bool = False


class FilesChangedError(LoadError):
    """A version whose files changed while they were read: what was made of them is worth nothing."""


class MemoryRefusedError(LoadError):
    """A version for which there is no room in the memory budget."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version that is ready to answer.

    Attributes:
        served: what answers.
        message: how it was checked, in words.
        details: what the log says of it.
    """

    served: ServedModel
    message: str
    details: Mapping[str, object]


class Loader:
    """Makes versions ready to answer, and frees them."""

    def __init__(
        self,
        engine: Engine,
        metrics: Metrics,
        defaults: ServingDefaults,
        threads: int,
        *,
        memory_budget: int = 0,
        cache: ResponseCache[Analysis] | None = None,
        activity: Activity | None = None,
    ) -> None:
        """Makes it.

        Args:
            engine: what runs models.
            metrics: where it measures, and the versions too.
            defaults: what models get whose config does not say.
            threads: versions loaded at once.
            memory_budget: most bytes that the process may have to load a version; 0: no limit.
            cache: where versions keep their answers whose config says so; None: none does.
            activity: told of the versions' work; None: nobody asks.
        """
        self._engine = engine
        self._metrics = metrics
        self._defaults = defaults
        self._budget = MemoryBudget(memory_budget)
        self._cache = cache
        self._activity = activity
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="load")

    async def load(
        self, source: VersionSource, batches: Sequence[Sequence[int]] = (), *, gently: bool = False
    ) -> Loaded:
        """Reads, compiles, checks and warms up a version.

        Args:
            source: what it is loaded from.
            batches: token counts of the texts of batches to warm it up with.
            gently: whether others serve meanwhile, so that checks and warm-up go on when these leave room.

        Raises:
            LoadError: it cannot be served; FilesChangedError: its files changed meanwhile; MemoryRefusedError: it
                would take more memory than there is.
        """
        log = _log.bind(model=source.model, version=source.version)
        started = time.monotonic()
        loop = asyncio.get_running_loop()
        pace = self._make_pace(loop) if gently else None
        try:
            model, proof = await loop.run_in_executor(self._executor, self._prepare, source, batches, pace)
        except LoadError:
            raise
        except Exception as error:  # a defect must not take the other models down
            log.exception("version_failed", reason="unexpected error")
            message = f"unexpected {type(error).__name__}; the server's log has the cause"
            raise LoadError(source.folder, message) from error
        seconds = time.monotonic() - started
        self._measure(source, model, proof, seconds)
        details = {
            "seconds": round(seconds, 3),
            "checked": str(proof),
            "streams": model.parallelism,
            "latency_threads": model.latency_threads,
            "precision": proof.precision.value,
            "rewrites": model.rewrites,
            "memory_bytes": model.memory_bytes,
        }
        return Loaded(self._serve(source, model), str(proof), details)

    async def free(self, served: ServedModel) -> None:
        """Waits for a version's running batches, and gives its memory back to the system."""

        def close() -> None:
            served.close()
            trim_memory()

        await asyncio.to_thread(close)

    def close(self) -> None:
        """Ends the threads; what they load just now is waited for. Blocks: call it off the event loop."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _make_pace(self, loop: asyncio.AbstractEventLoop) -> Pace | None:
        """Gives what has a thread wait for room beside live work; never for long, as there may be none for ever."""
        activity = self._activity
        if activity is None:
            return None

        def pace() -> None:
            idle = asyncio.run_coroutine_threadsafe(activity.wait_until_idle(), loop)
            try:
                idle.result(_PATIENCE)
            except TimeoutError:
                idle.cancel()

        return pace

    def _prepare(
        self, source: VersionSource, batches: Sequence[Sequence[int]], pace: Pace | None
    ) -> tuple[TextModel | TensorModel, Proof]:
        """Does the work of `load`, on a thread."""
        verify_checksums(source.folder)
        try:
            with self._budget.reserving() as reserve:

                def admit(weights: int) -> None:
                    try:
                        reserve(weights)
                    except NoRoomError as error:
                        raise MemoryRefusedError(source.folder, str(error)) from error

                model, proof = self._make_preparation(source, batches, admit, pace).run()
        except LoadError as error:
            _check_unchanged(source, error)
            raise
        try:
            _check_unchanged(source)
        except BaseException:
            model.close()
            raise
        return model, proof

    def _make_preparation(
        self, source: VersionSource, batches: Sequence[Sequence[int]], admit: Callable[[int], None], pace: Pace | None
    ) -> Preparation | TensorPreparation:
        """Gives what makes a version ready, of the kind that its folder holds."""
        folder, config, version = source.folder, source.config, source.version
        if holds_text_model(folder):
            return Preparation(folder, config, version, self._engine, batches, admit, pace)
        if source.text_only or holds_text_versions(folder.parent):
            raise LoadError(
                folder,
                "holds no tokenizer, and this model serves text: add vocab.txt and tokenizer_config.json, or publish "
                "tensors under another model's name",
            )
        return TensorPreparation(folder, config, version, self._engine, admit)

    def _measure(self, source: VersionSource, model: TextModel | TensorModel, proof: Proof, seconds: float) -> None:
        metrics, labels = self._metrics, (source.model, str(source.version))
        metrics.compilations.labels(*labels).inc()
        metrics.version_load_seconds.labels(*labels).set(seconds)
        metrics.version_memory.labels(*labels).set(model.memory_bytes)
        # Loaded anew, it may compute in another precision than before.
        metrics.version_precision.remove_by_labels({"model": labels[0], "version": labels[1]})
        metrics.version_precision.labels(*labels, proof.precision.value).set(1)
        if proof.logits is not None:
            metrics.golden_difference.labels(*labels).set(proof.logits.max_difference)
        if proof.scores is not None:
            metrics.golden_score_difference.labels(*labels).set(proof.scores.max_difference)

    def _serve(self, source: VersionSource, model: TextModel | TensorModel) -> ServedModel:
        config = source.config
        if isinstance(model, TextModel):
            return self._make_classifier(source, model)
        return TensorRunner(
            source.model,
            source.version,
            model,
            self._make_limits(config, RowLimits(max(1, config.max_batch_size))),
            config=config,
            metrics=self._metrics,
            activity=self._activity,
        )

    def _make_limits(self, config: ModelConfig, batch: BatchLimits | RowLimits) -> SchedulerLimits:
        defaults = self._defaults
        return SchedulerLimits(
            batch=batch,
            queue_size=config.max_queue_size or defaults.max_queue_size,
            max_delay=config.max_queue_delay,
            priority_levels=config.priority_levels,
            default_priority=config.default_priority,
            queue_timeout=config.queue_timeout,
        )

    def _make_classifier(self, source: VersionSource, model: TextModel) -> TextClassifier:
        defaults, config = self._defaults, source.config
        tokens = config.max_batch_tokens or defaults.max_batch_tokens
        batch = BatchLimits(tokens, config.max_batch_size, packed=model.packs)
        cache = self._cache if config.response_cache else None
        return TextClassifier(
            source.model,
            source.version,
            model,
            self._make_limits(config, batch),
            config=config,
            max_text_bytes=defaults.max_text_bytes,
            metrics=self._metrics,
            cache=cache.open(source.model, source.version) if cache else None,
            activity=self._activity,
        )


def _check_unchanged(source: VersionSource, cause: LoadError | None = None) -> None:
    """Raises FilesChangedError where a version's files are not what they were before they were read."""
    if source.fingerprint is not None and take_fingerprint(source.folder) != source.fingerprint:
        raise FilesChangedError(
            source.folder, "its files changed while they were read: it is loaded once they have settled"
        ) from cause
