"""OpenVINO: reads model files, compiles them for the CPU, and runs them on a pool of infer requests.

Knows tensors; must not know text, labels or requests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from queue import SimpleQueue
from threading import Lock
from typing import ParamSpec, TypeVar

import numpy as np
import openvino as ov
import structlog
from openvino import opset13 as ops

from sentinova_server.errors import LoadError
from sentinova_server.repository.config import Precision
from sentinova_server.runtime.arithmetic import bf16_pays, has_bf16
from sentinova_server.runtime.model_files import ModelFiles
from sentinova_server.runtime.openvino_errors import last_line
from sentinova_server.runtime.rewrites.first_token import compute_first_token_only
from sentinova_server.runtime.rewrites.packed_tokens import POSITIONS_INPUT, pack_tokens
from sentinova_server.runtime.tensors import BF16, BYTES, Tensor, TensorSpec

OPENVINO_VERSION: str = ov.__version__

_log = structlog.get_logger()

# Exact rewrites by name, in the order in which a graph goes through them. Each changes a graph in place, and tells how
# much: 0 where it found nothing.
REWRITES: dict[str, Callable[[ov.Model], int]] = {
    "first_token": compute_first_token_only,
    "packed_tokens": pack_tokens,
}

# Element types that numpy has no arrays of, or other ones.
_UNLIKE_NUMPY = (ov.Type.bf16, ov.Type.string)

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

_P = ParamSpec("_P")
_T = TypeVar("_T")


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


class CompiledModel:
    """A model compiled for the CPU with dynamic shapes, and the infer requests that run it.

    Each infer request has one thread that starts it and waits for it. OpenVINO's own completion callback is not used:
    its Python binding never calls it when an inference fails, and the request that waits would hang.
    """

    def __init__(self, compile_model: Callable[[], ov.CompiledModel], rewrites: tuple[str, ...]) -> None:
        """Compiles it; raises RuntimeError where OpenVINO cannot.

        Args:
            compile_model: gives the model compiled, and compiles it anew where an inference has failed.
            rewrites: names of the rewrites that its graph has been through.
        """
        compiled = compile_model()
        self.rewrites = rewrites
        self._compile = compile_model
        self._renewal = Lock()
        self.takes_packed = any(POSITIONS_INPUT in port.get_names() for port in compiled.inputs)
        # By their place, as a graph that hands an input on has one name for both.
        self._places = {name: i for i, port in enumerate(compiled.inputs) for name in port.get_names()}
        self._wrapped = {
            name for port in compiled.inputs if port.get_element_type() in _UNLIKE_NUMPY for name in port.get_names()
        }
        self.parallelism = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._idle = self._make_requests(compiled)
        self._executor = ThreadPoolExecutor(self.parallelism, thread_name_prefix="infer")

    def submit(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Runs a function that calls `infer` on one of the model's own threads, as many as there are infer requests."""
        return self._executor.submit(function, *args, **kwargs)

    def infer(self, tensors: Mapping[str, Tensor]) -> list[Tensor]:
        """Runs the model and waits for it.

        Args:
            tensors: every input by name. By name, as OpenVINO may order the inputs otherwise than the export did.
                Elements as `tensors.NUMPY_TYPES` has them.

        Returns:
            The outputs, in the order of the graph's.

        Raises:
            RuntimeError: OpenVINO failed; the model was compiled anew.
        """
        failures = 0
        while True:
            with self._renewal:
                idle = self._idle
            request = idle.get()
            try:
                outputs = self._run(request, tensors)
            except RuntimeError:
                failures += 1
                beside_others = idle.qsize() < self.parallelism - 1
                self._renew(idle)
                # It may be harm that one beside it has done: then it goes well on the model that is new.
                if failures > 1 or not beside_others:
                    raise
                continue
            finally:
                idle.put(request)
            # Where one beside it has failed meanwhile, these numbers may be wrong.
            if idle is self._idle:
                return outputs

    def _run(self, request: ov.InferRequest, tensors: Mapping[str, Tensor]) -> list[Tensor]:
        inputs = {
            self._places[name]: _wrap(tensor) if name in self._wrapped else tensor for name, tensor in tensors.items()
        }
        request.start_async(inputs, share_inputs=True)
        request.wait()
        return [_copy(output) for output in request.output_tensors]

    def _make_requests(self, compiled: ov.CompiledModel) -> SimpleQueue[ov.InferRequest]:
        idle: SimpleQueue[ov.InferRequest] = SimpleQueue()
        for _ in range(self.parallelism):
            idle.put(compiled.create_infer_request())
        return idle

    def _renew(self, failed: SimpleQueue[ov.InferRequest]) -> None:
        """Compiles the model anew, as one that has failed may give wrong numbers from then on; others wait for it."""
        with self._renewal:
            if self._idle is failed:  # otherwise one that failed beside this one has done it
                _log.warning("model_compiled_anew", reason="an inference failed")
                self._idle = self._make_requests(self._compile())

    def close(self) -> None:
        """Waits for running inferences and frees the model's memory."""
        self._executor.shutdown(wait=True)
        while not self._idle.empty():
            self._idle.get()


def _wrap(tensor: Tensor) -> ov.Tensor:
    """Makes a tensor of a type that numpy has not, from what stands for it there."""
    if tensor.dtype == np.uint16:
        return ov.Tensor(tensor, ov.Shape(tensor.shape), ov.Type.bf16)
    return ov.Tensor(tensor.astype(np.bytes_))


def _copy(tensor: ov.Tensor) -> Tensor:
    """Copies an output: the request's own memory is written again by its next run."""
    if tensor.element_type == ov.Type.bf16:
        return np.array(tensor.data.view(np.uint16))
    if tensor.element_type == ov.Type.string:
        # Of texts that are all empty `bytes_data` gives foreign memory, and of none it ends the process (2026.4.1).
        if not tensor.size or not (tensor.str_data != "").any():
            return np.full(tuple(tensor.shape), b"", np.object_)
        return np.array(tensor.bytes_data, dtype=np.object_)
    return np.array(tensor.data)


class Engine:
    """OpenVINO on this machine's CPU."""

    def __init__(
        self, *, streams: int = 0, threads: int = 0, rewrites: bool = True, precision: Precision = Precision.AUTO
    ) -> None:
        """Makes an engine.

        Args:
            streams: inferences that one model runs in parallel, unless the model says otherwise; 0: OpenVINO's choice.
            threads: threads for all inferences of one model; 0: all cores.
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
        try:
            return CompiledModel(lambda: self._core.compile_model(graph.model, "CPU", properties), graph.rewrites)
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
