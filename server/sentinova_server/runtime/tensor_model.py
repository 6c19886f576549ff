"""A model that is served as tensors: its own inputs in, its own outputs out.

Knows shapes, types and batches of rows; must not know requests, queues or messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sentinova_server.errors import LoadError, ServingError
from sentinova_server.repository.config import CONFIG_FILE, ModelConfig, Precision
from sentinova_server.runtime.compiled_model import CompiledModel
from sentinova_server.runtime.declared import apply_declared
from sentinova_server.runtime.engine import Engine, Graph
from sentinova_server.runtime.golden_tensors import GOLDEN_TENSORS_FILE, GoldenTensorSet, read_golden_tensors
from sentinova_server.runtime.labels import read_labels
from sentinova_server.runtime.lookups import find_tables, find_unsafe
from sentinova_server.runtime.model_files import find_model_files
from sentinova_server.runtime.shape_probe import MOST_ELEMENTS, ShapeProbe
from sentinova_server.runtime.tensors import BYTES, NUMPY_TYPES, Tensor, TensorRows, TensorSpec
from sentinova_server.runtime.token_rows import check_range, refuse_tensor

# OpenVINO's CPU plugin computes these in 32 bits, and drops the rest of a number without a word (2026.4.1).
_WIDE_INTEGERS = ("INT64", "UINT64")
_MOST_INTEGER = (1 << 31) - 1
# A look at all numbers of tensors up to this size takes some ten microseconds.
_QUICK_BYTES = 1 << 14


@dataclass(frozen=True, slots=True)
class TensorModelParts:
    """What a version's folder holds, read and checked against each other.

    Attributes:
        folder: the version's folder.
        config: its model's configuration.
        graph: the model as its file describes it.
        inputs: its inputs, as narrow as the config declares them.
        outputs: its outputs, likewise.
        labels: names of the classes of outputs whose config has a `label_filename`, by the output's name.
        tables: how many values the numbers of an input may have, from 0, by name; others may be any.
        golden: what Paddle gave for some inputs; None: the folder does not tell.
    """

    folder: Path
    config: ModelConfig
    graph: Graph
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: Mapping[str, tuple[str, ...]]
    tables: Mapping[str, int]
    golden: GoldenTensorSet | None

    @classmethod
    def read(cls, folder: Path, config: ModelConfig, engine: Engine) -> TensorModelParts:
        """Reads a version's folder.

        Raises:
            LoadError: a file is missing, broken or at odds with another; names it.
        """
        graph = engine.read(find_model_files(folder))
        file, batched = folder.parent / CONFIG_FILE, config.max_batch_size > 0
        inputs = apply_declared(file, "input", config.inputs, graph.inputs, batched=batched)
        outputs = apply_declared(file, "output", config.outputs, graph.outputs, batched=batched)
        for spec in (*inputs, *outputs):
            _check_spec(graph, spec, batched=batched)
        labels = {
            output.name: read_labels(folder / output.label_filename)
            for output in config.outputs
            if output.label_filename
        }
        refuse_unsafe(graph)
        golden = read_golden_tensors(folder, [spec.name for spec in inputs], [spec.name for spec in outputs])
        return cls(folder, config, graph, inputs, outputs, labels, find_tables(graph.model), golden)


class TensorModel:
    """A compiled model whose inputs and outputs are those of its file."""

    def __init__(self, parts: TensorModelParts, compiled: CompiledModel, precision: Precision) -> None:
        """Takes a model that was compiled from these parts, and closes it with itself.

        Args:
            parts: what the version's folder holds.
            compiled: its model.
            precision: what it computes in: never AUTO.
        """
        self.format = parts.graph.files.format
        self.precision = precision
        self.inputs = parts.inputs
        self.outputs = parts.outputs
        self.labels = parts.labels
        self.tables = parts.tables
        self.max_batch_size = parts.config.max_batch_size
        self.rewrites: tuple[str, ...] = ()
        self.latency_threads = 0
        self._parts = parts
        self._compiled = compiled
        self._probe = ShapeProbe(parts.graph.model)

    @property
    def memory_bytes(self) -> int:
        """Bytes that its weights take up."""
        return self._parts.graph.weight_bytes(self.precision)

    @property
    def parallelism(self) -> int:
        """How many batches run at once."""
        return self._compiled.parallelism

    def padded_length(self, tokens: int) -> int:
        """Gives the rows that so many rows take: nothing is padded."""
        return tokens

    def batch_tokens(self, lengths: Sequence[int]) -> int:
        """Gives the rows of a batch of requests of so many rows each."""
        return sum(lengths)

    def submit(self, batch: Sequence[TensorRows], *, alone: bool = False) -> Future[list[dict[str, Tensor]]]:
        """Runs requests of equal shapes as one batch; the future gives the outputs of each by name, or raises.

        The caller is never blocked: rows are joined on the model's own threads.

        Args:
            batch: the requests.
            alone: of no account. A second form for what comes alone may take as much memory as the first: no rewrite
                has made the weights of such a graph ones that both forms share.
        """
        return self._compiled.submit(self._infer, batch)

    def is_checked_quickly(self, rows: TensorRows) -> bool:
        """Tells whether `check` is a matter of microseconds: of small tensors, of shapes that it has met before."""
        small = sum(tensor.nbytes for tensor in rows.tensors.values()) <= _QUICK_BYTES
        return small and self._probe.knows({name: tensor.shape for name, tensor in rows.tensors.items()})

    def check(self, rows: TensorRows) -> None:
        """Sees that the model takes the tensors of one request, before others share a batch with them.

        Raises:
            ServingError: INVALID_FIELD; a shape or a number is one that the model does not take.
        """
        self._probe.check({name: tensor.shape for name, tensor in rows.tensors.items()})
        for spec in self.inputs:
            values = self.tables.get(spec.name)
            tensor = rows.tensors[spec.name]
            if values is not None:
                check_range(spec.name, tensor, values)
            elif spec.datatype in _WIDE_INTEGERS and tensor.size:
                _check_width(spec.name, tensor)
            elif spec.datatype == BYTES and tensor.size:
                _check_texts(spec.name, tensor)

    def run_golden(self, golden: GoldenTensorSet) -> list[dict[str, Tensor]]:
        """Runs the golden inputs on every stream, which also warms them up; gives the outputs of each case.

        Raises:
            LoadError: the model fails on them.
        """
        outputs: list[dict[str, Tensor]] = []
        for case in golden.cases:
            try:
                rows = TensorRows.of(self._cast(case.inputs), batched=self.max_batch_size > 0)
                for future in [self.submit([rows]) for _ in range(self.parallelism)]:
                    [found] = future.result()
            except (RuntimeError, ValueError, IndexError, ServingError) as error:
                file = self._parts.folder / GOLDEN_TENSORS_FILE
                raise LoadError(file, f"{case.number}/input: the model fails on its golden inputs: {error}") from error
            outputs.append(found)
        return outputs

    def close(self) -> None:
        """Waits for running batches and frees the memory."""
        self._compiled.close()

    def _cast(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {spec.name: np.asarray(tensors[spec.name], NUMPY_TYPES[spec.datatype]) for spec in self.inputs}

    def _infer(self, batch: Sequence[TensorRows]) -> list[dict[str, Tensor]]:
        if len(batch) == 1:
            tensors = batch[0].tensors
        else:
            tensors = {name: np.concatenate([item.tensors[name] for item in batch]) for name in batch[0].tensors}
        self._probe.check({name: tensor.shape for name, tensor in tensors.items()})
        results = self._compiled.infer(tensors)
        outputs = {spec.name: result for spec, result in zip(self.outputs, results, strict=True)}
        if not self.max_batch_size:
            return [outputs]
        self._check_rows(outputs, sum(map(len, batch)))
        if len(batch) == 1:
            return [outputs]
        ends = np.cumsum([len(item) for item in batch])[:-1]
        split = {name: np.split(output, ends) for name, output in outputs.items()}
        return [{name: parts[i] for name, parts in split.items()} for i in range(len(batch))]

    def _check_rows(self, outputs: Mapping[str, Tensor], rows: int) -> None:
        for name, output in outputs.items():
            if output.ndim == 0 or output.shape[0] != rows:
                raise RuntimeError(
                    f"output {name!r} has shape {list(output.shape)} for a batch of {rows} rows, so its first "
                    "dimension is not the batch's: set max_batch_size to 0 in config.pbtxt"
                )


def refuse_unsafe(graph: Graph) -> None:
    """Raises LoadError where a request's numbers could reach outside the memory of a tensor."""
    for name, kind in find_unsafe(graph.model):
        raise LoadError(
            graph.files.graph,
            f"input {name!r} says where operation {kind} reads or writes, and OpenVINO does not check that: a wrong "
            "number could end the server. Export the model with a plain lookup (gather, embedding) in its place",
        )


