"""Paddle's program format: `model.pdmodel` and `model.pdiparams`, which OpenVINO reads.

Knows how Paddle writes and reads these two files; must not know what the network is for.
"""

# ruff: noqa: PLC0415 - Paddle is imported after its flags are set.

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sentinova_training.errors import RecipeError


def use_program_format() -> None:
    """Has Paddle write `model.pdmodel`, which OpenVINO reads; must come before Paddle's first import."""
    os.environ["FLAGS_enable_pir_api"] = "0"  # noqa: SIM112 - Paddle spells it so


def write(layer: Any, inputs: Sequence[Any], folder: Path) -> None:
    """Writes a layer's `model.pdmodel` and `model.pdiparams`, without paths of this machine.

    Args:
        layer: a layer in evaluation mode that has been called once: Paddle needs that call before `to_static`.
        inputs: an `InputSpec` for each argument of its forward pass.
        folder: where to.

    Raises:
        RecipeError: this Paddle writes another format.
    """
    import paddle

    program = paddle.jit.to_static(layer, full_graph=True, input_spec=list(inputs))
    paddle.jit.save(program, str(folder / "model"))
    for name in ("model.pdmodel", "model.pdiparams"):
        if not (folder / name).is_file():
            raise RecipeError(f"Paddle {paddle.__version__} wrote no {name}; the recipe needs 3.0 or 3.1")
    (folder / "model.pdiparams.info").unlink(missing_ok=True)
    _drop_call_stacks(folder / "model.pdmodel")


def _drop_call_stacks(path: Path) -> None:
    """Takes out the call stacks that Paddle keeps with its operations: they hold paths of this machine."""
    from paddle.base.proto import framework_pb2

    program = framework_pb2.ProgramDesc()
    program.ParseFromString(path.read_bytes())
    for block in program.blocks:
        for operation in block.ops:
            kept = [attribute for attribute in operation.attrs if attribute.name != "op_callstack"]
            del operation.attrs[:]
            operation.attrs.extend(kept)
    path.write_bytes(program.SerializeToString(deterministic=True))
