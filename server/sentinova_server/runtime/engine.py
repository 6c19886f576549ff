"""OpenVINO: reads model files, rewrites their graphs, and compiles them for the CPU.

Knows tensors; must not know text, labels or requests.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np
import openvino as ov
import structlog
from openvino import opset13 as ops

from sentinova_server.errors import LoadError
from sentinova_server.repository.config import Precision
from sentinova_server.runtime.arithmetic import bf16_pays, has_bf16
from sentinova_server.runtime.compiled_model import CompiledModel
from sentinova_server.runtime.model_files import ModelFiles
from sentinova_server.runtime.openvino_errors import last_line
from sentinova_server.runtime.rewrites.first_token import compute_first_token_only
from sentinova_server.runtime.rewrites.joined_rows import join_rows
from sentinova_server.runtime.rewrites.packed_tokens import pack_tokens
from sentinova_server.runtime.rewrites.transposed_weights import transpose_weights
from sentinova_server.runtime.tensors import BF16, BYTES, TensorSpec

OPENVINO_VERSION: str = ov.__version__

_log = structlog.get_logger()

# Exact rewrites by name, in the order in which a graph goes through them. Each changes a graph in place, and tells how
# much: 0 where it found nothing.
REWRITES: dict[str, Callable[[ov.Model], int]] = {
    "transposed_weights": transpose_weights,
    "first_token": compute_first_token_only,
    "packed_tokens": pack_tokens,
    "joined_rows": join_rows,
}

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
    "bf16": BF16,
    "f32": "FP32",
    "f64": "FP64",
    "string": BYTES,
}


@dataclass(frozen=True, slots=True)
class Graph:
    """A model as its file describes it, or rewritten.

    Attributes:
        model: OpenVINO's graph.
        files: where it was read from.
        inputs: the inputs of the file.
        outputs: the outputs of the file.
        quantized: whether parts of it compute in 8-bit integers.
        floats: numbers in its weights that are stored in floating point, of whatever width.
        other_bytes: bytes of its other weights.
        rewrites: names of the rewrites that it has been through.
    """

    model: ov.Model
    files: ModelFiles
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    quantized: bool
    floats: int = 0
    other_bytes: int = 0
    rewrites: tuple[str, ...] = ()

    def weight_bytes(self, precision: Precision) -> int:
        """Gives the bytes that its weights take up once it is compiled: BF16, or F32 for everything else."""
        return self.floats * (2 if precision is Precision.BF16 else 4) + self.other_bytes


class Engine:
    """OpenVINO on this machine's CPU."""

    def __init__(
        self,
        *,
        streams: int = 0,
        threads: int = 0,
        latency_threads: int = 0,
        rewrites: bool = True,
        precision: Precision = Precision.AUTO,
    ) -> None:
        """Makes an engine.

        Args:
            streams: inferences that one model runs in parallel, unless the model says otherwise; 0: OpenVINO's choice.
            threads: threads for all inferences of one model; 0: all cores.
            latency_threads: most threads for an inference beside which no other runs; 0 or 1: as for any other.
            rewrites: whether graphs may be rewritten into equal ones that run faster.
            precision: what models compute in, unless the model says otherwise.
        """
        self.rewrites = rewrites
        self.precision = precision
        _meet_numpy()
        self._core = ov.Core()
        # A mapped file that is cut short in place would end the process that serves it.
        self._core.set_property({"ENABLE_MMAP": False})
        self._measuring = Lock()
        self._prefers_bf16: bool | None = None
        self._streams = streams
        self._threads = threads
        self._latency_threads = min(latency_threads, threads or count_cores())

    @property
    def has_bf16(self) -> bool:
        """Whether this CPU computes in bfloat16 itself (AVX512_BF16 or AMX)."""
        return has_bf16(self._core)

    @property
    def prefers_bf16(self) -> bool:
        """Whether bfloat16 is faster than float32 on this CPU; measured once."""
        with self._measuring:
            if self._prefers_bf16 is None:
                self._prefers_bf16 = bf16_pays(self._core)
                _log.info("arithmetic_measured", bf16_pays=self._prefers_bf16)
            return self._prefers_bf16

    def read(self, files: ModelFiles) -> Graph:
        """Reads a model with OpenVINO's own frontend of its format.

        Raises:
            LoadError: OpenVINO cannot read it; names the file.
        """
        try:
            model = self._core.read_model(files.graph, files.weights)
        except RuntimeError as error:
            raise LoadError(
                files.graph,
                f"OpenVINO cannot read it with {files.weights.name}, as where one of them is cut short or they are not "
                f"of one export: {last_line(error)}",
            ) from error
        quantized = any(node.get_type_name() == "FakeQuantize" for node in model.get_ops())
        inputs = tuple(_describe(port, f"input_{i}") for i, port in enumerate(model.inputs))
        outputs = tuple(_describe(port, f"output_{i}") for i, port in enumerate(model.outputs))
        floats, other_bytes = _measure_weights(model)
        return Graph(model, files, inputs, outputs, quantized, floats, other_bytes)

    def rewrite(self, graph: Graph) -> list[Graph]:
        """Gives graphs that compute the same with less and less work, the least first; the caller proves them.

        Each is a copy that has been through one rewrite more than the next; those that change nothing are left out.
        """
        found: list[Graph] = []
        for name, rewrite in REWRITES.items() if self.rewrites else ():
            latest = found[0] if found else graph
            model = latest.model.clone()
            try:
                changed = rewrite(model)
            except RuntimeError as error:
                _log.warning("rewrite_failed", file=str(graph.files.graph), rewrite=name, reason=last_line(error))
                continue
            if changed:
                found.insert(0, replace(latest, model=model, rewrites=(*latest.rewrites, name)))
        return found

    def compile(
        self, graph: Graph, *, precision: Precision, streams: int = 0, cached_shapes: int | None = None
    ) -> CompiledModel:
        """Compiles a graph once, for every shape.

        Args:
            graph: the model.
            precision: F32, or BF16 for what is not in 8-bit integers.
            streams: inferences that it runs in parallel; 0: the engine's choice.
            cached_shapes: for how many shapes of an operation OpenVINO keeps what it prepared; None: its own choice.

        Raises:
            LoadError: OpenVINO cannot compile it; names the file.
        """
        properties = self._properties(precision, streams or self._streams)
        if cached_shapes is not None:
            properties["CPU_RUNTIME_CACHE_CAPACITY"] = str(cached_shapes)

        def compile_with(**changes: str) -> ov.CompiledModel:
            return self._core.compile_model(graph.model, "CPU", {**properties, **changes})

        try:
            return CompiledModel(compile_with, graph.rewrites, self._latency_threads)
        except RuntimeError as error:
            reason = last_line(error)
            raise LoadError(graph.files.graph, f"OpenVINO cannot compile it for the CPU: {reason}") from error

    def _properties(self, precision: Precision, streams: int) -> dict[str, str]:
        # One thread a stream is the fastest way to run small batches; the throughput hint gives as many streams as that
        # takes.
        # Threads are not pinned to cores: with two models each would pin its threads to the same ones, and where other
        # processes want a core too, the pinned thread waits while another core is idle. Pinning also goes through
        # hwloc, whose memory was found corrupted at exit on a busy machine with two models (OpenVINO 2026.4.1).
        properties = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": precision.value,
            "ENABLE_CPU_PINNING": "NO",
        }
        if streams:
            properties["NUM_STREAMS"] = str(streams)
        if self._threads:
            properties["INFERENCE_NUM_THREADS"] = str(self._threads)
        return properties


def count_cores() -> int:
    """Gives the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _meet_numpy() -> None:
    """Has OpenVINO's binding look up numpy's functions now, on one thread.

    It does so at the first array that it hands out. Where two threads get there at once, one holds the interpreter's
    lock and waits for the other to be done, which waits for that lock: both hang for ever (OpenVINO 2026.4.1).
    """
    ops.constant(np.zeros(1, np.float32)).get_data()


def _measure_weights(model: ov.Model) -> tuple[int, int]:
    """Gives how many weights are floating-point numbers, and the bytes of the others."""
    floats = other_bytes = 0
    for node in model.get_ops():
        if node.get_type_name() == "Constant":
            kind, count = node.get_output_element_type(0), math.prod(node.get_output_shape(0))
            if kind.is_real():
                floats += count
            else:
                other_bytes += count * kind.size
    return floats, other_bytes


def _describe(port: ov.Output, fallback: str) -> TensorSpec:
    names = port.get_names()
    name = port.get_any_name() if names else fallback
    shape = tuple(-1 if size.is_dynamic else size.get_length() for size in port.get_partial_shape())
    kind = port.get_element_type().get_type_name()
    return TensorSpec(name, _DATATYPES.get(kind, kind), shape)
