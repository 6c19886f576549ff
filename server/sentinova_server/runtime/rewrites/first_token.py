"""An exact rewrite of a graph: what reads only the first token is computed for the first token only.

A classifier's head reads one token of the last layer. That layer's keys and values are needed of every token, but its
queries, its attention's output, its feed-forward part and its norms are needed of that one alone. OpenVINO does not
see it. The rewrite starts at the slice that takes the first token, goes up the graph as long as everything that an
operation gives is read only in that slice, and puts the slice there instead. It knows operations, not models: any graph
that ends in such a slice gets it, and any other is left as it is.

Knows OpenVINO's graphs; must not know tokenizers, files or requests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, auto

import numpy as np
import openvino as ov
from openvino import opset13 as ops


class _Read(Enum):
    """How a consumer reads an input, where it does not read a slice of one axis."""

    WHOLE = auto()
    # Reads nothing that the slice changes: the rank, or sizes of later axes.
    SHAPE = auto()


# The axis on which a consumer reads the first element only, or one of the above.
_Demand = int | _Read
_Handler = Callable[[ov.Node, int], list[_Demand] | None]


def compute_first_token_only(model: ov.Model) -> int:
    """Rewrites a model in place.

    Returns:
        How many matrix multiplications now run for one token instead of all; 0: the model is as it was.
    """
    shrunk = 0
    for root in model.get_ordered_ops():
        axis = sliced_axis(root)
        if axis is not None:
            shrunk += _push_up(model, root, axis)
    if shrunk:
        model.validate_nodes_and_infer_types()
    return shrunk


def _push_up(model: ov.Model, root: ov.Node, axis: int) -> int:
    """Moves the slice that `root` takes as far up as it goes; gives the matrix multiplications that it passed."""
    demands: dict[str, list[_Demand]] = {_name(root): [axis, *[_Read.WHOLE] * (root.get_input_size() - 1)]}
    boundary: list[tuple[ov.Output, int]] = []
    passed = 0
    for node in reversed(model.get_ordered_ops()):
        wanted = _wanted_axis(node, demands)
        if wanted is None:
            continue
        inputs = _inputs_for(node, wanted) if _read_in_slices_only(node, wanted, demands) else None
        if inputs is None:
            boundary.append((node.output(0), wanted))
        else:
            demands[_name(node)] = inputs
            passed += node.get_type_name() == "MatMul"
    if not passed:
        return 0
    for output, at in boundary:
        readers = [
            reader
            for reader in output.get_target_inputs()
            if demands.get(_name(reader.get_node()), {}) and demands[_name(reader.get_node())][reader.get_index()] == at
        ]
        sliced = _first_of(output, at)
        for reader in readers:
            reader.replace_source_output(sliced)
    return passed


def _name(node: ov.Node) -> str:
    return str(node.get_name())  # unique in a graph


def _wanted_axis(node: ov.Node, demands: Mapping[str, list[_Demand]]) -> int | None:
    """Gives the axis of the node's output of which some consumer reads the first element only."""
    if node.get_output_size() != 1:
        return None
    for reader in node.output(0).get_target_inputs():
        demand = demands.get(_name(reader.get_node()), [])
        if demand and isinstance(demand[reader.get_index()], int):
            return int(demand[reader.get_index()])
    return None


def _read_in_slices_only(node: ov.Node, axis: int, demands: Mapping[str, list[_Demand]]) -> bool:
    """Tells whether nothing reads more of the node's output than the first element of `axis`."""
    for reader in node.output(0).get_target_inputs():
        consumer = reader.get_node()
        demand = demands.get(_name(consumer))
        read = demand[reader.get_index()] if demand else _Read.WHOLE
        if read is _Read.WHOLE and reads_later_shape(consumer, axis):
            read = _Read.SHAPE
        if read is not _Read.SHAPE and read != axis:
            return False
    return True


def reads_later_shape(node: ov.Node, axis: int) -> bool:
    """Tells whether a node asks only for the rank of its input, or for sizes of axes after `axis`."""
    if node.get_type_name() != "ShapeOf":
        return False
    for reader in node.output(0).get_target_inputs():
        consumer = reader.get_node()
        kind = consumer.get_type_name()
        if kind == "ShapeOf":
            continue
        begin = constant_input(consumer, 1) if kind == "StridedSlice" else None
        attributes = consumer.get_attributes()
        if begin is None or begin.size != 1 or begin[0] <= axis or list(attributes["begin_mask"]) != [0]:
            return False
        if any(attributes[mask] and any(attributes[mask]) for mask in ("new_axis_mask", "ellipsis_mask")):
            return False
    return True


