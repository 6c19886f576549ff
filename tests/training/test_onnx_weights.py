"""Encoder weights come out of an ONNX file under their own names, matrices the way round that Hugging Face has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is installed in the training environment only")

from sentinova_training import onnx_weights  # noqa: E402
from sentinova_training.errors import RecipeError  # noqa: E402


def write(path: Path, prefix: str) -> np.ndarray:
    """Writes a graph with one matrix whose name is lost, as exporters leave it; gives the matrix, [in, out]."""
    from onnx import TensorProto, helper, numpy_helper

    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensors = {"onnx::MatMul_7": matrix, f"{prefix}encoder.layer.0.intermediate.dense.bias": matrix[0]}
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, width]) for name, width in (("x", 2), ("y", 3))]
    node = helper.make_node("MatMul", ["x", "onnx::MatMul_7"], ["y"], name="/encoder/layer.0/intermediate/dense/MatMul")
    stored = [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    onnx.save(helper.make_model(helper.make_graph([node], "graph", ends[:1], ends[1:], stored)), str(path))
    return matrix


def test_matrices_are_named_by_the_nodes_that_use_them(tmp_path: Path):
    matrix = write(tmp_path / "model.onnx", "")
    found = onnx_weights.read(tmp_path / "model.onnx")
    assert found.keys() == {"encoder.layer.0.intermediate.dense.weight", "encoder.layer.0.intermediate.dense.bias"}
    np.testing.assert_array_equal(found["encoder.layer.0.intermediate.dense.weight"], matrix.T)


@pytest.mark.parametrize("content", [b"", b"no graph"])
def test_another_file_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(RecipeError, match=r"model\.onnx"):
        onnx_weights.read(tmp_path / "model.onnx")
