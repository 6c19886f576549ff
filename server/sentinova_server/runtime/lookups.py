"""Tables that a graph looks up by the numbers in an input, as embeddings are: how far those numbers may go.

Knows OpenVINO's graphs; must not know requests. OpenVINO itself does not refuse a number that is out of a table: it
takes zeros, or the row that the number's lower 32 bits name (2026.4.1), and the answer is wrong without a word.
"""

from __future__ import annotations

from collections.abc import Iterator

import openvino as ov

# Operations that hand the numbers of their first input on.
_PASSING = frozenset({"Convert", "Reshape", "Squeeze", "Unsqueeze", "Transpose"})
# Operations that give a part or a copy of a table's rows.
_TABLES = frozenset({"Convert", "Multiply", "Reshape"})
_GATHERS = frozenset({"Gather"})
# Operations, and which of their inputs says where in memory they go: OpenVINO does not check it (2026.4.1).
_UNCHECKED = {"GatherND": 1, "ScatterElementsUpdate": 1}
# Operations that make such numbers of others; what is beyond them is made by the model itself.
_SHIFTING = _PASSING | {
    *("Abs", "Add", "Ceiling", "CumSum", "Divide", "Floor", "Maximum", "Minimum", "Mod", "Multiply", "Negative"),
    *("Power", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "Round", "Subtract"),
    *("Broadcast", "Concat", "Gather", "Pad", "Select", "Slice", "Split", "StridedSlice", "Tile", "VariadicSplit"),
}
# Of these, which inputs the numbers of an output are not taken from.
_NOT_SHIFTED = {"Gather": (1,), "Select": (0,), "Tile": (1,)}


def find_tables(model: ov.Model) -> dict[str, int]:
    """Gives the rows of the smallest table that each input looks up, by the input's name; others are left out."""
    bounds: dict[str, int] = {}
    for port in model.inputs:
        for rows in _table_rows(port):
            for name in port.get_names():
                bounds[name] = min(rows, bounds.get(name, rows))
    return bounds


def find_unsafe(model: ov.Model) -> list[tuple[str, str]]:
    """Gives each input whose numbers say where an operation reads or writes unchecked, with the operation's type."""
    found = []
    for port in model.inputs:
        for kind in sorted(_unchecked_uses(port, set())):
            found.append((port.get_any_name() if port.get_names() else "?", kind))
    return found


def _unchecked_uses(port: ov.Output, seen: set[str]) -> set[str]:
    uses: set[str] = set()
    for target in port.get_target_inputs():
        node = target.get_node()
        kind = node.get_type_name()
        if _UNCHECKED.get(kind) == target.get_index():
            uses.add(kind)
        elif kind in _SHIFTING and target.get_index() not in _NOT_SHIFTED.get(kind, ()) and node.get_name() not in seen:
            seen.add(node.get_name())
            for output in node.outputs():
                uses |= _unchecked_uses(output, seen)
    return uses


def _table_rows(port: ov.Output) -> Iterator[int]:
    """Gives the rows of each table that is looked up by the numbers of a port."""
    for target in port.get_target_inputs():
        node = target.get_node()
        kind = node.get_type_name()
        if kind in _GATHERS and target.get_index() == 1:
            if rows := _rows_of(node):
                yield rows
        elif kind in _PASSING and target.get_index() == 0:
            yield from _table_rows(node.output(0))


def _rows_of(gather: ov.Node) -> int:
    """Gives the rows of the table of a Gather; 0 where it looks up something computed."""
    table, axis = gather.input_value(0), gather.input_value(2).get_node()
    source = table.get_node()
    while source.get_type_name() in _TABLES:
        source = source.input_value(0).get_node()
    shape = table.get_partial_shape()
    if source.get_type_name() != "Constant" or axis.get_type_name() != "Constant" or not shape.rank.is_static:
        return 0
    size = shape[int(axis.get_data().ravel()[0]) % shape.rank.get_length()]
    return 0 if size.is_dynamic else int(size.get_length())
