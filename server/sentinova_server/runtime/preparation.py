"""The fastest form of a model version that its golden values prove: which graph, in which precision.

Knows the order of the steps and what is fallen back to; must not know how any of them is done. Everything here blocks.

The version is first run in float32 and held against Paddle's logits: that proves its files, and the graph that was
rewritten to do less. Only then is a lower precision tried, and held against Paddle's scores. Where there are no golden
values, nothing proves either, and the version runs as it was exported, in float32.

Last, what is served gets a second form for texts that come alone, held against the same values as the first. A version
whose second form is not right serves without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from sentinova_server.errors import LoadError
from sentinova_server.repository.config import CONFIG_FILE, ModelConfig, Precision
from sentinova_server.runtime.engine import Engine, Graph
from sentinova_server.runtime.golden import GOLDEN_FILE, GoldenReport, GoldenSet, compare_logits, compare_scores
from sentinova_server.runtime.text_model import Pace, TextModel
from sentinova_server.runtime.text_parts import TextModelParts

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found before a version was handed out.

    Attributes:
        precision: what it computes in.
        logits: float32 logits, or the outputs of a tensor model, against Paddle's; None: not compared.
        scores: scores in the precision that is served against Paddle's; None: not compared.
        golden_file: name of the file that holds Paddle's.
    """

    precision: Precision
    logits: GoldenReport | None = None
    scores: GoldenReport | None = None
    golden_file: str = GOLDEN_FILE

    def __str__(self) -> str:
        """Says it in words."""
        if self.logits is None and self.scores is None:
            return f"not checked against Paddle: the version has no {self.golden_file}"
        texts = self.golden_file == GOLDEN_FILE
        found = []
        if self.logits is not None:
            found.append(f"{'logits' if texts else 'outputs'} within {self.logits.max_difference:.1e} of Paddle's")
        if self.scores is not None:
            found.append(f"{self.precision} scores within {self.scores.max_difference:.1e} of Paddle's")
        cases = max(report.cases for report in (self.logits, self.scores) if report is not None)
        return f"{cases} golden {'texts' if texts else 'cases'}, {', '.join(found)}"


