"""Which models and versions there are, in which state, and who uses them.

Knows states, leases and shares of the traffic; must not know how a version is loaded or run. Used on the event loop
only, so every look sees a whole state, and publishing a version is one assignment.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Generic, TypeVar

from sentinova_server.errors import Reason, ServingError
from sentinova_server.serving.routing import choose_version, routing_point

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
        default: the highest available version; None: none is available.
        labels: versions by label, available or not.
        weights: percent of the requests that name no version, by version; empty: `default` gets all.
        loaded: whether it is loaded, or to be loaded; otherwise it is only known.
    """

    name: str
    message: str = ""
    versions: dict[int, VersionRecord[Served]] = field(default_factory=dict)
    default: VersionRecord[Served] | None = None
    labels: Mapping[str, int] = field(default_factory=dict)
    weights: Mapping[int, int] = field(default_factory=dict)
    loaded: bool = True

    @property
    def available(self) -> list[int]:
        """The versions that take requests, ascending."""
        return sorted(number for number, version in self.versions.items() if version.state is State.AVAILABLE)


Observer = Callable[[VersionRecord[Served]], None]


# What a request is told of a model or version that is not known: at first that may be because none is known yet.
_UNKNOWN = (Reason.MODEL_NOT_FOUND, Reason.VERSION_NOT_FOUND, Reason.LABEL_NOT_FOUND, Reason.INVALID_FIELD)


