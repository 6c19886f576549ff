"""Texts that share rows do not see each other, and graphs in which they might keep a row for each."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openvino import opset13 as ops
from sentinova_server.runtime.rewrites.first_token import compute_first_token_only
from sentinova_server.runtime.rewrites.joined_rows import (
    JOINED_POSITIONS_INPUT,
    JOINED_ROWS_INPUT,
    TEXTS_INPUT,
    join_rows,
)
from sentinova_server.runtime.rewrites.packed_tokens import POSITIONS_INPUT, ROWS_INPUT, pack_tokens
from sentinova_server.runtime.shapes import join_texts, lay_out, round_rows

ROOT = Path(__file__).resolve().parents[4]
CORE = ov.Core()
PROPERTIES = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
LENGTHS = st.lists(st.integers(1, 90), min_size=1, max_size=14)
WIDTH, HEADS = 8, 2


def read(version):
    folder = ROOT / "model_repository" / "sentiment_en" / str(version)
    return CORE.read_model(folder / "model.pdmodel", folder / "model.pdiparams")


def layouts(lengths, shape):
    layout, joined = lay_out(lengths, shape), join_texts(lengths, 512)
    return layout, {
        POSITIONS_INPUT: layout.packed_positions(),
        ROWS_INPUT: layout.packed_rows(),
        JOINED_ROWS_INPUT: joined.packed_rows(),
        JOINED_POSITIONS_INPUT: joined.packed_positions(),
        TEXTS_INPUT: joined.texts,
    }


@pytest.fixture(scope="module", params=[True, False], ids=["first token only", "whole"])
def compiled(request):
    """Version 1 as it is, and with joined rows; with and without the rewrite for the first token before it."""
    plain, joined = read(1), read(1)
    if request.param:
        assert compute_first_token_only(joined) > 0
    assert pack_tokens(joined) > 0
    # The last layer's attention has one query a text, which is left as it is.
    assert join_rows(joined) == (2 if request.param else 3)
    return [CORE.compile_model(model, "CPU", PROPERTIES) for model in (plain, joined)]


@settings(deadline=None, max_examples=25)
@given(lengths=LENGTHS, seed=st.integers(0, 2**32 - 1))
def test_logits_are_those_of_a_row_for_each_text(compiled, lengths, seed):
    plain, joined = compiled
    shape = (round_rows(len(lengths)), max(lengths))
    layout, added = layouts(lengths, shape)
    ids = np.zeros(shape, np.int64)
    ids.reshape(-1)[layout.positions] = np.random.default_rng(seed).integers(1000, 30000, len(layout.positions))
    padded = {"input_ids": ids, "token_type_ids": np.zeros_like(ids)}
    expected = plain({name: tensor[: len(lengths)] for name, tensor in padded.items()})[0]
    np.testing.assert_allclose(joined({**padded, **added})[0][: len(lengths)], expected, atol=1e-5)


@pytest.mark.parametrize(("version", "layers"), [(1, 3), (2, 6)])
def test_every_attention_of_the_shipped_model_is_found(version, layers):
    model = read(version)
    pack_tokens(model)
    assert join_rows(model) == layers


def linear(tokens, seed):
    matrix = np.random.default_rng(seed).normal(size=(WIDTH, WIDTH)).astype(np.float32)
    return ops.matmul(tokens, ops.constant(matrix), False, False)


def heads(tokens):
    split = ops.reshape(tokens, ops.constant(np.array([0, 0, HEADS, WIDTH // HEADS])), special_zero=True)
    return ops.transpose(split, [0, 2, 1, 3])


def attend(
    data,
    mask,
    *,
    scale=lambda scores: scores,
    add_mask=ops.add,
    weigh=lambda scores: ops.softmax(scores, 3),
    transpose_keys=True,
    put_together=lambda tokens: tokens,
):
    """Attention over `[batch, seq, WIDTH]`, as models differ in writing it."""
    queries, keys, values = (heads(linear(data, seed)) for seed in (1, 2, 3))
    keys = keys if transpose_keys else ops.transpose(keys, [0, 1, 3, 2])
    scores = ops.matmul(queries, keys, False, transpose_keys)
    weights = weigh(add_mask(scale(scores), mask))
    tokens = put_together(ops.transpose(ops.matmul(weights, values, False, False), [0, 2, 1, 3]))
    merged = ops.reshape(tokens, ops.constant(np.array([0, 0, WIDTH])), special_zero=True)
    return ops.add(data, linear(merged, 4))


def half(x):
    return ops.multiply(x, ops.constant(np.float32(0.5)))


def make(build, mask_shape=(-1, 1, 1, -1)):
    data = ops.parameter([-1, -1, WIDTH], np.float32, name="data")
    mask = ops.parameter(list(mask_shape), np.float32, name="mask")
    for parameter in (data, mask):
        parameter.output(0).set_names({parameter.get_friendly_name()})
    return ov.Model([build(data, mask)], [data, mask], "graph")


def both(build):
    """Gives the results of a graph, plain and joined, and which places hold tokens."""
    plain = make(build)
    joined = plain.clone()
    assert pack_tokens(joined) > 0
    assert join_rows(joined) == 1
    lengths = (2, 30, 1, 7, 60, 5)
    layout, added = layouts(lengths, (len(lengths), max(lengths)))
    rng = np.random.default_rng(0)
    data = rng.normal(size=(*layout.shape, WIDTH)).astype(np.float32)
    real = np.zeros(layout.shape, bool)
    real.reshape(-1)[layout.positions] = True
    # What a text's own mask shuts stays shut, too.
    shut = ~real | (rng.random(layout.shape) < 0.1)
    shut[:, 0] = False
    mask = np.where(shut, np.float32(-1e4), np.float32(0))[:, None, None, :]
    feed = {"data": data, "mask": mask}
    plain_results = CORE.compile_model(plain, "CPU", PROPERTIES)(feed)[0]
    return plain_results, CORE.compile_model(joined, "CPU", PROPERTIES)({**feed, **added})[0], real


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": half},
        {"transpose_keys": False},
        {"add_mask": lambda scores, mask: ops.add(mask, scores)},
        {"weigh": lambda scores: half(ops.softmax(scores, -1))},
        {"put_together": half},
    ],
    ids=["plain", "scaled", "keys turned", "mask first", "weights scaled", "tokens scaled"],
)
def test_attention_is_joined_however_it_is_written(options):
    plain, joined, real = both(lambda data, mask: attend(data, mask, **options))
    np.testing.assert_allclose(joined[real], plain[real], atol=1e-4)


@pytest.mark.parametrize(
    ("options", "mask_shape"),
    [
        ({}, (-1, 1, -1, -1)),
        ({}, (1, 1, 1, -1)),
        ({"add_mask": ops.multiply}, (-1, 1, 1, -1)),
        ({"add_mask": lambda scores, _: scores}, (-1, 1, 1, -1)),
        ({"add_mask": lambda scores, mask: half(ops.add(scores, mask))}, (-1, 1, 1, -1)),
        ({"weigh": lambda scores: ops.softmax(scores, 2)}, (-1, 1, 1, -1)),
        ({"weigh": ops.relu}, (-1, 1, 1, -1)),
        ({"put_together": lambda tokens: ops.softmax(tokens, 1)}, (-1, 1, 1, -1)),
        ({"put_together": lambda tokens: ops.cum_sum(tokens, ops.constant(1))}, (-1, 1, 1, -1)),
    ],
    ids=[
        "a mask for each two tokens", "one mask for all texts", "mask multiplied", "no mask", "changed after its mask",
        "softmax over queries", "no softmax", "along the text", "a running sum",
    ],
)  # fmt: skip
def test_what_joined_rows_might_change_keeps_a_row_for_each_text(options, mask_shape):
    model = make(lambda data, mask: attend(data, mask, **options), mask_shape)
    pack_tokens(model)
    before = len(model.get_ops())
    assert join_rows(model) == 0
    assert len(model.get_ops()) == before
    assert JOINED_ROWS_INPUT not in {name for port in model.inputs for name in port.get_names()}


def test_rows_that_leave_the_graph_are_left_alone():
    def build(data, mask):
        queries = heads(linear(data, 1))
        scores = ops.add(ops.matmul(queries, queries, False, True), mask)
        return ops.softmax(scores, 3)

    model = make(build)
    assert pack_tokens(model) == 1
    assert join_rows(model) == 0


def test_a_graph_whose_tokens_are_not_packed_is_left_alone():
    model = read(1)
    before = len(model.get_ops())
    assert join_rows(model) == 0
    assert len(model.get_ops()) == before
