"""An exact rewrite of a graph whose tokens are packed: attention sees rows that several texts share.

Where tokens are put back into rows for attention, each text has a row as long as the longest text, and attention costs
the square of that length for every one of them. After this rewrite the rows that attention sees are laid out apart from
the texts: short texts are joined in one row, and a mask keeps each token to the tokens of its own text (the idea is
"packing" in Krell et al., "Efficient Sequence Packing without Cross-contamination", 2021).

It knows operations, not models: it follows the padded tokens from where they are put into rows to where they are taken
out again, and takes only a part of the graph in which it understands every operation on the way: tokens by tokens, plus
a mask that is the same for all tokens of a text, softmax, weights by tokens. Other parts keep a row for each text.

Knows OpenVINO's graphs; must not know tokenizers, files or requests.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from sentinova_server.runtime.rewrites.first_token import constant_input, reads_later_shape
from sentinova_server.runtime.rewrites.packed_tokens import ELEMENTWISE, POSITIONS_INPUT, ROWS_INPUT

# Inputs that the rewrite adds.
# `[rows, length] int64`: where each place of the joined rows lies among the packed tokens; any of them for padding.
JOINED_ROWS_INPUT = "sentinova.joined_rows"
# `[tokens] int64`: where each packed token lies in the joined rows, written one after the other.
JOINED_POSITIONS_INPUT = "sentinova.joined_positions"
# `[rows, length] int64`: number of the text at each place; padding has one of its own.
TEXTS_INPUT = "sentinova.joined_texts"

# Added to the score of a token of another text: the lowest number that float32 and bfloat16 both have.
_LOWEST = -3.3895e38
_BATCH, _QUERY, _KEY = 0, 2, 3
_RANK = 4
# The axis of the tokens while there is another one before that of the rows.
_UNSQUEEZED = -1


def join_rows(model: ov.Model) -> int:
    """Rewrites a model in place that `pack_tokens` has been through.

    Returns:
        How many attentions now see joined rows; 0: the model is as it was.
    """
    parameters = {name: node for node in model.get_parameters() for name in node.output(0).get_names()}
    if POSITIONS_INPUT not in parameters or ROWS_INPUT not in parameters:
        return 0
    return _Joining(model, parameters[POSITIONS_INPUT], parameters[ROWS_INPUT]).run()


@dataclass(slots=True, eq=False)
class _Part:
    """A part of the graph between where tokens are put into rows and where they are taken out of them.

    Attributes:
        understood: whether every operation in it is one that joined rows may go through.
        gathers: operations that put tokens into rows, and those that take them out.
        masks: inputs that add a mask to the scores.
        attentions: softmaxes in it.
        joined: the part that this one has become a part of.
    """

    understood: bool = True
    puts: list[ov.Node] = field(default_factory=list)
    takes: list[ov.Node] = field(default_factory=list)
    masks: list[ov.Input] = field(default_factory=list)
    attentions: int = 0
    joined: _Part | None = None

    def whole(self) -> _Part:
        """Gives the part that all of it belongs to."""
        part = self
        while part.joined is not None:
            part = part.joined
        return part

    def join(self, other: _Part) -> _Part:
        """Makes one of two."""
        one, two = self.whole(), other.whole()
        if one is not two:
            one.understood &= two.understood
            one.puts += two.puts
            one.takes += two.takes
            one.masks += two.masks
            one.attentions += two.attentions
            two.joined = one
        return one


@dataclass(frozen=True, slots=True)
class _Rows:
    """What an output holds.

    Attributes:
        part: the part of the graph that it is in.
        token: the axis along which the tokens of a row lie; the rows lie along axis 0.
        scores: whether it has a score for each two tokens of a row, `[rows, heads, query, key]`.
        masked: whether the scores have had their mask added.
        weights: whether the scores have been through a softmax.
    """

    part: _Part
    token: int
    scores: bool = False
    masked: bool = False
    weights: bool = False


class _Joining:
    """One pass over a graph, in the order of its operations."""

    def __init__(self, model: ov.Model, positions: ov.Node, rows: ov.Node) -> None:
        self._model = model
        self._positions = positions
        self._rows = rows
        # By node name.
        self._held: dict[str, _Rows] = {}
        self._parts: list[_Part] = []
        self._masks: dict[str, ov.Output] = {}

    def run(self) -> int:
        """Rewires the graph; gives the attentions that see joined rows now."""
        for node in self._model.get_ordered_ops():
            self._visit(node)
        parts = [part for part in self._parts if part.joined is None and part.understood and part.attentions]
        if not parts:
            return 0
        parameters = [
            ops.parameter(shape, np.int64, name=name)
            for name, shape in (
                (JOINED_ROWS_INPUT, [-1, -1]), (JOINED_POSITIONS_INPUT, [-1]), (TEXTS_INPUT, [-1, -1])
            )
        ]  # fmt: skip
        for parameter in parameters:
            parameter.output(0).set_names({parameter.get_friendly_name()})
        rows, positions, texts = parameters
        for part in parts:
            for node in part.puts:
                node.input(1).replace_source_output(rows.output(0))
            for node in part.takes:
                node.input(1).replace_source_output(positions.output(0))
            for reader in part.masks:
                reader.replace_source_output(self._join_mask(reader.get_source_output(), rows, texts))
        self._model.add_parameters(parameters)
        self._model.validate_nodes_and_infer_types()
        return sum(part.attentions for part in parts)

    def _visit(self, node: ov.Node) -> None:
        """Finds out what a node's output holds, where it has to do with rows."""
        if _reads(node, 1, self._rows):
            # What puts tokens into rows, `[1, tokens, ...]` to `[1, rows, length, ...]`.
            self._parts.append(part := _Part(puts=[node]))
            part.understood = _constant(node, 2) == 1
            self._held[node.get_name()] = _Rows(part, token=_UNSQUEEZED)
            return
        held = [self._held.get(source.get_node().get_name()) for source in node.input_values()]
        known = [rows for rows in held if rows is not None]
        if not known or reads_later_shape(node, 1):
            return
        if node.get_type_name() == "Result":
            found = None
        elif _is_taken(node, self._positions):
            # What takes them out again: they are rows no longer.
            if held[0] is not None and held[0].token == 1 and not held[0].scores:
                held[0].part.whole().takes += _readers(node)
                return
            found = None
        else:
            found = self._follow(node, held)
        part = known[0].part
        for rows in known[1:]:
            part = part.join(rows.part)
        if found is None:
            part.whole().understood = False
        else:
            self._held[node.get_name()] = found

    def _follow(self, node: ov.Node, held: list[_Rows | None]) -> _Rows | None:
        """Tells what a node makes of rows; None: it may do something to them that joined rows would change."""
        kind, first = node.get_type_name(), held[0]
        if node.get_output_size() != 1 or node.get_output_partial_shape(0).rank.is_dynamic:
            return None
        if any(rows is not None and rows.token == _UNSQUEEZED for rows in held):
            squeezed = kind == "Squeeze" and _constant(node, 1) == 0
            return replace(first, token=1) if first is not None and squeezed else None
        if kind == "MatMul":
            return _multiply(node, *held)
        if kind in ELEMENTWISE:
            return self._combine(node, held)
        single = all(other is None for other in held[1:])
        return _rearrange(node, first) if first is not None and single else None

    def _combine(self, node: ov.Node, held: list[_Rows | None]) -> _Rows | None:
        """Follows an operation on each number alone."""
        known = [rows for rows in held if rows is not None]
        if len({(rows.token, rows.scores, rows.masked, rows.weights) for rows in known}) != 1:
            return None
        if known[0].masked and not known[0].weights:
            return None  # as where it is multiplied by 0, what is shut would open again
        rank = node.get_output_partial_shape(0).rank.get_length()
        for index, rows in enumerate(held):
            if rows is not None:
                continue
            shape = node.get_input_partial_shape(index)
            axes = (_BATCH, _QUERY, _KEY) if known[0].scores else (_BATCH, known[0].token)
            if _is_broadcast(shape, axes, rank):
                continue
            if node.get_type_name() != "Add" or not self._is_mask(node, index, known[0]):
                return None
            known[0].part.whole().masks.append(node.input(index))
            return replace(known[0], masked=True)
        return known[0]

    def _is_mask(self, node: ov.Node, index: int, scores: _Rows) -> bool:
        """Tells whether an input is a number for each token of each text, `[batch, 1, 1, seq]`, added to scores."""
        shape, kind = node.get_input_partial_shape(index), node.get_input_element_type(index)
        if not scores.scores or scores.masked or scores.weights or kind != ov.Type.f32 or len(shape) != _RANK:
            return False
        batch, heads, query, key = shape
        ones = all(size.is_static and size.get_length() == 1 for size in (heads, query))
        return ones and batch.is_dynamic and key.is_dynamic

    def _join_mask(self, mask: ov.Output, rows: ov.Node, texts: ov.Node) -> ov.Output:
        """Gives the mask for joined rows, `[rows, 1, length, length]`: what it was within a text, and shut beyond."""
        key = f"{mask.get_node().get_name()}:{mask.get_index()}"
        if key not in self._masks:
            zero, one, two, three = (ops.constant(np.int64(value)) for value in range(_RANK))
            flat = ops.reshape(mask, ops.constant(np.array([-1], np.int64)), special_zero=False)
            placed = ops.gather(ops.gather(flat, self._positions, zero), rows, zero)
            own = ops.unsqueeze(ops.unsqueeze(placed, one), two)
            of_keys = ops.unsqueeze(ops.unsqueeze(texts, one), two)
            of_queries = ops.unsqueeze(ops.unsqueeze(texts, one), three)
            joined = ops.select(ops.equal(of_queries, of_keys), own, ops.constant(np.float32(_LOWEST)))
            self._masks[key] = joined.output(0)
        return self._masks[key]


