"""Between the API's messages and the server's own objects, both ways.

Knows both; must not decide anything but whether a field has an allowed value.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from google.protobuf import timestamp_pb2
from sentinova.v1 import model_service_pb2 as model_pb
from sentinova.v1 import sentiment_service_pb2 as pb

from sentinova_server.errors import Reason, ServingError
from sentinova_server.repository.traffic import CanaryLimits, VersionName
from sentinova_server.rpc.status import to_duration
from sentinova_server.runtime.tensors import TensorSpec
from sentinova_server.serving.analysis import Analysis, LongText, TextClassifier
from sentinova_server.serving.delivery import Comparison
from sentinova_server.serving.events import EventKind, ModelEvent
from sentinova_server.serving.registry import ModelRecord, State
from sentinova_server.serving.served import ModelRegistry, ServedModel, ServedVersion

_LONG_TEXT = {
    pb.LONG_TEXT_POLICY_UNSPECIFIED: LongText.ERROR,
    pb.LONG_TEXT_POLICY_ERROR: LongText.ERROR,
    pb.LONG_TEXT_POLICY_TRUNCATE: LongText.TRUNCATE,
}
_MAX_ID_BYTES = 256
_MAX_KEY_BYTES = 256
# Documents that a canary's limits look back on.
_MAX_WINDOW = 1000
_EVENT_KINDS = {
    EventKind.STATE: model_pb.MODEL_EVENT_KIND_STATE,
    EventKind.TRAFFIC: model_pb.MODEL_EVENT_KIND_TRAFFIC,
    EventKind.ROLLBACK: model_pb.MODEL_EVENT_KIND_ROLLBACK,
    EventKind.WARNING: model_pb.MODEL_EVENT_KIND_WARNING,
}


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which model version a request asks for.

    Attributes:
        model: the model's name; empty: the default one.
        version: the version's number; None: none is asked for.
        label: the version's label, where one is asked for by that.
        key: requests with the same key get the same version where weights choose; may be empty.
    """

    model: str
    version: int | None
    label: str
    key: str

    def lease(self, registry: ModelRegistry) -> AbstractContextManager[ServedVersion]:
        """Lends the version for one request. Raises ServingError."""
        return registry.lease(self.model, self.version, label=self.label, key=self.key)


def read_choice(config: pb.AnalysisConfig) -> ModelChoice:
    """Gives which model version a request asks for. Raises ServingError INVALID_FIELD."""
    key = config.routing_key
    # A character is one byte at least, and four at most.
    if len(key) * 4 > _MAX_KEY_BYTES and len(key.encode()) > _MAX_KEY_BYTES:
        message = f"config.routing_key has more than {_MAX_KEY_BYTES} bytes: shorten it"
        raise ServingError(Reason.INVALID_FIELD, message, field="config.routing_key")
    choice = config.WhichOneof("version_choice")
    if choice == "version" and config.version < 1:
        raise ServingError(
            Reason.INVALID_FIELD,
            f"config.version is {config.version}; versions are 1 or more: leave it out for the default one",
            field="config.version",
        )
    if choice == "label" and not config.label:
        raise ServingError(
            Reason.INVALID_FIELD, "config.label is empty: leave it out for the default version", field="config.label"
        )
    return ModelChoice(config.model, config.version if choice == "version" else None, config.label, key)


def read_long_text(config: pb.AnalysisConfig) -> LongText:
    """Gives what happens to a long text. Raises ServingError INVALID_FIELD for a number that is no policy."""
    try:
        return _LONG_TEXT[config.long_text_policy]
    except KeyError:
        raise ServingError(
            Reason.INVALID_FIELD,
            f"config.long_text_policy is {config.long_text_policy}, which is no LongTextPolicy of this server",
            field="config.long_text_policy",
        ) from None


def check_document_id(document: pb.Document) -> None:
    """Raises ServingError INVALID_FIELD where the id is too long to be given back."""
    if len(document.id.encode()) > _MAX_ID_BYTES:
        raise ServingError(
            Reason.INVALID_FIELD,
            f"document.id has more than {_MAX_ID_BYTES} bytes: shorten it",
            field="document.id",
        )


def to_result(classifier: TextClassifier, analysis: Analysis) -> pb.SentimentResult:
    """Makes the answer for one document."""
    labels = classifier.labels
    return pb.SentimentResult(
        label=labels[analysis.best],
        score=analysis.scores[analysis.best],
        scores=[pb.ClassScore(label=label, score=score) for label, score in zip(labels, analysis.scores, strict=True)],
        model=pb.ModelRef(name=classifier.name, version=classifier.version),
        token_count=analysis.token_count,
        truncated=analysis.truncated,
        timings=pb.Timings(
            tokenization=to_duration(analysis.tokenization_seconds),
            queue=to_duration(analysis.queue_seconds),
            inference=to_duration(analysis.inference_seconds),
        ),
    )


