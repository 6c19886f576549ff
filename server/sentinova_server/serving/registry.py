"""Which models and versions there are, in which state, and who uses them.

Knows states and leases; must not know how a version is loaded or run. Used on the event loop only, so every look sees
a whole state, and publishing a version is one assignment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Generic, TypeVar

from sentinova_server.errors import Reason, ServingError

Served = TypeVar("Served")


class State(StrEnum):
    """Where a model version is in its life."""

    LOADING = "LOADING"
    AVAILABLE = "AVAILABLE"
    UNLOADING = "UNLOADING"
    END = "END"
    FAILED = "FAILED"


@dataclass(slots=True, eq=False)
class VersionRecord(Generic[Served]):
    """One version of a model.

    Attributes:
        model: the model's name.
        version: its number.
        state: where it is in its life.
        message: why, where there is something to say.
        since: when it entered the state, UTC.
        served: what answers requests; None where nothing does.
        leases: requests that use it now.
        idle: set when the last lease ends.
    """

    model: str
    version: int
    state: State = State.LOADING
    message: str = ""
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    served: Served | None = None
    leases: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True, eq=False)
class ModelRecord(Generic[Served]):
    """One model.

    Attributes:
        name: its name.
        message: what is wrong with it as a whole; empty: nothing.
        versions: its versions by number, ascending.
        default: the version that answers where a request names none; None: none is available.
    """

    name: str
    message: str = ""
    versions: dict[int, VersionRecord[Served]] = field(default_factory=dict)
    default: VersionRecord[Served] | None = None


Observer = Callable[[VersionRecord[Served]], None]


class Registry(Generic[Served]):
    """All models of the server."""

    def __init__(self, default_model: str = "") -> None:
        """Makes an empty registry.

        Args:
            default_model: the model meant where a request names none; empty: the only one, where there is one.
        """
        self._models: dict[str, ModelRecord[Served]] = {}
        self._default_model = default_model
        self._observers: list[Observer[Served]] = []

    def observe(self, observer: Observer[Served]) -> None:
        """Has `observer` told of every change of a version's state, after it."""
        self._observers.append(observer)

    def add_model(self, name: str, versions: list[int], message: str = "") -> ModelRecord[Served]:
        """Adds a model whose versions are about to be loaded."""
        record: ModelRecord[Served] = ModelRecord(name, message)
        record.versions = {version: VersionRecord(name, version) for version in sorted(versions)}
        self._models[name] = record
        for version in record.versions.values():
            self._tell(version)
        return record

    def publish(self, record: VersionRecord[Served], served: Served, message: str = "") -> None:
        """Lets a loaded version take requests."""
        record.served = served
        self._enter(record, State.AVAILABLE, message)

    def fail(self, record: VersionRecord[Served], message: str) -> None:
        """Notes that a version could not be loaded."""
        self._enter(record, State.FAILED, message)

    async def retire(self, record: VersionRecord[Served], timeout: float) -> Served | None:
        """Stops new requests to a version, waits for those it has, and gives what served it, to be closed.

        Args:
            record: the version.
            timeout: seconds that its requests get.
        """
        self._enter(record, State.UNLOADING, record.message)
        if record.leases:
            record.idle.clear()
            try:
                await asyncio.wait_for(record.idle.wait(), timeout)
            except TimeoutError:
                record.message = f"{record.leases} requests had not ended after {timeout:g} s"
        served, record.served = record.served, None
        self._enter(record, State.END, record.message)
        return served

    @property
    def models(self) -> list[ModelRecord[Served]]:
        """All models, ordered by name."""
        return [self._models[name] for name in sorted(self._models)]

    def get(self, name: str) -> ModelRecord[Served]:
        """Gives a model. Raises ServingError MODEL_NOT_FOUND."""
        try:
            return self._models[name]
        except KeyError:
            raise ServingError(
                Reason.MODEL_NOT_FOUND,
                f"there is no model {name!r}; {self._describe_models()}",
                field="config.model",
                metadata={"model": name},
            ) from None

    @contextmanager
    def lease(self, name: str, version: int | None) -> Iterator[VersionRecord[Served]]:
        """Lends a version for one request: it is not unloaded before the request has ended.

        Args:
            name: the model; empty: the default one.
            version: its version; None: the highest available one.

        Raises:
            ServingError: there is no such model or version, or it takes no requests now.
        """
        record = self._choose(name, version)
        record.leases += 1
        try:
            yield record
        finally:
            record.leases -= 1
            if not record.leases:
                record.idle.set()

    def _choose(self, name: str, version: int | None) -> VersionRecord[Served]:
        model = self.get(name or self._default_name())
        if version is None:
            if model.default is None:
                raise self._explain_no_default(model)
            return model.default
        record = model.versions.get(version)
        if record is None:
            available = sorted(v.version for v in model.versions.values() if v.state is State.AVAILABLE)
            raise ServingError(
                Reason.VERSION_NOT_FOUND,
                f"model {model.name!r} has no version {version}; available: {available or 'none'}",
                field="config.version",
                metadata={"model": model.name, "version": str(version)},
            )
        if record.state is not State.AVAILABLE:
            raise _explain_unavailable(record)
        return record

    def _default_name(self) -> str:
        if self._default_model:
            return self._default_model
        if len(self._models) == 1:
            return next(iter(self._models))
        raise ServingError(
            Reason.INVALID_FIELD,
            f"config.model is empty and the server has no default model; {self._describe_models()}",
            field="config.model",
        )

    def _describe_models(self) -> str:
        names = sorted(self._models)
        shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
        return f"the server has: {shown}" if names else "the server has no models"

    def _explain_no_default(self, model: ModelRecord[Served]) -> ServingError:
        states = [record.state for record in model.versions.values()]
        if State.LOADING in states:
            loading = next(record for record in model.versions.values() if record.state is State.LOADING)
            return _explain_unavailable(loading)
        if model.versions:
            return _explain_unavailable(max(model.versions.values(), key=lambda record: record.version))
        return ServingError(
            Reason.MODEL_FAILED,
            f"model {model.name!r} has no version that can serve; ModelService.GetModel tells why",
            metadata={"model": model.name},
        )

    def _enter(self, record: VersionRecord[Served], state: State, message: str) -> None:
        record.state, record.message, record.since = state, message, datetime.now(UTC)
        model = self._models[record.model]
        available = [v for v in model.versions.values() if v.state is State.AVAILABLE]
        model.default = max(available, key=lambda v: v.version) if available else None
        self._tell(record)

    def _tell(self, record: VersionRecord[Served]) -> None:
        for observer in self._observers:
            observer(record)


def _explain_unavailable(record: VersionRecord[Served]) -> ServingError:
    what = f"version {record.version} of model {record.model!r}"
    metadata = {"model": record.model, "version": str(record.version)}
    if record.state is State.LOADING:
        return ServingError(
            Reason.MODEL_LOADING,
            f"{what} is still loading: try again soon",
            metadata=metadata,
            retry_after=0.5,
        )
    if record.state is State.FAILED:
        return ServingError(
            Reason.MODEL_FAILED,
            f"{what} could not be loaded; ModelService.GetModel tells why",
            metadata=metadata,
        )
    return ServingError(
        Reason.VERSION_NOT_FOUND,
        f"{what} is unloaded: ask for another",
        field="config.version",
        metadata=metadata,
    )
