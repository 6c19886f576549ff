"""The vectors are what their script makes of the shipped model as it is now; what needs Paddle is checked by its sources."""

import hashlib
import importlib.util
import json

import pytest
from polyglot.languages import ROOT
from polyglot.vectors import FOLDER


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_vectors", FOLDER / "make_vectors.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["sentiment", "errors"])
def test_they_can_be_made_again(script, tmp_path, name):
    script.write(tmp_path / "again.json", script.MAKERS[name]())
    assert (tmp_path / "again.json").read_bytes() == (FOLDER / f"{name}.json").read_bytes()


def test_paddles_answers_are_of_this_model_and_of_these_texts(script):
    content = json.loads((FOLDER / "unicode.json").read_text())
    for version, digest in content["parameters_sha256"].items():
        file = ROOT / "model_repository" / content["model"] / version / "model.pdiparams"
        assert hashlib.sha256(file.read_bytes()).hexdigest() == digest
    assert content["temperatures"] == script.temperatures()
    written = {case["id"]: script.spelled(case["text"]) for case in content["cases"] + content["truncated"]}
    texts = script.UNICODE_TEXTS | script.TRUNCATED_TEXTS
    assert written == {name: script.spelled(text) for name, text in texts.items()}
    for case in content["cases"] + content["truncated"]:
        for version, expected in case["versions"].items():
            labels, temperature = script.labels_of(version), content["temperatures"][version]
            assert script.judged(expected["logits"], labels, temperature, expected["token_count"]) == expected
