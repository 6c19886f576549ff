"""OpenVINO: reads model files, compiles them for the CPU, and runs them on a pool of infer requests.

Knows tensors; must not know text, labels or requests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from sentinova_server.errors import LoadError
from sentinova_server.runtime.first_token import compute_first_token_only
from sentinova_server.runtime.model_files import ModelFiles

OPENVINO_VERSION: str = ov.__version__

# OpenVINO's element types in KServe v2 words.
_DATATYPES = {
    "boolean": "BOOL",
    "u8": "UINT8",
    "u16": "UINT16",
    "u32": "UINT32",
    "u64": "UINT64",
    "i8": "INT8",
    "i16": "INT16",
    "i32": "INT32",
    "i64": "INT64",
    "f16": "FP16",
    "bf16": "BF16",
    "f32": "FP32",
    "f64": "FP64",
    "string": "BYTES",
}

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a model.

    Attributes:
        name: its name in the model file.
        datatype: its element type in KServe v2 words ("INT64"), or OpenVINO's own word where KServe has none.
        shape: its dimensions; -1: any size.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]


class CompiledModel:
    """A model compiled for the CPU with dynamic shapes, and the infer requests that run it.

    Each infer request has one thread that starts it and waits for it. OpenVINO's own completion callback is not used:
    its Python binding never calls it when an inference fails, and the request that waits would hang.
    """

    def __init__(self, compiled: ov.CompiledModel, rewritten: bool) -> None:
        self.rewritten = rewritten
        self.inputs = tuple(_describe(port, f"input_{i}") for i, port in enumerate(compiled.inputs))
        self.outputs = tuple(_describe(port, f"output_{i}") for i, port in enumerate(compiled.outputs))
        self.parallelism = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._idle: SimpleQueue[ov.InferRequest] = SimpleQueue()
        for _ in range(self.parallelism):
            self._idle.put(compiled.create_infer_request())
        self._executor = ThreadPoolExecutor(self.parallelism, thread_name_prefix="infer")

    def submit(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Runs a function that calls `infer` on one of the model's own threads, as many as there are infer requests."""
        return self._executor.submit(function, *args, **kwargs)

    def infer(self, tensors: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """Runs the model and waits for it.

        Args:
            tensors: every input by name. By name, as OpenVINO may order the inputs otherwise than the export did.

        Returns:
            The outputs, in the order of `outputs`.

        Raises:
            RuntimeError: OpenVINO failed; the infer request stays usable.
        """
        request = self._idle.get()
        try:
            request.start_async(dict(tensors), share_inputs=True)
            request.wait()
            # Copied: the request's own memory is written again by its next run.
            return [np.array(output.data) for output in request.output_tensors]
        finally:
            self._idle.put(request)

    def close(self) -> None:
        """Waits for running inferences and frees the model's memory."""
        self._executor.shutdown(wait=True)
        while not self._idle.empty():
            self._idle.get()


class Engine:
    """OpenVINO on this machine's CPU."""

    def __init__(self, *, streams: int = 0, threads: int = 0, rewrites: bool = True) -> None:
        """Makes an engine.

        Args:
            streams: inferences that one model runs in parallel, unless the model says otherwise; 0: OpenVINO's choice.
            threads: threads for all inferences of one model; 0: all cores.
            rewrites: whether graphs may be rewritten into equal ones that run faster.
        """
        self.rewrites = rewrites
        self._core = ov.Core()
        self._streams = streams
        self._threads = threads

    def load(self, files: ModelFiles, *, streams: int = 0, rewrite: bool = False) -> CompiledModel:
        """Reads a model with OpenVINO's own frontend of its format and compiles it once, for every shape.

        Args:
            files: the model.
            streams: inferences that it runs in parallel; 0: the engine's choice.
            rewrite: whether to rewrite its graph, where the engine may and there is something to gain. The caller
                proves the result.

        Raises:
            LoadError: OpenVINO cannot read or compile it; names the file.
        """
        try:
            model = self._core.read_model(files.graph, files.weights)
        except RuntimeError as error:
            raise LoadError(
                files.graph,
                f"OpenVINO cannot read it with {files.weights.name}, as where one of them is cut short or they are not "
                f"of one export: {_last_line(error)}",
            ) from error
        try:
            rewritten = rewrite and self.rewrites and compute_first_token_only(model) > 0
            compiled = self._core.compile_model(model, "CPU", self._properties(streams or self._streams))
            return CompiledModel(compiled, rewritten)
        except RuntimeError as error:
            raise LoadError(files.graph, f"OpenVINO cannot compile it for the CPU: {_last_line(error)}") from error

    def _properties(self, streams: int) -> dict[str, str]:
        # float32 throughout: the golden values are Paddle's in float32. One thread a stream is the fastest way to run
        # small batches; the throughput hint gives as many streams as that takes.
        # Threads are not pinned to cores: with two models each would pin its threads to the same ones, and where other
        # processes want a core too, the pinned thread waits while another core is idle. Pinning also goes through
        # hwloc, whose memory was found corrupted at exit on a busy machine with two models (OpenVINO 2026.4.1).
        properties = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": "NO",
        }
        if streams:
            properties["NUM_STREAMS"] = str(streams)
        if self._threads:
            properties["INFERENCE_NUM_THREADS"] = str(self._threads)
        return properties


def _describe(port: ov.ConstOutput, fallback: str) -> TensorSpec:
    names = port.get_names()
    name = port.get_any_name() if names else fallback
    shape = tuple(-1 if size.is_dynamic else size.get_length() for size in port.get_partial_shape())
    kind = port.get_element_type().get_type_name()
    return TensorSpec(name, _DATATYPES.get(kind, kind), shape)


def _last_line(error: RuntimeError) -> str:
    """Gives the part of OpenVINO's message that says what happened: its last line that is not a source location."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith("Exception from ")]
    return (telling or lines or ["no message"])[-1]
