"""Kept answers stay within their bytes, equal requests compute once, and nobody fails for another."""

import asyncio
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentinova_server.errors import Reason, ServingError
from sentinova_server.observability.metrics import Metrics
from sentinova_server.repository.config import ModelConfig
from sentinova_server.runtime.tokenizer import TokenizedText
from sentinova_server.serving import analysis as analysis_module
from sentinova_server.serving.analysis import Analysis, LongText, TextClassifier, count_bytes
from sentinova_server.serving.response_cache import ENTRY_BYTES, ResponseCache, make_key
from sentinova_server.serving.scheduler import Inference


class HandClock:
    now = 100.0

    def __call__(self):
        return self.now


class Bench:
    """A cache whose values are their own sizes, and computations that are ended by hand."""

    def __init__(self, max_bytes=1 << 20):
        self.metrics, self.clock = Metrics(), HandClock()
        self.cache = ResponseCache(max_bytes, lambda value: value, self.metrics, self.clock)
        self.version = self.cache.open("m", 1)
        self.running = []

    async def compute(self):
        future = asyncio.get_running_loop().create_future()
        self.running.append(future)
        return await future

    def ask(self, key=b"k", deadline=None):
        return asyncio.create_task(self.version.get(key, self.compute, deadline))

    async def keep(self, key, value=0, version=None):
        async def compute():
            return value

        return await (version or self.version).get(key, compute)

    def count(self, name, version="1"):
        return self.metrics.registry.get_sample_value(f"sentinova_cache_{name}", {"model": "m", "version": version})

    def counts(self):
        return tuple(self.count(f"{name}_total") for name in ("hits", "misses", "shared"))


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


# Keys


def test_keys_differ_by_text_and_parameters():
    texts = [
        "",
        "a",
        "A",
        " a",
        "é",
        "e\u0301",
        "\ud800",
        "\ud801",
        "\ufffd",
        "\0",
        "\0a",
        "truncate\0a",
        "x" * 100_000,
    ]
    keys = [make_key(text, policy) for text in texts for policy in ("error", "truncate")]
    assert len(set(keys)) == 2 * len(texts)
    assert {len(key) for key in keys} == {32}
    assert keys == [make_key(text, policy) for text in texts for policy in ("error", "truncate")]


# Bytes and order


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 6 * ENTRY_BYTES),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 7), st.integers(0, 3 * ENTRY_BYTES)), max_size=60),
)
def test_it_holds_what_a_plain_list_in_order_of_use_would(max_bytes, requests):
    async def scenario():
        bench = Bench(max_bytes)
        versions = [bench.version, bench.cache.open("m", 2), bench.cache.open("m", 3)]
        expected = []  # (version, key, bytes), least recently used first
        evicted = 0
        for number, key, value in requests:
            found = next((entry for entry in expected if entry[:2] == (number, key)), None)
            answer = await bench.keep(bytes([key]), value, versions[number])
            assert answer.computed == (found is None)
            if found:
                expected.remove(found)
                expected.append(found)
                assert answer.value == found[2] - ENTRY_BYTES
            elif ENTRY_BYTES + value <= max_bytes:
                while sum(entry[2] for entry in expected) + ENTRY_BYTES + value > max_bytes:
                    expected.pop(0)
                    evicted += 1
                expected.append((number, key, ENTRY_BYTES + value))
            assert bench.cache.size_bytes == sum(entry[2] for entry in expected) <= max_bytes
            for other, version in enumerate(versions):
                own = [entry for entry in expected if entry[0] == other]
                assert version.entry_count == len(own) == bench.count("entries", str(other + 1))
                assert bench.count("bytes", str(other + 1)) == sum(entry[2] for entry in own)
        assert sum(bench.count("evictions_total", str(number)) for number in (1, 2, 3)) == evicted

    asyncio.run(scenario())


