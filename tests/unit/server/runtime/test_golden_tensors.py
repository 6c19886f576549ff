"""golden.npz holds a version to what Paddle gave: what differs, or is not as described, names the array."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sentinova_server.errors import LoadError
from sentinova_server.repository.config import ModelConfig, Precision
from sentinova_server.runtime.engine import Engine
from sentinova_server.runtime.golden import GoldenReport
from sentinova_server.runtime.golden_tensors import (
    GoldenTensors,
    GoldenTensorSet,
    compare_tensors,
    read_golden_tensors,
)
from sentinova_server.runtime.tensor_preparation import TensorPreparation

MODELS = Path(__file__).resolve().parents[4] / "tests" / "models"
ENGINE = Engine(streams=2)
FILE = Path("golden.npz")
CASE = {"0/input/x": np.ones((1, 2), np.float32), "0/output/y": np.ones((1, 1), np.float32)}


def read(folder, content):
    """Reads a golden file of some arrays, or of some bytes."""
    if isinstance(content, bytes):
        (folder / "golden.npz").write_bytes(content)
    else:
        np.savez(folder / "golden.npz", **content)
    return read_golden_tensors(folder, ["x"], ["y"])


def packed(**content):
    stream = io.BytesIO()
    np.savez_compressed(stream, **content)
    return stream.getvalue()


def single(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def flipped(content):
    """Changes one byte in the middle, which no longer fits the checksum, or no longer unpacks."""
    middle = content.index(b"0/input/x.npy") + 60
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


def test_no_file_is_no_golden_set(tmp_path):
    assert read_golden_tensors(tmp_path, ["x"], ["y"]) is None


def test_cases_come_in_the_order_of_their_numbers_and_keep_them(tmp_path):
    content = {
        f"{number}/{kind}/{name}": np.full(1, number)
        for number in (10, 9, 2)
        for kind, name in (("input", "x"), ("output", "y"))
    }
    found = read(tmp_path, content)
    assert [(case.number, case.inputs["x"].item(), case.outputs["y"].item()) for case in found.cases] == [
        (2, 2, 2),
        (9, 9, 9),
        (10, 10, 10),
    ]
    assert found.tolerance == 1e-3


def test_the_tolerance_is_the_files_own(tmp_path):
    assert read(tmp_path, {**CASE, "tolerance": np.float32(0.25)}).tolerance == 0.25


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "cannot be read as numpy's npz"),
        (b"text of some kind", "cannot be read as numpy's npz"),
        (b"PK\x03\x04 and no zip", "cannot be read as numpy's npz"),
        (packed(**CASE)[:-30], "cannot be read as numpy's npz"),
        (flipped(packed(**CASE)), "cannot be read as numpy's npz"),
        (single(np.zeros(3)), "is a single array"),
        ({**CASE, "0/input/x": np.array([None, 1], object)}, "Object arrays cannot be loaded"),
        ({**CASE, "0/output/y": np.ones(1, complex)}, "array '0/output/y' has elements of type complex128"),
        ({**CASE, "0/output/y": np.zeros(1, "M8[s]")}, r"array '0/output/y' has elements of type datetime64\[s\]"),
        ({**CASE, "tolerance": np.ones(2)}, r"tolerance has shape \(2,\)"),
        ({**CASE, "tolerance": np.array("much")}, "tolerance has .* type <U4"),
        ({**CASE, "tolerance": np.array(np.nan)}, "tolerance is nan; it must be above 0"),
        ({**CASE, "tolerance": np.array(0.0)}, "tolerance is 0; it must be above 0"),
        ({**CASE, "tolerance": np.array(1.5)}, "tolerance is 1.5; it must be above 0, and 1 at most"),
        ({"tolerance": np.array(0.1)}, "holds no case"),
        ({}, "holds no case"),
        ({**CASE, "x": np.ones(1)}, "array 'x' is none of N/input/NAME"),
        ({**CASE, "00/input/x": np.ones(1)}, "array '00/input/x' is none of N/input/NAME"),
        ({**CASE, "0/inputs/x": np.ones(1)}, "array '0/inputs/x' is none of N/input/NAME"),
        ({"0/input/x": np.ones(1)}, r"0/output has \[\]; the model has \['y'\]"),
        ({**CASE, "1/output/y": np.ones(1)}, r"1/input has \[\]; the model has \['x'\]"),
        ({**CASE, "0/output/z": np.ones(1)}, r"0/output has \['y', 'z'\]; the model has \['y'\]"),
    ],
)
def test_what_is_not_as_described_is_told(tmp_path, content, told):
    with pytest.raises(LoadError, match=told) as caught:
        read(tmp_path, content)
    assert caught.value.file == tmp_path / "golden.npz"


def compare(own, expected, tolerance=1e-3, number=4):
    golden = GoldenTensorSet([GoldenTensors(number, {}, {"y": np.asarray(expected)})], tolerance)
    return compare_tensors(FILE, golden, [{"y": np.asarray(own)}])


FLOATS = arrays.arrays(np.float32, arrays.array_shapes(min_side=0), elements=st.floats(-8, 8, width=32))


@given(FLOATS, st.floats(-0.5, 0.5), st.floats(1e-3, 0.3))
def test_the_largest_difference_counts(expected, difference, tolerance):
    own = expected.astype(np.float64)
    if own.size:
        own.flat[own.size // 2] += difference
    if own.size and abs(difference) > tolerance * (1 + 1e-9):
        with pytest.raises(LoadError, match=r"^golden\.npz: 4/output/y: a number differs from Paddle's by") as caught:
            compare(own, expected, tolerance)
        assert f"more than the tolerance {tolerance:g}" in caught.value.message
    elif abs(difference) < tolerance * (1 - 1e-6):
        assert compare(own, expected, tolerance) == GoldenReport(
            1, pytest.approx(abs(difference) * bool(own.size), abs=1e-6)
        )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_on_one_side_only_never_passes(bad):
    for own, expected in (([1.0, bad], [1.0, 2.0]), ([1.0, 2.0], [1.0, bad])):
        with pytest.raises(LoadError, match="4/output/y: a number differs"):
            compare(own, expected, tolerance=1.0)
    assert compare([1.0, bad], [1.0, bad]).max_difference == 0


def test_infinities_of_other_signs_are_not_equal():
    with pytest.raises(LoadError, match="differs"):
        compare([np.inf], [-np.inf], tolerance=1.0)


def test_numbers_of_other_types_are_compared_as_numbers():
    assert compare(np.array([1, 2], np.int64), np.array([1, 2], np.int32)).max_difference == 0
    assert compare(np.array([True, False]), np.array([True, False])).max_difference == 0
    with pytest.raises(LoadError, match="differs from Paddle's by 1,"):
        compare(np.array([True]), np.array([False]), tolerance=0.5)


def test_a_difference_beyond_the_width_of_the_numbers_is_seen():
    with pytest.raises(LoadError, match=r"differs from Paddle's by 2\.6e\+02"):
        compare(np.array([0], np.uint8), np.array([255], np.uint8))


@pytest.mark.parametrize("expected", [np.ones((3, 1)), np.ones(3), np.ones((1, 4))])
def test_another_shape_is_told_even_where_it_would_broadcast(expected):
    with pytest.raises(LoadError, match=r"4/output/y: the model gives shape \(1, 3\) and Paddle gave"):
        compare(np.ones((1, 3)), expected)


def test_texts_are_equal_or_not():
    own = np.array([b"caf\xc3\xa9", b""], object)
    assert compare(own, np.array([b"caf\xc3\xa9", b""])).max_difference == 0
    assert compare(own, np.array(["café", ""])).max_difference == 0
    with pytest.raises(LoadError, match="4/output/y: "):
        compare(own, np.array(["cafe", ""]))


@pytest.mark.parametrize(("own", "expected"), [(np.ones(1), np.array(["1"])), (np.array([b"1"], object), np.ones(1))])
def test_texts_are_no_numbers(own, expected):
    with pytest.raises(LoadError, match=r"4/output/y: the model gives (texts|numbers), and Paddle did not"):
        compare(own, expected)


# A whole version, whose golden values are spoiled.


@pytest.fixture
def spoil(tmp_path):
    """Loads a copy of an exported model with other golden values; gives the proof."""

    def load(change, name="two_inputs", **config):
        folder = tmp_path / name / "1"
        shutil.copytree(MODELS / name / "1", folder)
        content = dict(np.load(folder / "golden.npz"))
        np.savez(folder / "golden.npz", **change(content))
        model, proof = TensorPreparation(folder, ModelConfig(name, max_batch_size=8, **config), 1, ENGINE).run()
        model.close()
        return proof

    return load


def put(key, change):
    return lambda content: {**content, key: change(content[key])}


TANH = "1/output/tanh_0.tmp_0"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (put(TANH, lambda values: values + 0.01), f"{TANH}: a number differs from Paddle's by 0.01"),
        (put(TANH, lambda values: values * np.nan), f"{TANH}: a number differs from Paddle's by inf"),
        (put(TANH, lambda values: values[:, :3]), f"{TANH}: the model gives shape"),
        (put(TANH, lambda values: values.astype(str)), f"{TANH}: the model gives numbers"),
        (put("1/input/item_ids", lambda ids: ids[:2]), "1/input: .*first dimensions"),
        (put("1/input/item_ids", lambda ids: np.full(ids.shape, "a")), "1/input: "),
        (put("1/input/item_ids", lambda _: np.array(3)), "1/input: "),
        (put("1/input/item_ids", lambda ids: (ids + 1) % 100), "1/output/.*differs"),
        (put("1/input/user_features", lambda values: values[:, :5]), "1/input: .*user_features"),
    ],
)
def test_a_version_that_differs_is_not_served_and_the_array_is_named(spoil, change, told):
    with pytest.raises(LoadError, match=told) as caught:
        spoil(change)
    assert caught.value.file.name == "golden.npz"


def test_what_is_within_the_tolerance_is_served_and_the_difference_told(spoil):
    proof = spoil(lambda content: {**put(TANH, lambda values: values + 0.01)(content), "tolerance": np.float32(0.02)})
    assert proof.logits.cases == 3
    assert proof.logits.max_difference == pytest.approx(0.01, abs=1e-5)
    assert str(proof) == "3 golden cases, outputs within 1.0e-02 of Paddle's"


def test_without_the_file_a_version_is_served_and_that_is_told(tmp_path):
    folder = tmp_path / "two_inputs" / "1"
    shutil.copytree(MODELS / "two_inputs" / "1", folder, ignore=shutil.ignore_patterns("golden.npz"))
    model, proof = TensorPreparation(folder, ModelConfig("two_inputs"), 1, ENGINE).run()
    model.close()
    assert (proof.precision, proof.logits) == (Precision.F32, None)
    assert str(proof) == "not checked against Paddle: the version has no golden.npz"
