"""Between the API's messages and the server's own objects, both ways.

Knows both; must not decide anything but whether a field has an allowed value.
"""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf import timestamp_pb2
from sentinova.v1 import model_service_pb2 as model_pb
from sentinova.v1 import sentiment_service_pb2 as pb

from sentinova_server.errors import Reason, ServingError
from sentinova_server.rpc.status import to_duration
from sentinova_server.runtime.engine import TensorSpec
from sentinova_server.serving.analysis import Analysis, LongText, TextClassifier
from sentinova_server.serving.registry import ModelRecord, VersionRecord

_LONG_TEXT = {
    pb.LONG_TEXT_POLICY_UNSPECIFIED: LongText.ERROR,
    pb.LONG_TEXT_POLICY_ERROR: LongText.ERROR,
    pb.LONG_TEXT_POLICY_TRUNCATE: LongText.TRUNCATE,
}
_MAX_ID_BYTES = 256


def read_version(config: pb.AnalysisConfig) -> int | None:
    """Gives the version that a request asks for; None: it does not ask for one. Raises ServingError INVALID_FIELD."""
    if config.WhichOneof("version_choice") is None:
        return None
    if config.version < 1:
        raise ServingError(
            Reason.INVALID_FIELD,
            f"config.version is {config.version}; versions are 1 or more: leave it out for the highest available one",
            field="config.version",
        )
    return config.version


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


def to_model(record: ModelRecord[TextClassifier]) -> model_pb.Model:
    """Makes the description of a model."""
    return model_pb.Model(
        name=record.name,
        backend="openvino",
        default_version=record.default.version if record.default else 0,
        versions=[_to_version(version) for version in record.versions.values()],
        message=record.message,
    )


def _to_version(record: VersionRecord[TextClassifier]) -> model_pb.ModelVersion:
    since = timestamp_pb2.Timestamp()
    since.FromDatetime(record.since)
    message = model_pb.ModelVersion(
        version=record.version,
        state=f"MODEL_VERSION_STATE_{record.state.value}",
        state_message=record.message,
        state_time=since,
    )
    if record.served is not None:
        model = record.served.model
        message.inputs.extend(_to_tensors(model.inputs))
        message.outputs.extend(_to_tensors(model.outputs))
        message.labels.extend(model.labels)
        message.max_tokens = model.max_tokens
        message.format = model.format
        message.precision = model.precision.value
    return message


def _to_tensors(specs: Sequence[TensorSpec]) -> list[model_pb.TensorMetadata]:
    return [model_pb.TensorMetadata(name=spec.name, datatype=spec.datatype, shape=spec.shape) for spec in specs]