async def test_the_least_recently_used_answer_goes_first_whatever_its_version():
    bench = Bench(3 * ENTRY_BYTES)
    other = bench.cache.open("m", 2)
    await bench.keep(b"a")
    await bench.keep(b"a", version=other)
    await bench.keep(b"b")
    await bench.keep(b"a")  # used again: now the other version's is the oldest
    await bench.keep(b"c")
    assert [key in bench.version for key in (b"a", b"b", b"c")] == [True, True, True]
    assert b"a" not in other
    assert (bench.count("evictions_total", "1"), bench.count("evictions_total", "2")) == (0, 1)
    await bench.keep(b"a", 2 * ENTRY_BYTES, version=other)
    assert [key in bench.version for key in (b"a", b"b", b"c")] == [False, False, False]


@pytest.mark.parametrize(("max_bytes", "value"), [(0, 0), (ENTRY_BYTES, 1), (2 * ENTRY_BYTES, 2 * ENTRY_BYTES)])
async def test_an_answer_that_is_larger_than_the_cache_is_shared_but_not_kept(max_bytes, value):
    bench = Bench(max_bytes)
    if max_bytes:
        await bench.keep(b"small")
    kept = bench.version.entry_count
    tasks = [bench.ask(), bench.ask()]
    await settle()
    bench.running[0].set_result(value)
    assert [(await task).value for task in tasks] == [value, value]
    assert b"k" not in bench.version
    assert bench.version.entry_count == kept  # and nothing had to go for it


@pytest.mark.parametrize("classes", [2, 28])
# The second and the last: a dictionary that has just grown, and takes most for each entry.
@pytest.mark.parametrize("count", [600, 700, 5_000, 5_600])
async def test_the_bytes_counted_are_those_that_the_interpreter_takes(classes, count):
    cache = ResponseCache(1 << 30, count_bytes, Metrics(), HandClock())
    version = cache.open("m", 1)
    numbers = np.random.default_rng(0)

    async def compute():
        # Numbers of their own, as answers have them: Python shares small ones and constants.
        times = (float(number) for number in numbers.random(3))
        counts = [int(number) for number in numbers.integers(1000, 2000, 2)]
        scores, logits = (tuple(numbers.random(classes).tolist()) for _ in range(2))
        return Analysis(scores, 1, *counts[:1], False, *times, *counts[1:], logits)

    tracemalloc.start()
    try:
        for number in range(count):
            await version.get(make_key(str(number)), compute)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert version.entry_count == count
    assert taken <= cache.size_bytes <= 1.25 * taken


# Equal requests at once


async def test_equal_requests_at_once_compute_once():
    bench = Bench()
    tasks = [bench.ask() for _ in range(50)]
    other = bench.ask(b"other")
    await settle()
    assert len(bench.running) == 2
    bench.clock.now += 3
    bench.running[0].set_result(7)
    answers = [await task for task in tasks]
    assert [answer.value for answer in answers] == [7] * 50
    assert Counter(answer.computed for answer in answers) == {True: 1, False: 49}
    assert Counter(answer.waited_seconds for answer in answers) == {0: 1, 3: 49}
    assert bench.counts() == (0, 2, 49)
    hit = await bench.ask()
    assert (hit.value, hit.computed, hit.waited_seconds) == (7, False, 0)
    assert bench.counts() == (1, 2, 49)
    assert not other.done()
    bench.running[1].set_result(8)
    assert (await other).value == 8


async def test_where_the_first_is_cancelled_a_follower_computes():
    bench = Bench()
    tasks = [bench.ask() for _ in range(4)]
    await settle()
    tasks[0].cancel()
    await settle()
    assert tasks[0].cancelled()
    assert bench.running[0].cancelled()
    assert [task.done() for task in tasks[1:]] == [False] * 3
    assert len(bench.running) == 2
    bench.clock.now += 2
    late = bench.ask()
    await settle()
    bench.running[1].set_result(7)
    answers = [await task for task in (*tasks[1:], late)]
    assert [answer.value for answer in answers] == [7] * 4
    assert [answer.computed for answer in answers] == [True, False, False, False]
    assert len(bench.running) == 2
    assert bench.counts() == (0, 2, 3)


