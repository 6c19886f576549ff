"""Small batches take documents from the first on, stay small, and one that the model fails on fails alone."""

import asyncio
from concurrent.futures import Future

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova_server.errors import Reason, ServingError
from sentinova_server.observability.metrics import Metrics
from sentinova_server.repository.config import ModelConfig
from sentinova_server.runtime.tokenizer import TokenizedText
from sentinova_server.serving.analysis import LongText, TextClassifier
from sentinova_server.serving.packing import BatchLimits
from sentinova_server.serving.scheduler import SchedulerLimits
from sentinova_server.serving.small_batch import SMALL_BATCH_TOKENS, count_small_batch, infer_small_batch


class WordModel:
    """One token a word. A batch gives each document's length twice; `bad` in one fails it, `lost` loses a row of it."""

    labels, max_tokens, parallelism = ("negative", "positive"), 300, 1
    closed = False

    def __init__(self, *, packs=True):
        self.tokenizer, self.packs, self.batches = self, packs, []

    def tokenize(self, text, truncate=False):
        return self.tokenize_batch([text], truncate)[0]

    def tokenize_batch(self, texts, truncate=False):
        return [self._tokenize(text.split(), truncate) for text in texts]

    def _tokenize(self, words, truncate):
        cut = truncate and len(words) > self.max_tokens
        ids = words[: self.max_tokens] if cut else words
        return TokenizedText(ids, cut, len(words), is_empty=not words)

    def padded_length(self, tokens):
        return tokens

    def batch_tokens(self, lengths):
        return sum(lengths) if self.packs else len(lengths) * max(lengths)

    def submit(self, batch, *, alone=False):
        self.batches.append(batch)
        if self.closed:
            raise RuntimeError("the model is closed")
        future = Future()
        rows = [[len(ids), len(ids)] for ids in batch]
        if any("bad" in ids for ids in batch):
            future.set_exception(RuntimeError("the model fails"))
        elif any("gone" in ids for ids in batch):
            future.cancel()
        elif any("nan" in ids for ids in batch):
            future.set_result(np.array([[np.nan if "nan" in ids else 0, 0] for ids in batch], np.float32))
        else:
            future.set_result(np.array(rows[1:] if any("lost" in ids for ids in batch) else rows, np.float32))
        return future


LENGTHS = st.lists(st.integers(1, 600), min_size=1, max_size=40)


@given(LENGTHS, st.booleans())
def test_a_small_batch_is_as_large_as_it_may_be(lengths, packs):
    model = WordModel(packs=packs)
    count = count_small_batch(model, lengths)
    assert count >= 1
    assert count == 1 or model.batch_tokens(lengths[:count]) <= SMALL_BATCH_TOKENS
    assert count == len(lengths) or model.batch_tokens(lengths[: count + 1]) > SMALL_BATCH_TOKENS


def test_no_documents_make_no_batch():
    assert count_small_batch(WordModel(), []) == 0


async def test_a_batch_gives_its_rows_and_its_time():
    clock = iter([10.0, 12.5])
    found = await infer_small_batch(WordModel(), [["a"], ["a", "b"]], lambda: next(clock))
    assert [inference.output.tolist() for inference in found] == [[1, 1], [2, 2]]
    assert {(i.queue_seconds, i.inference_seconds, i.batch_tokens) for i in found} == {(0, 2.5, 3)}


@pytest.mark.parametrize("word", ["bad", "gone", "lost"])
async def test_of_a_batch_that_fails_the_first_document_is_tried_alone(word):
    model = WordModel()
    good = await infer_small_batch(model, [["a"], [word], ["b"]], lambda: 0.0)
    assert [inference.output.tolist() for inference in good] == [[1, 1]]
    assert model.batches == [[["a"], [word], ["b"]], [["a"]]]
    [failed] = await infer_small_batch(model, [[word], ["b"]], lambda: 0.0)
    assert failed.reason is Reason.INFERENCE_FAILED
    assert failed.__cause__ is not None


