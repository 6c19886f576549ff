"""MLServer loads this runtime: the requests that its adaptive batching merges are one batch.

Runs inside MLServer's own process.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

from benchmarks.targets.peer_classifier import PeerClassifier
from benchmarks.targets.peer_contract import SCORES_OUTPUT


class OpenvinoRuntime(MLModel):  # type: ignore[misc, unused-ignore]
    """Texts in, scores out."""

    async def load(self) -> bool:
        """Loads the model."""
        extra = self.settings.parameters.extra
        cores = extra["cores"]
        self._classifier = PeerClassifier(Path(extra["folder"]), extra["hint"], cores, Path(extra["counts"]))
        self._threads = ThreadPoolExecutor(cores)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answers merged requests; the event loop takes others meanwhile."""
        texts = StringCodec.decode_input(payload.inputs[0])
        scores = await asyncio.get_running_loop().run_in_executor(self._threads, self._classifier.classify, texts)
        output = ResponseOutput(
            name=SCORES_OUTPUT, datatype="FP32", shape=list(scores.shape), data=scores.ravel().tolist()
        )
        return InferenceResponse(model_name=self.name, outputs=[output])
