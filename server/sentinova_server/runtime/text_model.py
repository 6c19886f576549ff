"""A text classifier ready to run: token ids in, logits out.

Knows tokens, padding and the tensors of BERT-like models; must not know requests, queues or scores.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from sentinova_server.errors import LoadError
from sentinova_server.repository.config import Precision
from sentinova_server.runtime.compiled_model import CompiledModel
from sentinova_server.runtime.golden import GOLDEN_FILE, GoldenSet
from sentinova_server.runtime.openvino_errors import last_line
from sentinova_server.runtime.rewrites.joined_rows import JOINED_POSITIONS_INPUT, JOINED_ROWS_INPUT, TEXTS_INPUT
from sentinova_server.runtime.rewrites.packed_tokens import POSITIONS_INPUT, ROWS_INPUT
from sentinova_server.runtime.shapes import BatchLayout, join_texts, lay_out, round_length, round_rows, round_tokens
from sentinova_server.runtime.tensors import NUMPY_TYPES, TensorSpec
from sentinova_server.runtime.text_parts import TextModelParts
from sentinova_server.runtime.token_rows import IDS_INPUT, MASK_INPUT, RowRules, TokenRow

# Rows are padded to multiples of this many tokens where the graph works on padding too. OpenVINO keeps buffers for
# every shape that it has seen, so the number of shapes must stay bounded: with 16, memory stays flat.
LENGTH_STEP = 16
# Batches of 256 to 1,024 padded tokens ran equally fast; the golden check and the warm-up use the middle.
_CHECK_BATCH_TOKENS = 512
_WARM_LENGTHS = (16, 32, 64, 128)
# Blocks until there is room for a little work beside what is live, or for as long as that may take.
Pace = Callable[[], None]


class TextModel:
    """A compiled text classifier with its tokenizer and class names."""

    def __init__(self, parts: TextModelParts, compiled: CompiledModel, precision: Precision) -> None:
        """Takes a model that was compiled from these parts, and closes it with itself.

        Args:
            parts: what the version's folder holds, with the graph that was compiled: others' memory is freed.
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
        tables = {IDS_INPUT: parts.tokenizer.vocab_size, **parts.tables}
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

    @property
    def latency_threads(self) -> int:
        """Threads that a batch runs on which comes alone; 0: as many as any other."""
        return self._compiled.latency_threads

    def padded_length(self, tokens: int) -> int:
        """Gives the length that a text of `tokens` tokens takes in a batch of its own."""
        if self.packs:
            return self._within(round_length(tokens), tokens)
        return self._within(-(-tokens // LENGTH_STEP) * LENGTH_STEP, tokens)

    def batch_tokens(self, lengths: Sequence[int]) -> int:
        """Gives the tokens, padding included, that the model works on in a batch of texts of these token counts."""
        rows, length = self._shape(lengths)
        return round_tokens(sum(lengths)) if self.packs else rows * length

    def submit(self, batch: Sequence[Sequence[int]], *, alone: bool = False) -> Future[NDArray[np.float32]]:
        """Runs a batch of token id lists; the future gives the logits, `[batch, class]` float32, or raises.

        The caller is never blocked: even the padding is done on the model's own threads.

        Args:
            batch: the token ids of each text.
            alone: whether nothing else runs or waits, so that it may take all cores.
        """
        return self._compiled.submit(self._infer, batch, alone=alone)

    def add_latency_form(self) -> bool:
        """Compiles a second form of the model for what comes alone, where that has more threads to run on.

        Returns:
            Whether there is one now; the caller proves it.

        Raises:
            LoadError: OpenVINO cannot compile it.
        """
        try:
            return self._compiled.add_latency_form()
        except RuntimeError as error:
            file, reason = self._parts.graph.files.graph, last_line(error)
            raise LoadError(file, f"OpenVINO cannot compile it for texts that come alone: {reason}") from error

    def drop_latency_form(self) -> None:
        """Has what comes alone run as any other; the second form is freed once nothing runs in it any more."""
        self._compiled.drop_latency_form()

    def run_golden(self, golden: GoldenSet, pace: Pace | None = None, *, alone: bool = False) -> NDArray[np.float32]:
        """Runs the golden texts in padded batches; gives their logits, `[case, class]` float32.

        Args:
            golden: the texts.
            pace: as in `run_texts`.
            alone: likewise.

        Raises:
            LoadError: the model fails on them.
        """
        try:
            return self.run_texts([case.input_ids for case in golden.cases], pace=pace, alone=alone)
        except RuntimeError as error:
            file = self._parts.folder / GOLDEN_FILE
            raise LoadError(file, f"the model fails on the golden texts: {error}") from error

    def run_texts(
        self,
        texts: Sequence[Sequence[int]],
        done: Callable[[int], object] = lambda _: None,
        pace: Pace | None = None,
        *,
        alone: bool = False,
    ) -> NDArray[np.float32]:
        """Runs texts in padded batches of like length, and waits for them.

        Args:
            texts: the token ids of each.
            done: called with the number of texts in each batch that is done.
            pace: batches run one by one, and this before each; None: as many at once as the model can.
            alone: whether they run as what comes alone does.

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
        for group, result in zip(groups, self._run_all(groups, texts, pace, alone), strict=True):
            logits[group] = result
            done(len(group))
        return logits

    def _run_all(
        self, groups: Sequence[Sequence[int]], texts: Sequence[Sequence[int]], pace: Pace | None, alone: bool
    ) -> Iterator[NDArray[np.float32]]:
        """Gives the logits of each group of texts, in order."""
        batches = [[texts[i] for i in group] for group in groups]
        if pace is None:
            for future in [self.submit(batch, alone=alone) for batch in batches]:
                yield future.result()
        else:
            for batch in batches:
                pace()
                yield self.submit(batch, alone=alone).result()

    def make_inputs(self, ids: Sequence[int]) -> dict[str, NDArray[np.generic]]:
        """Builds the inputs of the model file for one text without padding, by name, each `[1, len(ids)]`."""
        return self._make_tensors([ids], lay_out([len(ids)], (1, len(ids))))

    def warm_up(self, batches: Sequence[Sequence[int]] = (), pace: Pace | None = None, *, alone: bool = False) -> None:
        """Runs short, middling and long texts on every stream: the first run of a shape is slower.

        Args:
            batches: token counts of the texts of each batch to run as well, as those that traffic brings.
            pace: called before each shape; None: nothing waits for these runs to be through.
            alone: whether they run as what comes alone does.
        """
        wanted = [*((length,) for length in _WARM_LENGTHS), *batches]
        for lengths in wanted:
            ids = [[self.tokenizer.pad_id] * min(length, self.max_tokens) for length in lengths]
            if pace is not None:
                pace()
            for future in [self.submit(ids, alone=alone) for _ in range(1 if alone else self.parallelism)]:
                future.result()

    def close(self) -> None:
        """Waits for running batches and frees the memory."""
        self._compiled.close()

    def _infer(self, batch: Sequence[Sequence[int]], *, alone: bool) -> NDArray[np.float32]:
        lengths = [len(ids) for ids in batch]
        layout = lay_out(lengths, self._shape(lengths))
        tensors = self._make_tensors(batch, layout)
        if self.packs:
            tensors |= {POSITIONS_INPUT: layout.packed_positions(), ROWS_INPUT: layout.packed_rows()}
        if self._compiled.takes_joined:
            joined = join_texts(lengths, self.max_tokens)
            tensors |= {
                JOINED_ROWS_INPUT: joined.packed_rows(),
                JOINED_POSITIONS_INPUT: joined.packed_positions(),
                TEXTS_INPUT: joined.texts,
            }
        [logits] = self._compiled.infer(tensors, alone=alone)
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
