"""The example models as they are checked in, through OpenVINO. Needs no Paddle."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from sentinova_training.examples import golden_tensors, openvino_model
from sentinova_training.examples.catalogue import EXAMPLES, MAX_BATCH_SIZE, Example

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "tests" / "models"
NAMES = {"model.pdmodel", "model.pdiparams", "golden.npz", "MODEL_CARD.md"}
NUMPY_TYPES = {"f32": "float32", "i64": "int64", "i32": "int32", "boolean": "bool"}

each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)


def folder_of(example: Example) -> Path:
    return MODELS / example.name / "1"


def cases_of(example: Example) -> list[golden_tensors.Case]:
    return golden_tensors.read(folder_of(example) / golden_tensors.FILE)[0]


def rows_of(case: golden_tensors.Case) -> int:
    return len(next(iter(case[0].values())))


def test_the_folder_holds_each_example_and_stays_small():
    assert {path.name for path in MODELS.iterdir() if path.is_dir()} == {example.name for example in EXAMPLES}
    sizes = {example.name: sum(f.stat().st_size for f in folder_of(example).iterdir()) for example in EXAMPLES}
    assert max(sizes.values()) < 300_000, sizes
    assert sum(sizes.values()) < 1_000_000, sizes


@each_example
def test_a_version_folder_is_whole_and_names_no_path(example: Example):
    assert {path.name for path in folder_of(example).iterdir()} == NAMES
    program = (folder_of(example) / "model.pdmodel").read_bytes()
    assert b".py" not in program
    assert b"op_callstack" not in program


@each_example
def test_openvino_lists_the_inputs_that_the_catalogue_names(example: Example):
    model = ov.Core().read_model(str(folder_of(example) / "model.pdmodel"))
    found = {
        port.get_any_name(): (
            NUMPY_TYPES[port.get_element_type().get_type_name()],
            tuple(None if size.is_dynamic else size.get_length() for size in port.get_partial_shape()),
        )
        for port in model.inputs
    }
    assert found == {given.name: (given.dtype, given.shape) for given in example.inputs}


@each_example
def test_openvino_gives_what_paddle_gave(example: Example):
    assert openvino_model.compare(folder_of(example)) < 1e-5


@each_example
def test_golden_cases_cover_one_row_and_more(example: Example):
    rows = [rows_of(case) for case in cases_of(example)]
    assert min(rows) == 1
    assert 1 < max(rows) <= MAX_BATCH_SIZE


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.batched], ids=lambda example: example.name)
def test_a_row_is_answered_alike_alone_and_in_its_batch(example: Example):
    infer = openvino_model.load(folder_of(example))
    inputs, outputs = max(cases_of(example), key=rows_of)
    rows = rows_of((inputs, outputs))
    assert rows > 1
    for row in range(rows):
        alone = infer({name: tensor[row : row + 1] for name, tensor in inputs.items()})
        wanted = {name: tensor[row : row + 1] for name, tensor in outputs.items()}
        assert golden_tensors.largest_difference(alone, wanted) < 1e-5


@each_example
def test_answers_depend_on_what_was_asked(example: Example):
    """Else a server that mixed up rows or cases would go unseen."""
    for _, outputs in cases_of(example):
        floats = [tensor.reshape(len(tensor), -1) for tensor in outputs.values() if tensor.dtype == np.float32]
        rows = np.concatenate(floats, axis=1)
        apart = np.abs(rows[:, None] - rows[None]).max(axis=-1) + np.eye(len(rows))
        assert apart.min() > 0.005


def test_no_golden_class_is_a_close_call():
    """A whole number is compared exactly, so rounding must not decide it."""
    example = next(e for e in EXAMPLES if e.name == "event_sequence")
    for _, outputs in cases_of(example):
        (scores,) = (tensor for tensor in outputs.values() if tensor.ndim == 2)
        (classes,) = (tensor for tensor in outputs.values() if tensor.ndim == 1)
        np.testing.assert_array_equal(scores.argmax(axis=1), classes)
        first_two = np.sort(scores, axis=1)[:, -2:]
        assert (first_two[:, 1] - first_two[:, 0]).min() > 0.01


def test_golden_values_come_back_as_written(tmp_path: Path):
    cases = [
        ({"a/b": np.ones((2, 3), np.float32), "ids": np.arange(2)}, {"out": np.zeros((2, 1), np.float32)}),
        *[({"a/b": np.full((1, 1), n, np.float32)}, {"out": np.array([n > 5])}) for n in range(11)],
    ]
    golden_tensors.write(tmp_path / "golden.npz", cases, 0.25)
    found, tolerance = golden_tensors.read(tmp_path / "golden.npz")
    assert tolerance == 0.25
    assert len(found) == 12
    for own, wanted in zip(found, cases, strict=True):
        assert golden_tensors.largest_difference(own[0], wanted[0]) == 0
        assert golden_tensors.largest_difference(own[1], wanted[1]) == 0


def test_a_file_without_a_tolerance_has_the_default(tmp_path: Path):
    golden_tensors.write(tmp_path / "golden.npz", [({}, {"out": np.zeros(1)})], None)
    assert golden_tensors.read(tmp_path / "golden.npz")[1] == 1e-3


@pytest.mark.parametrize(
    "found",
    [
        {"other": np.zeros(2, np.float32)},
        {"out": np.zeros(3, np.float32)},
        {"out": np.zeros(2, np.int64)},
        {"out": np.array([0, np.nan], np.float32)},
        {},
    ],
)
def test_other_names_shapes_types_and_no_numbers_are_infinitely_far(found: dict[str, np.ndarray]):
    assert golden_tensors.largest_difference(found, {"out": np.zeros(2, np.float32)}) == float("inf")


def test_the_comparison_sees_weights_of_another_export(tmp_path: Path):
    folder = shutil.copytree(folder_of(EXAMPLES[0]), tmp_path / "1")
    content = (folder / "model.pdiparams").read_bytes()
    turned = np.frombuffer(content[-40:], np.float32)[::-1]
    (folder / "model.pdiparams").write_bytes(content[:-40] + turned.tobytes())
    assert openvino_model.compare(folder) > 1e-3
