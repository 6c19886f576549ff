"""A tensor model made ready to serve, and held against what Paddle gave for the same inputs.

Knows the order of the steps; must not know how any of them is done. Everything here blocks.

There is no rewriting, and nothing chooses a lower precision by itself: what the outputs mean, and how far they may
differ, only the model's owner knows. A precision asked for is held to the golden values where there are any.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sentinova_server.errors import LoadError
from sentinova_server.repository.config import CONFIG_FILE, ModelConfig, Precision
from sentinova_server.runtime.engine import Engine
from sentinova_server.runtime.golden_tensors import GOLDEN_TENSORS_FILE, compare_tensors
from sentinova_server.runtime.preparation import Proof
from sentinova_server.runtime.tensor_model import TensorModel, TensorModelParts

# Requests bring any shape. With OpenVINO's own choice of 5,000, memory grew by 0.4 MB with each new shape of a small
# CNN, from 92 to 336 MB over 500, and by 0.6 MB with one of an LSTM; with 100 it stayed at 194 and 293, as fast.
_CACHED_SHAPES = 100


@dataclass(frozen=True, slots=True)
class TensorPreparation:
    """Makes a version ready to serve.

    Attributes:
        folder: the version's folder.
        config: its model's configuration.
        version: its number.
        engine: what runs it.
        admit: told how many bytes the weights will take up, before they are compiled; raises LoadError where there is
            no room for them.
    """

    folder: Path
    config: ModelConfig
    version: int
    engine: Engine = field(repr=False)
    admit: Callable[[int], None] = lambda _: None

    def run(self) -> tuple[TensorModel, Proof]:
        """Reads, compiles, checks and warms up; frees everything again where a step fails.

        Raises:
            LoadError: the version cannot be served; names the file and what is wrong.
        """
        precision = self._choose_precision()
        parts = TensorModelParts.read(self.folder, self.config, self.engine)
        if precision is Precision.INT8 and not parts.graph.quantized:
            raise LoadError(parts.graph.files.graph, "is not quantized, and parameter `precision` is int8: take auto")
        self.admit(parts.graph.weight_bytes(precision))
        arithmetic = Precision.F32 if precision is Precision.INT8 else precision
        compiled = self.engine.compile(
            parts.graph, precision=arithmetic, streams=self.config.instance_count, cached_shapes=_CACHED_SHAPES
        )
        served = Precision.INT8 if parts.graph.quantized else precision
        model = TensorModel(parts, compiled, served)
        try:
            return model, self._prove(parts, model)
        except BaseException:
            model.close()
            raise

    def _prove(self, parts: TensorModelParts, model: TensorModel) -> Proof:
        if parts.golden is None:
            return Proof(model.precision, golden_file=GOLDEN_TENSORS_FILE)
        outputs = model.run_golden(parts.golden)
        report = compare_tensors(self.folder / GOLDEN_TENSORS_FILE, parts.golden, outputs)
        return Proof(model.precision, report, golden_file=GOLDEN_TENSORS_FILE)

    def _choose_precision(self) -> Precision:
        """Gives the precision asked for, float32 where none is. Raises LoadError for what does not go together."""
        file = self.folder.parent / CONFIG_FILE
        if self.config.response_cache:
            raise LoadError(file, "field `response_cache`: only answers of text models are kept: leave it out")
        wanted = self.config.precision(self.version) or Precision.AUTO
        if wanted is Precision.BF16 and not self.engine.has_bf16:
            raise LoadError(file, "parameter `precision` is bf16, which this CPU does not compute in: take auto or f32")
        return Precision.F32 if wanted is Precision.AUTO else wanted