def sliced_axis(node: ov.Node) -> int | None:
    """Gives the axis of which a node takes the first element only; None: it is no such node."""
    kind = node.get_type_name()
    if kind == "Slice" and node.get_input_size() == 5:
        start, stop, step, axes = (constant_input(node, index) for index in range(1, 5))
        if all(part is not None and part.size == 1 for part in (start, stop, step, axes)):
            return _positive(int(axes[0]), node) if (start[0], stop[0], step[0]) == (0, 1, 1) else None  # type: ignore[index]
    if kind == "Gather":
        indices, axis = constant_input(node, 1), constant_input(node, 2)
        if indices is not None and axis is not None and indices.size == 1 and not indices.any():
            return _positive(int(axis.reshape(-1)[0]), node)
    return None


def _positive(axis: int, node: ov.Node) -> int | None:
    """Counts the axis from the front; None where the input's rank is open, or it has one element there anyway."""
    shape = node.get_input_partial_shape(0)
    if shape.rank.is_dynamic:
        return None
    front: int = axis % shape.rank.get_length()
    # -1: any length. A slice of an open length has 0 or 1 elements.
    return None if shape[front].get_max_length() in (0, 1) else front


def _inputs_for(node: ov.Node, axis: int) -> list[_Demand] | None:
    """Gives what a node must read to give the first element of `axis`; None: it must read everything."""
    if node.get_output_partial_shape(0).rank.is_dynamic:
        return None
    handler = _HANDLERS.get(node.get_type_name())
    return handler(node, axis) if handler else None


def _elementwise(node: ov.Node, axis: int) -> list[_Demand] | None:
    rank = node.get_output_partial_shape(0).rank.get_length()
    demands: list[_Demand] = []
    for index in range(node.get_input_size()):
        shape = node.get_input_partial_shape(index)
        if shape.rank.is_dynamic:
            return None
        at = axis - (rank - shape.rank.get_length())  # shapes are aligned at their ends
        broadcast = at < 0 or (shape[at].is_static and shape[at].get_length() == 1)
        demands.append(_Read.SHAPE if broadcast else at)
    return demands


def _matmul(node: ov.Node, axis: int) -> list[_Demand] | None:
    rank = node.get_output_partial_shape(0).rank.get_length()
    left = node.get_input_partial_shape(0).rank
    if axis != rank - 2 or left.is_dynamic or left.get_length() != rank or node.get_attributes()["transpose_a"]:
        return None
    return [axis, _Read.WHOLE]


def _softmax(node: ov.Node, axis: int) -> list[_Demand] | None:
    rank = node.get_output_partial_shape(0).rank.get_length()
    return None if node.get_attributes()["axis"] % rank == axis else [axis]


def _transpose(node: ov.Node, axis: int) -> list[_Demand] | None:
    order = constant_input(node, 1)
    return None if order is None else [int(order[axis]), _Read.WHOLE]


def _reshape(node: ov.Node, axis: int) -> list[_Demand] | None:
    pattern = constant_input(node, 1)
    # 0 keeps a size: the axis and those before it stay what they are.
    kept = pattern is not None and node.get_attributes()["special_zero"] and not pattern[: axis + 1].any()
    return [axis, _Read.WHOLE] if kept else None


def normalized_axes_after(node: ov.Node, axis: int) -> bool:
    """Tells whether the axes that a node's second input lists all come after `axis`."""
    axes = constant_input(node, 1)
    if axes is None:
        # Paddle's layer norm lists its axes as a range from a constant up to the rank.
        source = node.input_value(1).get_node()
        axes = constant_input(source, 0) if source.get_type_name() == "Range" else None
    elif (axes < 0).any():
        axes = axes + node.get_input_partial_shape(0).rank.get_length()
    return axes is not None and not bool((axes.reshape(-1) <= axis).any())


def _normalize(node: ov.Node, axis: int) -> list[_Demand] | None:
    """An operation over the axes that its second input lists: each must come after `axis`."""
    return [axis, _Read.WHOLE] if normalized_axes_after(node, axis) else None


def _reduce(node: ov.Node, axis: int) -> list[_Demand] | None:
    return _normalize(node, axis) if node.get_attributes()["keep_dims"] else None


_HANDLERS: dict[str, _Handler] = {
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Divide", "Power", "SquaredDifference"), _elementwise),
    **dict.fromkeys(("Gelu", "Relu", "Tanh", "Erf", "Sigmoid", "Swish", "Sqrt", "Convert"), _elementwise),
    "FakeQuantize": _elementwise,
    **dict.fromkeys(("ReduceMean", "ReduceSum"), _reduce),
    "MatMul": _matmul,
    "Softmax": _softmax,
    "Transpose": _transpose,
    "Reshape": _reshape,
    "MVN": _normalize,
}


def constant_input(node: ov.Node, index: int) -> np.ndarray | None:
    """Gives the value of an input where it is a constant."""
    source = node.input_value(index).get_node()
    return np.asarray(source.get_data()) if source.get_type_name() == "Constant" else None


def _first_of(output: ov.Output, axis: int) -> ov.Output:
    """Adds a slice that takes the first element of `axis`, and keeps the axis."""
    start, stop, step, axes = (ops.constant(np.array([value], np.int64)) for value in (0, 1, 1, axis))
    return ops.slice(output, start, stop, step, axes).output(0)
