"""Models of tensors for tests of a real server: those that Paddle exported, and small graphs made on the spot.

Knows files, graphs and tritonclient; must not know what a test is about.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import openvino as ov
import tritonclient.grpc as triton
from openvino import opset13 as ops
from tritonclient.utils import np_to_triton_dtype

EXAMPLES = Path(__file__).resolve().parents[1] / "models"
# Whether rows may share a batch.
EXPORTED = {
    "event_sequence": True,
    "image_cnn": True,
    "page_detector": True,
    "similarity_matrix": False,
    "text_lstm": True,
    "two_inputs": True,
}
WAIT_SECONDS = 60.0
# Multiplications of two square matrices that one run of the slow model takes, and their side.
_SLOW_STEPS, _SLOW_SIDE = 3, 1500

Tensors = Mapping[str, np.ndarray]


def golden_cases(name: str) -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Gives Paddle's own inputs and outputs of an exported model, by name, case by case."""
    found: dict[int, tuple[dict, dict]] = {}
    with np.load(EXAMPLES / name / "1" / "golden.npz") as content:
        for key, array in content.items():
            if key != "tolerance":
                number, kind, tensor = key.split("/", 2)
                found.setdefault(int(number), ({}, {}))[kind == "output"][tensor] = array
    return [found[number] for number in sorted(found)]


def add_exported(folder: Path, name: str, *versions: int, config: str = "") -> Path:
    """Copies an exported model into a repository, as versions of the model of a folder."""
    for version in versions:
        shutil.copytree(EXAMPLES / name / "1", folder / str(version))
    if config:
        (folder / "config.pbtxt").write_text(config)
    return folder


def spoil_golden(folder: Path, change: Callable[[dict[str, np.ndarray]], Tensors]) -> None:
    """Writes the golden values of a version anew."""
    with np.load(folder / "golden.npz") as content:
        arrays = dict(content)
    np.savez(folder / "golden.npz", **change(arrays))


def parameter(name: str, kind: str, shape: list[int]) -> Any:
    """Makes an input of a graph."""
    made = ops.parameter(shape, getattr(ov.Type, kind), name=name)
    made.output(0).set_names({name})
    return made


def save_graph(folder: Path, inputs: list[Any], output: Any) -> Path:
    """Writes a graph with the output `y` as a version."""
    output.output(0).set_names({"y"})
    folder.mkdir(parents=True)
    ov.save_model(ov.Model([output], inputs, "m"), folder / "model.xml", compress_to_fp16=False)
    return folder


def build_scale(folder: Path, factor: float) -> Path:
    """Writes a model that multiplies rows `x` FP32 [-1, -1] by a factor."""
    x = parameter("x", "f32", [-1, -1])
    return save_graph(folder, [x], ops.multiply(x, ops.constant(np.float32(factor))))


def build_echo(folder: Path, kind: str) -> Path:
    """Writes a model that gives `x` [-1, -1] of an element type twice, side by side."""
    x = parameter("x", kind, [-1, -1])
    return save_graph(folder, [x], ops.concat([x, x], 1))


def build_lookup(folder: Path) -> Path:
    """Writes a model whose input says where an operation reads unchecked."""
    x = parameter("places", "i64", [-1, 1])
    return save_graph(folder, [x], ops.gather_nd(ops.constant(np.ones((4, 2), np.float32)), x))


def build_slow(folder: Path) -> Path:
    """Writes a model that takes a good part of a second for a row of `x` FP32 [-1, 1], and gives it back."""
    x = parameter("x", "f32", [-1, 1])
    # Sums of nothing but this number: each matrix is that number everywhere, so that the side divides it again.
    square = ops.broadcast(
        ops.reduce_max(x, ops.constant(np.array([0, 1])), keep_dims=True), ops.constant(np.array([_SLOW_SIDE] * 2))
    )
    ones = ops.divide(square, square)
    for _ in range(_SLOW_STEPS):
        ones = ops.divide(ops.matmul(ones, ones, False, False), ops.constant(np.float32(_SLOW_SIDE)))
    one = ops.reduce_max(ones, ops.constant(np.array([0, 1])), keep_dims=True)
    return save_graph(folder, [x], ops.multiply(x, one))


class Triton:
    """tritonclient on a server, by arrays: what goes in and comes out has a name and no more."""

    def __init__(self, address: str) -> None:
        self.client = triton.InferenceServerClient(address)

    def __enter__(self) -> Triton:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def infer(self, model: str, tensors: Tensors, **options: Any) -> dict[str, np.ndarray]:
        """Asks, and gives the outputs by name."""
        return arrays_of(self.client.infer(model, make_inputs(tensors), client_timeout=WAIT_SECONDS, **options))

    def begin(self, model: str, tensors: Tensors, **options: Any) -> Pending:
        """Begins to ask, and waits for no answer."""
        return Pending(self.client, model, tensors, options)

    def statistics(self, model: str, version: str = "") -> Any:
        """Gives the statistics of a version that is served."""
        [found] = self.client.get_inference_statistics(model, version).model_stats
        return found


class Pending:
    """A request under way."""

    def __init__(self, client: Any, model: str, tensors: Tensors, options: dict[str, Any]) -> None:
        self._done = threading.Event()
        self._result: Any = None
        self.error: Exception | None = None
        self._call = client.async_infer(
            model, make_inputs(tensors), self._answer, **{"client_timeout": WAIT_SECONDS, **options}
        )

    def _answer(self, result: Any, error: Exception | None) -> None:
        self._result, self.error = result, error
        self._done.set()

    def cancel(self) -> None:
        """Gives the request up."""
        self._call.cancel()

    def wait(self) -> None:
        """Waits for its end, whatever it is."""
        assert self._done.wait(WAIT_SECONDS)

    def result(self) -> dict[str, np.ndarray]:
        """Gives the outputs by name."""
        self.wait()
        assert self.error is None, self.error
        return arrays_of(self._result)


def make_inputs(tensors: Tensors) -> list[Any]:
    """Makes tritonclient's inputs of arrays."""
    inputs = []
    for name, array in tensors.items():
        made = triton.InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
        made.set_data_from_numpy(array)
        inputs.append(made)
    return inputs


def arrays_of(result: Any) -> dict[str, np.ndarray]:
    """Gives what tritonclient got, by name."""
    return {output.name: result.as_numpy(output.name) for output in result.get_response().outputs}


def open_channel(address: str) -> grpc.Channel:
    """Opens a plain channel, past any proxy."""
    return grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