def _check_width(name: str, tensor: Tensor) -> None:
    for number in (int(tensor.min()), int(tensor.max())):
        if not -_MOST_INTEGER - 1 <= number <= _MOST_INTEGER:
            raise refuse_tensor(name, f"holds {number}; this server computes integers of up to 32 bits")


def _check_texts(name: str, tensor: Tensor) -> None:
    if any(element.endswith(b"\0") for element in tensor.flat):
        raise refuse_tensor(name, "holds text that ends in a zero byte, which OpenVINO would cut off")
    # On its way to OpenVINO each text takes the room of the longest.
    size = tensor.size * max(map(len, tensor.flat))
    if size > MOST_ELEMENTS:
        raise refuse_tensor(
            name, f"has {tensor.size:,} texts, which at the length of the longest come to {size:,} bytes: send fewer"
        )


def _check_spec(graph: Graph, spec: TensorSpec, *, batched: bool) -> None:
    if spec.datatype not in NUMPY_TYPES:
        raise LoadError(graph.files.graph, f"{spec.name} has element type {spec.datatype}, which KServe v2 has not")
    if batched and (not spec.shape or spec.shape[0] != -1):
        raise LoadError(
            graph.files.graph,
            f"{spec.name} has shape {list(spec.shape)}, whose first dimension is not dynamic: export it with a dynamic "
            "batch, or set max_batch_size to 0 in config.pbtxt",
        )
