"""An exact rewrite of a graph: what is done to each token alone is not done to padding.

A batch of texts is padded to the longest, `[batch, seq]`, yet only attention needs tokens in rows. The embeddings,
linear layers, norms and activations, most of the work, treat each token by itself. The rewrite takes the real tokens
out of the padded rows, `[1, tokens]`, runs those operations on them, and puts them back into rows where an operation
looks along a text ("Effective Transformer", ByteDance, 2020; the same idea is "unpadding" in BERT for MLPerf). It knows
operations, not models: it starts wherever a token is multiplied by a matrix or looked up in a table, and goes on as
long as tokens are treated alone.

Equal results need a graph that ignores padding altogether, as one with a padding mask does: the caller must prove it.

Knows OpenVINO's graphs; must not know tokenizers, files or requests.
"""

from __future__ import annotations

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from sentinova_server.runtime.rewrites.first_token import normalized_axes_after, reads_later_shape, sliced_axis

# Inputs that the rewrite adds.
# `[tokens] int64`: where each real token lies in the padded rows, written one after the other.
POSITIONS_INPUT = "sentinova.packed_positions"
# `[batch, seq] int64`: where each place of the padded rows lies among the real tokens; any of them for padding.
ROWS_INPUT = "sentinova.padded_rows"
ELEMENTWISE = frozenset(
    ("Add", "Subtract", "Multiply", "Divide", "Power", "SquaredDifference", "Gelu", "Relu", "Tanh", "Erf", "Sigmoid",
     "Swish", "Sqrt", "Convert", "FakeQuantize", "Clamp", "Elu", "HSwish", "Mish", "SoftPlus")
)  # fmt: skip
_BATCH, _SEQ = 0, 1


def pack_tokens(model: ov.Model) -> int:
    """Rewrites a model in place.

    Returns:
        How many matrix multiplications now run without padding; 0: the model is as it was.
    """
    return _Packing(model).run()