def to_model(
    record: ModelRecord[ServedModel], *, shadow: int | None = None, comparisons: Sequence[Comparison] = ()
) -> model_pb.Model:
    """Makes the description of a model.

    Args:
        record: the model.
        shadow: the version that computes unseen what others answer; None: none.
        comparisons: how versions' answers compare.
    """
    return model_pb.Model(
        name=record.name,
        backend="openvino",
        default_version=record.default.version if record.default else 0,
        versions=[_to_version(record, version) for version in record.versions.values()],
        message=record.message,
        weights=[
            model_pb.VersionWeight(version=version, percent=percent)
            for version, percent in sorted(record.weights.items())
        ],
        shadow_version=shadow or 0,
        comparisons=[_to_comparison(comparison) for comparison in comparisons],
        loaded=record.loaded,
    )


def to_event(event: ModelEvent) -> model_pb.WatchModelsResponse:
    """Makes the message that tells watchers of a change."""
    return model_pb.WatchModelsResponse(
        kind=_EVENT_KINDS[event.kind],
        model=event.model,
        version=event.version,
        state=_to_state(event.state) if event.state else None,
        message=event.message,
        time=_to_timestamp(event.time),
        default_version=event.default,
    )


def to_initial_events(record: ModelRecord[ServedModel]) -> list[model_pb.WatchModelsResponse]:
    """Makes the messages that tell a new watcher how a model is."""
    default = record.default.version if record.default else 0
    kind = model_pb.MODEL_EVENT_KIND_INITIAL
    if not record.versions:
        return [model_pb.WatchModelsResponse(kind=kind, model=record.name, message=record.message)]
    return [
        model_pb.WatchModelsResponse(
            kind=kind,
            model=record.name,
            version=version.version,
            state=_to_state(version.state),
            message=version.message,
            time=_to_timestamp(version.since),
            default_version=default,
        )
        for version in record.versions.values()
    ]


def read_weights(request: model_pb.SetModelWeightsRequest) -> list[tuple[VersionName, int]]:
    """Gives the shares that a call asks for. Raises ServingError INVALID_FIELD."""
    weights: list[tuple[VersionName, int]] = []
    for index, weight in enumerate(request.weights):
        choice = weight.WhichOneof("version_choice")
        if choice is None:
            message = f"weights[{index}] names neither a version nor a label: give one"
            raise ServingError(Reason.INVALID_FIELD, message, field=f"weights[{index}]")
        weights.append((weight.version if choice == "version" else weight.label, weight.percent))
    return weights


def read_limits(request: model_pb.SetModelWeightsRequest) -> CanaryLimits | None:
    """Gives the limits that a call asks for; None: it asks for none. Raises ServingError INVALID_FIELD."""
    if not request.HasField("limits"):
        return None
    limits, default = request.limits, CanaryLimits()
    rates = {name: getattr(limits, name) for name in ("max_error_rate", "max_disagreement") if limits.HasField(name)}
    for name, rate in rates.items():
        if not 0 <= rate <= 1:
            message = f"limits.{name} is {rate:g}; it must be 0 to 1"
            raise ServingError(Reason.INVALID_FIELD, message, field=f"limits.{name}")
    if limits.min_documents > _MAX_WINDOW:
        message = f"limits.min_documents is {limits.min_documents}; it must be {_MAX_WINDOW:,} at most"
        raise ServingError(Reason.INVALID_FIELD, message, field="limits.min_documents")
    return CanaryLimits(
        max_error_rate=rates.get("max_error_rate", default.max_error_rate),
        max_disagreement=rates.get("max_disagreement", default.max_disagreement),
        min_documents=limits.min_documents or default.min_documents,
    )


def _to_version(owner: ModelRecord[ServedModel], record: ServedVersion) -> model_pb.ModelVersion:
    message = model_pb.ModelVersion(
        version=record.version,
        state=_to_state(record.state),
        state_message=record.message,
        state_time=_to_timestamp(record.since),
        version_labels=sorted(label for label, version in owner.labels.items() if version == record.version),
        weight=owner.weights.get(record.version, 0),
    )
    if record.served is not None:
        model = record.served.model
        message.inputs.extend(_to_tensors(model.inputs))
        message.outputs.extend(_to_tensors(model.outputs))
        if isinstance(record.served, TextClassifier):
            message.labels.extend(record.served.labels)
            message.max_tokens = record.served.model.max_tokens
        message.format = model.format
        message.precision = model.precision.value
        message.memory_bytes = model.memory_bytes
    return message


def _to_comparison(comparison: Comparison) -> model_pb.Comparison:
    return model_pb.Comparison(
        version=comparison.version,
        baseline=comparison.baseline,
        documents=comparison.documents,
        agreed=comparison.agreed,
        mean_distance=comparison.mean_distance,
        max_distance=comparison.max_distance,
        latency_ratio=comparison.latency_ratio,
        dropped=comparison.dropped,
        failed=comparison.failed,
        live=comparison.live,
    )


def _to_state(state: State) -> str:
    """Gives the name of the enum's value, which messages take as well as its number."""
    return f"MODEL_VERSION_STATE_{state.value}"


def _to_timestamp(time: datetime) -> timestamp_pb2.Timestamp:
    stamp = timestamp_pb2.Timestamp()
    stamp.FromDatetime(time)
    return stamp


def _to_tensors(specs: Sequence[TensorSpec]) -> list[model_pb.TensorMetadata]:
    return [model_pb.TensorMetadata(name=spec.name, datatype=spec.datatype, shape=spec.shape) for spec in specs]
