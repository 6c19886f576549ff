"""The text pipeline: a document's text in, its sentiment out.

Knows limits, tokens, batches and scores; must not know gRPC, files or OpenVINO.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from sentinova_server.errors import Reason, ServingError
from sentinova_server.observability.metrics import Metrics
from sentinova_server.repository.config import ModelConfig
from sentinova_server.runtime.scores import softmax
from sentinova_server.runtime.text_model import TextModel
from sentinova_server.runtime.token_rows import TokenRow
from sentinova_server.runtime.tokenizer import TokenizedText
from sentinova_server.serving.activity import Activity
from sentinova_server.serving.response_cache import VersionCache, make_key
from sentinova_server.serving.scheduler import Inference, Output, Scheduler, SchedulerLimits
from sentinova_server.serving.small_batch import count_small_batch, infer_small_batch
from sentinova_server.serving.statistics import VersionStatistics
from sentinova_server.serving.version_meter import VersionMeter

# Texts up to this many characters are tokenized on the event loop: tens of microseconds, less than a change of thread
# costs. Longer ones, and lists of documents, go to another thread.
_INLINE_CHARACTERS = 512
# Texts of up to this many characters in all are digested on the event loop: a tenth of a millisecond at most for ASCII.
_INLINE_DIGEST_CHARACTERS = 65536

_P = ParamSpec("_P")
_T = TypeVar("_T")


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
        batch_tokens: tokens of all documents of its batch, without padding.
        logits: what the model gave for each class.
    """

    scores: tuple[float, ...]
    best: int
    token_count: int
    truncated: bool
    tokenization_seconds: float
    queue_seconds: float
    inference_seconds: float
    batch_tokens: int
    logits: tuple[float, ...]


def count_bytes(analysis: Analysis) -> int:
    """Gives the memory that an analysis takes on CPython 3.11, with all that it refers to."""
    # The object, its tuples and its numbers; then 8 bytes in each tuple and a float of 24 for each class.
    return 334 + 64 * len(analysis.scores)