def _multiply(node: ov.Node, left: _Rows | None, right: _Rows | None) -> _Rows | None:
    """Follows tokens by tokens, which gives scores, or weights by tokens, which gives tokens."""
    attributes = node.get_attributes()
    if left is None or right is None or attributes["transpose_a"] or right.scores:
        return None
    if any(node.get_input_partial_shape(index).rank != ov.Dimension(_RANK) for index in (0, 1)):
        return None
    across = _QUERY if attributes["transpose_b"] else _KEY
    if not left.scores and left.token == _QUERY and right.token == across:
        return _Rows(left.part, token=_QUERY, scores=True)
    if left.weights and right.token == (_KEY if attributes["transpose_b"] else _QUERY):
        return _Rows(left.part, token=_QUERY)
    return None


def _rearrange(node: ov.Node, rows: _Rows) -> _Rows | None:
    """Follows tokens that are turned or split into heads, and scores that become weights."""
    kind = node.get_type_name()
    if kind == "Softmax" and rows.masked and node.get_attributes()["axis"] in (_KEY, -1):
        rows.part.whole().attentions += 1
        return replace(rows, weights=True)
    if rows.scores or (order := constant_input(node, 1) if kind in ("Transpose", "Reshape") else None) is None:
        return None
    if kind == "Transpose":
        return replace(rows, token=list(order).index(rows.token)) if order[0] == _BATCH else None
    # A 0 keeps a size: what comes after the tokens is split or put together.
    kept = node.get_attributes()["special_zero"] and order.size > rows.token and not order[: rows.token + 1].any()
    return rows if kept else None


