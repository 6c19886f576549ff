"""Conversion between the client's plain values and the messages of the model service.

Knows both shapes, and nothing else: no channels, no threads, no clocks. Both clients go through here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sentinova.results import (
    CanaryLimits,
    Comparison,
    EventKind,
    ModelEvent,
    ModelInfo,
    Rollback,
    TensorInfo,
    VersionInfo,
    VersionState,
)
from sentinova.traffic import VersionName, check_percent, check_weights
from sentinova.v1 import model_service_pb2 as pb

_STATES = {
    pb.MODEL_VERSION_STATE_LOADING: VersionState.LOADING,
    pb.MODEL_VERSION_STATE_AVAILABLE: VersionState.AVAILABLE,
    pb.MODEL_VERSION_STATE_UNLOADING: VersionState.UNLOADING,
    pb.MODEL_VERSION_STATE_END: VersionState.END,
    pb.MODEL_VERSION_STATE_FAILED: VersionState.FAILED,
}
_KINDS = {
    pb.MODEL_EVENT_KIND_INITIAL: EventKind.INITIAL,
    pb.MODEL_EVENT_KIND_SYNCED: EventKind.SYNCED,
    pb.MODEL_EVENT_KIND_STATE: EventKind.STATE,
    pb.MODEL_EVENT_KIND_TRAFFIC: EventKind.TRAFFIC,
    pb.MODEL_EVENT_KIND_ROLLBACK: EventKind.ROLLBACK,
    pb.MODEL_EVENT_KIND_WARNING: EventKind.WARNING,
}


def watch_request(names: Iterable[str]) -> pb.WatchModelsRequest:
    """Makes the request to watch models; no names: all.

    Raises:
        TypeError: `names` is one string.
    """
    if isinstance(names, str):
        raise TypeError("names must be an iterable of names, not one string")
    return pb.WatchModelsRequest(names=names)


def weights_request(
    name: str, weights: Mapping[VersionName, int], limits: CanaryLimits | None
) -> pb.SetModelWeightsRequest:
    """Makes the request that sets the weights of a model.

    Raises:
        ValueError: A share is not from 0 to 100 percent, or the shares are not 100 percent in all.
    """
    check_weights(weights)
    shares = [pb.VersionWeight(**_choice(version), percent=percent) for version, percent in weights.items()]
    request = pb.SetModelWeightsRequest(name=name, weights=shares)
    if limits is not None:
        request.limits.CopyFrom(_limits_message(limits))
    return request


def shadow_request(name: str, version: VersionName | None, percent: int) -> pb.SetModelShadowRequest:
    """Makes the request that sets the shadow of a model, or ends it (None).

    Raises:
        ValueError: `percent` is not from 1 to 100.
    """
    check_percent(percent)
    if version is None:
        return pb.SetModelShadowRequest(name=name)
    return pb.SetModelShadowRequest(name=name, **_choice(version), percent=percent)


def model_info(message: pb.Model) -> ModelInfo:
    """Gives a model as a plain value."""
    return ModelInfo(
        name=message.name,
        backend=message.backend,
        default_version=message.default_version or None,
        versions=tuple(_version_info(each) for each in message.versions),
        message=message.message,
        weights={each.version: each.percent for each in message.weights},
        shadow_version=message.shadow_version or None,
        comparisons=tuple(_comparison(each) for each in message.comparisons),
        loaded=message.loaded,
    )


def model_event(message: pb.WatchModelsResponse) -> ModelEvent:
    """Gives what a watch tells as a plain value."""
    unspecified = message.state == pb.MODEL_VERSION_STATE_UNSPECIFIED
    return ModelEvent(
        kind=_KINDS.get(message.kind, EventKind.UNKNOWN),
        model=message.model,
        version=message.version or None,
        state=None if unspecified else _STATES.get(message.state, VersionState.UNKNOWN),
        message=message.message,
        time=_time(message, "time"),
        default_version=message.default_version or None,
    )


def rollback(message: pb.RollbackModelResponse) -> Rollback:
    """Gives what a rollback did as a plain value."""
    return Rollback(model=model_info(message.model), from_version=message.from_version, to_version=message.to_version)


def _choice(version: VersionName) -> dict[str, Any]:
    return {"label": version} if isinstance(version, str) else {"version": version}


def _limits_message(limits: CanaryLimits) -> pb.CanaryLimits:
    return pb.CanaryLimits(
        max_error_rate=limits.max_error_rate,
        max_disagreement=limits.max_disagreement,
        min_documents=limits.min_documents or 0,
    )


def _version_info(message: pb.ModelVersion) -> VersionInfo:
    return VersionInfo(
        version=message.version,
        state=_STATES.get(message.state, VersionState.UNKNOWN),
        state_message=message.state_message,
        state_time=_time(message, "state_time"),
        inputs=tuple(_tensor_info(each) for each in message.inputs),
        outputs=tuple(_tensor_info(each) for each in message.outputs),
        labels=tuple(message.labels),
        max_tokens=message.max_tokens,
        format=message.format,
        precision=message.precision,
        memory_bytes=message.memory_bytes,
        version_labels=tuple(message.version_labels),
        weight=message.weight,
    )


def _tensor_info(message: pb.TensorMetadata) -> TensorInfo:
    return TensorInfo(name=message.name, datatype=message.datatype, shape=tuple(message.shape))


def _comparison(message: pb.Comparison) -> Comparison:
    return Comparison(
        version=message.version,
        baseline=message.baseline,
        documents=message.documents,
        agreed=message.agreed,
        mean_distance=message.mean_distance,
        max_distance=message.max_distance,
        latency_ratio=message.latency_ratio,
        dropped=message.dropped,
        failed=message.failed,
        live=message.live,
    )


def _time(message: Any, field: str) -> datetime | None:
    return getattr(message, field).ToDatetime(UTC) if message.HasField(field) else None
