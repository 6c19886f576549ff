"""The composition root: builds the server's parts, wires them, and starts and stops them in order.

Knows every part; nothing but `cli` knows it.
"""

from __future__ import annotations

import asyncio
import gc
import random
import signal
import time
from dataclasses import dataclass
from functools import partial

import structlog

from sentinova_server import __version__
from sentinova_server.errors import LoadError
from sentinova_server.observability.http import HttpPages
from sentinova_server.observability.metrics import Metrics
from sentinova_server.repository.config import Precision
from sentinova_server.repository.scanner import list_models
from sentinova_server.rpc.server import GrpcServer, Parts
from sentinova_server.rpc.tls import read_credentials
from sentinova_server.runtime.engine import OPENVINO_VERSION, Engine, count_cores
from sentinova_server.serving.activity import Activity
from sentinova_server.serving.analysis import Analysis, count_bytes
from sentinova_server.serving.background import BackgroundWork
from sentinova_server.serving.delivery import Deliveries
from sentinova_server.serving.events import ModelEvents
from sentinova_server.serving.lifecycle import ControlMode, Lifecycle, LifecycleSettings
from sentinova_server.serving.loading import Loader, ServingDefaults
from sentinova_server.serving.memory import keep_large_blocks_apart
from sentinova_server.serving.model_control import ModelControl
from sentinova_server.serving.model_traffic import TrafficHub
from sentinova_server.serving.readiness import Readiness
from sentinova_server.serving.registry import State
from sentinova_server.serving.response_cache import ResponseCache
from sentinova_server.serving.served import ModelRegistry, ServedVersion, is_classifier, lend_classifier
from sentinova_server.settings import ModelSettings, ServerSettings

_log = structlog.get_logger()

# An event loop that does not turn for this long is stuck, not busy.
_LOOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that the server listens on."""

    grpc: int
    http: int


class Server:
    """A whole server: models, gRPC, HTTP. Make and use it on one event loop."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._metrics = Metrics()
        self._metrics.build.info({"version": __version__, "openvino": OPENVINO_VERSION})
        self._registry = ModelRegistry(settings.default_model, may_be_default=is_classifier)
        explicit = ControlMode(settings.model_control_mode) is ControlMode.EXPLICIT
        self._readiness = Readiness(self._registry, strict=settings.strict_readiness, may_be_empty=explicit)
        cache = ResponseCache(settings.response_cache_bytes, count_bytes, self._metrics, time.monotonic)
        activity = Activity(count_cores())
        loader = make_loader(
            settings,
            self._metrics,
            max_text_bytes=settings.max_text_bytes,
            memory_budget=settings.memory_budget_bytes,
            cache=cache,
            activity=activity,
        )
        events = ModelEvents()
        self._background = BackgroundWork(activity, time.monotonic)
        deliveries = Deliveries(
            self._background,
            self._metrics,
            partial(lend_classifier, self._registry),
            self._canary_failed,
            random.Random(),  # noqa: S311  (nothing secret: which documents a shadow computes)
        )
        hub = TrafficHub(deliveries, events, self._metrics)
        self._lifecycle = Lifecycle(_follow_settings(settings), self._registry, loader, hub, self._metrics)
        control = ModelControl(self._lifecycle, self._registry)
        parts = Parts(self._registry, control, deliveries, events, self._metrics, self._readiness)
        self._grpc = GrpcServer(settings, parts)
        self._http = HttpPages(self._metrics.registry, self._why_not_live, self._readiness.why_not)
        self._loop = asyncio.get_running_loop()
        self._refreshes: set[asyncio.Task[None]] = set()
        self._registry.observe(self._version_changed)

    async def start(self) -> Ports:
        """Listens, and then loads the models; ready when it returns, unless no model could be loaded.

        Both ports answer while models load: /livez is 200, /readyz 503, and requests get MODEL_LOADING.

        Raises:
            LoadError: the repository or a TLS file cannot be read.
            OSError: a port is taken.
        """
        started = time.monotonic()
        settings = self._settings
        credentials = None
        if settings.tls_cert is not None and settings.tls_key is not None:
            credentials = read_credentials(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
        names = list_models(settings.model_repository)
        if settings.default_model and settings.default_model not in names:
            raise LoadError(settings.model_repository, f"has no model {settings.default_model!r}, the --default-model")
        # What is there by now stays: the garbage collector need not look through it again and again, which held up all
        # calls for 56 ms in the mean, once in 1,400 calls (3 ms so). Models come after this, as they may go.
        gc.collect()
        gc.freeze()
        http_port = self._http.start(settings.host, settings.http_port)
        await self._grpc.health.refresh()
        grpc_port = await self._grpc.start(settings.host, settings.port, credentials)
        ports = Ports(grpc_port, http_port)
        _log.info("listening", host=settings.host, grpc=ports.grpc, http=ports.http, tls=credentials is not None)
        await self._lifecycle.start()
        self._readiness.loaded = True
        await self._refresh()
        seconds = round(time.monotonic() - started, 3)
        if reason := self._readiness.why_not():
            _log.error("not_ready", reason=reason, seconds=seconds)
        else:
            _log.info("ready", seconds=seconds, models=len(self._registry.models), mode=settings.model_control_mode)
        return ports

    async def stop(self) -> None:
        """Stops without losing a running request.

        1. Not ready: health and /readyz say so, and load balancers turn away.
        2. The drain delay passes: balancers need a moment to notice.
        3. New calls are refused; running ones get the drain timeout.
        4. Models are freed; the HTTP port goes last, so that metrics are there to the end.
        """
        settings = self._settings
        self._readiness.draining = True
        self._metrics.ready.set(0)
        await self._grpc.health.shut_down()
        _log.info("stopping", drain_delay=settings.drain_delay, drain_timeout=settings.drain_timeout)
        await asyncio.sleep(settings.drain_delay)
        await self._grpc.stop(settings.drain_timeout)
        await self._background.close()
        await self._lifecycle.close(timeout=1.0)
        self._http.stop()
        _log.info("stopped")

    def _why_not_live(self) -> str:
        """Tells whether the event loop still turns; asked on another thread."""
        try:
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self._loop).result(_LOOP_SECONDS)
        except (TimeoutError, RuntimeError):
            return "the event loop does not answer"
        return ""

    def _canary_failed(self, model: str, version: int, reason: str) -> None:
        self._lifecycle.canary_failed(model, version, reason)

    def _version_changed(self, record: ServedVersion) -> None:
        for state in State:
            gauge = self._metrics.version_state.labels(record.model, str(record.version), state.value)
            gauge.set(1 if record.state is state else 0)
        # The health service is told on its own time: whoever changes a state must not wait for watchers.
        task = asyncio.get_running_loop().create_task(self._refresh())
        self._refreshes.add(task)
        task.add_done_callback(self._refreshes.discard)

    async def _refresh(self) -> None:
        self._metrics.ready.set(0 if self._readiness.why_not() else 1)
        await self._grpc.health.refresh()


