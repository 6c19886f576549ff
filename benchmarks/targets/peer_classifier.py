"""What Triton's and MLServer's own code runs here: texts in, scores out, by the same tokenizer and OpenVINO.

It is what a skilled user writes for these servers: the texts that the server hands over together run as one batch,
padded to the longest. Runs inside the peers' processes; knows nothing of either.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from sentinova_server.runtime.tokenizer import TextTokenizer

from benchmarks.targets.counts import TokenCounts
from benchmarks.targets.peer_contract import MAX_BATCH


class PeerClassifier:
    """A compiled model with its tokenizer. Threads may share one: as many batches run at once as it has streams."""

    def __init__(self, folder: Path, hint: str, streams: int, counts: Path) -> None:
        """Loads a version.

        Args:
            folder: the version's folder.
            hint: OpenVINO's INFERENCE_PRECISION_HINT.
            streams: batches that run at once, with one thread each.
            counts: folder where the number of tokens and of padding tokens is kept for the benchmark to read.
        """
        self._tokenizer = TextTokenizer.load(folder)
        compiled = compile_model(folder, hint, streams)
        self._inputs = [port.get_any_name() for port in compiled.inputs]
        self._idle: SimpleQueue[ov.InferRequest] = SimpleQueue()
        for _ in range(streams):
            self._idle.put(compiled.create_infer_request())
        self._counts = TokenCounts(counts / f"{os.getpid()}.counts")

    def classify(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Gives the scores, `[texts, class]` float32, in batches of at most `MAX_BATCH`."""
        rows = [text.input_ids for text in self._tokenizer.tokenize_batch(texts, truncate=True)]
        logits = [self._run(rows[start : start + MAX_BATCH]) for start in range(0, len(rows), MAX_BATCH)]
        return _softmax(np.concatenate(logits))

    def _run(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        tensors = pad(rows, self._tokenizer.pad_id, self._inputs)
        self._counts.add(tensors["input_ids"].size, tensors["input_ids"].size - sum(map(len, rows)))
        request = self._idle.get()
        try:
            request.start_async(tensors, share_inputs=True)
            # Waits without the GIL.
            request.wait()
            return np.array(request.output_tensors[0].data)
        finally:
            self._idle.put(request)


def compile_model(folder: Path, hint: str, streams: int, **more: str) -> ov.CompiledModel:
    """Reads a version's graph as it is and compiles it with one thread a stream: the fastest way for small batches."""
    graph = next(
        file for file in (folder / "model.pdmodel", folder / "model.xml") if file.exists()
    )  # OpenVINO finds the weights beside it
    properties = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": hint,
        "NUM_STREAMS": str(streams),
        "INFERENCE_NUM_THREADS": str(streams),
        "ENABLE_CPU_PINNING": "NO",
    }
    core = ov.Core()
    return core.compile_model(core.read_model(graph), "CPU", {**properties, **more})


def pad(rows: Sequence[Sequence[int]], pad_id: int, inputs: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Makes a batch's tensors by name, `[batch, longest]` int64. By name, as OpenVINO may reorder the inputs."""
    lengths = np.array([len(row) for row in rows])
    width = int(lengths.max())
    ids = np.full((len(rows), width), pad_id, np.int64)
    for line, row in zip(ids, rows, strict=True):
        line[: len(row)] = row
    known: dict[str, Any] = {
        "input_ids": lambda: ids,
        "token_type_ids": lambda: np.zeros_like(ids),
        "attention_mask": lambda: (np.arange(width) < lengths[:, None]).astype(np.int64),
        "position_ids": lambda: np.broadcast_to(np.arange(width, dtype=np.int64), ids.shape).copy(),
    }
    return {name: known[name]() for name in inputs}


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return scores
