"""What the server answers, as plain typed values.

Knows the shape of answers. Must not know gRPC or protobuf: conversion lives in `sentinova.conversion`.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    """

    name: str
    backend: str
    default_version: int | None
    versions: tuple[VersionInfo, ...]
    message: str
