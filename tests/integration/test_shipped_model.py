"""The shipped model, through a real server: right labels, Paddle's logits, any shape, one compilation."""

import json
import math
import random
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sentinova.v1 import model_service_pb2 as model_pb
from sentinova.v1 import sentiment_service_pb2 as pb
from sentinova_server.repository.config import Precision, read_config
from sentinova_server.runtime.engine import Engine
from sentinova_server.runtime.preparation import Preparation

FOLDER = Path(__file__).resolve().parents[2] / "model_repository" / "sentiment_en"
VERSIONS = (1, 2)
PLAIN = {
    "positive": [
        "I love this product, it works perfectly.",
        "A wonderful film with a brilliant cast.",
        "The food was delicious and the staff were friendly.",
        "Great value for the money!",
    ],
    "negative": [
        "This is the worst phone I have ever bought.",
        "A boring, predictable and badly acted movie.",
        "The service was terrible and the food was cold.",
        "It broke after two days. Do not buy it.",
    ],
}
# Words of one token each, so that a text of n words has n tokens and the two special ones.
WORDS = [
    "the",
    "film",
    "was",
    "good",
    "bad",
    "story",
    "not",
    "very",
    "music",
    "great",
    "boring",
    "long",
    "short",
    "time",
    "people",
    "world",
]


def config(version, policy=pb.LONG_TEXT_POLICY_UNSPECIFIED):
    return pb.AnalysisConfig(model="sentiment_en", version=version, long_text_policy=policy)


def make_texts(count, seed, longest=120):
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=min(longest, 1 + int(rng.expovariate(1 / 22))))) for _ in range(count)]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("label", PLAIN)
def test_plain_sentences_get_the_right_label(stubs, version, label):
    for text in PLAIN[label]:
        request = pb.AnalyzeSentimentRequest(document=pb.Document(id="7", text=text), config=config(version))
        response = stubs.sentiment.AnalyzeSentiment(request, timeout=30)
        result = response.result
        assert (result.label, response.id, result.truncated) == (label, "7", False), text
        assert (result.model.name, result.model.version) == ("sentiment_en", version)
        assert {score.label for score in result.scores} == {"negative", "positive"}
        assert sum(score.score for score in result.scores) == pytest.approx(1, abs=1e-6)
        assert result.score == max(score.score for score in result.scores) > 0.5
        assert result.timings.inference.ToNanoseconds() > 0


@pytest.mark.parametrize("version", VERSIONS)
def test_openvino_gives_paddles_logits(version):
    """Within 1e-3 for at least 32 texts of 1 to 500 tokens, padded and in batches, and the same best class."""
    golden = json.loads((FOLDER / str(version) / "golden.json").read_text())["cases"]
    lengths = [len(case["input_ids"]) - 2 for case in golden]
    assert len(golden) >= 32
    assert min(lengths) == 1
    assert max(lengths) >= 500
    engine = Engine(precision=Precision.F32)
    model, proof = Preparation(FOLDER / str(version), read_config(FOLDER), version, engine).run()
    report = proof.logits
    try:
        alone = [model.submit([case["input_ids"]]).result()[0] for case in golden]
    finally:
        model.close()
    assert report.cases == len(golden)
    assert report.max_difference <= 1e-3
    for case, logits in zip(golden, alone, strict=True):
        assert max(abs(a - b) for a, b in zip(case["logits"], logits, strict=True)) <= 1e-3
        assert logits.argmax() == max(range(2), key=case["logits"].__getitem__)


@pytest.mark.parametrize("version", VERSIONS)
def test_scores_are_paddles_logits_calibrated(stubs, version):
    temperature = read_config(FOLDER).temperature(version)
    assert temperature != 1.0
    golden = json.loads((FOLDER / str(version) / "golden.json").read_text())["cases"]
    documents = [pb.Document(text=case["text"]) for case in golden]
    request = pb.BatchAnalyzeSentimentRequest(documents=documents, config=config(version))
    for case, answer in zip(golden, stubs.sentiment.BatchAnalyzeSentiment(request, timeout=60).results, strict=True):
        powers = [math.exp(logit / temperature) for logit in case["logits"]]
        expected = [power / sum(powers) for power in powers]
        assert [score.score for score in answer.result.scores] == pytest.approx(expected, abs=1e-3)
        assert answer.result.token_count == len(case["input_ids"])