async def test_a_model_that_takes_no_batch_has_failed():
    model = WordModel()
    model.closed = True
    [failed] = await infer_small_batch(model, [["a"]], lambda: 0.0)
    assert str(failed.__cause__) == "the model is closed"


async def test_who_waits_for_a_batch_may_be_cancelled():
    model = WordModel()
    running = Future()
    model.submit = lambda batch: running
    task = asyncio.create_task(infer_small_batch(model, [["a"]], lambda: 0.0))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not running.cancelled()  # it may run: the model's own close waits for it
    running.set_result(np.zeros((1, 2), np.float32))


# A classifier in the background


@pytest.fixture
async def classifier():
    limits = SchedulerLimits(BatchLimits(512), 100)
    return TextClassifier(
        "m", 1, WordModel(), limits, config=ModelConfig("m"), max_text_bytes=1 << 20, metrics=Metrics()
    )


def kinds(outcomes):
    return [outcome.reason if isinstance(outcome, ServingError) else outcome.token_count for outcome in outcomes]


async def run_all(classifier, texts, long_text):
    """Runs texts as the background does; gives their outcomes, and how many there were each time."""
    outcomes, sizes = [], []
    while texts:
        found = await classifier.analyze_in_background(texts, long_text)
        assert found
        outcomes += found
        sizes.append(len(found))
        texts = texts[len(found) :]
    return outcomes, sizes


async def test_the_first_texts_that_make_a_small_batch_are_computed(classifier):
    texts = ["word " * 100, "word " * 100, "word " * 60, "word"]
    first = await classifier.analyze_in_background(texts, LongText.ERROR)
    assert kinds(first) == [100, 100]
    assert [len(batch) for batch in classifier.model.batches] == [2]
    assert {(found.scores, found.best, found.batch_tokens) for found in first} == {((0.5, 0.5), 0, 200)}


async def test_a_text_longer_than_a_small_batch_is_one_of_its_own(classifier):
    outcomes, sizes = await run_all(classifier, ["a", "word " * 290, "a", "a"], LongText.ERROR)
    assert kinds(outcomes) == [1, 290, 1, 1]
    assert sizes == [1, 1, 2]


async def test_texts_that_cannot_be_read_take_no_room_and_fail_alone(classifier):
    outcomes, sizes = await run_all(classifier, ["", "word " * 400, "a", " ", "nan", ""], LongText.ERROR)
    assert kinds(outcomes) == [
        Reason.TEXT_EMPTY, Reason.TEXT_TOO_LONG, 1, Reason.TEXT_EMPTY, Reason.INFERENCE_FAILED, Reason.TEXT_EMPTY,
    ]  # fmt: skip
    assert sizes == [6]
    assert [len(batch) for batch in classifier.model.batches] == [2]
    [cut] = await classifier.analyze_in_background(["word " * 400], LongText.TRUNCATE)
    assert (cut.token_count, cut.truncated) == (300, True)
    assert kinds(await classifier.analyze_in_background(["", " "], LongText.ERROR)) == [Reason.TEXT_EMPTY] * 2


async def test_a_text_that_the_model_fails_on_fails_alone(classifier):
    outcomes, _ = await run_all(classifier, ["a", "", "bad", "b c", "d"], LongText.ERROR)
    assert kinds(outcomes) == [1, Reason.TEXT_EMPTY, Reason.INFERENCE_FAILED, 2, 1]


async def test_background_work_is_not_measured_as_if_clients_had_asked(classifier):
    metrics = Metrics()
    classifier = TextClassifier(
        "m",
        1,
        WordModel(),
        SchedulerLimits(BatchLimits(512), 100),
        config=ModelConfig("m"),
        max_text_bytes=99,
        metrics=metrics,
    )
    await classifier.analyze_in_background(["a b"], LongText.ERROR)
    assert metrics.registry.get_sample_value("sentinova_batch_documents_count", {"model": "m", "version": "1"}) == 0
    await classifier.analyze("a b", LongText.ERROR, None)
    assert metrics.registry.get_sample_value("sentinova_batch_documents_count", {"model": "m", "version": "1"}) == 1
