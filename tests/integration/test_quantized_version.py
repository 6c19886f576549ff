"""A shipped version, quantized by NNCF itself with its golden texts, and served by a real server."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import openvino as ov
import pytest
from sentinova.v1 import model_service_pb2 as model_pb
from sentinova.v1 import sentiment_service_pb2 as pb
from sentinova_server.runtime.engine import REWRITES

SHIPPED = Path(__file__).resolve().parents[2] / "model_repository" / "sentiment_en"
TEXTS = {
    "positive": ["I love this product.", "A wonderful film with a brilliant cast.", "Great value for the money!"],
    "negative": ["The worst phone I have ever bought.", "A boring and badly acted movie.", "It broke after two days."],
}


def count_rewritten(file):
    """Gives the matrix multiplications that each rewrite reaches, one rewrite after the other, as the server does."""
    model = ov.Core().read_model(file)
    return {name: rewrite(model) for name, rewrite in REWRITES.items()}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A copy of the shipped model's first version, with a second one made of it."""
    root = tmp_path_factory.mktemp("repository")
    model = root / "sentiment_en"
    shutil.copytree(SHIPPED / "1", model / "1")
    shutil.copy(SHIPPED / "config.pbtxt", model)
    data = root / ".data.jsonl"
    cases = json.loads((model / "1" / "golden.json").read_text())["cases"]
    rows = [{"text": case["text"], "label": int(case["logits"][1] > case["logits"][0])} for case in cases]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [sys.executable, "-m", "sentinova_server", "quantize", "sentiment_en", "1", "--data", str(data)]
    # Of so few texts each that changes its label is two points; this is about the way, not the model.
    command += ["--model-repository", str(root), "--write-config", "--max-drop", "20"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "accuracy on 41 texts" in done.stdout
    assert not done.stderr.strip()
    return root


def test_it_is_served_and_answers_alike(repository, start_server, connect_to):
    texts = [text for texts in TEXTS.values() for text in texts]
    labels = [label for label, texts in TEXTS.items() for _ in texts]
    with start_server(repository) as server, connect_to(server.address) as stubs:
        loaded = {log["version"]: log for log in server.logs if log["event"] == "version_available"}
        assert {version: tuple(log["rewrites"]) for version, log in loaded.items()} == {
            1: tuple(REWRITES),
            2: tuple(name for name in REWRITES if name != "transposed_weights"),
        }
        answers = {}
        for version in (None, 1):
            request = pb.BatchAnalyzeSentimentRequest(
                documents=[pb.Document(text=text) for text in texts],
                config=pb.AnalysisConfig(model="sentiment_en", version=version),
            )
            answers[version] = [
                each.result for each in stubs.sentiment.BatchAnalyzeSentiment(request, timeout=60).results
            ]
        model = stubs.models.GetModel(model_pb.GetModelRequest(name="sentiment_en"), timeout=30).model
    assert [result.label for result in answers[None]] == labels
    assert {result.model.version for result in answers[None]} == {2}
    for int8, exact in zip(answers[None], answers[1], strict=True):
        assert int8.score == pytest.approx(exact.score, abs=0.2)
    assert "int8 scores within" in model.versions[1].state_message


def test_the_rewrites_reach_all_that_they_reach_before_quantization(repository):
    model = repository / "sentiment_en"
    quantized, exact = count_rewritten(model / "2" / "model.xml"), count_rewritten(model / "1" / "model.pdmodel")
    # Weights in 8 bits stay as they are.
    assert (quantized.pop("transposed_weights"), exact.pop("transposed_weights")) == (0, 20)
    assert quantized == exact


def test_weights_are_stored_in_eight_bits(repository):
    model = ov.Core().read_model(repository / "sentiment_en" / "2" / "model.xml")
    kinds = {}
    for node in model.get_ops():
        if node.get_type_name() == "Constant":
            kind = node.get_element_type().get_type_name()
            kinds[kind] = kinds.get(kind, 0) + node.get_byte_size()
    assert kinds["i8"] > 0.9 * sum(kinds.values())
