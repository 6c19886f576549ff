"""Transposing weights changes no number, leaves alone what others read too, and reaches all of the shipped model's."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openvino import opset13 as ops
from sentinova_server.runtime.rewrites.transposed_weights import transpose_weights

SHIPPED = Path(__file__).resolve().parents[4] / "model_repository" / "sentiment_en"
CORE = ov.Core()
PROPERTIES = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
WIDTH = 6


def draw(shape, seed=0, dtype=np.float16):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def weights(array):
    """Gives a constant as Paddle writes one, in float16 with its conversion, or in float32 as it is."""
    constant = ops.constant(array)
    return ops.convert(constant, "f32") if array.dtype == np.float16 else constant


def graph(build):
    """Makes a graph out of tokens, `[batch, seq, WIDTH]`."""
    data = ops.parameter([-1, -1, WIDTH], np.float32, name="data")
    data.output(0).set_names({"data"})
    made = build(data)
    return ov.Model(made if isinstance(made, list) else [made], [data], "graph")


def run(model, value):
    return [np.array(found) for found in CORE.compile_model(model, "CPU", PROPERTIES)({"data": value}).values()]


def rewrite(model):
    """Rewrites a copy, and sees that it gives the very same numbers; gives it, and how much was changed."""
    copy = model.clone()
    changed = transpose_weights(copy)
    value = draw((2, 3, WIDTH), seed=7, dtype=np.float32)
    for before, after in zip(run(model, value), run(copy, value), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-6, atol=1e-6)
    return copy, changed


def matrices(model):
    """Gives what gives each matrix product its second input, that one's type and shape, and whether it is turned."""
    found = []
    for node in model.get_ordered_ops():
        if node.get_type_name() == "MatMul":
            source = node.input_value(1)
            kind, shape = source.get_element_type().get_type_name(), str(source.get_partial_shape())
            found.append((source.get_node().get_type_name(), kind, shape, node.get_attributes()["transpose_b"]))
    return found


def turned(*shape):
    """Gives what `matrices` tells of weights as they are to be."""
    return "Constant", "f32", str(ov.PartialShape(shape)), True


def constants(model):
    return [node for node in model.get_ordered_ops() if node.get_type_name() == "Constant"]


def untouched(model):
    before = [node.get_type_name() for node in model.get_ordered_ops()]
    copy, changed = rewrite(model)
    assert changed == 0
    assert [node.get_type_name() for node in copy.get_ordered_ops()] == before
    assert matrices(copy) == matrices(model)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@settings(deadline=None, max_examples=10)
@given(widths=st.lists(st.integers(1, 9), min_size=1, max_size=4), seed=st.integers(0, 2**32 - 1))
def test_layers_of_any_width_give_the_same_numbers(dtype, widths, seed):
    def build(data):
        wide = WIDTH
        for number, width in enumerate(widths):
            data = ops.relu(ops.matmul(data, weights(draw((wide, width), seed + number, dtype)), False, False))
            wide = width
        return data

    copy, changed = rewrite(graph(build))
    assert changed == len(widths)
    assert matrices(copy) == [turned(width, wide) for wide, width in zip([WIDTH, *widths], widths, strict=False)]
    assert transpose_weights(copy) == 0


def test_the_numbers_are_the_same_bits():
    array = draw((WIDTH, 4))
    copy, _ = rewrite(graph(lambda data: ops.matmul(data, weights(array), False, False)))
    [constant] = constants(copy)
    np.testing.assert_array_equal(constant.get_data(), array.astype(np.float32).T)


def test_the_model_keeps_the_names_of_what_it_gives():
    model = graph(lambda data: ops.matmul(data, weights(draw((WIDTH, 4))), False, False, name="the layer"))
    model.outputs[0].set_names({"logits", "scores"})
    [product] = [node for node in model.get_ops() if node.get_type_name() == "MatMul"]
    product.get_rt_info()["note"] = "kept"
    copy, changed = rewrite(model)
    assert changed == 1
    assert copy.outputs[0].get_names() == {"logits", "scores"}
    [product] = [node for node in copy.get_ops() if node.get_type_name() == "MatMul"]
    assert (product.get_friendly_name(), product.get_rt_info()["note"]) == ("the layer", "kept")
    assert str(copy.outputs[0].get_partial_shape()) == "[?,?,4]"


def test_a_matrix_of_two_layers_is_there_once():
    def build(data):
        shared = weights(draw((WIDTH, WIDTH)))
        return ops.matmul(ops.relu(ops.matmul(data, shared, False, False)), shared, False, False)

    copy, changed = rewrite(graph(build))
    assert changed == 1
    assert len(constants(copy)) == 1
    assert matrices(copy) == [turned(WIDTH, WIDTH)] * 2


