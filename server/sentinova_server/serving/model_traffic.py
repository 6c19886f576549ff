"""How the requests of one model are shared between its versions: labels, weights, a shadow; and the changes of that.

Knows which versions are available; must not know how they come and go. What the config says holds until a call changes
it, and what a call changed holds until the config changes in the same respect. Used on the event loop only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sentinova_server.errors import Reason, ServingError
from sentinova_server.observability.metrics import Metrics
from sentinova_server.repository.traffic import CanaryLimits, Traffic, VersionName, is_label
from sentinova_server.serving.delivery import Deliveries
from sentinova_server.serving.events import EventKind, ModelEvent, ModelEvents
from sentinova_server.serving.registry import ModelRecord, State, find_label
from sentinova_server.serving.routing import find_baseline, find_canaries
from sentinova_server.serving.served import ServedModel, ServedVersion


@dataclass(frozen=True, slots=True)
class TrafficHub:
    """What the traffic of all models shares.

    Attributes:
        deliveries: compares versions that share the traffic.
        events: told of every change.
        metrics: where rollbacks are counted.
    """

    deliveries: Deliveries
    events: ModelEvents
    metrics: Metrics


class ModelTraffic:
    """The traffic of one model."""

    def __init__(self, record: ModelRecord[ServedModel], hub: TrafficHub) -> None:
        """Makes it: the default version gets everything.

        Args:
            record: the model in the registry.
            hub: what all models share.
        """
        self._record = record
        self._hub = hub
        self._config = Traffic()
        self._labels: dict[str, int] = {}
        self._weights: dict[int, int] = {}
        self._shadow: int | None = None
        self._percent = 100
        self._limits = CanaryLimits()

    @property
    def named_versions(self) -> set[int]:
        """The versions that labels, weights or the shadow name: they stay loaded whatever the policy says."""
        return {*self._labels.values(), *self._weights, *([self._shadow] if self._shadow else ())}

    @property
    def shadow(self) -> int | None:
        """The version that computes unseen what others answer; None: none."""
        return self._shadow

    def adopt(self, config: Traffic) -> None:
        """Takes over what a config says, where it says something else than the one before."""
        before, self._config = self._config, config
        if config == before:
            return
        labels = config.labels
        if labels != before.labels:
            self._labels = dict(labels)
        if (config.weights, labels) != (before.weights, before.labels):
            self._weights = {_resolve(name, labels): percent for name, percent in config.weights.items()}
        if (config.shadow, config.shadow_percent, labels) != (before.shadow, before.shadow_percent, before.labels):
            self._shadow = None if config.shadow is None else _resolve(config.shadow, labels)
            self._percent = config.shadow_percent
        if config.limits != before.limits:
            self._limits = config.limits
        self._apply("the config changed")

    def set_label(self, label: str, version: int) -> None:
        """Gives a label to an available version. Raises ServingError."""
        if not is_label(label):
            raise _invalid("label", f"label is {label!r}; it must be 1 to 63 of a-z, 0-9, - and _, the first a letter")
        self.check_available(version)
        self._labels[label] = version
        self._apply(f"label {label} names version {version}")

    def delete_label(self, label: str) -> None:
        """Takes a label away. Raises ServingError LABEL_NOT_FOUND."""
        try:
            del self._labels[label]
        except KeyError:
            raise ServingError(
                Reason.LABEL_NOT_FOUND,
                f"model {self._record.name!r} has no label {label!r}",
                field="label",
                metadata={"model": self._record.name, "label": label},
            ) from None
        self._apply(f"label {label} is gone")

    def set_weights(self, weights: list[tuple[VersionName, int]], limits: CanaryLimits | None) -> None:
        """Shares the requests that ask for no version between available versions; none: the default gets all.

        Raises:
            ServingError: INVALID_FIELD, LABEL_NOT_FOUND, VERSION_NOT_FOUND or VERSION_NOT_AVAILABLE.
        """
        resolved: dict[int, int] = {}
        for index, (name, percent) in enumerate(weights):
            field = f"weights[{index}]"
            version = self._find(name, field)
            if version in resolved:
                raise _invalid(field, f"{field} names version {version} once more: give each version one share")
            resolved[version] = percent
        if resolved and (total := sum(resolved.values())) != 100:
            raise _invalid("weights", f"weights are {total} percent in all; they must be 100")
        self._weights = resolved
        self._limits = limits or self._config.limits
        shares = ", ".join(f"version {version}: {percent}%" for version, percent in sorted(resolved.items()))
        self._apply(f"weights: {shares}" if shares else "no weights")

    def set_shadow(self, name: VersionName | None, percent: int) -> None:
        """Has a version compute unseen a share of what others answer; None: no version. Raises ServingError."""
        if not 1 <= percent <= 100:
            raise _invalid("percent", f"percent is {percent}; it must be 1 to 100")
        self._shadow = None if name is None else self._find(name, "label" if isinstance(name, str) else "version")
        self._percent = percent
        self._apply(f"version {self._shadow} is the shadow" if self._shadow else "no shadow")

    def check_available(self, version: int) -> None:
        """Raises ServingError VERSION_NOT_FOUND or VERSION_NOT_AVAILABLE where a version takes no requests."""
        found = self._record.versions.get(version)
        metadata = {"model": self._record.name, "version": str(version)}
        available = f"available: {self._record.available or 'none'}"
        if found is None:
            message = f"model {self._record.name!r} has no version {version}; {available}"
            raise ServingError(Reason.VERSION_NOT_FOUND, message, field="version", metadata=metadata)
        if found.state is not State.AVAILABLE:
            message = f"version {version} of model {self._record.name!r} is {found.state.value}; {available}"
            raise ServingError(Reason.VERSION_NOT_AVAILABLE, message, field="version", metadata=metadata)

    def drop(self, version: int) -> None:
        """Takes a version out of the weights and the shadow; its share goes to the others."""
        self._weights.pop(version, None)
        total = sum(self._weights.values())
        if total:
            self._weights = _scale(self._weights, total)
        else:
            self._weights = {}
        if self._shadow == version:
            self._shadow = None
        self._push()

    def refresh(self) -> None:
        """Looks anew at which versions are available."""
        available = self._record.available
        baseline = find_baseline(self._weights, available) if self._weights else None
        if baseline is None and self._record.default is not None:
            baseline = self._record.default.version
        shadow = self._shadow if self._shadow in available and self._shadow != baseline else None
        self._hub.deliveries.configure(
            self._record.name,
            baseline=baseline,
            canaries=[version for version in find_canaries(self._weights, available) if version != baseline],
            shadow=shadow,
            shadow_percent=self._percent,
            limits=self._limits,
        )

    def rolled_back(self, version: int, message: str, cause: str) -> None:
        """Tells everybody that a version was taken out of service."""
        self._hub.metrics.rollbacks.labels(self._record.name, str(version), cause).inc()
        self.tell(EventKind.ROLLBACK, version=self._record.versions[version], message=message)

    def tell(self, kind: EventKind, *, version: ServedVersion | None = None, message: str = "") -> None:
        """Tells watchers of a change."""
        default = self._record.default
        self._hub.events.tell(
            ModelEvent(
                kind,
                self._record.name,
                version=version.version if version else 0,
                state=version.state if version else None,
                message=message,
                default=default.version if default else 0,
                time=version.since if version and kind is EventKind.STATE else datetime.now(UTC),
            )
        )

    def _find(self, name: VersionName, field: str) -> int:
        """Gives the available version that a call names. Raises ServingError."""
        try:
            version = find_label(self._record, name) if isinstance(name, str) else name
            self.check_available(version)
        except ServingError as error:
            error.field = field
            raise
        return version

    def _apply(self, message: str) -> None:
        self._push()
        self.tell(EventKind.TRAFFIC, message=message)

    def _push(self) -> None:
        self._record.labels = dict(self._labels)
        self._record.weights = dict(self._weights)
        self.refresh()


def _resolve(name: VersionName, labels: Mapping[str, int]) -> int:
    return labels[name] if isinstance(name, str) else name


def _scale(weights: Mapping[int, int], total: int) -> dict[int, int]:
    """Scales shares to 100 percent; the largest one takes what rounding leaves."""
    scaled = {version: percent * 100 // total for version, percent in weights.items()}
    largest = max(scaled, key=lambda version: scaled[version])
    scaled[largest] += 100 - sum(scaled.values())
    return scaled


def _invalid(field: str, message: str) -> ServingError:
    return ServingError(Reason.INVALID_FIELD, message, field=field)
