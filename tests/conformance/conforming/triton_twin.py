"""What Triton's Python backend runs in place of the OpenVINO models: the same sums.

Knows the backend's interface; must not know the cases. Runs inside Triton's own processes; each version's model.py is
a class on top of this one that says what the model does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

# The tiny text model's weights: each word's share of the two logits. Other words have none.
_WORDS = {"good": (-1, 2), "bad": (2, -1), "not": (0.5, 0.25), "film": (0.125, 0.125)}
_CLASSES = np.array([b"negative", b"positive"], object)


class Twin:
    """What the backend looks for, but for its name and what it does."""

    does: str

    def initialize(self, args: dict[str, str]) -> None:
        """Remembers the version and the tensors."""
        self._version = int(args["model_version"])
        config = json.loads(args["model_config"])
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._outputs = [tensor["name"] for tensor in config["output"]]
        self._in_numpy = config["input"][0]["data_type"] != "TYPE_BF16"

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answers requests one by one."""
        return [pb_utils.InferenceResponse(self._answer(request)) for request in requests]

    def _answer(self, request: Any) -> list[Any]:
        inputs = [pb_utils.get_input_tensor_by_name(request, name) for name in self._inputs]
        if not self._in_numpy:
            return [pb_utils.Tensor.from_dlpack(self._outputs[0], inputs[0].to_dlpack())]
        values = _COMPUTE[self.does](self._version, *[tensor.as_numpy() for tensor in inputs])
        return [pb_utils.Tensor(*pair) for pair in zip(self._outputs, values, strict=True)]


def _classify(version: int, texts: Any) -> list[Any]:
    del version
    words = [text.decode().lower().split() for text in texts.ravel()]
    sums = [[sum(_WORDS.get(word, (0, 0))[c] for word in text) for c in (0, 1)] for text in words]
    logits = np.array(sums, np.float32).reshape(len(texts), 2)
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return [_CLASSES[logits.argmax(1)][:, None], powers / powers.sum(1, keepdims=True), logits]


_COMPUTE: dict[str, Callable[..., list[Any]]] = {
    "same": lambda _, tensor: [tensor],
    "double": lambda _, tensor: [tensor * np.float32(2)],
    "multiply": lambda version, tensor: [tensor * np.float32(10 * version)],
    "add_subtract": lambda _, first, second: [first + second, first - second],
    "text": _classify,
}
