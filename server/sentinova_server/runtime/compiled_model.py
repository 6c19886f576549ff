"""A compiled model on the CPU, and the infer requests that run it.

Knows tensors and threads; must not know text, labels or requests, nor how a graph is compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from threading import Lock
from typing import ParamSpec, TypeVar

import numpy as np
import openvino as ov
import structlog

from sentinova_server.runtime.rewrites.joined_rows import JOINED_ROWS_INPUT
from sentinova_server.runtime.rewrites.packed_tokens import POSITIONS_INPUT
from sentinova_server.runtime.tensors import Tensor

_log = structlog.get_logger()

# Element types that numpy has no arrays of, or other ones.
_UNLIKE_NUMPY = (ov.Type.bf16, ov.Type.string)

_P = ParamSpec("_P")
_T = TypeVar("_T")


class CompiledModel:
    """A model compiled for the CPU with dynamic shapes, in one form or two, and the threads that wait for it.

    The first form runs several inferences at once, each on few threads: that answers the most. The second, where there
    is one, runs a single inference on many, for one beside which no other runs.
    """

    def __init__(
        self, compile_model: Callable[..., ov.CompiledModel], rewrites: tuple[str, ...], latency_threads: int = 0
    ) -> None:
        """Compiles the first form; raises RuntimeError where OpenVINO cannot.

        Args:
            compile_model: gives the model compiled, with properties that are given by name in the place of its usual
                ones; also anew where an inference has failed.
            rewrites: names of the rewrites that its graph has been through.
            latency_threads: most threads of an inference in the second form.
        """
        self.rewrites = rewrites
        self._compile = compile_model
        self._most_threads = latency_threads
        self._pool = RequestPool(compile_model)
        self._latency_pool: RequestPool | None = None
        self._executor = ThreadPoolExecutor(self.parallelism, thread_name_prefix="infer")

    @property
    def parallelism(self) -> int:
        """How many inferences run at once."""
        return self._pool.parallelism

    @property
    def takes_packed(self) -> bool:
        """Whether it takes packed tokens."""
        return POSITIONS_INPUT in self._pool.inputs

    @property
    def takes_joined(self) -> bool:
        """Whether it takes texts joined in rows, too."""
        return JOINED_ROWS_INPUT in self._pool.inputs

    @property
    def latency_threads(self) -> int:
        """Threads of an inference in the second form; 0: there is none."""
        return self._latency_pool.threads if self._latency_pool else 0

    def add_latency_form(self) -> bool:
        """Compiles the second form, where its inferences have more threads than those of the first.

        Returns:
            Whether there is one now.

        Raises:
            RuntimeError: OpenVINO cannot.
        """
        usual = self._pool.threads // self._pool.streams
        if self._most_threads <= usual:
            return False

        def compile_form() -> ov.CompiledModel:
            return self._compile(
                PERFORMANCE_HINT="LATENCY", NUM_STREAMS="1", INFERENCE_NUM_THREADS=str(self._most_threads)
            )

        pool = RequestPool(compile_form)
        # OpenVINO may take fewer threads than it is given, as where it does not count all cores.
        self._latency_pool = pool if pool.threads > usual else None
        return self._latency_pool is not None

    def drop_latency_form(self) -> None:
        """Takes no more inferences in the second form; it is freed once none runs in it any more."""
        self._latency_pool = None

    def submit(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Runs a function that calls `infer` on one of the model's own threads, as many as run inferences at once."""
        return self._executor.submit(function, *args, **kwargs)

    def infer(self, tensors: Mapping[str, Tensor], *, alone: bool = False) -> list[Tensor]:
        """Runs the model and waits for it.

        Args:
            tensors: every input by name. By name, as OpenVINO may order the inputs otherwise than the export did.
                Elements as `tensors.NUMPY_TYPES` has them.
            alone: whether to run it in the second form, where there is one.

        Returns:
            The outputs, in the order of the graph's.

        Raises:
            RuntimeError: OpenVINO failed; the form was compiled anew.
        """
        pool = self._latency_pool if alone else None
        return (pool or self._pool).infer(tensors)

    def close(self) -> None:
        """Waits for running inferences and frees the model's memory."""
        self._executor.shutdown(wait=True)
        self.drop_latency_form()
        self._pool.close()


class RequestPool:
    """One compiled form of a model, and as many infer requests as it runs at once.

    Each infer request has one thread that starts it and waits for it. OpenVINO's own completion callback is not used:
    its Python binding never calls it when an inference fails, and the request that waits would hang.

    Attributes:
        inputs: place of each input by name. By their place, as a graph that hands an input on has one name for both.
        parallelism: inferences that run at once.
        streams: OpenVINO's number of these.
        threads: those that all inferences share.
    """

    def __init__(self, compile_form: Callable[[], ov.CompiledModel]) -> None:
        """Compiles it; raises RuntimeError where OpenVINO cannot.

        Args:
            compile_form: gives the model compiled, and compiles it anew where an inference has failed.
        """
        compiled = compile_form()
        self._compile = compile_form
        self._renewal = Lock()
        self.inputs = {name: i for i, port in enumerate(compiled.inputs) for name in port.get_names()}
        self._wrapped = {
            name for port in compiled.inputs if port.get_element_type() in _UNLIKE_NUMPY for name in port.get_names()
        }
        self.parallelism = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self.streams = int(compiled.get_property("NUM_STREAMS"))
        self.threads = int(compiled.get_property("INFERENCE_NUM_THREADS"))
        self._idle = self._make_requests(compiled)

    def infer(self, tensors: Mapping[str, Tensor]) -> list[Tensor]:
        """Runs the model on a request that is idle, or the next that is; as `CompiledModel.infer`."""
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

    def close(self) -> None:
        """Frees the memory; nothing may run."""
        while not self._idle.empty():
            self._idle.get()

    def _run(self, request: ov.InferRequest, tensors: Mapping[str, Tensor]) -> list[Tensor]:
        inputs = {
            self.inputs[name]: _wrap(tensor) if name in self._wrapped else tensor for name, tensor in tensors.items()
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
