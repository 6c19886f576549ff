"""Paddle Inference alone, in the training environment: what `local.PaddleInference` asks.

oneDNN and every core, as Paddle's own guide to CPUs has it. Texts are tokens before the clock runs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import inference
from sentinova_server.runtime.tokenizer import TextTokenizer

from benchmarks.worker import serve


class PaddleWorker:
    """A predictor and texts."""

    def __init__(self) -> None:
        self._rows: dict[str, list[list[int]]] = {}

    def load(self, folder: str, hint: str, cores: int) -> dict[str, str]:
        """Loads the model; gives what it runs with: `version` and `precision`."""
        version = Path(folder)
        self._tokenizer = TextTokenizer.load(version)
        precision = hint
        self._predictor = _make_predictor(version, hint, cores)
        if hint == "bf16":
            try:
                self._infer([[1, 2, 3]])
            except Exception:  # Paddle raises what it likes where an operation has no bf16 kernel
                precision = "f32"
                self._predictor = _make_predictor(version, "f32", cores)
        self._infer([[1, 2, 3]])
        return {"version": paddle.__version__, "precision": precision}

    def keep(self, key: str, texts: Sequence[str]) -> None:
        """Tokenizes texts."""
        self._rows[key] = [text.input_ids for text in self._tokenizer.tokenize_batch(texts, truncate=True)]

    def run_arrived(self, key: str, size: int) -> tuple[int, float, float]:
        """Runs kept texts in their own order; gives texts, seconds, share of padding."""
        rows = self._rows[key]
        batches = [rows[start : start + size] for start in range(0, len(rows), size)]
        started = time.perf_counter()
        tokens = sum(self._infer(batch) for batch in batches)
        seconds = time.perf_counter() - started
        return len(rows), seconds, 1 - sum(map(len, rows)) / tokens

    def _infer(self, rows: Sequence[Sequence[int]]) -> int:
        """Runs a batch; gives its tokens, padding included."""
        ids: NDArray[np.int64] = np.full((len(rows), max(map(len, rows))), self._tokenizer.pad_id, np.int64)
        for line, row in zip(ids, rows, strict=True):
            line[: len(row)] = row
        tensors = {"input_ids": ids, "token_type_ids": np.zeros_like(ids)}
        for name in self._predictor.get_input_names():
            self._predictor.get_input_handle(name).copy_from_cpu(tensors[name])
        self._predictor.run()
        self._predictor.get_output_handle(self._predictor.get_output_names()[0]).copy_to_cpu()
        return ids.size

    def operations(self) -> dict[str, Any]:
        """Gives the operations by name."""
        return {"load": self.load, "keep": self.keep, "run_arrived": self.run_arrived}


def _make_predictor(version: Path, hint: str, cores: int) -> Any:
    config = inference.Config(str(version / "model.pdmodel"), str(version / "model.pdiparams"))
    config.disable_gpu()
    config.disable_glog_info()
    config.enable_mkldnn()
    config.enable_memory_optim()
    config.set_cpu_math_library_num_threads(cores)
    if hint == "bf16":
        config.enable_mkldnn_bfloat16()
    return inference.create_predictor(config)


if __name__ == "__main__":
    serve(PaddleWorker().operations())