def test_a_constant_with_two_conversions_is_there_once():
    def build(data):
        constant = ops.constant(draw((WIDTH, WIDTH)))
        first, second = (ops.convert(constant, "f32") for _ in range(2))
        return ops.matmul(ops.relu(ops.matmul(data, first, False, False)), second, False, False)

    copy, changed = rewrite(graph(build))
    assert (changed, len(constants(copy))) == (1, 1)


def test_what_lies_right_is_only_converted():
    array = draw((4, WIDTH))
    copy, changed = rewrite(graph(lambda data: ops.matmul(data, weights(array), False, True)))
    assert changed == 1
    assert matrices(copy) == [turned(4, WIDTH)]
    untouched(graph(lambda data: ops.matmul(data, weights(array.astype(np.float32)), False, True)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_matrix_read_both_ways_stays(dtype):
    def build(data):
        shared = weights(draw((WIDTH, WIDTH), dtype=dtype))
        return ops.matmul(ops.relu(ops.matmul(data, shared, False, False)), shared, False, True)

    untouched(graph(build))


def embed(data, table):
    """Looks rows of a table up by the numbers in tokens."""
    places = ops.convert(ops.floor(ops.clamp(data, 0.0, 4.0)), "i64")
    return ops.gather(table, places, ops.constant(np.int64(0)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("transposed", [False, True])
def test_an_embedding_that_is_a_matrix_too_stays(dtype, transposed):
    def build(data):
        table = weights(draw((WIDTH, WIDTH), dtype=dtype))
        return [embed(data, table), ops.matmul(data, table, False, transposed)]

    untouched(graph(build))


def test_an_embedding_in_float16_that_is_a_matrix_too_stays():
    def build(data):
        table = ops.constant(draw((WIDTH, WIDTH)))
        vectors = ops.convert(embed(data, table), "f32")
        return [vectors, ops.matmul(data, ops.convert(table, "f32"), False, False)]

    untouched(graph(build))


@pytest.mark.parametrize(
    "build",
    [
        lambda data: ops.matmul(data, weights(draw((2, WIDTH, 4))), False, False),
        lambda data: ops.matmul(data, weights(draw(WIDTH)), False, False),
        lambda data: ops.matmul(data, data, False, True),
        lambda data: ops.matmul(weights(draw((3, 3))), data, False, False),
        lambda data: ops.add(data, weights(draw((3, WIDTH)))),
    ],
    ids=["three axes", "one axis", "no constant", "the first input", "no product"],
)
def test_what_is_no_layers_matrix_stays(build):
    untouched(graph(build))


def test_weights_in_eight_bits_stay():
    def compressed(data):
        wide = ops.convert(ops.constant(np.arange(24, dtype=np.int8).reshape(WIDTH, 4)), "f32")
        return ops.matmul(data, ops.multiply(wide, ops.constant(np.float32(0.1))), False, False)

    def rounded(data):
        low, high = (ops.constant(np.float32(bound)) for bound in (-2, 2))
        return ops.matmul(data, ops.fake_quantize(weights(draw((WIDTH, 4))), low, high, low, high, 255), False, False)

    untouched(graph(compressed))
    untouched(graph(rounded))


@pytest.mark.parametrize(("version", "layers"), [("1", 3), ("2", 6)])
def test_every_linear_layer_of_the_shipped_model_is_reached(version, layers):
    model = CORE.read_model(SHIPPED / version / "model.pdmodel")
    plain = CORE.compile_model(model.clone(), "CPU", PROPERTIES)
    # Six in each layer, the pooler and the classifier.
    assert transpose_weights(model) == 6 * layers + 2
    read = [found for found in matrices(model) if found[0] != "Transpose"]  # attention's products of what is computed
    assert [(kind, dtype, transposed) for kind, dtype, _, transposed in read] == [("Constant", "f32", True)] * len(read)
    assert len(read) >= 6 * layers + 2
    halves = [node for node in constants(model) if node.get_element_type() == ov.Type.f16]
    readers = {
        second.get_node().get_type_name()
        for node in halves
        for first in node.output(0).get_target_inputs()
        for second in first.get_node().output(0).get_target_inputs()
    }
    assert "MatMul" not in readers
    assert sum(node.get_byte_size() for node in halves) > 0  # the embeddings are as they were
    ids = np.random.default_rng(1).integers(1000, 30000, (3, 12))
    inputs = {"input_ids": ids, "token_type_ids": np.zeros_like(ids)}
    after = CORE.compile_model(model, "CPU", PROPERTIES)
    np.testing.assert_allclose(after(inputs)[0], plain(inputs)[0], atol=1e-5)
