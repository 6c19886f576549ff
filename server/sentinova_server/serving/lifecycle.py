"""The life cycle of the model repository: looks at its folders, and has each model's life follow them.

Knows control modes, looks and models; must not know what is loaded in which order (`model_life`), nor what calls ask
for (`model_control`). Used on the event loop only.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import structlog

from sentinova_server.errors import LoadError
from sentinova_server.observability.metrics import Metrics
from sentinova_server.repository.scanner import ModelFolder
from sentinova_server.repository.watcher import RepositoryWatcher
from sentinova_server.serving.events import EventKind, ModelEvent
from sentinova_server.serving.loading import Loader
from sentinova_server.serving.look import RepositoryLook, Sighting
from sentinova_server.serving.model_life import ModelLife, Surroundings
from sentinova_server.serving.model_traffic import ModelTraffic, TrafficHub
from sentinova_server.serving.registry import State
from sentinova_server.serving.served import ModelRegistry, ServedVersion

_log = structlog.get_logger()

# Versions gone from memory that are still told of, over all models: otherwise every version that ever was would stay in
# the registry and in the metrics.
_MAX_ENDED = 32


class ControlMode(StrEnum):
    """How what is served changes; Triton's names and meanings."""

    NONE = "none"
    POLL = "poll"
    EXPLICIT = "explicit"


@dataclass(frozen=True, slots=True)
class LifecycleSettings:
    """How the repository is followed.

    Attributes:
        root: the model repository.
        mode: how what is served changes.
        load: models loaded at start in explicit mode; `*`: all.
        poll_seconds: most seconds between two looks in poll mode.
        settle_seconds: seconds for which files must not change before they are read.
        drain_timeout: seconds that the requests of a version get to end when it is withdrawn.
    """

    root: Path
    mode: ControlMode = ControlMode.NONE
    load: tuple[str, ...] = ()
    poll_seconds: float = 15.0
    settle_seconds: float = 0.0
    drain_timeout: float = 30.0


