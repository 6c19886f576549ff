"""Requests as bytes, and answers read back: Sentinova's own API, and KServe v2 for its peers.

Knows messages; must not know connections or times. Messages are built before the clock runs.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from sentinova.v1 import sentiment_service_pb2 as sentiment
from tritonclient.grpc import service_pb2 as kserve

from benchmarks.targets.peer_contract import TEXT_INPUT

_SENTIMENT = "/sentinova.v1.SentimentService/"
_KSERVE = "/inference.GRPCInferenceService/"


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests ready to send.

    Attributes:
        path: the method's full name.
        bodies: serialized requests.
        texts: how many texts are in each but the last.
        first: messages that open a stream and get no answer.
    """

    path: str
    bodies: tuple[bytes, ...]
    texts: int = 1
    first: tuple[bytes, ...] = ()


def sentinova_unary(texts: Sequence[str], model: str, version: int) -> Requests:
    """One text a call."""
    config = sentiment.AnalysisConfig(model=model, version=version)
    bodies = (
        sentiment.AnalyzeSentimentRequest(document=sentiment.Document(text=text), config=config).SerializeToString()
        for text in texts
    )
    return Requests(f"{_SENTIMENT}AnalyzeSentiment", tuple(bodies))


def sentinova_batches(texts: Sequence[str], size: int, model: str, version: int) -> Requests:
    """`size` texts a call."""
    config = sentiment.AnalysisConfig(model=model, version=version)
    bodies = (
        sentiment.BatchAnalyzeSentimentRequest(
            documents=[sentiment.Document(text=text) for text in chunk], config=config
        ).SerializeToString()
        for chunk in _chunks(texts, size)
    )
    return Requests(f"{_SENTIMENT}BatchAnalyzeSentiment", tuple(bodies), size)


def sentinova_stream(texts: Sequence[str], model: str, version: int) -> Requests:
    """One text a message of a stream, whose first message is the configuration."""
    config = sentiment.AnalysisConfig(model=model, version=version)
    bodies = (
        sentiment.StreamAnalyzeSentimentRequest(
            document=sentiment.Document(id=str(number), text=text)
        ).SerializeToString()
        for number, text in enumerate(texts)
    )
    first = sentiment.StreamAnalyzeSentimentRequest(config=config).SerializeToString()
    return Requests(f"{_SENTIMENT}StreamAnalyzeSentiment", tuple(bodies), first=(first,))


def sentinova_labels(answers: Sequence[bytes]) -> list[int]:
    """Reads the best class's number from each answer to `sentinova_unary`."""
    results = (sentiment.AnalyzeSentimentResponse.FromString(answer).result for answer in answers)
    return [_best([entry.score for entry in result.scores]) for result in results]


def kserve_requests(texts: Sequence[str], size: int, model: str, method: str = "ModelInfer") -> Requests:
    """`size` texts a call, as a BYTES tensor `[size, 1]`."""
    bodies = []
    for chunk in _chunks(texts, size):
        request = kserve.ModelInferRequest(model_name=model)
        request.inputs.add(name=TEXT_INPUT, datatype="BYTES", shape=[len(chunk), 1])
        # Raw, as Triton's own client sends it: each element after its length.
        encoded = [text.encode() for text in chunk]
        request.raw_input_contents.append(b"".join(struct.pack("<I", len(text)) + text for text in encoded))
        bodies.append(request.SerializeToString())
    return Requests(f"{_KSERVE}{method}", tuple(bodies), size)


def kserve_labels(answers: Sequence[bytes]) -> list[int]:
    """Reads the best class's number from each answer to `kserve_requests` of one text a call."""
    responses = map(kserve.ModelInferResponse.FromString, answers)
    return [_best(_scores(response)) for response in responses]


def kserve_ready(model: str) -> Requests:
    """Asks whether a model takes requests."""
    return Requests(f"{_KSERVE}ModelReady", (kserve.ModelReadyRequest(name=model).SerializeToString(),))


def is_ready(answer: bytes) -> bool:
    """Reads the answer to `kserve_ready`."""
    return bool(kserve.ModelReadyResponse.FromString(answer).ready)


def _scores(response: kserve.ModelInferResponse) -> list[float]:
    if response.raw_output_contents:
        return list(memoryview(response.raw_output_contents[0]).cast("f"))
    return list(response.outputs[0].contents.fp32_contents)


def _best(scores: Sequence[float]) -> int:
    return max(range(len(scores)), key=scores.__getitem__)


def _chunks(texts: Sequence[str], size: int) -> list[Sequence[str]]:
    return [texts[start : start + size] for start in range(0, len(texts), size)]
