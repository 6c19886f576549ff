"""The tensors of a BERT encoder out of an ONNX file, under the names that Hugging Face gives them.

Exporters keep the names of biases, norms and embeddings, and lose those of the Linear matrices: these stand
in the file as `[in, out]` operands of MatMul nodes, whose names tell the layer they came from.
Knows ONNX; must not know Paddle.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from sentinova_training.errors import RecipeError

_MATRIX = re.compile(r"^/(encoder/layer\.\d+/.+)/MatMul$")


def read(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Returns each tensor by its name, matrices of Linear layers as `[out, in]` float32.

    Raises:
        RecipeError: the file is not ONNX, or holds no encoder.
    """
    import onnx  # noqa: PLC0415 - slow to load, needed by one step
    from onnx import numpy_helper  # noqa: PLC0415

    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:
        raise RecipeError(f"{path}: not an ONNX file ({type(error).__name__}: {error})") from error
    stored = {tensor.name: tensor for tensor in graph.initializer}
    found = {
        name: numpy_helper.to_array(tensor)
        for name, tensor in stored.items()
        if name.startswith(("embeddings.", "encoder.")) and not name.endswith("position_ids")
    }
    for node in graph.node:
        named = _MATRIX.match(node.name)
        if named and node.input[1] in stored:
            matrix = numpy_helper.to_array(stored[node.input[1]])
            found[named[1].replace("/", ".") + ".weight"] = np.ascontiguousarray(matrix.T)
    if not any(name.startswith("encoder.layer.0.") for name in found):
        raise RecipeError(f"{path}: holds no BERT encoder whose layers are named")
    return found
