"""The whole recipe on a tiny network and a user's own table, from `prepare` to `verify`. Needs Paddle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("paddle", reason="Paddle is installed in the training environment only")
    from paddlenlp.transformers import BertConfig, BertForSequenceClassification, BertTokenizer
    from sentinova_training import network
    from sentinova_training.half import Served, rounded

import numpy as np
import paddle

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(900)]

VOCABULARY = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *["good", "bad", "fine", "poor", "the", "a", "film", "meal", "was", "and", "not", "very"],
]
NAMES = {
    "model.pdmodel",
    "model.pdiparams",
    "vocab.txt",
    "tokenizer_config.json",
    "labels.txt",
    "golden.json",
    "MODEL_CARD.md",
}


def tiny(layers: int = 2) -> BertForSequenceClassification:
    paddle.seed(3)
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        num_labels=2,
    )
    classifier = BertForSequenceClassification(config)
    classifier.eval()
    return classifier


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local model folder, as `--init` takes it."""
    folder = tmp_path_factory.mktemp("start")
    (folder / "words.txt").write_text("\n".join(VOCABULARY) + "\n")
    tokenizer = BertTokenizer(str(folder / "words.txt"), do_lower_case=True, model_max_length=64)
    network.save(tiny(), tokenizer, folder / "init")
    return folder / "init"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences whose label is in one word."""
    lines = ["text\tlabel"]
    for index in range(240):
        word, label = (("good", "up"), ("bad", "down"))[index % 2]
        lines.append(f"the {word} film number {index}\t{label}")
    path = tmp_path_factory.mktemp("table") / "mine.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path


def train(work: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `sentinova-train` in a process of its own, as Paddle's flags need."""
    command = [sys.executable, "-W", "ignore", "-m", "sentinova_training.cli", "--work", str(work), *arguments]
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": paths}
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=environment)


def succeed(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def test_a_table_becomes_two_verified_versions(tmp_path: Path, start: Path, table: Path):
    models = tmp_path / "models"
    succeed(train(tmp_path, "prepare", "--data", str(table), "--labels", "down,up"))
    quick = ("--epochs", "4", "--batch-size", "16", "--learning-rate", "0.01", "--train-embeddings")
    succeed(train(tmp_path, "finetune", "--init", str(start), *quick))
    succeed(train(tmp_path, "finetune", "--name", "more", "--init", "finetune", "--epochs", "1", "--members", "1"))
    more = json.loads((tmp_path / "sentiment_en" / "more.json").read_text())
    assert set(more["dev"]) == {"more-member-1", "start", "average with start"}
    succeed(train(tmp_path, "distill", "--layers", "1", "--members", "1", *quick))
    for version, checkpoint in (("2", "finetune"), ("1", "distill")):
        place = ("--model", "mine", "--repository", str(models), "--version", version)
        succeed(train(tmp_path, "export", "--checkpoint", checkpoint, *place))
        assert "at most" in succeed(train(tmp_path, "verify", *place))
        folder = models / "mine" / version
        assert {path.name for path in folder.iterdir()} == NAMES
        assert (folder / "labels.txt").read_text() == "down\nup\n"
        golden = json.loads((folder / "golden.json").read_text())
        assert len(golden["cases"]) >= 32
        assert max(len(case["input_ids"]) for case in golden["cases"]) in {63, 64}
        verified = json.loads((tmp_path / "sentiment_en" / f"verify-{version}.json").read_text())
        assert verified["golden"]["max_difference"] < 1e-4
        assert verified["sources"]["mine"]["accuracy"] > 0.9
        assert b".py" not in (folder / "model.pdmodel").read_bytes()
        assert str(tmp_path) not in (folder / "tokenizer_config.json").read_text()
        assert "Accuracy" in (folder / "MODEL_CARD.md").read_text()
    config = (models / "mine" / "config.pbtxt").read_text()
    assert "temperature.1" in config
    assert "temperature.2" in config

    golden_path = models / "mine" / "2" / "golden.json"
    spoilt = json.loads(golden_path.read_text())
    spoilt["cases"][0]["logits"][0] += 0.5
    golden_path.write_text(json.dumps(spoilt))
    failed = train(tmp_path, "verify", "--model", "mine", "--repository", str(models), "--version", "2")
    assert failed.returncode == 1
    assert "off Paddle's" in failed.stderr


def test_a_step_out_of_order_names_the_one_before_it(tmp_path: Path):
    failed = train(tmp_path, "finetune")
    assert failed.returncode == 1
    assert "sentinova-train prepare" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_stored_halves_compute_as_the_rounded_network_does():
    classifier = rounded(tiny())
    ids = paddle.to_tensor(np.asarray([[2, 5, 9, 3], [2, 6, 3, 0]]))
    zeros = paddle.zeros_like(ids)
    wanted = classifier(ids, zeros).numpy()
    served = Served(classifier)
    assert np.abs(served(ids, zeros).numpy() - wanted).max() < 1e-6
    stored = [tensor.dtype for name, tensor in served.state_dict().items() if name.endswith("stored")]
    assert len(stored) == 2 * 6 + 3 + 2
    assert set(stored) == {paddle.float16}


def test_a_student_starts_from_the_teachers_layers():
    teacher = tiny(layers=4)
    student = network.student_of(teacher, 2, dropout=0.0)
    own, source = student.state_dict(), teacher.state_dict()
    for name, origin in (("layers.0", "layers.1"), ("layers.1", "layers.3")):
        key = f"bert.encoder.{name}.linear1.weight"
        assert np.array_equal(own[key].numpy(), source[key.replace(name, origin)].numpy())
    assert np.array_equal(own["classifier.weight"].numpy(), source["classifier.weight"].numpy())
