"""What a text classifier's folder holds, read and checked: its graph, tokenizer, class names and golden values.

Knows the files of a version; must not know how a model is compiled or run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sentinova_server.errors import LoadError
from sentinova_server.repository.config import CONFIG_FILE, ModelConfig
from sentinova_server.repository.scanner import list_versions
from sentinova_server.runtime.declared import apply_declared
from sentinova_server.runtime.engine import Engine, Graph
from sentinova_server.runtime.golden import GOLDEN_FILE, GoldenSet, compare_ids, read_golden
from sentinova_server.runtime.labels import read_labels
from sentinova_server.runtime.lookups import find_tables
from sentinova_server.runtime.model_files import ModelFiles, find_model_files
from sentinova_server.runtime.tensors import TensorSpec
from sentinova_server.runtime.text_tensors import TEXT_INPUT, text_outputs
from sentinova_server.runtime.token_rows import IDS_INPUT, OTHER_INPUTS
from sentinova_server.runtime.tokenizer import TextTokenizer
from sentinova_server.runtime.tokenizer_files import TOKENIZER_FILES

_INTEGERS = ("INT64", "INT32")


@dataclass(frozen=True, slots=True)
class TextModelParts:
    """What a version's folder holds, read and checked against each other.

    Attributes:
        folder: the version's folder.
        config: its model's configuration.
        graph: the model, as its file describes it or rewritten.
        tables: how many values the numbers of an input of the file may have, from 0, by name; others may be any.
        tokenizer: the model's own.
        labels: names of the classes.
        golden: what Paddle gave for some texts; None: the folder does not tell.
    """

    folder: Path
    config: ModelConfig
    graph: Graph
    tables: Mapping[str, int]
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
        return cls(folder, config, graph, find_tables(graph.model), tokenizer, labels, golden)


def holds_text_model(folder: Path) -> bool:
    """Tells whether a version's folder is a text classifier's: whether any file is there that only such a one has."""
    return any((folder / name).exists() for name in (*TOKENIZER_FILES, GOLDEN_FILE))


def holds_text_versions(folder: Path) -> bool:
    """Tells whether any version in a model's folder is a text classifier's: then tensors never take its place."""
    try:
        return any(holds_text_model(folder / str(number)) for number in list_versions(folder))
    except OSError:  # the model's folder is not there, and no version of it
        return False


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
