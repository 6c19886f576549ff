"""The models that both servers serve: names, tensors and configuration, the same for either.

Knows config.pbtxt and the JSON form of it; must not know model files or how a server is started.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from conforming.datatypes import DATATYPES

# Classes of the model `scores`, and of `text`, by the file that has them.
CLASSES = {"colours.txt": ("red", "green", "blue", "black"), "labels.txt": ("negative", "positive")}


@dataclass(frozen=True)
class Tensor:
    """An input or output: its dimensions without the batch's."""

    name: str
    datatype: str
    dims: tuple[int, ...]
    label_filename: str = ""

    def settings(self) -> dict[str, Any]:
        """Gives its part of a config, in the words of its JSON form."""
        word = "STRING" if self.datatype == "BYTES" else self.datatype
        part: dict[str, Any] = {"name": self.name, "data_type": f"TYPE_{word}", "dims": list(self.dims)}
        return {**part, "label_filename": self.label_filename} if self.label_filename else part


@dataclass(frozen=True)
class Model:
    """A model.

    Attributes:
        name: its name.
        does: what it computes: `same`, `multiply` (by ten times its version), `double`, `add_subtract`, `text`,
            or `broken`, which cannot be loaded.
        inputs: what it takes.
        outputs: what it gives.
        max_batch_size: 0: it has no batch dimension.
        versions: its versions.
        settings: more of its config.
    """

    name: str
    does: str
    inputs: Sequence[Tensor] = ()
    outputs: Sequence[Tensor] = ()
    max_batch_size: int = 0
    versions: Sequence[int] = (1,)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def config(self, backend: str, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Gives its config in the words of its JSON form, with some of it changed."""
        return {
            "name": self.name,
            "backend": backend,
            "max_batch_size": self.max_batch_size,
            "input": [tensor.settings() for tensor in self.inputs],
            "output": [tensor.settings() for tensor in self.outputs],
            **self.settings,
            **(changes or {}),
        }

    def config_text(self, backend: str) -> str:
        """Gives its config.pbtxt."""
        return "".join(_write_field(name, value) for name, value in self.config(backend).items())


def _write_field(name: str, value: Any) -> str:
    if isinstance(value, list):
        return "".join(_write_field(name, one) for one in value)
    if isinstance(value, dict):
        return f"{name} {{ {''.join(_write_field(*pair) for pair in value.items())}}}\n"
    quoted = isinstance(value, str) and not value.startswith("TYPE_")
    return f'{name}: "{value}"\n' if quoted else f"{name}: {value}\n"


def _floats(name: str) -> Tensor:
    return Tensor(name, "FP32", (-1,))


_ANY = (-1, -1)
_FACTOR = Model(
    "versions", "multiply", [_floats("INPUT0")], [_floats("OUTPUT0")], 8, (1, 2), {"version_policy": {"all": {}}}
)

IDENTITIES = [
    Model(f"identity_{one.lower()}", "same", [Tensor("INPUT0", one, _ANY)], [Tensor("OUTPUT0", one, _ANY)])
    for one in DATATYPES
]
BATCHED = Model("batched", "double", [_floats("INPUT0")], [_floats("OUTPUT0")], 8, settings={"dynamic_batching": {}})
SIMPLE = Model(
    "simple",
    "add_subtract",
    [Tensor("INPUT0", "INT32", (16,)), Tensor("INPUT1", "INT32", (16,))],
    [Tensor("OUTPUT0", "INT32", (16,)), Tensor("OUTPUT1", "INT32", (16,))],
    8,
)
SCORES = Model("scores", "same", [Tensor("INPUT0", "FP32", (4,))], [Tensor("SCORES", "FP32", (4,), "colours.txt")], 8)
TEXT = Model(
    "text",
    "text",
    [Tensor("TEXT", "BYTES", (1,))],
    [
        Tensor("LABEL", "BYTES", (1,)),
        Tensor("SCORES", "FP32", (2,), "labels.txt"),
        Tensor("LOGITS", "FP32", (2,), "labels.txt"),
    ],
    1024,
)
# Served from the start, and changed by no case.
STEADY = [*IDENTITIES, BATCHED, SIMPLE, SCORES, _FACTOR, TEXT]

# What cases load, unload and change: one for each such case, so that it finds it as it was made.
_CYCLES = (
    "index load again unload twice back grow reload kserve client mended absent a b c "  # lifecycle
    "override replace policy none_left late files path"  # overrides
).split()
CYCLES = {name: replace(_FACTOR, name=f"cycle_{name}") for name in _CYCLES}
DAMAGED = {name: replace(_FACTOR, name=f"damaged_{name}", does="broken", versions=(1,)) for name in ("load", "index")}
# What changes on disk under a server that polls.
FOLLOWED = {name: replace(_FACTOR, name=f"followed_{name}", versions=(1,)) for name in ("still", "grow")}