class Registry(Generic[Served]):
    """All models of the server."""

    def __init__(
        self,
        default_model: str = "",
        *,
        chance: Callable[[], float] = random.random,
        may_be_default: Callable[[Served], bool] = lambda _: True,
    ) -> None:
        """Makes an empty registry.

        Args:
            default_model: the model meant where a request names none; empty: the only one, where there is one.
            may_be_default: tells whether a model whose default version this is may be that only one.
            chance: gives a number from 0 to 1, 1 excluded: which version gets a request that has no routing key.
        """
        self._models: dict[str, ModelRecord[Served]] = {}
        self._default_model = default_model
        self._chance = chance
        self._may_be_default = may_be_default
        self._observers: list[Observer[Served]] = []
        # Whether there may be models and versions that are not known yet.
        self.starting = False

    def observe(self, observer: Observer[Served]) -> None:
        """Has `observer` told of every change of a version's state, after it."""
        self._observers.append(observer)

    def add_model(self, name: str, versions: Iterable[int] = (), message: str = "") -> ModelRecord[Served]:
        """Adds a model whose versions are about to be loaded."""
        record: ModelRecord[Served] = ModelRecord(name, message)
        self._models[name] = record
        for version in versions:
            self.begin(name, version)
        return record

    def remove_model(self, name: str) -> None:
        """Forgets a model; none of its versions may serve."""
        del self._models[name]

    def begin(self, name: str, version: int) -> VersionRecord[Served]:
        """Notes that a version is about to be loaded, which does not serve now."""
        model = self._models[name]
        record: VersionRecord[Served] = VersionRecord(name, version)
        model.versions = dict(sorted({**model.versions, version: record}.items()))
        self._tell(record)
        return record

    def forget_version(self, record: VersionRecord[Served]) -> None:
        """Forgets a version that does not serve, where it was not loaded anew meanwhile."""
        versions = self._models[record.model].versions
        if versions.get(record.version) is record:
            del versions[record.version]

    def publish(self, record: VersionRecord[Served], served: Served, message: str = "") -> None:
        """Lets a loaded version take requests."""
        record.served = served
        self._enter(record, State.AVAILABLE, message)

    def replace(self, old: VersionRecord[Served], served: Served, message: str = "") -> VersionRecord[Served]:
        """Lets what was loaded anew take the requests of an available version; `drain` then gives what served before.

        The old record is nobody's from now on but of the requests that hold it.
        """
        record: VersionRecord[Served] = VersionRecord(old.model, old.version, served=served)
        self._models[old.model].versions[old.version] = record
        old.state = State.UNLOADING
        self._enter(record, State.AVAILABLE, message)
        return record

    def fail(self, record: VersionRecord[Served], message: str) -> None:
        """Notes that a version could not be loaded."""
        self._enter(record, State.FAILED, message)

    def withdraw(self, record: VersionRecord[Served], message: str = "") -> None:
        """Stops new requests to a version; at once, so that another one answers the next request."""
        self._enter(record, State.UNLOADING, message)

    async def drain(self, record: VersionRecord[Served], timeout: float) -> Served | None:
        """Waits for the requests of a version that takes no new ones, and gives what served it, to be closed.

        Args:
            record: the version.
            timeout: seconds that its requests get.
        """
        if record.leases:
            record.idle.clear()
            try:
                await asyncio.wait_for(record.idle.wait(), timeout)
            except TimeoutError:
                late = f"{record.leases} requests had not ended after {timeout:g} s"
                record.message = f"{record.message}; {late}" if record.message else late
        served, record.served = record.served, None
        return served

    def end(self, record: VersionRecord[Served]) -> None:
        """Notes that a version is gone from memory."""
        self._enter(record, State.END, record.message)

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
    def lease(
        self, name: str, version: int | None, *, label: str = "", key: str = ""
    ) -> Iterator[VersionRecord[Served]]:
        """Lends a version for one request: it is not unloaded before the request has ended.

        Args:
            name: the model; empty: the default one.
            version: its version; None: none is asked for.
            label: the version's label, where no number is given; empty: the weights choose, or it is the default one.
            key: requests with the same key get the same version where weights choose.

        Raises:
            ServingError: there is no such model, version or label, or it takes no requests now.
        """
        try:
            record = self._choose(name, version, label, key)
        except ServingError as error:
            if self.starting and error.reason in _UNKNOWN:
                raise _explain_start() from None
            raise
        record.leases += 1
        try:
            yield record
        finally:
            record.leases -= 1
            if not record.leases:
                record.idle.set()

    def _choose(self, name: str, version: int | None, label: str, key: str) -> VersionRecord[Served]:
        model = self.get(name or self._default_name())
        if not model.loaded:
            raise _explain_not_loaded(model.name)
        if label:
            version = find_label(model, label)
        if version is None:
            return self._choose_unasked(model, key)
        record = model.versions.get(version)
        if record is None:
            what = f"version {version}, which label {label!r} names" if label else f"version {version}"
            raise ServingError(
                Reason.VERSION_NOT_FOUND,
                f"model {model.name!r} has no {what}; available: {model.available or 'none'}",
                field="config.label" if label else "config.version",
                metadata={"model": model.name, "version": str(version)},
            )
        if record.state is not State.AVAILABLE:
            raise _explain_unavailable(record)
        return record

    def _choose_unasked(self, model: ModelRecord[Served], key: str) -> VersionRecord[Served]:
        """Chooses for a request that names no version."""
        if model.default is None:
            raise self._explain_no_default(model)
        if model.weights:
            point = routing_point(model.name, key) if key else self._chance()
            chosen = choose_version(model.weights, model.available, point)
            if chosen is not None:
                return model.versions[chosen]
        return model.default

    def _default_name(self) -> str:
        if self._default_model:
            return self._default_model
        loaded = [model for model in self._models.values() if model.loaded]
        if len(loaded) > 1:
            # What is not loaded yet, or failed, may be of either kind.
            loaded = [
                model
                for model in loaded
                if model.default is None or model.default.served is None or self._may_be_default(model.default.served)
            ]
        if len(loaded) == 1:
            return loaded[0].name
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
        if self.starting:
            return _explain_start()
        return ServingError(
            Reason.MODEL_FAILED,
            f"model {model.name!r} has no version that can serve; ModelService.GetModel tells why",
            metadata={"model": model.name},
        )

    def _enter(self, record: VersionRecord[Served], state: State, message: str) -> None:
        record.state, record.message, record.since = state, message, datetime.now(UTC)
        model = self._models[record.model]
        available = model.available
        model.default = model.versions[available[-1]] if available else None
        self._tell(record)

    def _tell(self, record: VersionRecord[Served]) -> None:
        for observer in self._observers:
            observer(record)


def find_label(model: ModelRecord[Served], label: str) -> int:
    """Gives the version that a label names. Raises ServingError LABEL_NOT_FOUND."""
    version = model.labels.get(label)
    if version is None:
        known = ", ".join(sorted(model.labels)) or "none"
        raise ServingError(
            Reason.LABEL_NOT_FOUND,
            f"model {model.name!r} has no label {label!r}; its labels: {known}",
            field="config.label",
            metadata={"model": model.name, "label": label},
        )
    return version


def _explain_start() -> ServingError:
    message = "the server starts, and does not know all its models yet: try again soon"
    return ServingError(Reason.MODEL_LOADING, message, retry_after=0.5)


def _explain_not_loaded(name: str) -> ServingError:
    return ServingError(
        Reason.MODEL_NOT_FOUND,
        f"model {name!r} is not loaded: ModelService.LoadModel loads it",
        field="config.model",
        metadata={"model": name},
    )


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