def _is_taken(node: ov.Node, positions: ov.Node) -> bool:
    """Tells whether a node writes rows one after the other, `[1, tokens, ...]`, for tokens to be taken out of them."""
    pattern = constant_input(node, 1) if node.get_type_name() == "Reshape" else None
    if pattern is None or list(pattern[:2]) != [1, -1]:
        return False
    readers = _readers(node)
    return bool(readers) and all(_reads(reader, 1, positions) and _constant(reader, 2) == 1 for reader in readers)


def _is_broadcast(shape: ov.PartialShape, axes: tuple[int, ...], rank: int) -> bool:
    """Tells whether a shape, aligned at its end with `rank` axes, is the same along `axes`."""
    if shape.rank.is_dynamic:
        return False
    lead = shape.rank.get_length() - rank
    sizes = [shape[axis + lead] for axis in axes if axis + lead >= 0]
    return all(size.is_static and size.get_length() == 1 for size in sizes)


def _reads(node: ov.Node, index: int, parameter: ov.Node) -> bool:
    if node.get_type_name() != "Gather" or node.get_input_size() <= index:
        return False
    return bool(node.input_value(index).get_node().get_name() == parameter.get_name())


def _readers(node: ov.Node) -> list[ov.Node]:
    return [reader.get_node() for reader in node.output(0).get_target_inputs()]


def _constant(node: ov.Node, index: int) -> int | None:
    """Gives the value of an input where it is a constant of one number."""
    value = constant_input(node, index)
    return int(value.reshape(-1)[0]) if value is not None and value.size == 1 else None