class _Packing:
    """One pass over a graph, in the order of its operations."""

    def __init__(self, model: ov.Model) -> None:
        self._model = model
        self._positions = ops.parameter([-1], np.int64, name=POSITIONS_INPUT)
        self._rows = ops.parameter([-1, -1], np.int64, name=ROWS_INPUT)
        for parameter in (self._positions, self._rows):
            parameter.output(0).set_names({parameter.get_friendly_name()})
        # Outputs, by node name, that hold packed tokens now; and packed or padded forms of outputs, made once.
        self._holds_packed: set[str] = set()
        self._packed: dict[str, ov.Output] = {}
        self._padded: dict[str, ov.Output] = {}

    def run(self) -> int:
        """Rewires the graph; gives the matrix multiplications that it packed."""
        multiplications = 0
        nodes = self._model.get_ordered_ops()
        if not any(self._is_token_matmul(node) for node in nodes):
            return 0
        for node in nodes:
            if self._is_token_matmul(node):
                node.input(0).replace_source_output(self._pack(node.input_value(0)))
                self._holds_packed.add(node.get_name())
                multiplications += 1
            elif _is_token_lookup(node):
                node.input(1).replace_source_output(self._pack(node.input_value(1)))
                self._holds_packed.add(node.get_name())
            elif any(self._is_packed(node.input_value(i)) for i in range(node.get_input_size())):
                self._follow(node)
        if multiplications:
            self._model.add_parameters([self._positions, self._rows])
            self._model.validate_nodes_and_infer_types()
        return multiplications

    def _is_packed(self, output: ov.Output) -> bool:
        return output.get_node().get_name() in self._holds_packed

    def _is_token_matmul(self, node: ov.Node) -> bool:
        """Tells whether a node multiplies each token, `[batch, seq, in]`, by one matrix."""
        if node.get_type_name() != "MatMul":
            return False
        tokens, matrix = node.get_input_partial_shape(0), node.get_input_partial_shape(1)
        if node.get_attributes()["transpose_a"] or matrix.is_dynamic or len(matrix) != 2:
            return False
        return self._is_packed(node.input_value(0)) or _has_token_rows(tokens, rank=3)

    def _follow(self, node: ov.Node) -> None:
        """Has a node that reads packed tokens work on them, where it treats each alone; otherwise pads them again."""
        if self._treats_tokens_alone(node):
            for index in range(node.get_input_size()):
                source = node.input_value(index)
                if not self._is_packed(source) and _has_token_rows(source.get_partial_shape(), rank=None):
                    node.input(index).replace_source_output(self._pack(source))
            self._holds_packed.add(node.get_name())
            return
        if reads_later_shape(node, _SEQ):
            return  # rank and later sizes are the same, packed or not
        for index in range(node.get_input_size()):
            source = node.input_value(index)
            if self._is_packed(source):
                if sliced_axis(node) == _SEQ and index == 0 and node.get_type_name() == "Slice":
                    self._take_first(node, source)
                else:
                    node.input(index).replace_source_output(self._pad(source))

    def _treats_tokens_alone(self, node: ov.Node) -> bool:
        kind = node.get_type_name()
        if node.get_output_size() != 1:
            return False
        if kind in ELEMENTWISE:
            return all(self._fits(node, index) for index in range(node.get_input_size()))
        if kind in ("MVN", "ReduceMean", "ReduceSum"):
            keeps = kind == "MVN" or node.get_attributes()["keep_dims"]
            return bool(keeps) and normalized_axes_after(node, _SEQ)
        if kind == "Reshape":
            pattern = node.input_value(1).get_node()
            if pattern.get_type_name() != "Constant" or not node.get_attributes()["special_zero"]:
                return False
            kept = np.asarray(pattern.get_data()).reshape(-1)
            return kept.size > _SEQ and not kept[: _SEQ + 1].any()
        return False

    def _fits(self, node: ov.Node, index: int) -> bool:
        """Tells whether an input of an elementwise node is packed, can be packed, or is the same for all tokens."""
        source = node.input_value(index)
        shape, rank = source.get_partial_shape(), node.get_output_partial_shape(0).rank
        if self._is_packed(source):
            return True
        if shape.rank.is_dynamic or rank.is_dynamic:
            return False
        lead = shape.rank.get_length() - rank.get_length()
        if lead == 0 and _has_token_rows(shape, rank=None):
            return True
        # Shapes are aligned at their ends: only what is broadcast along both token axes is the same for all.
        leading = [shape[axis + lead] for axis in (_BATCH, _SEQ) if axis + lead >= 0]
        return all(size.is_static and size.get_length() == 1 for size in leading)

    def _pack(self, output: ov.Output) -> ov.Output:
        """Gives the real tokens of `[batch, seq, ...]` as `[1, tokens, ...]`."""
        if self._is_packed(output):
            return output
        key = f"{output.get_node().get_name()}:{output.get_index()}"
        if key not in self._packed:
            rest = [size.get_length() for size in list(output.get_partial_shape())[2:]]
            flat = ops.reshape(output, ops.constant(np.array([1, -1, *rest], np.int64)), special_zero=False)
            packed = ops.gather(flat, self._positions, ops.constant(np.int64(_SEQ)))
            self._packed[key] = packed.output(0)
            self._holds_packed.add(packed.get_name())
        return self._packed[key]

    def _pad(self, output: ov.Output) -> ov.Output:
        """Puts packed tokens, `[1, tokens, ...]`, back into rows, `[batch, seq, ...]`."""
        key = output.get_node().get_name()
        if key not in self._padded:
            self._padded[key] = self._place(output, self._rows.output(0))
        return self._padded[key]

    def _place(self, output: ov.Output, rows: ov.Output) -> ov.Output:
        placed = ops.gather(output, rows, ops.constant(np.int64(_SEQ)))
        return ops.squeeze(placed, ops.constant(np.int64(0))).output(0)

    def _take_first(self, node: ov.Node, source: ov.Output) -> None:
        """Takes the first token of each text straight from the packed ones."""
        zero, one, axis = (ops.constant(np.array([value], np.int64)) for value in (0, 1, _SEQ))
        first = ops.slice(self._rows, zero, one, one, axis)
        replacement = self._place(source, first.output(0))
        for reader in node.output(0).get_target_inputs():
            reader.replace_source_output(replacement)


def _is_token_lookup(node: ov.Node) -> bool:
    """Tells whether a node looks the numbers of tokens, `[batch, seq]`, up in the rows of one table."""
    if node.get_type_name() != "Gather" or node.get_attributes()["batch_dims"]:
        return False
    table, indices, axis = node.get_input_partial_shape(0), node.get_input_partial_shape(1), node.input_value(2)
    if table.is_dynamic or len(table) != 2 or axis.get_node().get_type_name() != "Constant":
        return False
    if np.asarray(axis.get_node().get_data()).any() or indices.rank != ov.Dimension(2):
        return False
    return all(size.is_dynamic and size.get_max_length() not in (0, 1) for size in indices)


def _has_token_rows(shape: ov.PartialShape, *, rank: int | None) -> bool:
    """Tells whether a shape may be `[batch, seq, ...]`: two open sizes, known ones after them."""
    if shape.rank.is_dynamic or shape.rank.get_length() < 3 or (rank and shape.rank.get_length() != rank):
        return False
    sizes = list(shape)
    if any(size.is_static or size.get_max_length() in (0, 1) for size in sizes[:2]):
        return False
    return all(size.is_static for size in sizes[2:])
