"""The files of a version: each one that is missing or wrong is named."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova_server.errors import LoadError
from sentinova_server.runtime.golden import compare_ids, compare_logits, read_golden
from sentinova_server.runtime.labels import read_labels
from sentinova_server.runtime.model_files import find_model_files

CASES = [
    {"text": "a", "input_ids": [1, 2], "logits": [0.5, -0.5]},
    {"text": "b", "input_ids": [1, 3], "logits": [2.0, -2.0]},
]


@pytest.fixture
def golden(tmp_path):
    content = {"format_version": 1, "tolerance": 0.001, "precision": "float32", "cases": CASES}
    (tmp_path / "golden.json").write_text(json.dumps(content))
    return read_golden(tmp_path)


@pytest.mark.parametrize(
    ("files", "kind"), [(("model.pdmodel", "model.pdiparams"), "paddle"), (("model.xml", "model.bin"), "openvino")]
)
def test_both_formats_are_found_and_need_both_files(tmp_path, files, kind):
    for name in files:
        (tmp_path / name).write_bytes(b"x")
    found = find_model_files(tmp_path)
    assert (found.format, found.graph, found.weights) == (kind, tmp_path / files[0], tmp_path / files[1])
    (tmp_path / files[1]).unlink()
    with pytest.raises(LoadError, match=f"{files[1]}: is missing"):
        find_model_files(tmp_path)


def test_an_empty_file_is_told_but_the_constants_of_a_graph_that_has_none(tmp_path):
    for name in ("model.pdmodel", "model.xml"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "model.pdiparams").write_bytes(b"")
    with pytest.raises(LoadError, match=r"model\.pdiparams: is empty"):
        find_model_files(tmp_path)
    (tmp_path / "model.pdmodel").unlink()
    (tmp_path / "model.bin").write_bytes(b"")
    assert find_model_files(tmp_path).format == "openvino"


def test_paddle_files_win_over_openvino_files(tmp_path):
    for name in ("model.pdmodel", "model.pdiparams", "model.xml", "model.bin"):
        (tmp_path / name).write_bytes(b"x")
    assert find_model_files(tmp_path).format == "paddle"


def test_an_empty_folder_and_the_pir_format_are_told(tmp_path):
    with pytest.raises(LoadError, match=r"model\.pdmodel: is missing"):
        find_model_files(tmp_path)
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(LoadError, match=r"model\.json: is Paddle's PIR format.*FLAGS_enable_pir_api=0"):
        find_model_files(tmp_path)


def test_labels_are_the_lines(tmp_path):
    (tmp_path / "labels.txt").write_text("schlecht\r\ngut\n\n", encoding="utf-8")
    assert read_labels(tmp_path / "labels.txt") == ("schlecht", "gut")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "is missing"),
        (b"", "at least two"),
        (b"one\n", "at least two"),
        (b"a\n\nb\n", "line 2 is empty"),
        (b"a\nb\na\n", "line 3: 'a' occurs twice"),
        (b"\xff\n", "UTF-8"),
    ],
)
def test_wrong_labels_are_told(tmp_path, content, told):
    file = tmp_path / "labels.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(LoadError, match=told):
        read_labels(file)


def test_no_golden_file_is_no_golden_set(tmp_path):
    assert read_golden(tmp_path) is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format_version": 2}, "format_version"),
        ({"tolerance": 0}, "tolerance"),
        ({"cases": []}, "cases"),
        ({"cases": [{"text": "a", "input_ids": [1]}]}, "cases.0.logits"),
        ({"cases": [{"text": "a", "input_ids": [1], "logits": ["x"]}]}, "cases.0.logits.0"),
    ],
)
def test_a_wrong_golden_file_is_told_with_the_place(tmp_path, change, told):
    content = {"format_version": 1, "tolerance": 0.001, "cases": CASES, **change}
    (tmp_path / "golden.json").write_text(json.dumps(content))
    with pytest.raises(LoadError, match=told) as error:
        read_golden(tmp_path)
    assert error.value.file == tmp_path / "golden.json"


def test_a_cut_golden_file_is_told(tmp_path, golden):
    file = tmp_path / "golden.json"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(LoadError, match=r"golden\.json: the file: Invalid JSON"):
        read_golden(tmp_path)


@given(st.floats(-0.01, 0.01))
def test_logits_pass_exactly_within_the_tolerance(tmp_path_factory, difference):
    folder = tmp_path_factory.mktemp("golden")
    (folder / "golden.json").write_text(json.dumps({"format_version": 1, "tolerance": 0.001, "cases": CASES}))
    golden = read_golden(folder)
    logits = np.array([case["logits"] for case in CASES])
    logits[1, 0] += difference
    moved = abs(logits[1, 0] - 2.0)
    if moved <= 0.001:
        assert compare_logits(folder, golden, logits).max_difference == moved
    else:
        with pytest.raises(LoadError, match=r"cases\.1: .*tolerance"):
            compare_logits(folder, golden, logits)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_no_numbers_never_pass(tmp_path, golden, bad):
    logits = np.array([case["logits"] for case in CASES], np.float32)
    logits[0, 1] = bad
    with pytest.raises(LoadError, match=r"cases\.0"):
        compare_logits(tmp_path, golden, logits)


def test_another_number_of_classes_is_told(tmp_path, golden):
    with pytest.raises(LoadError, match="3 classes"):
        compare_logits(tmp_path, golden, np.zeros((2, 3), np.float32))


def test_other_token_ids_are_told_with_the_case(tmp_path, golden):
    compare_ids(tmp_path, golden, [[1, 2], [1, 3]])
    with pytest.raises(LoadError, match=r"cases\.1: the tokenizer gives other token ids"):
        compare_ids(tmp_path, golden, [[1, 2], [1, 4]])