def make_loader(
    settings: ModelSettings,
    metrics: Metrics,
    *,
    max_text_bytes: int,
    memory_budget: int = 0,
    cache: ResponseCache[Analysis] | None = None,
    activity: Activity | None = None,
) -> Loader:
    """Builds what loads versions."""
    engine = Engine(
        streams=settings.inference_streams,
        threads=settings.inference_threads,
        latency_threads=settings.latency_threads,
        rewrites=settings.graph_rewrites,
        precision=Precision(settings.precision),
    )
    defaults = ServingDefaults(settings.max_batch_tokens, settings.max_queue_size, max_text_bytes)
    return Loader(
        engine,
        metrics,
        defaults,
        settings.load_threads,
        memory_budget=memory_budget,
        cache=cache,
        activity=activity,
    )


def _follow_settings(settings: ServerSettings) -> LifecycleSettings:
    return LifecycleSettings(
        root=settings.model_repository,
        mode=ControlMode(settings.model_control_mode),
        load=tuple(name.strip() for name in settings.load_model.split(",") if name.strip()),
        poll_seconds=settings.repository_poll_secs,
        settle_seconds=settings.settle_secs,
        drain_timeout=settings.drain_timeout,
    )


async def serve(settings: ServerSettings) -> int:
    """Runs a server until SIGTERM or SIGINT; gives the process's exit code.

    The first signal drains and ends with 0. A second one does not wait, and ends with 1.
    """
    keep_large_blocks_apart()
    first, second = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (second if first.is_set() else first).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    server = Server(settings)
    starting = asyncio.create_task(server.start())
    stopping = asyncio.create_task(first.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        starting.result()
        await stopping
    elif not await _finish(starting, second):
        return 1
    return 0 if await _finish(asyncio.create_task(server.stop()), second) else 1


async def _finish(task: asyncio.Task[object], hurry: asyncio.Event) -> bool:
    """Waits for a task, but not once `hurry` is set; tells whether the task ended."""
    hurried = asyncio.create_task(hurry.wait())
    await asyncio.wait({task, hurried}, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if not task.done():
        _log.warning("forced", reason="a second signal came")
        return False
    task.result()
    return True


async def check(settings: ModelSettings) -> ModelRegistry:
    """Loads every model of a repository as `serve` would, and gives the registry; for a process that ends then.

    Raises:
        LoadError: the repository cannot be read.
    """
    registry, metrics = ModelRegistry(), Metrics()
    loader = make_loader(settings, metrics, max_text_bytes=1)
    background = BackgroundWork(Activity(1), time.monotonic)
    deliveries = Deliveries(background, metrics, partial(lend_classifier, registry), lambda *_: None, random.Random())  # noqa: S311
    hub = TrafficHub(deliveries, ModelEvents(), metrics)
    await Lifecycle(LifecycleSettings(settings.model_repository), registry, loader, hub, metrics).start()
    return registry
