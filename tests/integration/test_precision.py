"""What a version computes in is what was asked for, is told, and keeps the scores near Paddle's."""

from pathlib import Path

import pytest
from sentinova import Client
from sentinova_server.runtime.engine import Engine

FOLDER = Path(__file__).resolve().parents[2] / "model_repository" / "sentiment_en"


def test_bf16_answers_with_paddles_labels(start_server, golden_cases):
    if not Engine().has_bf16:
        pytest.skip("this CPU does not compute in bfloat16")
    with start_server(FOLDER.parent, "--precision", "bf16") as server, Client(server.address) as client:
        assert {version.precision for version in client.get_model("sentiment_en").versions} == {"bf16"}
        answers = client.analyze_batch([case["text"] for case in golden_cases], version=2)
        ready = server.wait_for("version_available")
    assert "bf16 scores within" in ready["checked"]
    for case, answer in zip(golden_cases, answers, strict=True):
        negative, positive = case["logits"]
        # Where Paddle itself is torn between the two, rounding may tip the balance.
        if abs(positive - negative) > 0.2:
            assert answer.label == ("positive" if positive > negative else "negative")


def test_a_version_whose_precision_cannot_be_had_fails_alone(start_server, tiny_version, tmp_path):
    repository = tmp_path / "repository"
    for number in (1, 2):
        tiny_version(repository / "tiny" / str(number))
    (repository / "tiny" / "config.pbtxt").write_text(
        'version_policy { all {} } parameters { key: "precision.2" value { string_value: "int8" } }'
    )
    with start_server(repository, "--precision", "f32") as server, Client(server.address) as client:
        model = client.get_model("tiny")
        states = {version.version: str(version.state) for version in model.versions}
        messages = {version.version: version.state_message for version in model.versions}
        assert states == {1: "AVAILABLE", 2: "FAILED"}
        assert "`precision` is int8" in messages[2]
        assert "sentinova-server quantize" in messages[2]
        assert client.analyze("good film", model="tiny").version == 1


def test_a_precision_that_is_none_stops_the_start(tiny_repository):
    from click.testing import CliRunner
    from sentinova_server.cli import main

    result = CliRunner().invoke(main, ["serve", "--model-repository", str(tiny_repository), "--precision", "fp16"])
    assert result.exit_code == 2
    assert "--precision" in result.output
    assert "'auto', 'f32', 'bf16', 'int8'" in result.output