@dataclass(frozen=True, slots=True)
class Preparation:
    """Makes a version ready to serve.

    Attributes:
        folder: the version's folder.
        config: its model's configuration.
        version: its number.
        engine: what runs it.
        batches: token counts of the texts of batches to warm up with.
        admit: told how many bytes the weights will take up, before they are compiled; raises LoadError where there is
            no room for them.
        pace: has proofs and warm-up go on a batch at a time, when there is room; None: there is nothing beside them.
    """

    folder: Path
    config: ModelConfig
    version: int
    engine: Engine = field(repr=False)
    batches: Sequence[Sequence[int]] = ()
    admit: Callable[[int], None] = lambda _: None
    pace: Pace | None = None

    def run(self) -> tuple[TextModel, Proof]:
        """Reads, compiles, checks and warms up; frees everything again where a step fails.

        Raises:
            LoadError: the version cannot be served; names the file and what is wrong.
        """
        wanted = self._wanted()
        parts = TextModelParts.read(self.folder, self.config, self.engine)
        # The proof is run in float32 whatever is served.
        self.admit(parts.graph.weight_bytes(Precision.F32))
        if wanted is Precision.INT8 and not parts.graph.quantized:
            raise LoadError(
                parts.graph.files.graph,
                f"is not quantized, and {self._where_precision()} is int8: make a quantized version with "
                "`sentinova-server quantize`, or take auto",
            )
        model, proof = self._prepare_quantized(parts, wanted) if parts.graph.quantized else self._prepare(parts, wanted)
        try:
            model.warm_up(self.batches, self.pace)
            self._add_latency_form(model, parts.golden)
        except BaseException:
            model.close()
            raise
        return model, proof

    def _wanted(self) -> Precision:
        """Gives the precision asked for. Raises LoadError where the CPU does not have it."""
        wanted = self.config.precision(self.version) or self.engine.precision
        if wanted is Precision.BF16 and not self.engine.has_bf16:
            raise LoadError(
                self.folder.parent / CONFIG_FILE if self.config.precision(self.version) else self.folder,
                f"{self._where_precision()} is bf16, which this CPU does not compute in: take auto, f32 or int8",
            )
        return wanted

    def _where_precision(self) -> str:
        return "parameter `precision`" if self.config.precision(self.version) else "--precision"

    def _prepare(self, parts: TextModelParts, wanted: Precision) -> tuple[TextModel, Proof]:
        """Prepares a model whose file computes in floating point."""
        model, proof, graph = self._prove_f32(parts)
        if wanted is Precision.F32 or (wanted is Precision.AUTO and not (parts.golden and self.engine.prefers_bf16)):
            return model, proof
        try:
            low, scores = self._compile_low(parts, graph, Precision.BF16)
        except LoadError as error:
            if wanted is not Precision.AUTO:
                model.close()
                raise
            _log.warning("precision_refused", folder=str(self.folder), precision="bf16", reason=str(error))
            return model, proof
        except BaseException:
            model.close()
            raise
        model.close()
        return low, replace(proof, precision=Precision.BF16, scores=scores)

    def _prove_f32(self, parts: TextModelParts) -> tuple[TextModel, Proof, Graph]:
        """Runs the version in float32, rewritten where that is proved equal."""
        for graph in self._rewritten(parts):
            try:
                return (*self._compile_f32(parts, graph), graph)
            except LoadError as error:
                # Where the rewrite is to blame, a graph with fewer of them passes; otherwise none does.
                _log.warning("rewrite_refused", folder=str(self.folder), rewrites=graph.rewrites, reason=str(error))
        return (*self._compile_f32(parts, parts.graph), parts.graph)

    def _rewritten(self, parts: TextModelParts) -> list[Graph]:
        """Gives the graphs to try before the exported one: without golden values nothing proves a rewritten graph."""
        return self.engine.rewrite(parts.graph) if parts.golden else []

    def _compile_f32(self, parts: TextModelParts, graph: Graph) -> tuple[TextModel, Proof]:
        compiled = self.engine.compile(graph, precision=Precision.F32, streams=self.config.instance_count)
        model = TextModel(replace(parts, graph=graph), compiled, Precision.F32)
        return model, Proof(Precision.F32, logits=self._prove(model, parts.golden))

    def _compile_low(
        self, parts: TextModelParts, graph: Graph, precision: Precision
    ) -> tuple[TextModel, GoldenReport | None]:
        """Compiles in a lower precision, and holds the scores against Paddle's where there are golden values."""
        compiled = self.engine.compile(graph, precision=precision, streams=self.config.instance_count)
        served = Precision.INT8 if parts.graph.quantized else precision
        model = TextModel(replace(parts, graph=graph), compiled, served)
        return model, self._prove(model, parts.golden)

    def _prove(self, model: TextModel, golden: GoldenSet | None) -> GoldenReport | None:
        """Holds a model against its golden values, and closes it where it does not agree; None: it has none."""
        try:
            return self._compare(model, golden) if golden else None
        except BaseException:
            model.close()
            raise

    def _compare(self, model: TextModel, golden: GoldenSet, *, alone: bool = False) -> GoldenReport:
        """Holds logits in float32, and scores in other precisions, against Paddle's. Raises LoadError."""
        logits = model.run_golden(golden, self.pace, alone=alone)
        file = self.folder / GOLDEN_FILE
        if model.precision is Precision.F32:
            return compare_logits(file, golden, logits)
        return compare_scores(file, golden, logits, self.config.temperature(self.version))

    def _add_latency_form(self, model: TextModel, golden: GoldenSet | None) -> None:
        """Gives a model that serves a second form for what comes alone, where that is faster and proved."""
        try:
            if model.add_latency_form():
                if golden:
                    self._compare(model, golden, alone=True)
                model.warm_up(self.batches, self.pace, alone=True)
        except (LoadError, RuntimeError) as error:
            model.drop_latency_form()
            _log.warning("latency_form_refused", folder=str(self.folder), reason=str(error))

    def _prepare_quantized(self, parts: TextModelParts, wanted: Precision) -> tuple[TextModel, Proof]:
        """Prepares a quantized model: 8-bit integers where its file says so, `wanted` for the rest of it."""
        low = wanted is Precision.BF16 or (wanted is not Precision.F32 and self.engine.prefers_bf16)
        rest = Precision.BF16 if low else Precision.F32
        for graph in self._rewritten(parts):
            try:
                model, scores = self._compile_low(parts, graph, rest)
                return model, Proof(Precision.INT8, scores=scores)
            except LoadError as error:
                _log.warning("rewrite_refused", folder=str(self.folder), rewrites=graph.rewrites, reason=str(error))
        model, scores = self._compile_low(parts, parts.graph, rest)
        return model, Proof(Precision.INT8, scores=scores)
