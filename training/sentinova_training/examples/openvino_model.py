"""An example model in OpenVINO, as a server has it.

Knows OpenVINO's Paddle frontend; must not import Paddle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import openvino

from sentinova_training.errors import RecipeError
from sentinova_training.examples import golden_tensors
from sentinova_training.examples.catalogue import Array

Infer = Callable[[Mapping[str, Array]], dict[str, Array]]


def load(folder: Path) -> Infer:
    """Compiles the model of a version folder for the CPU in float32, with shapes left open.

    Returns:
        A function from inputs to outputs, both by name: OpenVINO may list them in another order than Paddle does.

    Raises:
        RecipeError: OpenVINO cannot read or compile it.
    """
    core = openvino.Core()
    try:
        model = core.read_model(str(folder / "model.pdmodel"))
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    except RuntimeError as error:
        raise RecipeError(f"{folder}: OpenVINO cannot read it\n{error}") from error

    def infer(inputs: Mapping[str, Array]) -> dict[str, Array]:
        found = compiled(dict(inputs))
        return {port.get_any_name(): np.array(found[port]) for port in compiled.outputs}

    return infer


def compare(folder: Path) -> float:
    """Largest difference of a number from the golden values; infinite where names, shapes or types are others.

    Raises:
        RecipeError: OpenVINO cannot read the model.
    """
    infer = load(folder)
    cases, _ = golden_tensors.read(folder / golden_tensors.FILE)
    return max(golden_tensors.largest_difference(infer(inputs), outputs) for inputs, outputs in cases)
