"""An exact rewrite of a graph: weights of linear layers lie as the CPU plugin reads them, so that it copies none.

Paddle writes a linear layer's weights `[in, out]`, in float16 where that loses nothing, with a conversion to float32
before the product. OpenVINO's CPU plugin multiplies by float32 `[out, in]`: of what lies otherwise it makes a copy of
its own in every form that is compiled. Here it is converted and transposed once, and all forms read the same memory.
The numbers are the same ones: every float16 is a float32.

Knows OpenVINO's graphs; must not know tokenizers, files or requests.
"""

from __future__ import annotations

import numpy as np
import openvino as ov
from openvino import opset13 as ops

_MATRIX = 1  # the input of a MatMul that its weights are


def transpose_weights(model: ov.Model) -> int:
    """Rewrites a model in place.

    Weights that something else reads too, as an embedding that is the last layer's matrix as well, are left alone.

    Returns:
        How many weights now lie otherwise; 0: the model is as it was.
    """
    changed = sum(_change(node) for node in model.get_ordered_ops() if node.get_type_name() == "Constant")
    if changed:
        model.validate_nodes_and_infer_types()
    return changed


def _change(weights: ov.Node) -> bool:
    """Puts float32 `[out, in]` in the place of a constant that is nothing but weights; tells whether it did."""
    kind = weights.get_output_element_type(0)
    if kind not in (ov.Type.f16, ov.Type.f32) or len(weights.get_output_partial_shape(0)) != 2:
        return False
    readers = _find_readers(weights.output(0), converted=kind == ov.Type.f32)
    if not readers:
        return False
    turned = {bool(reader.get_node().get_attributes()["transpose_b"]) for reader in readers}
    # Read both ways it would have to be there twice; and float32 `[out, in]` is what is wanted.
    if len(turned) > 1 or (turned == {True} and kind == ov.Type.f32):
        return False
    numbers = np.asarray(weights.get_data()).astype(np.float32, copy=False)
    made = ops.constant(np.ascontiguousarray(numbers if turned == {True} else numbers.T))
    made.set_friendly_name(weights.get_friendly_name())
    for reader in readers:
        reader.replace_source_output(made.output(0))
        # The node stays, and with it the names of what it gives.
        reader.get_node().set_attribute("transpose_b", True)
    return True


def _find_readers(output: ov.Output, *, converted: bool) -> list[ov.Input]:
    """Gives the inputs of the matrix products that read weights, through a conversion or not; none where others do too.

    Args:
        output: the weights.
        converted: whether they are in float32.
    """
    found: list[ov.Input] = []
    for reader in output.get_target_inputs():
        node = reader.get_node()
        if converted and node.get_type_name() == "MatMul" and reader.get_index() == _MATRIX:
            found.append(reader)
            continue
        to_float32 = node.get_type_name() == "Convert" and node.get_output_element_type(0) == ov.Type.f32
        behind = _find_readers(node.output(0), converted=True) if to_float32 and not converted else []
        if not behind:
            return []
        found += behind
    return found
