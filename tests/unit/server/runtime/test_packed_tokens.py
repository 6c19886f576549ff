"""Packing tokens changes no result, whatever the mix of lengths, and leaves graphs alone that it does not fit."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openvino import opset13 as ops
from sentinova_server.runtime.rewrites.first_token import compute_first_token_only
from sentinova_server.runtime.rewrites.packed_tokens import POSITIONS_INPUT, ROWS_INPUT, pack_tokens
from sentinova_server.runtime.shapes import lay_out, round_rows

ROOT = Path(__file__).resolve().parents[4]
CORE = ov.Core()
PROPERTIES = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=12)


def read(version):
    folder = ROOT / "model_repository" / "sentiment_en" / str(version)
    return CORE.read_model(folder / "model.pdmodel", folder / "model.pdiparams")


def feed(lengths, width, rng):
    layout = lay_out(lengths, (len(lengths), width))
    ids = np.zeros(layout.shape, np.int64)
    ids.reshape(-1)[layout.positions] = rng.integers(1000, 30000, len(layout.positions))
    padded = {"input_ids": ids, "token_type_ids": np.zeros_like(ids)}
    return padded, {POSITIONS_INPUT: layout.packed_positions(), ROWS_INPUT: layout.packed_rows()}


@pytest.fixture(scope="module", params=[True, False], ids=["first token only", "whole"])
def compiled(request):
    """Version 1 as it is, and packed; with and without the other rewrite before it."""
    plain, packed = read(1), read(1)
    if request.param:
        assert compute_first_token_only(packed) > 0
    assert pack_tokens(packed) >= 14
    return [CORE.compile_model(model, "CPU", PROPERTIES) for model in (plain, packed)]


@settings(deadline=None, max_examples=25)
@given(lengths=LENGTHS, wider=st.integers(0, 20), seed=st.integers(0, 2**32 - 1))
def test_logits_are_those_of_padded_rows(compiled, lengths, wider, seed):
    plain, packed = compiled
    padded, added = feed(lengths, max(lengths) + wider, np.random.default_rng(seed))
    np.testing.assert_allclose(packed({**padded, **added})[0], plain(padded)[0], atol=1e-5)


def test_rows_without_a_text_do_no_harm(compiled):
    plain, packed = compiled
    lengths = [3, 9, 30, 4, 5]
    padded, added = feed(lengths, 32, np.random.default_rng(1))
    rows = round_rows(len(lengths)) - len(lengths)
    assert rows == 1
    taller = {name: np.pad(tensor, ((0, rows), (0, 0))) for name, tensor in padded.items()}
    added[ROWS_INPUT] = np.pad(added[ROWS_INPUT], ((0, rows), (0, 0)))
    np.testing.assert_allclose(packed({**taller, **added})[0][: len(lengths)], plain(padded)[0], atol=1e-5)


def linear(tokens, width, seed):
    rng = np.random.default_rng(seed)
    matrix, bias = rng.normal(size=(width, width)), rng.normal(size=width)
    return ops.add(ops.matmul(tokens, ops.constant(matrix.astype(np.float32)), False, False),
                   ops.constant(bias.astype(np.float32)))  # fmt: skip


def tokens_and(build, width=4):
    """Makes a graph whose parameter is `[batch, seq, width]`, and a copy that was packed; tells how much was."""
    data = ops.parameter([-1, -1, width], np.float32, name="data")
    data.output(0).set_names({"data"})
    model = ov.Model([build(data)], [data], "graph")
    packed = model.clone()
    return model, packed, pack_tokens(packed)


def results(model, padded, added=None):
    return CORE.compile_model(model, "CPU", PROPERTIES)({"data": padded, **(added or {})})[0]


def both(build, lengths=(2, 5, 1)):
    """Gives the results of a graph, plain and packed, on rows of these lengths."""
    model, packed, count = tokens_and(build)
    assert count > 0
    layout = lay_out(lengths, (len(lengths), max(lengths)))
    padded = np.random.default_rng(0).normal(size=(*layout.shape, 4)).astype(np.float32)
    added = {POSITIONS_INPUT: layout.packed_positions(), ROWS_INPUT: layout.packed_rows()}
    real = np.zeros(layout.shape, bool)
    real.reshape(-1)[layout.positions] = True
    return results(model, padded), results(packed, padded, added), real


@pytest.mark.parametrize(
    "build",
    [
        lambda data: linear(data, 4, 1),
        lambda data: ops.add(data, linear(ops.gelu(linear(data, 4, 1), "erf"), 4, 2)),
        lambda data: ops.mvn(linear(data, 4, 1), ops.constant(np.array([2])), True, 1e-5, "inside_sqrt"),
        lambda data: ops.subtract(
            linear(data, 4, 1), ops.reduce_mean(linear(data, 4, 2), ops.constant(np.array([-1])), True)
        ),
        lambda data: ops.multiply(linear(data, 4, 1), ops.constant(np.full((1, 1, 4), 2, np.float32))),
        lambda data: ops.reshape(linear(data, 4, 1), ops.constant(np.array([0, 0, 2, 2])), special_zero=True),
        lambda data: linear(ops.transpose(ops.transpose(linear(data, 4, 1), [0, 2, 1]), [0, 2, 1]), 4, 2),
    ],
    ids=["linear", "residual", "layer norm", "mean", "scale", "heads", "there and back"],
)
def test_operations_on_single_tokens_are_packed(build):
    plain, packed, real = both(build)
    np.testing.assert_allclose(packed[real], plain[real], atol=1e-5)


def test_an_operation_along_the_text_gets_its_rows_back():
    plain, packed, _ = both(lambda data: ops.softmax(linear(data, 4, 1), 1), lengths=(5, 5, 5))
    np.testing.assert_allclose(packed, plain, atol=1e-6)


@pytest.mark.parametrize(
    "build",
    [
        lambda data: ops.softmax(data, 2),
        lambda data: ops.matmul(data, data, False, True),
        lambda data: ops.matmul(data, ops.constant(np.ones((3, 4, 4), np.float32)), False, False),
    ],
    ids=["no matrix", "tokens by tokens", "a matrix for each text"],
)
def test_a_graph_that_multiplies_no_token_by_one_matrix_is_left_alone(build):
    model, packed, count = tokens_and(build)
    assert count == 0
    assert len(packed.inputs) == len(model.inputs)
    assert len(packed.get_ops()) == len(model.get_ops())


@pytest.mark.parametrize(("version", "layers"), [(1, 3), (2, 6)])
def test_every_linear_layer_of_the_shipped_model_is_packed(version, layers):
    model = read(version)
    assert pack_tokens(model) == 6 * layers
    assert {POSITIONS_INPUT, ROWS_INPUT} < {port.get_any_name() for port in model.inputs}
