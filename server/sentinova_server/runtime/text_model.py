"""A text classifier ready to run: token ids in, logits out.

Knows tokens, padding and the tensors of BERT-like models; must not know requests, queues or scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sentinova_server.errors import LoadError
from sentinova_server.repository.config import CONFIG_FILE, ModelConfig, TensorConfig
from sentinova_server.runtime.engine import CompiledModel, Engine, TensorSpec
from sentinova_server.runtime.golden import (
    GOLDEN_FILE,
    GoldenReport,
    GoldenSet,
    compare_ids,
    compare_logits,
    read_golden,
)
from sentinova_server.runtime.labels import read_labels
from sentinova_server.runtime.model_files import ModelFiles, find_model_files
from sentinova_server.runtime.tokenizer import TextTokenizer

# Batches are padded to multiples of this many tokens. OpenVINO keeps buffers for every shape that it has seen, so the
# number of shapes must stay bounded: with 16, memory stays flat, and the padding is a few tokens a text.
LENGTH_STEP = 16
# Batches of 256 to 1,024 padded tokens ran equally fast; the golden check and the warm-up use the middle.
_CHECK_BATCH_TOKENS = 512
_INTEGERS = {"INT64": np.int64, "INT32": np.int32}
_REQUIRED_INPUT = "input_ids"
_OPTIONAL_INPUTS = ("token_type_ids", "attention_mask", "position_ids")


@dataclass(frozen=True, slots=True)
class Verification:
    """What was checked before the model was handed out.

    Attributes:
        golden: the comparison with Paddle's logits; None: the version has no golden values.
    """

    golden: GoldenReport | None


class TextModel:
    """A compiled text classifier with its tokenizer and class names."""

    def __init__(
        self,
        files: ModelFiles,
        compiled: CompiledModel,
        tokenizer: TextTokenizer,
        labels: tuple[str, ...],
        max_tokens: int,
    ) -> None:
        self.format = files.format
        self.tokenizer = tokenizer
        self.labels = labels
        self.max_tokens = max_tokens
        self._compiled = compiled

    @classmethod
    def load(cls, folder: Path, config: ModelConfig, engine: Engine, *, rewrite: bool = False) -> TextModel:
        """Reads and compiles a version's folder, and checks that its parts belong together.

        Args:
            folder: the version's folder.
            config: its model's configuration.
            engine: what runs it.
            rewrite: whether its graph may be rewritten into an equal one; `verify` must prove it then.

        Raises:
            LoadError: a file is missing, broken or at odds with another; names it. Nothing stays in memory.
        """
        files = find_model_files(folder)
        labels = read_labels(folder / config.label_filename)
        tokenizer = TextTokenizer.load(folder, config.max_length or None)
        compiled = engine.load(files, streams=config.instance_count, rewrite=rewrite)
        try:
            _check_inputs(files, compiled.inputs)
            _check_output(files, compiled.outputs, folder / config.label_filename, labels)
            _check_declared(folder.parent / CONFIG_FILE, "input", config.inputs, compiled.inputs)
            _check_declared(folder.parent / CONFIG_FILE, "output", config.outputs, compiled.outputs)
        except LoadError:
            compiled.close()
            raise
        return cls(files, compiled, tokenizer, labels, tokenizer.max_length)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The inputs of the model file."""
        return self._compiled.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs of the model file."""
        return self._compiled.outputs

    @property
    def rewritten(self) -> bool:
        """Whether the graph was rewritten."""
        return self._compiled.rewritten

    @property
    def parallelism(self) -> int:
        """How many batches run at once."""
        return self._compiled.parallelism

    def padded_length(self, tokens: int) -> int:
        """Gives the length that a text of `tokens` tokens takes in a batch of its own."""
        return max(tokens, min(-(-tokens // LENGTH_STEP) * LENGTH_STEP, self.max_tokens))

    def submit(self, batch: Sequence[Sequence[int]]) -> Future[NDArray[np.float32]]:
        """Runs a batch of token id lists; the future gives the logits, `[batch, class]` float32, or raises.

        The caller is never blocked: even the padding is done on the model's own threads.
        """
        return self._compiled.submit(self._infer, batch)

    def verify(self, folder: Path) -> Verification:
        """Runs the golden texts of a version's folder in padded batches and compares token ids and logits.

        Raises:
            LoadError: the golden file is broken, or the model does not give what Paddle gave.
        """
        golden = read_golden(folder)
        if golden is None:
            return Verification(None)
        file = folder / GOLDEN_FILE
        own = self.tokenizer.tokenize_batch([case.text for case in golden.cases])
        compare_ids(file, golden, [tokenized.input_ids for tokenized in own])
        try:
            logits = self._run_golden(golden)
        except RuntimeError as error:
            raise LoadError(file, f"the model fails on the golden texts: {error}") from error
        return Verification(compare_logits(file, golden, logits))

    def warm_up(self) -> None:
        """Runs short, middling and long texts on every stream: the first run of a shape is slower."""
        lengths = [length for length in (16, 32, 64, 128) if length <= self.max_tokens]
        futures = [
            self.submit([[self.tokenizer.pad_id] * length]) for length in lengths for _ in range(self.parallelism)
        ]
        for future in futures:
            future.result()

    def close(self) -> None:
        """Waits for running batches and frees the memory."""
        self._compiled.close()

    def _run_golden(self, golden: GoldenSet) -> NDArray[np.float32]:
        order = sorted(range(len(golden.cases)), key=lambda i: len(golden.cases[i].input_ids), reverse=True)
        groups: list[list[int]] = []
        for i in order:
            # Longest first, so the first of a group sets its width.
            width = self.padded_length(len(golden.cases[groups[-1][0]].input_ids)) if groups else 0
            if groups and (len(groups[-1]) + 1) * width <= _CHECK_BATCH_TOKENS:
                groups[-1].append(i)
            else:
                groups.append([i])
        futures = [self.submit([golden.cases[i].input_ids for i in group]) for group in groups]
        logits = np.empty((len(golden.cases), len(self.labels)), np.float32)
        for group, future in zip(groups, futures, strict=True):
            logits[group] = future.result()
        return logits

    def _infer(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        [logits] = self._compiled.infer(self._pad(batch))
        return logits.astype(np.float32, copy=False)

    def _pad(self, batch: Sequence[Sequence[int]]) -> dict[str, NDArray[np.generic]]:
        """Builds the inputs that the model asks for, by name, each `[batch, seq]`."""
        width = self.padded_length(max(len(ids) for ids in batch))
        shape = (len(batch), width)
        tensors: dict[str, NDArray[np.generic]] = {}
        for spec in self.inputs:
            dtype = _INTEGERS[spec.datatype]
            if spec.name == _REQUIRED_INPUT:
                tensor = np.full(shape, self.tokenizer.pad_id, dtype)
                for row, ids in zip(tensor, batch, strict=True):
                    row[: len(ids)] = ids
            elif spec.name == "attention_mask":
                tensor = np.zeros(shape, dtype)
                for row, ids in zip(tensor, batch, strict=True):
                    row[: len(ids)] = 1
            elif spec.name == "position_ids":
                tensor = np.broadcast_to(np.arange(width, dtype=dtype), shape).copy()
            else:
                tensor = np.zeros(shape, dtype)
            tensors[spec.name] = tensor
        return tensors


def _check_inputs(files: ModelFiles, inputs: Sequence[TensorSpec]) -> None:
    names = {spec.name for spec in inputs}
    if _REQUIRED_INPUT not in names or names.difference((_REQUIRED_INPUT, *_OPTIONAL_INPUTS)):
        raise LoadError(
            files.graph,
            f"has the inputs {sorted(names)}; a text model takes {_REQUIRED_INPUT} and any of {list(_OPTIONAL_INPUTS)}",
        )
    for spec in inputs:
        if spec.shape != (-1, -1) or spec.datatype not in _INTEGERS:
            raise LoadError(
                files.graph,
                f"input {spec.name} is {spec.datatype} {list(spec.shape)}; it must be INT64 or INT32 [-1, -1]: "
                "export it with dynamic batch and length",
            )


def _check_output(files: ModelFiles, outputs: Sequence[TensorSpec], file: Path, labels: tuple[str, ...]) -> None:
    if len(outputs) != 1 or len(outputs[0].shape) != 2:
        shapes = [list(spec.shape) for spec in outputs]
        raise LoadError(files.graph, f"has outputs of shapes {shapes}; a text classifier has one, [batch, class]")
    classes = outputs[0].shape[1]
    if classes not in (-1, len(labels)):
        raise LoadError(file, f"has {len(labels)} names, and the model has {classes} classes: write one name a class")


def _check_declared(file: Path, field: str, declared: Sequence[TensorConfig], found: Sequence[TensorSpec]) -> None:
    """Checks what the config says of the tensors against the model file."""
    by_name = {spec.name: spec for spec in found}
    for tensor in declared:
        spec = by_name.get(tensor.name)
        if spec is None:
            raise LoadError(file, f"field `{field}`: {tensor.name!r} is not in the model, which has {sorted(by_name)}")
        if tensor.datatype and tensor.datatype != spec.datatype:
            raise LoadError(
                file,
                f"field `{field}`: {tensor.name!r} is declared {tensor.datatype}; the model has {spec.datatype}",
            )
        if tensor.dims and not _dims_match(tensor.dims, spec.shape[1:]):
            raise LoadError(
                file,
                f"field `{field}`: {tensor.name!r} is declared with dims {list(tensor.dims)}; the model has "
                f"{list(spec.shape[1:])} after the batch dimension",
            )


def _dims_match(declared: Sequence[int], found: Sequence[int]) -> bool:
    return len(declared) == len(found) and all(-1 in (a, b) or a == b for a, b in zip(declared, found, strict=True))