class TextClassifier:
    """A model version that answers requests: a model, its queue and its temperature."""

    def __init__(
        self,
        name: str,
        version: int,
        model: TextModel,
        limits: SchedulerLimits,
        *,
        config: ModelConfig,
        max_text_bytes: int,
        metrics: Metrics,
        cache: VersionCache[Analysis] | None = None,
        activity: Activity | None = None,
    ) -> None:
        """Makes it, on the event loop that serves.

        Args:
            name: the model's name.
            version: the version's number.
            model: what runs; closed by `close`.
            limits: bounds of its queue.
            config: what it was loaded by.
            max_text_bytes: most UTF-8 bytes in one text.
            metrics: where it measures.
            cache: where it keeps its answers, closed by `close`; None: it keeps none.
            activity: told of its live work; None: nobody asks.
        """
        self.name = name
        self.version = version
        self.model = model
        self._temperature = config.temperature(version)
        self._max_text_bytes = max_text_bytes
        self._cache = cache
        self.config = config
        self.statistics = VersionStatistics(time.time)
        self._meter = VersionMeter(metrics, name, str(version), self.statistics)
        if activity is not None:
            self._meter.report_to(activity, activity.cores_of(model.parallelism), model.latency_threads)
        self._scheduler: Scheduler[Sequence[int], NDArray[np.float32]] = Scheduler(
            model, limits, self._meter, time.monotonic
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names, in the order of the scores."""
        return self.model.labels

    @property
    def recent_batches(self) -> list[tuple[int, ...]]:
        """Token counts of the documents of its latest batches."""
        return self._scheduler.recent_batches

    def check_priority(self, priority: int) -> None:
        """Raises ServingError INVALID_FIELD where the model has no such level of priority."""
        self._scheduler.level_of(priority)

    async def analyze(self, text: str, long_text: LongText, deadline: float | None, *, priority: int = 0) -> Analysis:
        """Tells the sentiment of one text.

        Args:
            text: any Unicode text.
            long_text: what happens where it has more tokens than the model reads.
            deadline: when the answer is of no more use, on the monotonic clock.
            priority: level of the text, 1 the highest; 0: the model's default.

        Raises:
            ServingError: INVALID_FIELD, TEXT_EMPTY, TEXT_TOO_LONG, QUEUE_FULL, DEADLINE_EXCEEDED or INFERENCE_FAILED.
        """
        self.check_priority(priority)
        self._check_size(text)
        if self._cache is None:
            return await self._compute(text, long_text, deadline, priority)
        [key] = await _make_keys([text], long_text)
        return await _recall(self._cache, key, lambda: self._compute(text, long_text, deadline, priority), deadline)

    async def analyze_batch(
        self, texts: Sequence[str], long_text: LongText, deadline: float | None, *, priority: int = 0
    ) -> list[Analysis | ServingError]:
        """Tells the sentiment of many texts; as `analyze`, but an error stands in its text's place.

        Raises:
            ServingError: INVALID_FIELD; the model has no such level of priority.
        """
        self.check_priority(priority)
        errors: dict[int, ServingError] = {}
        for index, text in enumerate(texts):
            try:
                self._check_size(text)
            except ServingError as error:
                errors[index] = error
        good = [text for index, text in enumerate(texts) if index not in errors]
        if self._cache is None:
            answers = await self._compute_all(good, long_text, deadline, priority)
        else:
            answers = await self._recall_all(self._cache, good, long_text, deadline, priority)
        rest = iter(answers)
        return [errors[index] if index in errors else next(rest) for index in range(len(texts))]

    async def infer_rows(
        self, rows: Sequence[TokenRow], deadline: float | None, *, priority: int = 0
    ) -> list[Inference[NDArray[np.float32]]]:
        """Gives what the model makes of token ids that the caller brings itself, row by row.

        They are batched with texts; answers are not kept.

        Args:
            rows: as the model's `row_rules` gave them.
            deadline: when the answer is of no more use, on the monotonic clock.
            priority: level of the rows, 1 the highest; 0: the model's default.

        Raises:
            ServingError: INVALID_FIELD, QUEUE_FULL, DEADLINE_EXCEEDED or INFERENCE_FAILED: of one row, for all.
        """
        return await infer_all([self._scheduler.infer(row, deadline, priority) for row in rows])

    async def analyze_in_background(self, texts: Sequence[str], long_text: LongText) -> list[Analysis | ServingError]:
        """Tells the sentiment of the first of some texts, as many as make one small batch, past the queue.

        For work that nobody waits for: it is neither kept nor measured, and the caller sees that there is room for it.

        Args:
            texts: texts that are not over the server's limit of bytes; at least one.
            long_text: what happens where one has more tokens than the model reads.

        Returns:
            The outcomes of the first texts, in their order; at least one.
        """
        tokenized, seconds = await self._tokenize_all(texts, long_text)
        faults = [_attempt(self._check_tokens, tokens) for tokens in tokenized]
        batch = [tokens.input_ids for tokens, fault in zip(tokenized, faults, strict=True) if fault is None]
        batch = batch[: count_small_batch(self.model, [len(ids) for ids in batch])]
        inferences = iter(await infer_small_batch(self.model, batch, time.monotonic) if batch else ())
        outcomes: list[Analysis | ServingError] = []
        for tokens, fault in zip(tokenized, faults, strict=True):
            inference = fault or next(inferences, None)
            if inference is None:
                break
            if isinstance(inference, Inference):
                outcomes.append(_attempt(self._conclude, tokens, seconds, inference))
            else:
                outcomes.append(inference)
        return outcomes

    def close(self) -> None:
        """Waits for running batches and frees the model. Blocks: call it off the event loop."""
        if self._cache is not None:
            self._cache.close()
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

    async def _compute(self, text: str, long_text: LongText, deadline: float | None, priority: int) -> Analysis:
        started = time.monotonic()
        truncate = long_text is LongText.TRUNCATE
        if len(text) <= _INLINE_CHARACTERS:
            tokenized = self.model.tokenizer.tokenize(text, truncate)
        else:
            tokenized = await asyncio.to_thread(self.model.tokenizer.tokenize, text, truncate)
        return await self._infer(tokenized, time.monotonic() - started, deadline, priority)

    async def _compute_all(
        self, texts: Sequence[str], long_text: LongText, deadline: float | None, priority: int
    ) -> list[Analysis | ServingError]:
        tokenized, seconds = await self._tokenize_all(texts, long_text)
        return await _gather(partial(self._infer, tokens, seconds, deadline, priority) for tokens in tokenized)

    async def _recall_all(
        self,
        cache: VersionCache[Analysis],
        texts: Sequence[str],
        long_text: LongText,
        deadline: float | None,
        priority: int,
    ) -> list[Analysis | ServingError]:
        keys = await _make_keys(texts, long_text)
        fresh = {key: text for key, text in zip(keys, texts, strict=True) if key not in cache}
        tokenized, seconds = await self._tokenize_all(list(fresh.values()), long_text)
        tokens = dict(zip(fresh, tokenized, strict=True))

        def compute(key: bytes, text: str) -> Awaitable[Analysis]:
            if key in tokens:
                return self._infer(tokens[key], seconds, deadline, priority)
            # It was in the cache, and was evicted; or another request computed it, and failed.
            return self._compute(text, long_text, deadline, priority)

        return await _gather(
            partial(_recall, cache, key, partial(compute, key, text), deadline)
            for key, text in zip(keys, texts, strict=True)
        )

    async def _tokenize_all(self, texts: Sequence[str], long_text: LongText) -> tuple[list[TokenizedText], float]:
        """Turns texts into tokens on another thread; gives the seconds for each, too."""
        if not texts:
            return [], 0.0
        started = time.monotonic()
        tokenized = await asyncio.to_thread(self.model.tokenizer.tokenize_batch, texts, long_text is LongText.TRUNCATE)
        return tokenized, (time.monotonic() - started) / len(texts)

    async def _infer(self, tokenized: TokenizedText, seconds: float, deadline: float | None, priority: int) -> Analysis:
        self._meter.tokenized(seconds)
        self._check_tokens(tokenized)
        inference = await self._scheduler.infer(tokenized.input_ids, deadline, priority)
        self._meter.waited(inference.queue_seconds)
        return self._conclude(tokenized, seconds, inference)

    def _conclude(
        self, tokenized: TokenizedText, seconds: float, inference: Inference[NDArray[np.float32]]
    ) -> Analysis:
        """Makes an analysis of what the model gave. Raises ServingError INFERENCE_FAILED."""
        logits: list[float] = inference.output.tolist()
        if not all(map(math.isfinite, logits)):
            raise ServingError(Reason.INFERENCE_FAILED, "the model gave logits that are not numbers for this document")
        scores = softmax(logits, self._temperature)
        return Analysis(
            scores=scores,
            best=scores.index(max(scores)),
            token_count=len(tokenized.input_ids),
            truncated=tokenized.truncated,
            tokenization_seconds=seconds,
            queue_seconds=inference.queue_seconds,
            inference_seconds=inference.inference_seconds,
            batch_tokens=inference.batch_tokens,
            logits=tuple(logits),
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


async def infer_all(inferences: Sequence[Awaitable[Output]]) -> list[Output]:
    """Waits for all; where one fails, the others are given up, and its error is raised alone."""
    tasks = [asyncio.ensure_future(inference) for inference in inferences]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _gather(analyses: Iterable[Callable[[], Awaitable[Analysis]]]) -> list[Analysis | ServingError]:
    """Runs analyses at once; where one fails, its error stands in its place."""

    async def catch(analyze: Callable[[], Awaitable[Analysis]]) -> Analysis | ServingError:
        try:
            return await analyze()
        except ServingError as error:
            return error

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(catch(analyze)) for analyze in analyses]
    return [task.result() for task in tasks]


def _attempt(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T | ServingError:
    """Calls a function; where it raises ServingError, gives that."""
    try:
        return function(*args, **kwargs)
    except ServingError as error:
        return error


async def _make_keys(texts: Sequence[str], long_text: LongText) -> list[bytes]:
    """Makes the texts' keys in the cache: the long-text policy is all that an answer depends on beside its text."""

    def make() -> list[bytes]:
        return [make_key(text, long_text.value) for text in texts]

    inline = sum(map(len, texts)) <= _INLINE_DIGEST_CHARACTERS
    return make() if inline else await asyncio.to_thread(make)


async def _recall(
    cache: VersionCache[Analysis], key: bytes, compute: Callable[[], Awaitable[Analysis]], deadline: float | None
) -> Analysis:
    """Gives an analysis by way of the cache, with the times that this request itself took."""
    answer = await cache.get(key, compute, deadline)
    analysis = answer.value
    if answer.computed:
        return replace(analysis, queue_seconds=analysis.queue_seconds + answer.waited_seconds)
    return replace(analysis, tokenization_seconds=0.0, queue_seconds=answer.waited_seconds, inference_seconds=0.0)
