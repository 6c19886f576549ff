"""Whether a graph takes tensors of some shapes, found out before it runs on them.

Knows OpenVINO's shape inference; must not know requests or values.

This is not for the better message alone. An inference that fails inside the CPU plugin leaves its stream damaged: later
ones on it fail for no reason, give wrong numbers, or end the process (OpenVINO 2026.4.1, with a channel count or a
width in a dynamic dimension that an operation does not take). So what would fail must never run.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock

import openvino as ov

from sentinova_server.errors import Reason, ServingError
from sentinova_server.runtime.openvino_errors import last_line

# Shapes found good that are remembered: a look at a graph of 600 operations takes 6 ms, of 20 operations 0.3 ms.
_REMEMBERED = 4096
# Most elements of one tensor inside the graph. Larger ones take gigabytes, and the system may end the process for it.
MOST_ELEMENTS = 1 << 28

Shapes = tuple[tuple[str, tuple[int, ...]], ...]


class ShapeProbe:
    """A private copy of a graph that is asked about shapes. Threads may share one."""

    def __init__(self, model: ov.Model) -> None:
        """Copies the graph, not its weights."""
        self._model = model.clone()
        self._good: OrderedDict[Shapes, None] = OrderedDict()
        self._lock = Lock()

    def knows(self, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Tells whether inputs of these shapes were found good before: then `check` has nothing to do. Never waits."""
        return tuple(sorted(shapes.items())) in self._good

    def check(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raises ServingError INVALID_FIELD where the graph does not take inputs of these shapes, by name."""
        key: Shapes = tuple(sorted(shapes.items()))
        with self._lock:
            if key in self._good:
                self._good.move_to_end(key)
                return
            try:
                self._model.reshape({name: list(shape) for name, shape in shapes.items()})
            except RuntimeError as error:
                message = f"the model does not take inputs of the shapes {_describe(key)}: {last_line(error)}"
                raise ServingError(Reason.INVALID_FIELD, message, field="inputs") from None
            most = _most_elements(self._model)
            if most > MOST_ELEMENTS:
                message = (
                    f"inputs of the shapes {_describe(key)} make the model compute a tensor of {most:,} numbers; this "
                    f"server takes {MOST_ELEMENTS:,}: send less at once"
                )
                raise ServingError(Reason.INVALID_FIELD, message, field="inputs")
            self._good[key] = None
            if len(self._good) > _REMEMBERED:
                self._good.popitem(last=False)


def _most_elements(model: ov.Model) -> int:
    """Gives the elements of the largest tensor in a graph, as far as its shapes are known."""
    most = 0
    for node in model.get_ops():
        for output in node.outputs():
            shape = output.get_partial_shape()
            if shape.is_static:
                most = max(most, math.prod(shape.to_shape()))
    return most


def _describe(shapes: Shapes) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in shapes)
