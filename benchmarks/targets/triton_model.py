"""Triton's Python backend loads this file: the requests that it hands over together are one batch.

Runs inside Triton's own processes, one for each instance, with one thread for inference.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

from benchmarks.targets.peer_classifier import PeerClassifier
from benchmarks.targets.peer_contract import SCORES_OUTPUT, TEXT_INPUT


class TritonPythonModel:
    """What the backend looks for, by this name."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the model."""
        arguments = json.loads(json.loads(args["model_config"])["parameters"]["arguments"]["string_value"])
        self._classifier = PeerClassifier(
            Path(arguments["folder"]), arguments["hint"], streams=1, counts=Path(arguments["counts"])
        )

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answers requests that Triton has batched."""
        tensors = [pb_utils.get_input_tensor_by_name(request, TEXT_INPUT).as_numpy() for request in requests]
        texts = [text.decode() for tensor in tensors for text in tensor.ravel()]
        scores = self._classifier.classify(texts)
        responses, start = [], 0
        for tensor in tensors:
            own = scores[start : start + len(tensor)]
            start += len(tensor)
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor(SCORES_OUTPUT, own)]))
        return responses
