"""What may answer under a lease: a text classifier, or a runner of tensors.

Knows both kinds; must not know what either does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sentinova_server.errors import Reason, ServingError
from sentinova_server.serving.analysis import TextClassifier
from sentinova_server.serving.registry import Registry, VersionRecord
from sentinova_server.serving.tensor_runner import TensorRunner

ServedModel = TextClassifier | TensorRunner
ModelRegistry = Registry[ServedModel]
ServedVersion = VersionRecord[ServedModel]


def served_by(record: ServedVersion) -> ServedModel:
    """Gives what answers under a lease."""
    if record.served is None:
        raise AssertionError("a leased version is always served")
    return record.served


def classifier_of(record: ServedVersion) -> TextClassifier:
    """Gives the text classifier that answers under a lease. Raises ServingError NOT_A_TEXT_MODEL where none does."""
    served = served_by(record)
    if isinstance(served, TextClassifier):
        return served
    raise ServingError(
        Reason.NOT_A_TEXT_MODEL,
        f"version {record.version} of model {record.model!r} takes tensors, not text: call "
        "inference.GRPCInferenceService/ModelInfer, or ask for another model",
        field="config.model",
        metadata={"model": record.model, "version": str(record.version)},
    )


class TextLease:
    """A version lent for text: what background work sees of a `VersionRecord`."""

    def __init__(self, served: TextClassifier) -> None:
        self.served: TextClassifier | None = served


def is_classifier(served: ServedModel) -> bool:
    """Tells whether it answers texts."""
    return isinstance(served, TextClassifier)


@contextmanager
def lend_classifier(registry: ModelRegistry, model: str, version: int) -> Iterator[TextLease]:
    """Lends a version for text. Raises ServingError where it takes no requests, or no text."""
    with registry.lease(model, version) as record:
        yield TextLease(classifier_of(record))
