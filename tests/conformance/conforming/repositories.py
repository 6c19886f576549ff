"""Model repositories of the same models: OpenVINO's model files for Sentinova, and Python code for Triton.

Knows files and folders; must not know servers or requests.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from conforming.models import CLASSES, Model

_MODEL_PY = """\
import sys

sys.path[:0] = {paths}

from conforming.triton_twin import Twin


class TritonPythonModel(Twin):
    does = {does!r}
"""
_SPOILT = "raise ValueError('spoilt')\n"
_ELEMENT_TYPES = {"BOOL": "boolean", "FP16": "f16", "BF16": "bf16", "FP32": "f32", "FP64": "f64", "BYTES": "string"}

# Makes a folder with a version of a model.
WriteVersion = Callable[[Model, int, Path], None]


class Repository:
    """A model repository on disk."""

    def __init__(self, root: Path, backend: str, write_version: WriteVersion) -> None:
        """Makes it, empty.

        Args:
            root: its folder.
            backend: what runs its models, as a config names it.
            write_version: writes a version's files.
        """
        self.root = root
        self.backend = backend
        self._write_version = write_version
        self._aside = root.with_name(f"{root.name}-aside")
        for folder in (root, self._aside):
            folder.mkdir(parents=True)

    def add(self, models: Iterable[Model]) -> None:
        """Puts models there."""
        for model in models:
            folder = self.root / model.name
            folder.mkdir()
            if self._has_config(model):
                (folder / "config.pbtxt").write_text(model.config_text(self.backend))
            _write_labels(model, folder)  # where Triton looks for them
            for version in model.versions:
                self.add_version(model, version)

    def add_version(self, model: Model, version: int, folder: str = "") -> None:
        """Puts a version of a model that is there, all at once; or in the folder of another model."""
        made = self._aside / str(version)
        self._write_version(model, version, made)
        made.rename(self.root / (folder or model.name) / str(version))

    def remove_version(self, model: Model, version: int) -> None:
        """Takes a version away, all at once."""
        gone = self._aside / f"gone-{version}"
        (self.root / model.name / str(version)).rename(gone)
        shutil.rmtree(gone)

    def _has_config(self, model: Model) -> bool:
        # A text classifier's config names the tensors of its model file, which the protocol never shows.
        return not (model.does == "text" and self.backend == "openvino")


def write_openvino_version(model: Model, version: int, folder: Path) -> None:
    """Makes a version of a tensor model in OpenVINO's format, its labels beside it."""
    folder.mkdir()
    if model.does == "broken":
        (folder / "model.xml").write_text("<net>spoilt")
        (folder / "model.bin").write_bytes(b"")
        return
    import openvino as ov
    from openvino import opset13 as ops

    batch = [-1] if model.max_batch_size else []
    inputs = [
        ops.parameter([*batch, *one.dims], getattr(ov.Type, _element_type(one.datatype)), name=one.name)
        for one in model.inputs
    ]
    for node, one in zip(inputs, model.inputs, strict=True):
        node.output(0).set_names({one.name})
    outputs = _compute(ops, model.does, inputs, version)
    for node, one in zip(outputs, model.outputs, strict=True):
        node.output(0).set_names({one.name})
    graph = ov.Model([ops.result(node) for node in outputs], inputs, model.name)
    ov.save_model(graph, folder / "model.xml", compress_to_fp16=False)
    _write_labels(model, folder)


def write_triton_version(model: Model, version: int, folder: Path, packages: Path) -> None:
    """Makes a version for Triton's Python backend.

    Args:
        model: the model.
        version: not used: the backend tells the code its version.
        folder: the version's folder.
        packages: where numpy is; the backend's interpreter has no packages of its own.
    """
    folder.mkdir()
    paths = [str(packages), str(Path(__file__).parents[1])]
    (folder / "model.py").write_text(
        _SPOILT if model.does == "broken" else _MODEL_PY.format(paths=paths, does=model.does)
    )


def _write_labels(model: Model, folder: Path) -> None:
    for output in model.outputs:
        if output.label_filename:
            (folder / output.label_filename).write_text("".join(f"{one}\n" for one in CLASSES[output.label_filename]))


def _element_type(datatype: str) -> str:
    return _ELEMENT_TYPES.get(datatype) or datatype.lower().replace("uint", "u").replace("int", "i")


def _compute(ops: Any, does: str, inputs: Sequence[Any], version: int) -> list[Any]:
    if does == "add_subtract":
        return [ops.add(*inputs), ops.subtract(*inputs)]
    [one] = inputs
    if does == "same":
        # An operation of its own, or input and output would be one tensor with two names.
        first = ops.constant(np.int64(0))
        return [ops.squeeze(ops.unsqueeze(one, first), first)]
    return [ops.multiply(one, ops.constant(np.float32(2 if does == "double" else 10 * version)))]