class Lifecycle:
    """All models of a repository, from the start of the server to its end."""

    def __init__(
        self,
        settings: LifecycleSettings,
        registry: ModelRegistry,
        loader: Loader,
        hub: TrafficHub,
        metrics: Metrics,
    ) -> None:
        """Makes it; nothing is looked at yet."""
        self._settings = settings
        self._registry = registry
        self._loader = loader
        self._hub = hub
        self._metrics = metrics
        self._look = RepositoryLook(settings.root, settings.settle_seconds)
        self._around = Surroundings(registry, loader, self._version_ended, settings.drain_timeout)
        self._lives: dict[str, ModelLife] = {}
        self._ended: deque[ServedVersion] = deque()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._follower: asyncio.Task[None] | None = None
        self._watcher: RepositoryWatcher | None = None
        self._again = asyncio.Event()
        self._skipped = False
        self._trouble = ""
        registry.observe(self._version_changed)
        registry.starting = True

    async def start(self) -> None:
        """Looks at the repository, loads what is to be served at start, and in poll mode begins to follow it.

        Raises:
            LoadError: the repository cannot be read, or has no model that is to be loaded.
        """
        settings = self._settings
        sightings = await self._look.look_settled()
        lacking = sorted(set(settings.load) - set(sightings) - {"*"})
        if lacking:
            raise LoadError(settings.root, f"has no model {', '.join(lacking)}, which --load-model names")
        explicit = settings.mode is ControlMode.EXPLICIT
        for name in sightings:
            life = self.meet(name)
            life.record.loaded = not explicit or "*" in settings.load or name in settings.load
        chosen = [sighting for name, sighting in sightings.items() if self._lives[name].record.loaded]
        for sighting in chosen:
            _warn_ignored(sighting.folder)
        await asyncio.gather(*(self._lives[sighting.folder.name].bring_up(sighting) for sighting in chosen))
        self._registry.starting = False
        if settings.mode is ControlMode.POLL:
            self._watcher = RepositoryWatcher(settings.root, settings.poll_seconds)
            self._follower = asyncio.create_task(self._follow(self._watcher))

    async def close(self, timeout: float) -> None:
        """Ends following, unloads everything and frees the memory.

        Args:
            timeout: seconds that running requests get.
        """
        if self._follower is not None:
            self._follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._follower
        if self._watcher is not None:
            await self._watcher.close()
        for task in self._tasks.values():
            task.cancel()
        await self.wait()
        self._around.drain_timeout = timeout
        for life in self._lives.values():
            await life.unload_all("the server stops")
        await asyncio.to_thread(self._loader.close)

    @property
    def settings(self) -> LifecycleSettings:
        """How the repository is followed."""
        return self._settings

    async def look(self, *names: str) -> dict[str, Sighting]:
        """Looks at the repository once its files have settled, or the time for that is up.

        Args:
            names: the models that must settle; none: all.

        Raises:
            LoadError: the repository cannot be read.
        """
        return await self._look.look_settled(*names)

    def find(self, name: str) -> ModelLife | None:
        """Gives the life of a model that is known, loaded or not."""
        return self._lives.get(name)

    def meet(self, name: str) -> ModelLife:
        """Gives a model's life; a new one where it was not known."""
        if name not in self._lives:
            record = self._registry.add_model(name)
            self._lives[name] = ModelLife(record, ModelTraffic(record, self._hub), self._around)
        return self._lives[name]

    def take_in(self, sightings: Mapping[str, Sighting], *, retry: bool = False) -> None:
        """Has each model's life follow what a look found, in the background.

        Args:
            sightings: what was found.
            retry: whether versions that failed are tried again though their files have not changed.
        """
        for name, sighting in sightings.items():
            if name not in self._lives:
                life = self.meet(name)
                life.record.loaded = self._settings.mode is not ControlMode.EXPLICIT
                _warn_ignored(sighting.folder)
            life = self._lives[name]
            if life.record.loaded:
                self._spawn(name, self._bring_up(life, sighting, retry=retry))
        for name in self._lives.keys() - sightings.keys():
            self._spawn(name, self._let_go(self._lives[name]))

    async def wait(self) -> None:
        """Waits for what `take_in` began."""
        while running := list(self._tasks.values()):
            await asyncio.wait(running)

    def canary_failed(self, name: str, version: int, reason: str) -> None:
        """Takes a canary out of service whose answers passed a limit."""
        life = self._lives.get(name)
        record = life.record.versions.get(version) if life else None
        if life and record and record.state is State.AVAILABLE and len(life.record.available) > 1:
            life.take_out(version, f"rolled back by itself: {reason}", cause="canary")

    async def _follow(self, watcher: RepositoryWatcher) -> None:
        """Looks at the repository whenever it changes, or might have."""
        while True:
            await self._wait_for_reason(watcher, self._look.pause(self._settings.poll_seconds))
            try:
                sightings = await self._look.look()
            except LoadError as error:
                self._note_trouble(str(error))
                continue
            except Exception:  # a defect must not end the following
                _log.exception("look_failed")
                continue
            self._note_trouble("")
            self.take_in(sightings)

    async def _wait_for_reason(self, watcher: RepositoryWatcher, pause: float) -> None:
        """Waits for a change on disk, for a model to be done that was skipped, or for the time."""
        tasks = {asyncio.create_task(watcher.changed(pause)), asyncio.create_task(self._again.wait())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._again.clear()

    def _note_trouble(self, reason: str) -> None:
        """Logs once that the repository cannot be followed, and once that it can again."""
        if reason and reason != self._trouble:
            _log.error("repository_unreadable", reason=reason, effect="what is served stays as it is")
        elif self._trouble and not reason:
            _log.info("repository_readable")
        self._trouble = reason

    async def _bring_up(self, life: ModelLife, sighting: Sighting, *, retry: bool) -> None:
        async with life.lock:
            if life.record.loaded:
                await (life.retry(sighting) if retry else life.bring_up(sighting))

    async def _let_go(self, life: ModelLife) -> None:
        """Unloads a model whose folder is gone, and forgets it."""
        async with life.lock:
            await life.unload_all("its folder is gone")
            if not life.has_versions and self._lives.get(life.name) is life:
                del self._lives[life.name]
                self._registry.remove_model(life.name)
                self._hub.deliveries.forget(life.name)
                self._hub.events.tell(ModelEvent(EventKind.WARNING, life.name, message="its folder is gone"))
                _log.info("model_gone", model=life.name)

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Runs work on a model in the background, unless there is some already: the next look comes when that ends."""
        if name in self._tasks:
            work.close()
            self._skipped = True
            return

        async def run() -> None:
            try:
                await work
            except Exception:  # a defect in one model's life must not touch the others
                _log.exception("life_failed", model=name)
            finally:
                del self._tasks[name]
                if self._skipped:
                    self._skipped = False
                    self._again.set()

        self._tasks[name] = asyncio.get_running_loop().create_task(run())

    def _version_changed(self, record: ServedVersion) -> None:
        """Tells watchers of a version's new state, and the model's traffic of what is available now."""
        life = self._lives.get(record.model)
        if life is not None:
            life.traffic.refresh()
            life.traffic.tell(EventKind.STATE, version=record, message=record.message)

    def _version_ended(self, record: ServedVersion) -> None:
        """Forgets the oldest of the versions that are gone, and looks again: others may have room now."""
        self._ended.append(record)
        while len(self._ended) > _MAX_ENDED:
            self._forget(self._ended.popleft())
        refused = [life for life in self._lives.values() if life.retry_refused()]
        if refused:
            self._again.set()

    def _forget(self, record: ServedVersion) -> None:
        life = self._lives.get(record.model)
        if life is not None and life.record.versions.get(record.version) is not record:
            return
        if any(other.model == record.model and other.version == record.version for other in self._ended):
            return
        if life is not None:
            self._registry.forget_version(record)
        self._metrics.forget(record.model, str(record.version))


def _warn_ignored(folder: ModelFolder) -> None:
    if folder.ignored:
        _log.warning("folders_ignored", model=folder.name, folders=folder.ignored, reason="not a version number")
