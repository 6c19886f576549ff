"""The life of one model: which of its versions are loaded, replaced, unloaded and rolled back, and when.

Knows versions, their files' fingerprints and the order of a swap: the new version is loaded, checked and published
before the old one is withdrawn, drained and freed. What is to be loaded is decided by `repository.policy`, a pure
function; how requests are shared, by `model_traffic`. Must not know folders' contents, gRPC or clocks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from sentinova_server.errors import LoadError, Reason, ServingError
from sentinova_server.repository.config import ModelConfig
from sentinova_server.repository.policy import Actions
from sentinova_server.repository.scanner import ModelFolder
from sentinova_server.serving.events import EventKind
from sentinova_server.serving.loading import Loader, MemoryRefusedError, VersionSource
from sentinova_server.serving.look import Sighting
from sentinova_server.serving.model_traffic import ModelTraffic
from sentinova_server.serving.registry import ModelRecord, State
from sentinova_server.serving.served import ModelRegistry, ServedModel, ServedVersion, is_classifier
from sentinova_server.serving.version_intent import VersionIntent, VersionKey, make_key

_log = structlog.get_logger()


@dataclass(slots=True)
class Surroundings:
    """What the lives of all models share.

    Attributes:
        registry: where states are kept.
        loader: makes versions ready, and frees them.
        ended: told when a version is gone from memory.
        drain_timeout: seconds that the requests of a version get to end when it is withdrawn.
    """

    registry: ModelRegistry
    loader: Loader
    ended: Callable[[ServedVersion], None]
    drain_timeout: float


class ModelLife:
    """One model from its first version to its last. Its methods are for one caller at a time but where they say so."""

    def __init__(self, record: ModelRecord[ServedModel], traffic: ModelTraffic, around: Surroundings) -> None:
        """Makes it; nothing is loaded yet.

        Args:
            record: the model in the registry.
            traffic: how its requests are shared.
            around: what all models share.
        """
        self.name = record.name
        self.record = record
        self.traffic = traffic
        self.lock = asyncio.Lock()
        self._around = around
        self._config: ModelConfig | None = None
        self._override: ModelConfig | None = None
        self._sighting: Sighting | None = None
        self._intent = VersionIntent()
        self._errors: list[tuple[int, LoadError]] = []
        # What versions said before a change of their files or config failed.
        self._loaded_messages: dict[int, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def has_versions(self) -> bool:
        """Whether anything of it is loaded, being loaded or being unloaded."""
        live = (State.LOADING, State.AVAILABLE, State.UNLOADING)
        return any(version.state in live for version in self.record.versions.values())

    async def bring_up(self, sighting: Sighting) -> list[tuple[int, LoadError]]:
        """Loads and unloads until what is served is what the folder and the config ask for.

        Returns:
            The versions that could not be loaded, and why.
        """
        self._errors = []
        self._adopt(sighting)
        while True:
            actions = self._plan()
            if actions.load or actions.reload:
                await asyncio.gather(*(self._load(version) for version in (*actions.load, *actions.reload)))
            elif actions.unload:
                await asyncio.gather(*(self._unload(version, "no longer chosen") for version in actions.unload))
            else:
                break
        self._tidy()
        return self._errors

    async def retry(self, sighting: Sighting) -> None:
        """As `bring_up`; versions that failed are tried again though their files have not changed."""
        self._intent.retry()
        await self.bring_up(sighting)

    async def load(
        self, sighting: Sighting, *, version: int = 0, override: ModelConfig | None = None
    ) -> list[tuple[int, LoadError]]:
        """As `bring_up`, when a user asks for it: what failed or was taken out before is tried again.

        Args:
            sighting: what its folder holds.
            version: a version to load beside those of the policy, whatever was decided about it before; 0: none.
            override: a config that takes the file's place; None: the file's holds again.
        """
        saved, before, was_loaded = self._intent.save(), self._override, self.record.loaded
        self._override = override
        self._intent.retry()
        if not self.record.loaded:
            self._intent.forget_requests()
            self.record.loaded = True
        if version:
            self._intent.request(version)
        errors = await self.bring_up(sighting)
        if errors:
            # As if it had not been asked for: what was loaded with another config is loaded anew as it was before.
            self._override = before
            self._intent.restore(saved)
            if override is not None:
                await self.bring_up(sighting)
            self.record.loaded = was_loaded or self.record.default is not None
        return errors

    async def unload_all(self, message: str) -> None:
        """Unloads every version."""
        self._sighting = None
        available = [number for number, version in self.record.versions.items() if version.state is State.AVAILABLE]
        await asyncio.gather(*(self._unload(version, message) for version in available))
        await self.wait()

    async def unload_version(self, version: int) -> None:
        """Unloads one version by a user's wish; it is not loaded again by itself.

        Raises:
            ServingError: VERSION_NOT_FOUND, VERSION_NOT_AVAILABLE or LAST_VERSION.
        """
        self.traffic.check_available(version)
        if self.record.available == [version]:
            raise ServingError(
                Reason.LAST_VERSION,
                f"version {version} is the only available version of model {self.name!r}: leave the version out to "
                "unload the whole model",
                field="version",
                metadata={"model": self.name, "version": str(version)},
            )
        self._intent.exclude(version, for_good=True)
        await self._unload(version, "unloaded by request")

    @property
    def can_roll_back_at_once(self) -> bool:
        """Whether a version below the default one is available."""
        return len(self.record.available) > 1

    async def load_previous(self, sighting: Sighting) -> None:
        """Loads the highest version on disk below the default one, for a rollback to have where to go."""
        bad = self.record.default
        self._errors = []
        self._adopt(sighting)
        if bad is None or self._config is None:
            return
        for version in self._intent.find_previous(sighting, bad.version):
            self._intent.retry(version)
            failures = len(self._errors)
            await self._load(version)
            if len(self._errors) == failures:
                return

    def roll_back(self) -> tuple[int, int]:
        """Takes the default version out of service; gives its number, and that of the one that answers now.

        Raises:
            ServingError: NO_PREVIOUS_VERSION; nothing has changed.
        """
        bad = self.record.default
        if bad is None:
            raise self._no_previous("it has no available version")
        if not self.can_roll_back_at_once:
            reasons = "; ".join(str(error) for _, error in self._errors)
            raise self._no_previous(reasons or "it has no version below the default one that can be loaded")
        previous = self.record.available[-2]
        self._intent.fall_back(previous)
        self.take_out(bad.version, "rolled back by request", cause="request")
        return bad.version, previous

    def take_out(self, version: int, message: str, *, cause: str) -> None:
        """Takes a version out of service at once, and frees it in the background; another one must be available.

        Args:
            version: which one.
            message: why, in words.
            cause: why, for metrics: "request" or "canary".
        """
        record = self.record.versions[version]
        self._intent.exclude(version)
        self.traffic.drop(version)
        self._around.registry.withdraw(record, message)
        _log.warning("rolled_back", model=self.name, version=version, reason=message)
        self.traffic.rolled_back(version, message, cause)
        self._spawn(self._free(record))

    def retry_refused(self) -> bool:
        """Lets versions be tried again that there was no memory for; tells whether there are any."""
        refused = self._intent.retry_refused()
        for version in refused:
            self.record.versions.pop(version, None)
        return bool(refused)

    async def wait(self) -> None:
        """Waits for what is being freed in the background."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _adopt(self, sighting: Sighting) -> None:
        """Takes over what a look found; a config that is wrong, or being written, leaves the earlier one in force."""
        folder = sighting.folder
        self._sighting = sighting
        if self._override is not None:
            self._config = self._override
        elif folder.config is not None and (sighting.config_settled or self._config is None):
            self._config = folder.config
        if self._config is not None:
            self.traffic.adopt(self._config.traffic)
        message = describe_problem(folder) or self._describe_changing(sighting)
        if message and folder.config is None and self._config is not None:
            message += "; it is served on by its earlier config"
        if message != self.record.message:
            self.record.message = message
            self.traffic.tell(EventKind.WARNING, message=message)
            if message:
                _log.warning("model_incomplete", model=self.name, reason=message)

    def _tidy(self) -> None:
        """Forgets failures that are no longer of interest, as what failed is gone, or is as it was before."""
        sighting, config = self._sighting, self._config
        if sighting is None or config is None:
            return
        named = self.traffic.named_versions
        for number, version in list(self.record.versions.items()):
            if version.state is State.FAILED and not self._intent.is_wanted(number, sighting, config, named):
                version.message = "no longer chosen" if number in sighting.folder.found else "its folder is gone"
                self._end(version)
            elif number in self._loaded_messages and self._intent.is_current(number, sighting, config):
                version.message = self._loaded_messages.pop(number)

    def _end(self, record: ServedVersion) -> None:
        self._loaded_messages.pop(record.version, None)
        self._intent.note_ended(record.version)
        self._around.registry.end(record)
        self._around.ended(record)

    def _describe_changing(self, sighting: Sighting) -> str:
        """Says which new versions are not loaded yet, as their files are being written; empty: none."""
        changing = self._intent.find_changing(sighting)
        if not changing:
            return ""
        return f"{sighting.folder.path}: versions that are loaded once their files no longer change: {changing}"

    def _plan(self) -> Actions:
        if self._config is None or self._sighting is None:
            return Actions()
        states = {number: version.state for number, version in self.record.versions.items()}
        return self._intent.plan(self._sighting, self._config, states, self.traffic.named_versions)

    async def _load(self, version: int) -> None:
        """Loads a version, or loads one anew that serves, and publishes it."""
        sighting, config, registry = self._sighting, self._config, self._around.registry
        if sighting is None or config is None:
            raise AssertionError("a version is loaded only once its files and its config were seen")
        key = make_key(sighting, config, version)
        current = self.record.versions.get(version)
        old = current if current is not None and current.state is State.AVAILABLE else None
        record = old or registry.begin(self.name, version)
        folder = sighting.folder.path / str(version)
        serving = [one.served for one in self.record.versions.values() if one.served is not None]
        text_only = any(map(is_classifier, serving))
        source = VersionSource(self.name, version, folder, sighting.settled[version], config, text_only)
        try:
            gently = any(model.default is not None for model in registry.models)
            loaded = await self._around.loader.load(source, self._recent_batches(), gently=gently)
        except LoadError as error:
            self._note_failure(record, version, key, error)
            return
        before = self.record.default
        if old is not None and old.state is State.AVAILABLE:
            registry.replace(old, loaded.served, loaded.message)
            self._spawn(self._free(old, superseded=True))
        else:
            # Where the old one was taken out meanwhile, these are other files, and the version is another one.
            registry.publish(registry.begin(self.name, version) if old else record, loaded.served, loaded.message)
        now = self.record.default
        self._loaded_messages.pop(version, None)
        self._intent.note_loaded(version, key)
        self._intent.note_default(before.version if before else None, now.version if now else None)
        _log.info("version_available", model=self.name, version=version, **loaded.details)

    def _note_failure(self, record: ServedVersion, version: int, key: VersionKey, error: LoadError) -> None:
        self._errors.append((version, error))
        self._intent.note_failed(version, key, for_memory=isinstance(error, MemoryRefusedError))
        _log.error("version_failed", model=self.name, version=version, reason=str(error))
        if record.state is State.LOADING:
            self._around.registry.fail(record, str(error))
        else:
            self._loaded_messages.setdefault(version, record.message)
            record.message = f"serves on as it was loaded before its files or config changed, as now: {error}"
            self.traffic.tell(EventKind.WARNING, version=record, message=record.message)

    def _recent_batches(self) -> list[tuple[int, ...]]:
        """Gives the shapes that traffic brings to the default version: a new one is warmed up with them."""
        default = self.record.default
        return default.served.recent_batches if default is not None and default.served is not None else []

    async def _unload(self, version: int, message: str) -> None:
        record = self.record.versions[version]
        if record.state is State.AVAILABLE:
            self._around.registry.withdraw(record, message)
            await self._free(record)

    async def _free(self, record: ServedVersion, *, superseded: bool = False) -> None:
        """Waits for the requests of a version that takes no new ones, and frees it."""
        served = await self._around.registry.drain(record, self._around.drain_timeout)
        if served is not None:
            await self._around.loader.free(served)
        if superseded or self.record.versions.get(record.version) is not record:
            return
        _log.info("version_unloaded", model=self.name, version=record.version, reason=record.message)
        self._end(record)

    def _no_previous(self, why: str) -> ServingError:
        return ServingError(
            Reason.NO_PREVIOUS_VERSION,
            f"model {self.name!r} cannot be rolled back: {why}",
            metadata={"model": self.name},
        )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def describe_problem(folder: ModelFolder) -> str:
    """Gives what is wrong with a model as a whole; empty: nothing."""
    if folder.problem:
        return folder.problem
    if folder.missing:
        return f"{folder.path}: the version policy names versions that are not there: {list(folder.missing)}"
    return ""
