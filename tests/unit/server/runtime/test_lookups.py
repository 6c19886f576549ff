"""Numbers of a request that say where the model looks: bounded by the tables, or the model does not load."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops
from sentinova_server.errors import LoadError
from sentinova_server.repository.config import ModelConfig
from sentinova_server.runtime.engine import Engine
from sentinova_server.runtime.lookups import find_tables, find_unsafe
from sentinova_server.runtime.tensor_model import TensorModelParts

ROOT = Path(__file__).resolve().parents[4]
ROWS = 10
ENGINE = Engine()


def constant(value, dtype=np.int64):
    return ops.constant(np.array(value, dtype))


def table(rows=ROWS):
    return ops.constant(np.arange(rows * 2, dtype=np.float32).reshape(rows, 2))


def ids(shape=(-1, 1), dtype=np.int64, name="ids"):
    made = ops.parameter(list(shape), dtype, name=name)
    made.output(0).set_names({name})
    return made


def model_of(make, **options):
    """Makes a graph of one input: `make` gives what comes out of it."""
    source = ids(**options)
    made = make(source)
    outputs = made if isinstance(made, list) else [made]
    return ov.Model([ops.result(output) for output in outputs], [source], "m")


def gather(indices, rows=ROWS, axis=0):
    return ops.gather(table(rows), indices, constant(axis))


TABLES = {
    "plain": (gather, 10),
    "of other integers": (lambda x: gather(ops.convert(x, "i32")), 10),
    "of another form": (lambda x: gather(ops.reshape(ops.transpose(x, constant([1, 0])), constant([-1]), False)), 10),
    "squeezed and unsqueezed": (lambda x: gather(ops.squeeze(ops.unsqueeze(x, constant(0)), constant([0, 2]))), 10),
    "the smallest of two": (lambda x: [gather(x), gather(x, rows=7)], 7),
    "the smallest of two, first": (lambda x: [gather(x, rows=7), gather(x)], 7),
    "columns": (lambda x: gather(x, axis=1), 2),
    "columns from the end": (lambda x: gather(x, axis=-1), 2),
    "a table that is computed of a constant": (
        lambda x: ops.gather(
            ops.multiply(ops.convert(ops.convert(table(), "f16"), "f32"), constant(2, np.float32)), x, constant(0)
        ),
        10,
    ),
}


@pytest.mark.parametrize("case", TABLES)
def test_the_rows_of_a_table_are_found(case):
    make, rows = TABLES[case]
    assert find_tables(model_of(make)) == {"ids": rows}


NO_TABLES = {
    "numbers that are computed with": lambda x: gather(ops.add(x, constant(1))),
    "numbers that are data": lambda x: ops.gather(ops.convert(x, "f32"), constant([0]), constant(0)),
    "a table that is an input": lambda x: ops.gather(x, ops.convert(ops.shape_of(x), "i64"), constant(0)),
    "nothing looked up": lambda x: ops.multiply(x, constant(2)),
}


@pytest.mark.parametrize("case", NO_TABLES)
def test_where_there_is_no_table_any_number_will_do(case):
    assert find_tables(model_of(NO_TABLES[case])) == {}


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        ("text_lstm", {"token_ids": 200}),
        ("two_inputs", {"item_ids": 100}),
        ("event_sequence", {"kinds": 12}),
        ("image_cnn", {}),
        ("page_detector", {}),
        ("similarity_matrix", {}),
    ],
)
def test_the_tables_of_exported_models_are_found_and_none_is_unsafe(name, tables):
    model = ov.Core().read_model(ROOT / "tests" / "models" / name / "1" / "model.pdmodel")
    assert find_tables(model) == tables
    assert find_unsafe(model) == []


def gather_nd(indices):
    return ops.gather_nd(table(), indices)


def scatter(indices):
    return ops.scatter_elements_update(table(), indices, constant([[0.5]], np.float32), constant(0))


UNSAFE = {
    "GatherND": gather_nd,
    "GatherND, converted": lambda x: gather_nd(ops.convert(x, "i32")),
    "GatherND, added to": lambda x: gather_nd(ops.add(constant(1), x)),
    "GatherND, divided": lambda x: gather_nd(ops.divide(x, constant(2))),
    "GatherND, at least 0": lambda x: gather_nd(ops.maximum(x, constant(0))),
    "GatherND, negated twice": lambda x: gather_nd(ops.negative(ops.negative(x))),
    "GatherND, padded": lambda x: gather_nd(ops.pad(x, constant([1, 0]), constant([0, 0]), "constant", constant(0))),
    "GatherND, one of two": lambda x: gather_nd(ops.select(ops.greater(x, constant(0)), x, constant([[0]]))),
    "GatherND, summed": lambda x: gather_nd(ops.cum_sum(x, constant(0))),
    "GatherND, some of them": lambda x: gather_nd(ops.gather(x, constant([0]), constant(0))),
    "GatherND, beside others": lambda x: gather_nd(ops.concat([x, constant([[0]])], 0)),
    "ScatterElementsUpdate": scatter,
    "ScatterElementsUpdate, sliced": lambda x: scatter(
        ops.slice(x, constant([0]), constant([1]), constant([1]), constant([0]))
    ),
}


@pytest.mark.parametrize("case", UNSAFE)
def test_an_input_that_says_where_memory_is_touched_is_found(case):
    assert find_unsafe(model_of(UNSAFE[case])) == [("ids", case.partition(",")[0])]


@pytest.mark.parametrize("half", [0, 1])
def test_every_part_of_what_was_split_counts(half):
    model = model_of(lambda x: gather_nd(ops.split(x, constant(1), 2).output(half)), shape=(-1, 2))
    assert find_unsafe(model) == [("ids", "GatherND")]


def test_floats_that_become_places_count_too():
    model = model_of(lambda x: gather_nd(ops.convert(ops.floor(x), "i64")), dtype=np.float32)
    assert find_unsafe(model) == [("ids", "GatherND")]


SAFE = {
    "the data of GatherND": lambda x: ops.gather_nd(x, constant([[0]])),
    "the updates of ScatterElementsUpdate": lambda x: ops.scatter_elements_update(
        ops.constant(np.zeros((4, 1), np.int64)), constant([[0]]), x, constant(0)
    ),
    "places of the largest numbers": lambda x: gather_nd(ops.topk(x, constant(1), 1, "max", "value").output(1)),
    "a plain lookup": gather,
    "within what the model allows": lambda x: gather_nd(
        ops.convert(ops.clamp(ops.convert(x, "f32"), 0.0, ROWS - 1.0), "i64")
    ),
}


@pytest.mark.parametrize("case", SAFE)
def test_what_cannot_reach_outside_is_not_refused(case):
    assert find_unsafe(model_of(SAFE[case])) == []


@pytest.mark.parametrize("kind", ["GatherND", "ScatterElementsUpdate"])
def test_such_a_model_does_not_load_and_the_input_is_named(tmp_path, kind):
    folder = tmp_path / "m" / "1"
    folder.mkdir(parents=True)
    ov.save_model(model_of(UNSAFE[kind]), folder / "model.xml", compress_to_fp16=False)
    with pytest.raises(LoadError, match=rf"input 'ids' says where operation {kind}") as caught:
        TensorModelParts.read(folder, ModelConfig("m"), ENGINE)
    assert caught.value.file == folder / "model.xml"