def compilations(server):
    text = urllib.request.urlopen(f"{server.url}/metrics", timeout=30).read().decode()
    return {
        sample.labels["version"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "sentinova_model_compilations_total"
    }


def test_any_batch_and_any_length_without_compiling_again(stubs, shipped_server):
    rng = random.Random(5)
    before = compilations(shipped_server)
    assert before == {"1": 1, "2": 1}
    lengths = [1, 2, 7, 8, 9, 15, 16, 17, 31, 64, 100, 128, 255, 256, 257, 400, 509, 510]
    texts = [" ".join(rng.choices(WORDS, k=length)) for length in lengths]
    alone = []
    for length, text in zip(lengths, texts, strict=True):
        request = pb.AnalyzeSentimentRequest(document=pb.Document(text=text), config=config(1))
        alone.append(stubs.sentiment.AnalyzeSentiment(request, timeout=60).result)
        assert alone[-1].token_count == length + 2
    for size in (1, 2, 3, 5, 8, 13, 21, 34, 55, 64):
        chosen = [rng.randrange(len(texts)) for _ in range(size)]
        documents = [pb.Document(id=str(i), text=texts[i]) for i in chosen]
        response = stubs.sentiment.BatchAnalyzeSentiment(
            pb.BatchAnalyzeSentimentRequest(documents=documents, config=config(1)), timeout=120
        )
        assert [answer.id for answer in response.results] == [str(i) for i in chosen]
        for i, answer in zip(chosen, response.results, strict=True):
            assert answer.result.score == pytest.approx(alone[i].score, abs=1e-4)
            assert answer.result.label == alone[i].label
    assert compilations(shipped_server) == before


def test_longer_text_is_answered_as_the_request_chose(stubs, reason):
    text = " ".join(["good"] * 511)
    for policy in (pb.LONG_TEXT_POLICY_UNSPECIFIED, pb.LONG_TEXT_POLICY_ERROR):
        request = pb.AnalyzeSentimentRequest(document=pb.Document(text=text), config=config(1, policy))
        with pytest.raises(grpc.RpcError) as error:
            stubs.sentiment.AnalyzeSentiment(request, timeout=30)
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason(error.value) == "TEXT_TOO_LONG"
        assert "513 tokens" in error.value.details()
    request.config.long_text_policy = pb.LONG_TEXT_POLICY_TRUNCATE
    cut = stubs.sentiment.AnalyzeSentiment(request, timeout=30).result
    assert (cut.truncated, cut.token_count) == (True, 512)
    # What is answered is the text's beginning, whatever follows it.
    request.document.text = " ".join(["good"] * 510 + ["terrible"] * 300)
    assert stubs.sentiment.AnalyzeSentiment(request, timeout=30).result.score == pytest.approx(cut.score, abs=1e-6)
    request.document.text = " ".join(["good"] * 510)
    whole = stubs.sentiment.AnalyzeSentiment(request, timeout=30).result
    assert (whole.truncated, whole.token_count) == (False, 512)
    assert whole.score == pytest.approx(cut.score, abs=1e-6)


def test_a_thousand_streamed_texts_give_what_they_give_sent_one_by_one(stubs):
    texts = make_texts(1000, seed=11)
    assert len({len(text.split()) for text in texts}) > 60

    def send(text):
        request = pb.AnalyzeSentimentRequest(document=pb.Document(text=text), config=config(1))
        return stubs.sentiment.AnalyzeSentiment(request, timeout=60).result

    with ThreadPoolExecutor(16) as pool:
        unary = list(pool.map(send, texts))

    def requests():
        yield pb.StreamAnalyzeSentimentRequest(config=config(1))
        for index, text in enumerate(texts):
            yield pb.StreamAnalyzeSentimentRequest(document=pb.Document(id=str(index), text=text))

    streamed = {}
    for response in stubs.sentiment.StreamAnalyzeSentiment(requests(), timeout=110):
        assert response.WhichOneof("outcome") == "result"
        assert response.id not in streamed
        streamed[response.id] = response.result
    assert len(streamed) == len(texts)
    for index, alone in enumerate(unary):
        result = streamed[str(index)]
        assert (result.label, result.token_count, result.model) == (alone.label, alone.token_count, alone.model)
        assert result.score == pytest.approx(alone.score, abs=1e-4)


def test_the_highest_version_answers_where_none_is_asked_for(stubs):
    response = stubs.sentiment.AnalyzeSentiment(
        pb.AnalyzeSentimentRequest(document=pb.Document(text="fine")), timeout=30
    )
    assert (response.result.model.name, response.result.model.version) == ("sentiment_en", 2)


def test_the_model_is_described(stubs):
    models = stubs.models.ListModels(model_pb.ListModelsRequest(), timeout=30)
    assert ([model.name for model in models.models], models.next_page_token) == (["sentiment_en"], "")
    model = stubs.models.GetModel(model_pb.GetModelRequest(name="sentiment_en"), timeout=30).model
    assert model == models.models[0]
    assert (model.backend, model.default_version) == ("openvino", 2)
    assert [version.version for version in model.versions] == [1, 2]
    for version in model.versions:
        assert version.state == model_pb.MODEL_VERSION_STATE_AVAILABLE
        assert "golden texts" in version.state_message
        assert {(tensor.name, tensor.datatype, tuple(tensor.shape)) for tensor in version.inputs} == {
            ("input_ids", "INT64", (-1, -1)),
            ("token_type_ids", "INT64", (-1, -1)),
        }
        [output] = version.outputs
        assert (output.datatype, output.shape[-1]) == ("FP32", 2)
        assert list(version.labels) == ["negative", "positive"]
        assert (version.max_tokens, version.format) == (512, "paddle")
