"""What the server answers, as plain typed values.

Knows the shape of answers. Must not know gRPC or protobuf: conversion lives in `sentinova.conversion`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sentinova.errors import SentinovaError


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of one document went, in seconds, as the server measured it.

    Attributes:
        tokenization: Turning the text into token ids.
        queue: Waiting for a free place in a batch.
        inference: Running the model on the batch that held the document.
    """

    tokenization: float
    queue: float
    inference: float


@dataclass(frozen=True, slots=True)
class Sentiment:
    """The sentiment of one document.

    Attributes:
        label: The class with the highest score, as the model names it.
        score: The score of `label`, from 0 to 1.
        scores: Every class with its score, in the model's order; they sum to 1.
        model: Name of the model that answered.
        version: Version of the model that answered.
        token_count: Number of tokens that the model read, special tokens included.
        truncated: Whether the text was longer than the model reads and its end was left out.
        timings: Where the time went.
    """

    label: str
    score: float
    scores: dict[str, float]
    model: str
    version: int
    token_count: int
    truncated: bool
    timings: Timings


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer for one document of a stream: exactly one of `result` and `error` is set.

    Attributes:
        index: Position of the document in the input, from 0.
        id: The caller's name for the document; the index as text where the caller gave none.
        result: The sentiment of the document.
        error: Why there is none. It concerns this document alone.
    """

    index: int
    id: str
    result: Sentiment | None = None
    error: SentinovaError | None = None

    def unwrap(self) -> Sentiment:
        """Gives the result, or raises the error in its place."""
        if self.error is not None:
            raise self.error
        if self.result is None:
            raise ValueError(f"the answer for document {self.id!r} holds neither a result nor an error")
        return self.result


class VersionState(StrEnum):
    """Where a model version is in its life."""

    UNKNOWN = "UNKNOWN"  # a state that this client is too old to know
    LOADING = "LOADING"
    AVAILABLE = "AVAILABLE"
    UNLOADING = "UNLOADING"
    END = "END"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output of a model.

    Attributes:
        name: Name of the tensor in the model file.
        datatype: Element type in KServe v2 words: "INT64", "FP32", ...
        shape: Size of each dimension; -1 stands for any size.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """One version of a model.

    Attributes:
        version: Number of the version, 1 or more.
        state: Where the version is in its life.
        state_message: Why it is in this state, where there is something to say.
        state_time: When it entered this state, in UTC; None where the server does not tell.
        inputs: Inputs of the model file; empty until it has been read.
        outputs: Outputs of the model file; empty until it has been read.
        labels: Names of the classes, in the order of the model's output.
        max_tokens: The most tokens that it reads of one text, special tokens included.
        format: Format of the model files: "paddle" or "openvino".
        precision: What it computes in: "f32", "bf16" or "int8"; empty until it has been compiled.
        memory_bytes: Bytes that its weights take up in memory; 0 until it has been compiled.
        version_labels: The labels that name this version, in alphabetic order.
        weight: Percent of the requests without a version that go to it; 0 where the model has no weights.
    """

    version: int
    state: VersionState
    state_message: str
    state_time: datetime | None
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    labels: tuple[str, ...]
    max_tokens: int
    format: str
    precision: str = ""
    memory_bytes: int = 0
    version_labels: tuple[str, ...] = ()
    weight: int = 0


@dataclass(frozen=True, slots=True)
class CanaryLimits:
    """When a canary is rolled back by itself: a version with a part of the traffic that is not the largest.

    Attributes:
        max_error_rate: Highest share, from 0 to 1, of its documents that it failed on; None: 0.05.
        max_disagreement: Highest share, from 0 to 1, of compared documents that get another label than from the version
            with the largest weight; None: no limit.
        min_documents: Documents to look at before anything is decided; None: 100.
    """

    max_error_rate: float | None = None
    max_disagreement: float | None = None
    min_documents: int | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the answers of a version compare with those that were given for the same documents.

    A document's distance is the largest difference of a class's probability.

    Attributes:
        version: The version whose answers are compared.
        baseline: The version that they are compared with.
        documents: Documents compared.
        agreed: Those that both gave the same label.
        mean_distance: Mean of the distances, from 0 to 1.
        max_distance: Largest of the distances, from 0 to 1.
        latency_ratio: Time of `version` in the model for a token, over that of `baseline`; 0 until there are documents.
        dropped: Documents not compared, as there was no time for it beside the live ones.
        failed: Documents that one of the two failed on.
        live: Whether `version` gives answers to clients (a canary) or to nobody (a shadow).
    """

    version: int
    baseline: int
    documents: int
    agreed: int
    mean_distance: float
    max_distance: float
    latency_ratio: float
    dropped: int
    failed: int
    live: bool


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model of the server's repository.

    Attributes:
        name: Name of the model.
        backend: The backend that runs it: "openvino".
        default_version: The version that answers where a request names none; None where no version is
            available.
        versions: The versions that the version policy chose, in ascending order.
        message: What is wrong with the model as a whole, where something is.
        weights: Percent of the requests without a version, by version in ascending order; empty: the default version
            gets all.
        shadow_version: The version that computes unseen what others answer; None: there is none.
        comparisons: Comparisons of the shadow, or of canaries, with what was answered.
        loaded: Whether the model is loaded, or to be loaded. False: it waits for `load_model`.
    """

    name: str
    backend: str
    default_version: int | None
    versions: tuple[VersionInfo, ...]
    message: str
    weights: dict[int, int] = field(default_factory=dict)
    shadow_version: int | None = None
    comparisons: tuple[Comparison, ...] = ()
    loaded: bool = True


class EventKind(StrEnum):
    """What a `ModelEvent` tells."""

    UNKNOWN = "UNKNOWN"  # a kind that this client is too old to know
    INITIAL = "INITIAL"  # how things were when the watch began
    SYNCED = "SYNCED"  # all that was so has been told; changes follow
    STATE = "STATE"  # a version entered a state
    TRAFFIC = "TRAFFIC"  # labels, weights or the shadow of a model changed
    ROLLBACK = "ROLLBACK"  # a version was taken out of service
    WARNING = "WARNING"  # a changed version could not be loaded and serves on as it was, or a model as a whole is ill


@dataclass(frozen=True, slots=True)
class ModelEvent:
    """What a watch of models tells.

    Attributes:
        kind: What this tells.
        model: Name of the model; empty for SYNCED.
        version: Number of the version; None: the model as a whole.
        state: The state that the version is in; None where there is no version.
        message: Why, in words, where there is something to say.
        time: When it came to be, in UTC; None where the server does not tell.
        default_version: The version that answers by default after this; None: none does.
    """

    kind: EventKind
    model: str
    version: int | None
    state: VersionState | None
    message: str
    time: datetime | None
    default_version: int | None


@dataclass(frozen=True, slots=True)
class Rollback:
    """What a rollback did.

    Attributes:
        model: The model as it is now.
        from_version: The version that was taken out of service.
        to_version: The version that answers by default now.
    """

    model: ModelInfo
    from_version: int
    to_version: int
