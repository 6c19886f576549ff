"""The text pipeline: a document's text in, its sentiment out.

Knows limits, tokens, batches and scores; must not know gRPC, files or OpenVINO.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from sentinova_server.errors import Reason, ServingError
from sentinova_server.observability.metrics import Metrics
from sentinova_server.runtime.text_model import TextModel
from sentinova_server.runtime.tokenizer import TokenizedText
from sentinova_server.serving.scheduler import Scheduler, SchedulerLimits

# Texts up to this many characters are tokenized on the event loop: tens of microseconds, less than a change of thread
# costs. Longer ones, and lists of documents, go to another thread.
_INLINE_CHARACTERS = 512


class LongText(Enum):
    """What happens to a text of more tokens than the model reads."""

    ERROR = "error"
    TRUNCATE = "truncate"


@dataclass(frozen=True, slots=True)
class Analysis:
    """The sentiment of one document.

    Attributes:
        scores: probability of each class in the model's order; they sum to 1.
        best: index of the highest score.
        token_count: tokens that the model read, special ones included.
        truncated: whether tokens were left out.
        tokenization_seconds: time to turn the text into tokens.
        queue_seconds: time the document waited for its batch.
        inference_seconds: time its batch took in the model.
    """

    scores: tuple[float, ...]
    best: int
    token_count: int
    truncated: bool
    tokenization_seconds: float
    queue_seconds: float
    inference_seconds: float


class TextClassifier:
    """A model version that answers requests: a model, its queue and its temperature."""

    def __init__(
        self,
        name: str,
        version: int,
        model: TextModel,
        limits: SchedulerLimits,
        *,
        temperature: float,
        max_text_bytes: int,
        metrics: Metrics,
    ) -> None:
        """Makes it, on the event loop that serves.

        Args:
            name: the model's name.
            version: the version's number.
            model: what runs; closed by `close`.
            limits: bounds of its queue.
            temperature: what logits are divided by before softmax.
            max_text_bytes: most UTF-8 bytes in one text.
            metrics: where it measures.
        """
        self.name = name
        self.version = version
        self.model = model
        self._temperature = temperature
        self._max_text_bytes = max_text_bytes
        self._observer = _Observer(metrics, name, str(version))
        self._scheduler = Scheduler(model, limits, self._observer, time.monotonic)

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names, in the order of the scores."""
        return self.model.labels

    async def analyze(self, text: str, long_text: LongText, deadline: float | None) -> Analysis:
        """Tells the sentiment of one text.

        Args:
            text: any Unicode text.
            long_text: what happens where it has more tokens than the model reads.
            deadline: when the answer is of no more use, on the monotonic clock.

        Raises:
            ServingError: TEXT_EMPTY, TEXT_TOO_LONG, QUEUE_FULL, DEADLINE_EXCEEDED or INFERENCE_FAILED.
        """
        self._check_size(text)
        started = time.monotonic()
        truncate = long_text is LongText.TRUNCATE
        if len(text) <= _INLINE_CHARACTERS:
            tokenized = self.model.tokenizer.tokenize(text, truncate)
        else:
            tokenized = await asyncio.to_thread(self.model.tokenizer.tokenize, text, truncate)
        return await self._infer(tokenized, time.monotonic() - started, deadline)

    async def analyze_batch(
        self, texts: Sequence[str], long_text: LongText, deadline: float | None
    ) -> list[Analysis | ServingError]:
        """Tells the sentiment of many texts; as `analyze`, but an error stands in its text's place."""
        errors: dict[int, ServingError] = {}
        for index, text in enumerate(texts):
            try:
                self._check_size(text)
            except ServingError as error:
                errors[index] = error
        good = [index for index in range(len(texts)) if index not in errors]
        started = time.monotonic()
        tokenized = await asyncio.to_thread(
            self.model.tokenizer.tokenize_batch,
            [texts[index] for index in good],
            long_text is LongText.TRUNCATE,
        )
        seconds = (time.monotonic() - started) / max(len(good), 1)
        async with asyncio.TaskGroup() as group:
            tasks = {
                index: group.create_task(self._infer_or_error(tokens, seconds, deadline))
                for index, tokens in zip(good, tokenized, strict=True)
            }
        return [errors[index] if index in errors else tasks[index].result() for index in range(len(texts))]

    def close(self) -> None:
        """Waits for running batches and frees the model. Blocks: call it off the event loop."""
        self.model.close()

    def _check_size(self, text: str) -> None:
        # A character is at most four bytes, so most texts need no encoding to be measured.
        if len(text) * 4 > self._max_text_bytes and (size := len(text.encode())) > self._max_text_bytes:
            raise ServingError(
                Reason.TEXT_TOO_LONG,
                f"document.text has {size:,} bytes, more than the server's limit of {self._max_text_bytes:,}: split it",
                field="document.text",
                metadata={"bytes": str(size), "max_bytes": str(self._max_text_bytes)},
            )

    async def _infer_or_error(
        self, tokenized: TokenizedText, seconds: float, deadline: float | None
    ) -> Analysis | ServingError:
        try:
            return await self._infer(tokenized, seconds, deadline)
        except ServingError as error:
            return error

    async def _infer(self, tokenized: TokenizedText, seconds: float, deadline: float | None) -> Analysis:
        self._observer.tokenized(seconds)
        self._check_tokens(tokenized)
        inference = await self._scheduler.infer(tokenized.input_ids, deadline)
        self._observer.waited(inference.queue_seconds)
        if not np.isfinite(inference.logits).all():
            raise ServingError(Reason.INFERENCE_FAILED, "the model gave logits that are not numbers for this document")
        scores = softmax(inference.logits, self._temperature)
        return Analysis(
            scores=tuple(scores.tolist()),
            best=int(scores.argmax()),
            token_count=len(tokenized.input_ids),
            truncated=tokenized.truncated,
            tokenization_seconds=seconds,
            queue_seconds=inference.queue_seconds,
            inference_seconds=inference.inference_seconds,
        )

    def _check_tokens(self, tokenized: TokenizedText) -> None:
        if tokenized.is_empty:
            raise ServingError(
                Reason.TEXT_EMPTY,
                "document.text is empty, or holds only white space and control characters: send text",
                field="document.text",
            )
        limit = self.model.max_tokens
        if len(tokenized.input_ids) > limit:
            raise ServingError(
                Reason.TEXT_TOO_LONG,
                f"document.text has {tokenized.token_count:,} tokens, and the model reads {limit:,}: "
                "split it, or choose LONG_TEXT_POLICY_TRUNCATE",
                field="document.text",
                metadata={"tokens": str(tokenized.token_count), "max_tokens": str(limit)},
            )


