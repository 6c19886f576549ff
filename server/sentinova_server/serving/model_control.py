"""What calls may change: models loaded and unloaded, versions rolled back, traffic shared anew.

Knows what each control mode allows, and how a refusal is told; must not know in which order things are done, nor gRPC.
Used on the event loop only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog

from sentinova_server.errors import LoadError, Reason, ServingError
from sentinova_server.repository.config import CONFIG_FILE, ModelConfig, parse_config
from sentinova_server.repository.policy import choose_versions
from sentinova_server.serving.lifecycle import ControlMode, Lifecycle
from sentinova_server.serving.loading import MemoryRefusedError
from sentinova_server.serving.look import Sighting
from sentinova_server.serving.model_life import ModelLife
from sentinova_server.serving.model_traffic import ModelTraffic
from sentinova_server.serving.registry import ModelRecord
from sentinova_server.serving.served import ModelRegistry, ServedModel

_log = structlog.get_logger()

_T = TypeVar("_T")


class ModelControl:
    """The calls that change models, each checked against the control mode first."""

    def __init__(self, lifecycle: Lifecycle, registry: ModelRegistry) -> None:
        """Makes it.

        Args:
            lifecycle: the models' lives.
            registry: the models.
        """
        self._lifecycle = lifecycle
        self._registry = registry
        self._mode = lifecycle.settings.mode
        self._running: set[asyncio.Task[Any]] = set()

    async def load_model(self, name: str, *, version: int = 0, config: str = "") -> ModelRecord[ServedModel]:
        """Loads a model as its folder is now.

        Args:
            name: the model.
            version: a version to load beside those of the policy; 0: none.
            config: text of a config that takes the file's place; empty: the file.

        Raises:
            ServingError: MODEL_CONTROL_DISABLED, MODEL_NOT_FOUND, VERSION_NOT_FOUND, INVALID_FIELD, MODEL_FAILED or
                MEMORY_BUDGET.
        """
        self._require("LoadModel", ControlMode.EXPLICIT)
        sighting = (await self._look(name)).get(name)
        if sighting is None:
            message = f"the model repository has no model {name!r}"
            raise ServingError(Reason.MODEL_NOT_FOUND, message, field="name", metadata={"model": name})
        override = self._parse_override(sighting, config) if config else None
        if override is None and sighting.folder.config is None:
            raise ServingError(Reason.MODEL_FAILED, sighting.folder.problem, metadata={"model": name})
        if override is not None and not version:
            _check_chosen(sighting, override)
        _check_found(sighting, version)
        life = self._lifecycle.meet(name)

        async def load() -> None:
            errors = await life.load(sighting, version=version, override=override)
            if errors:
                raise _explain_failure(name, *errors[0])
            if life.record.default is None:
                message = f"model {name!r} has no version that can serve: {life.record.message or 'see its versions'}"
                raise ServingError(Reason.MODEL_FAILED, message, metadata={"model": name})

        await self._finish(life, load)
        return life.record

    async def unload_model(self, name: str, *, version: int = 0) -> ModelRecord[ServedModel]:
        """Unloads a model, or one version of it, and waits until its requests have ended.

        Args:
            name: the model.
            version: the version; 0: all of them.

        Raises:
            ServingError: MODEL_CONTROL_DISABLED, MODEL_NOT_FOUND, VERSION_NOT_FOUND, VERSION_NOT_AVAILABLE or
                LAST_VERSION.
        """
        self._require("UnloadModel", ControlMode.EXPLICIT)
        life = self._find_loaded(name)

        async def unload() -> None:
            if version:
                await life.unload_version(version)
            else:
                life.record.loaded = False
                await life.unload_all("unloaded by request")

        await self._finish(life, unload)
        return life.record

    async def reload(self) -> list[ModelRecord[ServedModel]]:
        """Looks at the repository now, and brings every loaded model up to it; gives all models, ordered by name.

        Raises:
            ServingError: MODEL_CONTROL_DISABLED, or MODEL_FAILED; the repository cannot be read.
        """
        self._require("ReloadRepository", ControlMode.POLL, ControlMode.EXPLICIT)
        sightings = await self._look()
        await self._lifecycle.wait()  # what is under way goes by an earlier look
        self._lifecycle.take_in(sightings, retry=True)
        await self._lifecycle.wait()
        return self._registry.models

    async def roll_back(self, name: str) -> tuple[ModelRecord[ServedModel], int, int]:
        """Takes a model's default version out of service; gives the model, that version, and the one in its place.

        Raises:
            ServingError: MODEL_CONTROL_DISABLED, MODEL_NOT_FOUND or NO_PREVIOUS_VERSION.
        """
        self._require("RollbackModel", ControlMode.POLL, ControlMode.EXPLICIT)
        life = self._find_loaded(name)
        if life.can_roll_back_at_once:
            return life.record, *life.roll_back()
        sighting = (await self._look(name)).get(name)

        async def load_and_roll_back() -> tuple[int, int]:
            if sighting is not None and not life.can_roll_back_at_once:
                await life.load_previous(sighting)
            return life.roll_back()

        return life.record, *(await self._finish(life, load_and_roll_back))

    def change_traffic(self, call: str, name: str) -> ModelTraffic:
        """Gives the traffic of a loaded model, for a call to change it.

        Raises:
            ServingError: MODEL_CONTROL_DISABLED or MODEL_NOT_FOUND.
        """
        self._require(call, ControlMode.POLL, ControlMode.EXPLICIT)
        return self._find_loaded(name).traffic

    def shadow_of(self, name: str) -> int | None:
        """Gives the version of a model that computes unseen what others answer; None: none."""
        life = self._lifecycle.find(name)
        return life.traffic.shadow if life else None

    def require_explicit(self, call: str) -> None:
        """Raises ServingError MODEL_CONTROL_DISABLED where models are not loaded and unloaded by calls."""
        self._require(call, ControlMode.EXPLICIT)

    def _require(self, call: str, *modes: ControlMode) -> None:
        if self._mode not in modes:
            raise ServingError(
                Reason.MODEL_CONTROL_DISABLED,
                f"{call} needs --model-control-mode {' or '.join(modes)}; this server runs with {self._mode}",
                metadata={"mode": self._mode.value},
            )

    async def _finish(self, life: ModelLife, work: Callable[[], Awaitable[_T]]) -> _T:
        """Works on a model when it is its turn, and to the end, also where the client no longer waits for it."""

        async def run() -> _T:
            async with life.lock:
                return await work()

        task = asyncio.get_running_loop().create_task(run())
        self._running.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, ServingError):
            _log.error("control_failed", exc_info=error)

    async def _look(self, *names: str) -> dict[str, Sighting]:
        try:
            return await self._lifecycle.look(*names)
        except LoadError as error:
            raise ServingError(Reason.MODEL_FAILED, f"the repository cannot be read: {error}") from error

    def _find_loaded(self, name: str) -> ModelLife:
        life = self._lifecycle.find(name)
        if life is None or not life.record.loaded:
            find_model(self._registry, name)  # says which models there are where there is none of that name
            message = f"model {name!r} is not loaded: ModelService.LoadModel loads it"
            raise ServingError(Reason.MODEL_NOT_FOUND, message, field="name", metadata={"model": name})
        return life

    def _parse_override(self, sighting: Sighting, config: str) -> ModelConfig:
        try:
            return parse_config(config, sighting.folder.path / CONFIG_FILE)
        except LoadError as error:
            raise ServingError(Reason.INVALID_FIELD, f"config: {error.message}", field="config") from error


def find_model(registry: ModelRegistry, name: str) -> ModelRecord[ServedModel]:
    """Gives a model that a call of `ModelService` names. Raises ServingError MODEL_NOT_FOUND."""
    try:
        return registry.get(name)
    except ServingError as error:
        error.field = "name"
        raise


def _explain_failure(name: str, version: int, error: LoadError) -> ServingError:
    return ServingError(
        Reason.MEMORY_BUDGET if isinstance(error, MemoryRefusedError) else Reason.MODEL_FAILED,
        f"version {version} of model {name!r} could not be loaded: {error}",
        metadata={"model": name, "version": str(version)},
    )


def _check_chosen(sighting: Sighting, config: ModelConfig) -> None:
    """Raises ServingError INVALID_FIELD where a config's policy chooses none of the versions that are there."""
    if not choose_versions(sighting.settled, config.version_policy):
        found = sorted(sighting.settled) or "none"
        message = f"config: field `version_policy`: chooses no version that the repository has; complete ones: {found}"
        raise ServingError(Reason.INVALID_FIELD, message, field="config")


def _check_found(sighting: Sighting, version: int) -> None:
    """Raises ServingError VERSION_NOT_FOUND where a version is asked for that is not there as a whole."""
    if version and version not in sighting.settled:
        name, found = sighting.folder.name, sorted(sighting.settled)
        raise ServingError(
            Reason.VERSION_NOT_FOUND,
            f"model {name!r} has no version {version} in the repository; complete ones: {found or 'none'}",
            field="version",
            metadata={"model": name, "version": str(version)},
        )
