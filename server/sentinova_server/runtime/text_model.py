"""A text classifier ready to run: token ids in, logits out.

Knows tokens, padding and the tensors of BERT-like models; must not know requests, queues or scores.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sentinova_server.errors import LoadError
from sentinova_server.repository.config import CONFIG_FILE, ModelConfig, Precision
from sentinova_server.repository.scanner import list_versions
from sentinova_server.runtime.declared import apply_declared
from sentinova_server.runtime.engine import CompiledModel, Engine, Graph
from sentinova_server.runtime.golden import GOLDEN_FILE, GoldenSet, compare_ids, read_golden
from sentinova_server.runtime.labels import read_labels
from sentinova_server.runtime.lookups import find_tables
from sentinova_server.runtime.model_files import ModelFiles, find_model_files
from sentinova_server.runtime.rewrites.packed_tokens import POSITIONS_INPUT, ROWS_INPUT
from sentinova_server.runtime.shapes import BatchLayout, lay_out, round_length, round_rows, round_tokens
from sentinova_server.runtime.tensors import NUMPY_TYPES, TensorSpec
from sentinova_server.runtime.text_tensors import TEXT_INPUT, text_outputs
from sentinova_server.runtime.token_rows import IDS_INPUT, MASK_INPUT, OTHER_INPUTS, RowRules, TokenRow
from sentinova_server.runtime.tokenizer import TextTokenizer
from sentinova_server.runtime.tokenizer_files import TOKENIZER_FILES

# Rows are padded to multiples of this many tokens where the graph works on padding too. OpenVINO keeps buffers for
# every shape that it has seen, so the number of shapes must stay bounded: with 16, memory stays flat.
LENGTH_STEP = 16
# Batches of 256 to 1,024 padded tokens ran equally fast; the golden check and the warm-up use the middle.
_CHECK_BATCH_TOKENS = 512
_WARM_LENGTHS = (16, 32, 64, 128)
# Blocks until there is room for a little work beside what is live, or for as long as that may take.
Pace = Callable[[], None]

_INTEGERS = ("INT64", "INT32")


@dataclass(frozen=True, slots=True)
class TextModelParts:
    """What a version's folder holds, read and checked against each other.

    Attributes:
        folder: the version's folder.
        config: its model's configuration.
        graph: the model as its file describes it.
        tokenizer: the model's own.
        labels: names of the classes.
        golden: what Paddle gave for some texts; None: the folder does not tell.
    """

    folder: Path
    config: ModelConfig
    graph: Graph
    tokenizer: TextTokenizer
    labels: tuple[str, ...]
    golden: GoldenSet | None

    @classmethod
    def read(cls, folder: Path, config: ModelConfig, engine: Engine) -> TextModelParts:
        """Reads a version's folder.

        Raises:
            LoadError: a file is missing, broken or at odds with another; names it.
        """
        if not holds_text_model(folder):
            raise LoadError(
                folder,
                "holds no tokenizer, so it is no text model: add vocab.txt and tokenizer_config.json to make it one",
            )
        graph = engine.read(find_model_files(folder))
        labels = read_labels(folder / config.label_filename)
        _check_inputs(graph.files, graph.inputs)
        _check_output(graph.files, graph.outputs, folder / config.label_filename, labels)
        # A config may declare what the file has, or what callers see.
        inputs, outputs = (*graph.inputs, TEXT_INPUT), (*graph.outputs, *text_outputs(len(labels)))
        apply_declared(folder.parent / CONFIG_FILE, "input", config.inputs, inputs, batched=True)
        apply_declared(folder.parent / CONFIG_FILE, "output", config.outputs, outputs, batched=True)
        tokenizer = TextTokenizer.load(folder, config.max_length or None)
        golden = read_golden(folder)
        if golden is not None:
            own = tokenizer.tokenize_batch([case.text for case in golden.cases])
            compare_ids(folder / GOLDEN_FILE, golden, [tokenized.input_ids for tokenized in own])
        return cls(folder, config, graph, tokenizer, labels, golden)


def holds_text_model(folder: Path) -> bool:
    """Tells whether a version's folder is a text classifier's: whether any file is there that only such a one has."""
    return any((folder / name).exists() for name in (*TOKENIZER_FILES, GOLDEN_FILE))


def holds_text_versions(folder: Path) -> bool:
    """Tells whether any version in a model's folder is a text classifier's: then tensors never take its place."""
    try:
        return any(holds_text_model(folder / str(number)) for number in list_versions(folder))
    except OSError:  # the model's folder is not there, and no version of it
        return False


class TextModel:
    """A compiled text classifier with its tokenizer and class names."""

    def __init__(self, parts: TextModelParts, compiled: CompiledModel, precision: Precision) -> None:
        """Takes a model that was compiled from these parts, and closes it with itself.

        Args:
            parts: what the version's folder holds.
            compiled: its model.
            precision: what it computes in: never AUTO.
        """
        self.format = parts.graph.files.format
        self.precision = precision
        self.tokenizer = parts.tokenizer
        self.labels = parts.labels
        self.max_tokens = parts.tokenizer.max_length
        self._parts = parts
        self._compiled = compiled
        tables = {IDS_INPUT: parts.tokenizer.vocab_size, **find_tables(parts.graph.model)}
        self._row_rules = RowRules(parts.tokenizer.pad_id, self.max_tokens, tables)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The inputs of the model file."""
        return self._parts.graph.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs of the model file."""
        return self._parts.graph.outputs

    @property
    def row_rules(self) -> RowRules:
        """What rows of token ids it takes from a request that brings them itself."""
        return self._row_rules

    @property
    def memory_bytes(self) -> int:
        """Bytes that its weights take up."""
        return self._parts.graph.weight_bytes(self.precision)

    @property
    def rewrites(self) -> tuple[str, ...]:
        """Names of the rewrites that its graph has been through."""
        return self._compiled.rewrites

    @property
    def packs(self) -> bool:
        """Whether a batch costs the tokens of its texts; otherwise each text costs as much as the longest."""
        return self._compiled.takes_packed

    @property
    def parallelism(self) -> int:
        """How many batches run at once."""
        return self._compiled.parallelism

    def padded_length(self, tokens: int) -> int:
        """Gives the length that a text of `tokens` tokens takes in a batch of its own."""
        if self.packs:
            return self._within(round_length(tokens), tokens)
        return self._within(-(-tokens // LENGTH_STEP) * LENGTH_STEP, tokens)

    def batch_tokens(self, lengths: Sequence[int]) -> int:
        """Gives the tokens, padding included, that the model works on in a batch of texts of these token counts."""
        rows, length = self._shape(lengths)
        return round_tokens(sum(lengths)) if self.packs else rows * length

    def submit(self, batch: Sequence[Sequence[int]]) -> Future[NDArray[np.float32]]:
        """Runs a batch of token id lists; the future gives the logits, `[batch, class]` float32, or raises.

        The caller is never blocked: even the padding is done on the model's own threads.
        """
        return self._compiled.submit(self._infer, batch)

    def run_golden(self, golden: GoldenSet, pace: Pace | None = None) -> NDArray[np.float32]:
        """Runs the golden texts in padded batches; gives their logits, `[case, class]` float32.

        Args:
            golden: the texts.
            pace: as in `run_texts`.

        Raises:
            LoadError: the model fails on them.
        """
        try:
            return self.run_texts([case.input_ids for case in golden.cases], pace=pace)
        except RuntimeError as error:
            file = self._parts.folder / GOLDEN_FILE
            raise LoadError(file, f"the model fails on the golden texts: {error}") from error

    def run_texts(
        self,
        texts: Sequence[Sequence[int]],
        done: Callable[[int], object] = lambda _: None,
        pace: Pace | None = None,
    ) -> NDArray[np.float32]:
        """Runs texts in padded batches of like length, and waits for them.

        Args:
            texts: the token ids of each.
            done: called with the number of texts in each batch that is done.
            pace: batches run one by one, and this before each; None: as many at once as the model can.

        Returns:
            Their logits, `[text, class]`.

        Raises:
            RuntimeError: the model fails on one of them.
        """
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]), reverse=True)
        groups: list[list[int]] = []
        for i in order:
            # Longest first, so the first of a group sets its width.
            width = self.padded_length(len(texts[groups[-1][0]])) if groups else 0
            if groups and (len(groups[-1]) + 1) * width <= _CHECK_BATCH_TOKENS:
                groups[-1].append(i)
            else:
                groups.append([i])
        logits = np.empty((len(texts), len(self.labels)), np.float32)
        for group, result in zip(groups, self._run_all(groups, texts, pace), strict=True):
            logits[group] = result
            done(len(group))
        return logits

    def _run_all(
        self, groups: Sequence[Sequence[int]], texts: Sequence[Sequence[int]], pace: Pace | None
    ) -> Iterator[NDArray[np.float32]]:
        """Gives the logits of each group of texts, in order."""
        batches = [[texts[i] for i in group] for group in groups]
        if pace is None:
            for future in [self.submit(batch) for batch in batches]:
                yield future.result()
        else:
            for batch in batches:
                pace()
                yield self.submit(batch).result()

    def make_inputs(self, ids: Sequence[int]) -> dict[str, NDArray[np.generic]]:
        """Builds the inputs of the model file for one text without padding, by name, each `[1, len(ids)]`."""
        return self._make_tensors([ids], lay_out([len(ids)], (1, len(ids))))

    def warm_up(self, batches: Sequence[Sequence[int]] = (), pace: Pace | None = None) -> None:
        """Runs short, middling and long texts on every stream: the first run of a shape is slower.

        Args:
            batches: token counts of the texts of each batch to run as well, as those that traffic brings.
            pace: called before each shape; None: nothing waits for these runs to be through.
        """
        wanted = [*((length,) for length in _WARM_LENGTHS), *batches]
        for lengths in wanted:
            ids = [[self.tokenizer.pad_id] * min(length, self.max_tokens) for length in lengths]
            if pace is not None:
                pace()
            for future in [self.submit(ids) for _ in range(self.parallelism)]:
                future.result()

    def close(self) -> None:
        """Waits for running batches and frees the memory."""
        self._compiled.close()

    def _infer(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        lengths = [len(ids) for ids in batch]
        layout = lay_out(lengths, self._shape(lengths))
        tensors = self._make_tensors(batch, layout)
        if self.packs:
            tensors |= {POSITIONS_INPUT: layout.packed_positions(), ROWS_INPUT: layout.packed_rows()}
        [logits] = self._compiled.infer(tensors)
        # Rows beyond the texts only fill the shape up.
        return logits[: len(batch)].astype(np.float32, copy=False)

    def _shape(self, lengths: Sequence[int]) -> tuple[int, int]:
        """Gives the number and the length of the rows that a batch of texts of these token counts takes."""
        if self.packs:
            return round_rows(len(lengths)), self._within(round_length(max(lengths)), max(lengths))
        return len(lengths), self.padded_length(max(lengths))

    def _within(self, length: int, tokens: int) -> int:
        """Keeps a length that was rounded up within what the model reads."""
        return max(tokens, min(length, self.max_tokens))

    def _make_tensors(self, batch: Sequence[Sequence[int]], layout: BatchLayout) -> dict[str, NDArray[np.generic]]:
        """Builds the inputs that the model file asks for, by name, each `[rows, length]`."""
        shape, real = layout.shape, layout.positions
        tensors: dict[str, NDArray[np.generic]] = {}
        for spec in self.inputs:
            dtype = NUMPY_TYPES[spec.datatype]
            if spec.name == IDS_INPUT:
                tensor = np.full(shape, self.tokenizer.pad_id, dtype)
                tensor.reshape(-1)[real] = np.fromiter(itertools.chain.from_iterable(batch), dtype, len(real))
            elif spec.name == MASK_INPUT:
                tensor = np.zeros(shape, dtype)
                tensor.reshape(-1)[real] = 1
            elif spec.name == "position_ids":
                tensor = np.broadcast_to(np.arange(shape[1], dtype=dtype), shape).copy()
            else:
                tensor = np.zeros(shape, dtype)
            for number, row in enumerate(batch):
                # What a request gave itself, in the place of what a text gets.
                if isinstance(row, TokenRow) and (given := row.others.get(spec.name)) is not None:
                    tensor[number, : len(row)] = given
            tensors[spec.name] = tensor
        return tensors


def _check_inputs(files: ModelFiles, inputs: Sequence[TensorSpec]) -> None:
    names = {spec.name for spec in inputs}
    if IDS_INPUT not in names or names.difference((IDS_INPUT, *OTHER_INPUTS)):
        raise LoadError(
            files.graph,
            f"has the inputs {sorted(names)}; a text model takes {IDS_INPUT} and any of {list(OTHER_INPUTS)}",
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