def softmax(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """Turns logits into calibrated probabilities.

    The softmax of logits / temperature: temperature scaling as in Guo et al., "On Calibration of Modern Neural
    Networks", ICML 2017.

    Args:
        logits: `[class]`.
        temperature: above 0; 1 leaves them as the model has them.

    Returns:
        `[class]` float64, summing to 1.
    """
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max())
    result: NDArray[np.float64] = powers / powers.sum()
    return result


class _Observer:
    """Measures one version; its label values are looked up once, not for every document."""

    def __init__(self, metrics: Metrics, model: str, version: str) -> None:
        labels = (model, version)
        self._tokenize = metrics.tokenize_seconds.labels(*labels)
        self._queue_length = metrics.queued_documents.labels(*labels)
        self._inference = metrics.inference_seconds.labels(*labels)
        self._documents = metrics.batch_documents.labels(*labels)
        self._tokens = metrics.batch_tokens.labels(*labels)
        self._padding = metrics.padding_tokens.labels(*labels)
        self._queue = metrics.queue_seconds.labels(*labels)

    def tokenized(self, seconds: float) -> None:
        self._tokenize.observe(seconds)

    def waited(self, seconds: float) -> None:
        self._queue.observe(seconds)

    def batch_done(self, documents: int, tokens: int, padded_tokens: int, seconds: float) -> None:
        self._documents.observe(documents)
        self._tokens.observe(padded_tokens)
        self._padding.inc(padded_tokens - tokens)
        self._inference.observe(seconds)

    def queue_changed(self, documents: int) -> None:
        self._queue_length.set(documents)
