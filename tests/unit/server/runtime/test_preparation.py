"""A rewritten graph is used only where the golden values prove it equal."""

import numpy as np
import pytest
from openvino import opset13 as ops
from sentinova_server.errors import LoadError
from sentinova_server.repository.config import ModelConfig
from sentinova_server.runtime import engine as engine_module
from sentinova_server.runtime.engine import Engine
from sentinova_server.serving import loading

CONFIG = ModelConfig("tiny")


@pytest.fixture
def rewrites(monkeypatch):
    """Puts a rewrite in place of the real one that multiplies the logits; gives the factor to set, and its calls."""
    state = {"factor": 1.0, "calls": 0}

    def multiply(model):
        state["calls"] += 1
        result = model.get_results()[0]
        scaled = ops.multiply(result.input_value(0), ops.constant(np.float32(state["factor"])))
        result.input(0).replace_source_output(scaled.output(0))
        return 1

    monkeypatch.setattr(engine_module, "compute_first_token_only", multiply)
    return state


def load(folder, **engine):
    model, verification = loading._load_checked(folder, CONFIG, Engine(**engine))
    try:
        return model.rewritten, verification.golden, model.submit([[2, 5, 3]]).result().tolist()
    finally:
        model.close()


def test_a_rewrite_that_changes_nothing_is_used(rewrites, tiny_version, tmp_path):
    rewritten, golden, logits = load(tiny_version(tmp_path / "1"))
    assert (rewritten, golden.max_difference, logits) == (True, 0.0, [[-1, 2]])


def test_a_rewrite_that_changes_logits_is_refused(rewrites, tiny_version, tmp_path):
    rewrites["factor"] = 1.5
    rewritten, golden, logits = load(tiny_version(tmp_path / "1"))
    assert (rewritten, golden.max_difference, logits) == (False, 0.0, [[-1, 2]])
    assert rewrites["calls"] == 1


def test_without_golden_values_or_by_choice_nothing_is_rewritten(rewrites, tiny_version, tmp_path):
    folder = tiny_version(tmp_path / "1")
    assert load(folder, rewrites=False)[0] is False
    (folder / "golden.json").unlink()
    assert load(folder)[:2] == (False, None)
    assert rewrites["calls"] == 0


def test_wrong_weights_fail_with_and_without_the_rewrite(rewrites, tiny_version, tmp_path):
    with pytest.raises(LoadError, match=r"golden\.json: cases"):
        load(tiny_version(tmp_path / "1", scale=2.0))
