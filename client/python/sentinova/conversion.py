"""Conversion between the client's plain values and the messages of the sentiment service.

Knows both shapes, and nothing else: no channels, no threads, no clocks. Both clients go through here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from google.protobuf import duration_pb2

from sentinova.errors import InternalError, InvalidArgumentError, SentinovaError
from sentinova.results import Sentiment, Timings
from sentinova.status import error_from_status
from sentinova.v1 import sentiment_service_pb2 as sentiment_pb

LongText = Literal["error", "truncate"]
Outcome = Sentiment | SentinovaError

_PLACE_IN_BATCH = re.compile(r"\bdocuments\[\d+\]")
_LONG_TEXT: dict[str, sentiment_pb.LongTextPolicy] = {
    "error": sentiment_pb.LONG_TEXT_POLICY_ERROR,
    "truncate": sentiment_pb.LONG_TEXT_POLICY_TRUNCATE,
}


def analysis_config(
    model: str | None, version: int | None, label: str | None, long_text: LongText, *, priority: int, routing_key: str
) -> sentiment_pb.AnalysisConfig:
    """Makes the configuration of a call.

    Raises:
        ValueError: `version` and `label` are both given, `long_text` is neither "error" nor "truncate", `version` does
            not fit into 64 bits, or `priority` is negative or does not fit into 32 bits.
    """
    if version is not None and label is not None:
        raise ValueError("give the version or its label, not both")
    if long_text not in _LONG_TEXT:
        raise ValueError(f'long_text must be "error" or "truncate", not {long_text!r}')
    return sentiment_pb.AnalysisConfig(
        model=model or "",
        version=version,
        label=label,
        long_text_policy=_LONG_TEXT[long_text],
        priority=priority,
        routing_key=routing_key,
    )


def document(text: str, index: int | None = None) -> sentiment_pb.Document:
    """Makes a document, with its index as its id.

    Raises:
        TypeError: The text is not a string.
        InvalidArgumentError: The text holds lone surrogates, which no Unicode encoding can carry.
    """
    if not isinstance(text, str):
        raise TypeError(f"a text must be a str, not {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(
            f"the text is not valid Unicode: character {error.start} is the lone surrogate "
            f"U+{ord(text[error.start]):04X} (bytes that were not UTF-8 when the text was read?)",
            reason="TEXT_NOT_UNICODE",
        ) from None
    return sentiment_pb.Document(id="" if index is None else str(index), text=text)


def batch_request(
    texts: Iterable[str], config: sentiment_pb.AnalysisConfig
) -> tuple[sentiment_pb.BatchAnalyzeSentimentRequest, list[Outcome | None]]:
    """Makes the request for a list of texts, and the list of outcomes to fill in.

    A text that cannot be sent is left out of the request, and its error stands in the list already.

    Raises:
        TypeError: `texts` is one string, or holds something else than strings.
    """
    if isinstance(texts, str):
        raise TypeError("texts must be an iterable of strings, not one string")
    request = sentiment_pb.BatchAnalyzeSentimentRequest(config=config)
    outcomes: list[Outcome | None] = []
    for index, text in enumerate(texts):
        try:
            request.documents.append(document(text, index))
            outcomes.append(None)
        except InvalidArgumentError as error:
            outcomes.append(error)
    return request, outcomes


def batch_outcomes(
    response: sentiment_pb.BatchAnalyzeSentimentResponse, outcomes: Sequence[Outcome | None]
) -> list[Outcome]:
    """Fills the open places of `outcomes` with the answers, in order.

    Raises:
        InternalError: The server gave another number of answers than there are open places.
    """
    waiting = sum(each is None for each in outcomes)
    if len(response.results) != waiting:
        raise InternalError(
            f"the server gave {len(response.results)} answers for {waiting} documents",
            reason="UNEXPECTED_ANSWER",
        )
    answers = iter(response.results)
    return [outcome(next(answers)) if each is None else each for each in outcomes]


def outcome(answer: sentiment_pb.DocumentResult | sentiment_pb.StreamAnalyzeSentimentResponse) -> Outcome:
    """Gives the result of a document, or its error as a value."""
    match answer.WhichOneof("outcome"):
        case "result":
            return sentiment(answer.result)
        case "error":
            # Where a text is in its call says nothing about it: it may come from a file that many calls went through.
            answer.error.message = _PLACE_IN_BATCH.sub("document", answer.error.message)
            return error_from_status(answer.error)
        case _:
            return InternalError("the server's answer holds neither a result nor an error", reason="UNEXPECTED_ANSWER")


def sentiment(message: sentiment_pb.SentimentResult) -> Sentiment:
    """Gives a result as a plain value."""
    return Sentiment(
        label=message.label,
        score=message.score,
        scores={each.label: each.score for each in message.scores},
        model=message.model.name,
        version=message.model.version,
        token_count=message.token_count,
        truncated=message.truncated,
        timings=Timings(
            tokenization=_seconds(message.timings.tokenization),
            queue=_seconds(message.timings.queue),
            inference=_seconds(message.timings.inference),
        ),
    )


def _seconds(duration: duration_pb2.Duration) -> float:
    return duration.seconds + duration.nanos / 1e9