@pytest.mark.parametrize("reason", [Reason.INFERENCE_FAILED, Reason.DEADLINE_EXCEEDED, Reason.QUEUE_FULL])
async def test_where_the_first_fails_nobody_else_does_and_nothing_is_kept(reason):
    bench = Bench()
    tasks = [bench.ask() for _ in range(3)]
    await settle()
    failure = ServingError(reason, "first")
    bench.running[0].set_exception(failure)
    await settle()
    assert tasks[0].exception() is failure
    assert not tasks[1].done()
    bench.running[1].set_exception(RuntimeError("a defect"))
    await settle()
    assert isinstance(tasks[1].exception(), RuntimeError)
    assert bench.version.entry_count == 0
    bench.running[2].set_result(7)
    assert (await tasks[2]).value == 7
    assert (await bench.ask()).computed is False


async def test_an_error_is_computed_anew_each_time():
    bench = Bench()
    for count in (1, 2):
        task = bench.ask()
        await settle()
        assert len(bench.running) == count
        bench.running[-1].set_exception(ServingError(Reason.TEXT_EMPTY, "empty"))
        with pytest.raises(ServingError, match="empty"):
            await task
        assert b"k" not in bench.version
    assert bench.counts() == (0, 2, 0)


async def test_many_that_all_fail_compute_once_each():
    bench = Bench()
    calls = 0

    async def fail():
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        raise ServingError(Reason.TEXT_EMPTY, str(calls))

    outcomes = await asyncio.gather(*(bench.version.get(b"k", fail) for _ in range(500)), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == [str(number) for number in range(1, 501)]
    assert b"k" not in bench.version


async def test_a_follower_keeps_to_its_own_deadline():
    bench = Bench()
    first = bench.ask(deadline=bench.clock.now + 1e6)
    await settle()
    late, soon, patient = bench.ask(deadline=99.0), bench.ask(deadline=100.01), bench.ask()
    for task in (late, soon):
        with pytest.raises(ServingError) as error:
            await task
        assert error.value.reason is Reason.DEADLINE_EXCEEDED
    assert not first.done()
    assert not patient.done()
    bench.running[0].set_result(7)
    assert [(await task).value for task in (first, patient)] == [7, 7]
    assert bench.counts() == (0, 1, 1)


async def test_a_follower_whose_deadline_passed_does_not_get_the_lead():
    bench = Bench()
    first = bench.ask()
    await settle()
    late, patient = bench.ask(deadline=99.0), bench.ask()
    with pytest.raises(ServingError):
        await late
    first.cancel()
    await settle()
    bench.running[1].set_result(7)
    assert (await patient).computed


async def test_a_cancelled_follower_leaves_the_others_alone():
    bench = Bench()
    tasks = [bench.ask() for _ in range(3)]
    await settle()
    tasks[1].cancel()
    await settle()
    assert [task.done() for task in tasks] == [False, True, False]
    bench.running[0].set_result(7)
    assert [(await tasks[i]).value for i in (0, 2)] == [7, 7]


async def test_the_lead_is_not_lost_with_a_follower_that_is_cancelled_as_it_gets_it():
    bench = Bench()
    first, second, third = (bench.ask() for _ in range(3))
    await settle()
    # Both in one turn of the loop: the second has been given the lead, and has not woken yet.
    bench.running[0].set_exception(ServingError(Reason.INFERENCE_FAILED, "first"))
    await asyncio.sleep(0)
    while not first.done():  # noqa: ASYNC110
        await asyncio.sleep(0)
    second.cancel()
    await settle()
    assert second.cancelled()
    assert len(bench.running) == 2
    bench.running[1].set_result(7)
    assert (await third).computed
    assert b"k" in bench.version
    assert isinstance(first.exception(), ServingError)


# A version goes


async def test_a_closed_version_drops_its_answers_and_no_others():
    bench = Bench(1 << 30)
    other = bench.cache.open("m", 2)
    await bench.keep(b"stays", version=other)
    for number in range(2500):
        await bench.keep(number.to_bytes(2, "big"))
    straggler, follower = bench.ask(), bench.ask()
    await settle()
    await asyncio.to_thread(bench.version.close)
    await settle()
    assert bench.version.entry_count == 0
    assert (bench.count("entries"), bench.count("bytes")) == (0, 0)
    assert bench.cache.size_bytes == ENTRY_BYTES
    assert b"stays" in other
    bench.running[0].set_result(7)
    assert [(await task).value for task in (straggler, follower)] == [7, 7]
    assert bench.cache.size_bytes == ENTRY_BYTES
    assert bench.count("evictions_total") == 0
    bench.version.close()
    await settle()
    await bench.keep(b"more", version=other)
    assert other.entry_count == 2


async def test_a_version_that_comes_again_starts_empty():
    bench = Bench()
    await bench.keep(b"k")
    again = bench.cache.open("m", 1)
    assert b"k" not in again
    assert (await bench.keep(b"k", version=again)).computed
    assert bench.count("entries") == 2  # while both are there
    bench.version.close()
    await settle()
    assert bench.count("entries") == 1


# In the text pipeline


class HandScheduler:
    """A queue whose documents are answered by hand; logits are 0 and the number of tokens."""

    def __init__(self, *arguments):
        self.waiting = []

    def level_of(self, priority):
        return priority

    async def infer(self, ids, *arguments, **named):
        future = asyncio.get_running_loop().create_future()
        self.waiting.append((list(ids), future))
        return await future

    async def answer(self, error=None):
        await settle()
        ids, future = next(item for item in self.waiting if not item[1].done())
        if error:
            future.set_exception(error)
        else:
            future.set_result(Inference(np.array([0.0, len(ids)], np.float32), 1.0, 2.0, len(ids)))
        await settle()


class WordTokenizer:
    """One token a word; remembers what it was asked for."""

    def __init__(self):
        self.texts = []

    def tokenize(self, text, truncate=False):
        return self.tokenize_batch([text], truncate)[0]

    def tokenize_batch(self, texts, truncate=False):
        self.texts += texts
        return [self._tokenize(text.split()[: 4 if truncate else None], len(text.split())) for text in texts]

    def _tokenize(self, words, count):
        return TokenizedText(list(range(len(words))), len(words) < count, count, is_empty=not words)


class WordModel:
    labels, max_tokens = ("negative", "positive"), 4
    closed = False

    def __init__(self):
        self.tokenizer = WordTokenizer()

    def close(self):
        self.closed = True


@pytest.fixture
async def pipeline(monkeypatch):
    """Gives a classifier that keeps its answers, its bench and its queue."""
    monkeypatch.setattr(analysis_module, "Scheduler", HandScheduler)
    bench = Bench()
    cache = ResponseCache(1 << 20, count_bytes, bench.metrics, bench.clock)
    bench.version = cache.open("m", 1)
    options = {"config": ModelConfig("m"), "max_text_bytes": 100_000, "metrics": bench.metrics, "cache": bench.version}
    classifier = TextClassifier("m", 1, WordModel(), None, **options)
    return classifier, bench, classifier._scheduler


def times(analysis):
    return analysis.tokenization_seconds, analysis.queue_seconds, analysis.inference_seconds


async def test_a_kept_answer_took_no_time_and_one_waited_for_took_the_wait(pipeline):
    classifier, bench, queue = pipeline
    first, follower = (asyncio.create_task(classifier.analyze("a b", LongText.ERROR, None)) for _ in range(2))
    await settle()
    bench.clock.now += 5
    await queue.answer()
    computed, shared = await first, await follower
    hit = await classifier.analyze("a b", LongText.ERROR, None)
    assert times(computed)[0] > 0
    assert times(computed)[1:] == (1, 2)
    assert times(shared) == (0, 5, 0)
    assert times(hit) == (0, 0, 0)
    assert {(found.scores, found.best, found.token_count, found.truncated) for found in (computed, shared, hit)} == {
        (computed.scores, 1, 2, False)
    }
    assert len(queue.waiting) == 1


async def test_who_takes_over_tells_the_time_it_waited_before(pipeline):
    classifier, bench, queue = pipeline
    first, follower = (asyncio.create_task(classifier.analyze("a b", LongText.ERROR, None)) for _ in range(2))
    await settle()
    bench.clock.now += 5
    first.cancel()
    await queue.answer()
    assert times(await follower)[1:] == (6, 2)


async def test_the_long_text_policy_is_part_of_the_question(pipeline):
    classifier, _, queue = pipeline
    asking = asyncio.create_task(classifier.analyze("a b c d e", LongText.TRUNCATE, None))
    await queue.answer()
    assert (await asking).truncated
    for _ in range(2):
        with pytest.raises(ServingError) as error:
            await classifier.analyze("a b c d e", LongText.ERROR, None)
        assert error.value.reason is Reason.TEXT_TOO_LONG
    assert (await classifier.analyze("a b c d e", LongText.TRUNCATE, None)).truncated
    assert len(queue.waiting) == 1


async def test_a_batch_tokenizes_and_infers_only_what_is_new_and_each_text_once(pipeline):
    classifier, bench, queue = pipeline
    known = asyncio.create_task(classifier.analyze("known", LongText.ERROR, None))
    await queue.answer()
    await known
    under_way = asyncio.create_task(classifier.analyze("under way", LongText.ERROR, None))
    await settle()
    tokenizer = classifier.model.tokenizer
    assert tokenizer.texts == ["known", "under way"]
    texts = ["new", "known", "", "under way", "new", "x" * 100_001, ""]
    batch = asyncio.create_task(classifier.analyze_batch(texts, LongText.ERROR, None))
    while len(tokenizer.texts) < 4:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    await queue.answer()
    await queue.answer()
    outcomes = await batch
    assert tokenizer.texts[2:] == ["new", ""]
    assert [ids for ids, _ in queue.waiting] == [[0], [0, 1], [0]]
    kinds = [outcome.reason if isinstance(outcome, ServingError) else outcome.token_count for outcome in outcomes]
    empty, long = Reason.TEXT_EMPTY, Reason.TEXT_TOO_LONG
    assert kinds == [1, 1, empty, 2, 1, long, empty]
    assert outcomes[2] is not outcomes[6]  # each is marked with its own place in the request
    assert (await under_way).token_count == 2
    # Hits: "known". Misses: "known", "under way", "new", and both empty ones. Shared: "under way", the second "new".
    assert bench.counts() == (1, 5, 2)


async def test_a_batch_of_kept_answers_is_not_tokenized(pipeline):
    classifier, _, queue = pipeline
    first = asyncio.create_task(classifier.analyze_batch(["a", "b"], LongText.ERROR, None))
    while len(classifier.model.tokenizer.texts) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    await queue.answer()
    await queue.answer()
    await first
    again = await classifier.analyze_batch(["b", "a", "b"], LongText.ERROR, None)
    assert [times(analysis) for analysis in again] == [(0, 0, 0)] * 3
    assert classifier.model.tokenizer.texts == ["a", "b"]


async def test_a_document_of_a_batch_takes_over_from_another_call(pipeline):
    classifier, _, queue = pipeline
    first = asyncio.create_task(classifier.analyze("a", LongText.ERROR, None))
    await settle()
    batch = asyncio.create_task(classifier.analyze_batch(["a"], LongText.ERROR, None))
    await settle()
    first.cancel()
    await queue.answer()
    [outcome] = await batch
    assert outcome.token_count == 1
    assert len(queue.waiting) == 2


async def test_a_closed_classifier_drops_its_answers(pipeline):
    classifier, bench, queue = pipeline
    asking = asyncio.create_task(classifier.analyze("a", LongText.ERROR, None))
    await queue.answer()
    await asking
    assert bench.count("entries") == 1
    await asyncio.to_thread(classifier.close)
    await settle()
    assert bench.count("entries") == 0
    assert classifier.model.closed


async def test_a_version_that_keeps_no_answers_counts_none_and_infers_each_time(monkeypatch):
    monkeypatch.setattr(analysis_module, "Scheduler", HandScheduler)
    metrics = Metrics()
    classifier = TextClassifier(
        "m", 1, WordModel(), None, config=ModelConfig("m"), max_text_bytes=1000, metrics=metrics
    )
    tasks = [asyncio.create_task(classifier.analyze("a", LongText.ERROR, None)) for _ in range(2)]
    await settle()
    for _ in tasks:
        await classifier._scheduler.answer()
    await asyncio.gather(*tasks)
    samples = [sample.name for family in metrics.registry.collect() for sample in family.samples]
    assert not [name for name in samples if name.startswith("sentinova_cache")]
