"""OpenVINO alone, in a process of its own: what `local.BareOpenvino` asks.

Texts are tokens before the clock runs and batches are padded already, so what is measured is the model.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from sentinova_server.runtime.tokenizer import TextTokenizer

from benchmarks.targets.peer_classifier import compile_model, pad
from benchmarks.worker import serve

Batch = dict[str, NDArray[np.int64]]


class BareWorker:
    """A compiled model and texts."""

    def __init__(self) -> None:
        self._rows: dict[str, list[list[int]]] = {}
        self._compiled: dict[str, ov.CompiledModel] = {}

    def load(self, folder: str, hint: str, cores: int) -> None:
        """Compiles the model for throughput: as many streams as cores."""
        self._folder, self._hint, self._cores = Path(folder), hint, cores
        self._tokenizer = TextTokenizer.load(self._folder)
        compiled = self._compiled["THROUGHPUT"] = compile_model(self._folder, hint, cores)
        self._inputs = [port.get_any_name() for port in compiled.inputs]
        self._queue = ov.AsyncInferQueue(compiled, cores)

    def keep(self, key: str, texts: Sequence[str]) -> None:
        """Tokenizes texts."""
        self._rows[key] = [text.input_ids for text in self._tokenizer.tokenize_batch(texts, truncate=True)]

    def run_sorted(self, key: str, budget: int) -> tuple[int, float, float]:
        """Runs kept texts in batches of like length; gives texts, seconds, share of padding."""
        batches: list[list[list[int]]] = [[]]
        for row in sorted(self._rows[key], key=len):
            # Ascending, so each text is the widest so far.
            if batches[-1] and (len(batches[-1]) + 1) * len(row) > budget:
                batches.append([])
            batches[-1].append(row)
        # Longest first: no core is left alone with the longest at the end.
        return self._run(batches[::-1])

    def run_arrived(self, key: str, size: int) -> tuple[int, float, float]:
        """Runs kept texts in their own order; gives texts, seconds, share of padding."""
        rows = self._rows[key]
        return self._run([rows[start : start + size] for start in range(0, len(rows), size)])

    def run_single(self, key: str, count: int, hint: str) -> list[float]:
        """Runs the first kept text alone; gives latencies in seconds."""
        if hint not in self._compiled:
            more = {"PERFORMANCE_HINT": hint, "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": str(self._cores)}
            self._compiled[hint] = compile_model(self._folder, self._hint, 1, **more)
        request = self._compiled[hint].create_infer_request()
        tensors = self._pad(self._rows[key][:1])
        latencies = []
        for _ in range(count):
            started = time.perf_counter()
            request.infer(tensors, share_inputs=True)
            latencies.append(time.perf_counter() - started)
        return latencies

    def labels(self, key: str) -> list[int]:
        """Gives the best class of each kept text."""
        request = self._compiled["THROUGHPUT"].create_infer_request()
        outputs = (request.infer(self._pad([row]))[0] for row in self._rows[key])
        return [int(output[0].argmax()) for output in outputs]

    def _run(self, batches: Sequence[Sequence[Sequence[int]]]) -> tuple[int, float, float]:
        tensors = [self._pad(batch) for batch in batches]
        started = time.perf_counter()
        for batch in tensors:
            self._queue.start_async(batch, share_inputs=True)
        self._queue.wait_all()
        seconds = time.perf_counter() - started
        texts = sum(map(len, batches))
        tokens = sum(batch["input_ids"].size for batch in tensors)
        real = sum(len(row) for batch in batches for row in batch)
        return texts, seconds, 1 - real / tokens

    def _pad(self, rows: Sequence[Sequence[int]]) -> Batch:
        return pad(rows, self._tokenizer.pad_id, self._inputs)

    def operations(self) -> dict[str, Any]:
        """Gives the operations by name."""
        return {
            "load": self.load, "keep": self.keep, "run_sorted": self.run_sorted, "run_arrived": self.run_arrived,
            "run_single": self.run_single, "labels": self.labels,
        }  # fmt: skip


if __name__ == "__main__":
    serve(BareWorker().operations())
