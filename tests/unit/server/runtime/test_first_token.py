"""The rewrite changes no logit, passes what it should, and leaves other graphs alone."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops
from sentinova_server.runtime.rewrites.first_token import compute_first_token_only

SHIPPED = Path(__file__).resolve().parents[4] / "model_repository" / "sentiment_en"
CORE = ov.Core()
PROPERTIES = {"INFERENCE_PRECISION_HINT": "f32"}


def read(version):
    return CORE.read_model(SHIPPED / version / "model.pdmodel")


def infer(compiled, ids):
    request = compiled.create_infer_request()
    request.infer({"input_ids": ids, "token_type_ids": np.zeros_like(ids)})
    return [np.array(tensor.data) for tensor in request.output_tensors]


@pytest.mark.parametrize("version", ["1", "2"])
def test_the_shipped_models_give_the_same_logits(version):
    rewritten = read(version)
    # Of the last layer: query, scores, context, attention's output and the two of the feed-forward part.
    assert compute_first_token_only(rewritten) == 6
    before, after = (CORE.compile_model(model, "CPU", PROPERTIES) for model in (read(version), rewritten))
    rng = np.random.default_rng(3)
    for batch, length in ((1, 1), (1, 7), (3, 16), (8, 33), (2, 512)):
        ids = rng.integers(1000, 30000, (batch, length))
        ids[0, length // 2 + 1 :] = 0  # padding
        np.testing.assert_allclose(infer(after, ids)[0], infer(before, ids)[0], atol=1e-5)


def test_it_runs_once():
    model = read("1")
    assert compute_first_token_only(model) == 6
    assert compute_first_token_only(model) == 0


def hidden_state(model):
    """Gives the last layer's output: what the head's slice reads."""
    [root] = [node for node in model.get_ordered_ops() if node.get_type_name() == "Slice"]
    return root.input_value(0)


def test_what_is_also_read_whole_is_left_whole():
    model = read("1")
    model.add_outputs([hidden_state(model)])
    assert compute_first_token_only(model) == 0
    [_, hidden] = infer(CORE.compile_model(model, "CPU", PROPERTIES), np.full((2, 9), 2000))
    assert hidden.shape == (2, 9, 384)


@pytest.mark.parametrize("index", [1, 3])
def test_another_token_than_the_first_is_left_alone(index):
    data = ops.parameter([-1, -1, 8], np.float32)
    product = ops.matmul(data, ops.constant(np.eye(8, dtype=np.float32)), False, False)
    taken = ops.gather(product, ops.constant(np.int64(index)), ops.constant(np.int64(1)))
    assert compute_first_token_only(ov.Model([taken], [data], "other")) == 0


def test_a_gather_of_the_first_token_is_seen_too():
    data = ops.parameter([-1, -1, 8], np.float32, name="data")
    weights = np.random.default_rng(1).normal(size=(8, 8)).astype(np.float32)
    product = ops.relu(ops.matmul(data, ops.constant(weights), False, False))
    taken = ops.gather(product, ops.constant(np.int64(0)), ops.constant(np.int64(1)))
    model = ov.Model([taken], [data], "gather")
    assert compute_first_token_only(model) == 1
    values = np.random.default_rng(2).normal(size=(3, 5, 8)).astype(np.float32)
    request = CORE.compile_model(model, "CPU", PROPERTIES).create_infer_request()
    request.infer([values])
    np.testing.assert_allclose(request.get_output_tensor(0).data, np.maximum(values[:, 0] @ weights, 0), atol=1e-5)


def test_a_softmax_over_the_tokens_stops_it():
    data = ops.parameter([-1, -1, 8], np.float32)
    product = ops.matmul(data, ops.constant(np.eye(8, dtype=np.float32)), False, False)
    taken = ops.gather(ops.softmax(product, 1), ops.constant(np.int64(0)), ops.constant(np.int64(1)))
    assert compute_first_token_only(ov.Model([taken], [data], "softmax")) == 0
