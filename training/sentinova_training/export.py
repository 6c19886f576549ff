"""The `export` step: a checkpoint becomes a version folder that the server loads.

Knows what a version folder holds; must not know how the checkpoint was trained, nor how Paddle writes a program.
"""

# ruff: noqa: PLC0415 - Paddle is imported after its flags are set.

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from sentinova_training import card, dataset, golden, network, program, repository, scoring
from sentinova_training.errors import RecipeError
from sentinova_training.workspace import Workspace, write_json

MAX_LENGTH = 512
INVARIANCE_LIMIT = 1e-4
_LOCAL_SETTINGS = {"name_or_path", "special_tokens_map_file", "from_slow"}  # paths of this machine


@dataclass(frozen=True)
class Target:
    """What to export, and where to.

    Attributes:
        workspace: of the run.
        step: the checkpoint's name, `finetune` or `distill`.
        repository: folder of all models.
        model: the model's name.
        version: the version's number, 1 or more.
        note: a sentence for the model card, below the accuracies.
    """

    workspace: Workspace
    step: str
    repository: Path
    model: str
    version: int
    note: str = ""

    @property
    def folder(self) -> Path:
        """The version's folder."""
        return self.repository / self.model / str(self.version)

    @property
    def summary_name(self) -> str:
        """Name of the step's summary."""
        return f"export-{self.version}"


def run(target: Target) -> dict[str, Any]:
    """Exports a checkpoint and returns the summary."""
    from sentinova_training.half import Served, parameter_count, rounded

    classifier, tokenizer = network.load(target.workspace.checkpoint(target.step))
    if tokenizer.pad_token_id != classifier.config.pad_token_id:
        raise RecipeError(f"{target.step}: tokenizer and network disagree on the padding token's id")
    parameters = parameter_count(classifier)
    labels = [classifier.config.id2label[index] for index in range(classifier.config.num_labels)]
    rounded(classifier)
    staged = target.workspace.folder / target.summary_name
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    longest = min(MAX_LENGTH, int(classifier.config.max_position_embeddings))
    difference = _write_golden(classifier, tokenizer, longest, staged / "golden.json")
    calibration = _calibrate(classifier, tokenizer, longest, target)
    _write_program(Served(classifier), staged)
    _write_tokenizer(tokenizer, labels, staged)
    summary = _summary(target, staged, classifier, labels)
    summary |= {"parameters": parameters, "max_length": longest, "padding_difference": difference}
    summary["calibration"] = calibration
    target.workspace.write_summary(target.summary_name, summary)
    target.workspace.summary_path(f"verify-{target.version}").unlink(missing_ok=True)
    card.write(staged / "MODEL_CARD.md", target.workspace, target.version, target.step)
    repository.place(staged, target.folder)
    temperature = calibration["temperature"]
    config = target.folder.parent / "config.pbtxt"
    summary["config_written"] = repository.update_config(config, target.model, target.version, temperature, longest)
    return summary


def _summary(target: Target, staged: Path, classifier: Any, labels: Sequence[str]) -> dict[str, Any]:
    """What was exported, and its size in bytes."""
    return {
        "model": target.model,
        "version": target.version,
        "checkpoint": target.step,
        "note": target.note,
        "labels": list(labels),
        "layers": classifier.config.num_hidden_layers,
        "width": classifier.config.hidden_size,
        "heads": classifier.config.num_attention_heads,
        "vocabulary": classifier.config.vocab_size,
        "bytes": {path.name: path.stat().st_size for path in sorted(staged.glob("model.*"))},
        "generator": versions(),
    }


def versions() -> dict[str, str]:
    """Versions of Paddle and PaddleNLP."""
    import paddle
    import paddlenlp

    return {"paddlepaddle": str(paddle.__version__), "paddlenlp": str(paddlenlp.__version__)}


def _write_golden(classifier: Any, tokenizer: Any, longest: int, path: Path) -> float:
    """Writes the golden file, each text alone in its batch.

    Returns:
        The largest difference that batching and padding make to a logit.

    Raises:
        RecipeError: they make one above 1e-4, so the network does not mask padding.
    """
    texts = golden.texts(lambda text: network.encode(tokenizer, [text], 1 << 20)[0], longest)
    ids = network.encode(tokenizer, texts, longest)
    progress = tqdm(ids, desc="golden logits", unit="text")
    alone = [scoring.paddle_logits(classifier, [row], tokenizer.pad_token_id)[0] for row in progress]
    together = scoring.paddle_logits(classifier, ids, tokenizer.pad_token_id, size=16)
    difference = float(np.abs(together - np.stack(alone)).max())
    if difference > INVARIANCE_LIMIT:
        raise RecipeError(f"padding changes a logit by {difference:.2g}: the network does not mask it")
    cases = [(t, i, [float(v) for v in logits]) for t, i, logits in zip(texts, ids, alone, strict=True)]
    found = versions()
    golden.write(path, golden.document(cases, found["paddlepaddle"], found["paddlenlp"]))
    return difference


def _calibrate(classifier: Any, tokenizer: Any, longest: int, target: Target) -> dict[str, Any]:
    """Fits the temperature on the dev split alone; the test splits are judged in `verify`."""
    chosen = target.workspace.read_summary(target.step).get("dev_sources", [])
    dev = dataset.read(target.workspace.data / "dev.jsonl")
    judged = [e for e in dev if not chosen or e.source in chosen]
    logits, labels = _labelled_logits(classifier, tokenizer, longest, [e for e in judged if e.label is not None])
    undecided = [e for e in judged if e.label is None]
    temperature = round(scoring.fit_temperature(logits, labels), 4)
    figures: dict[str, Any] = {
        "temperature": temperature,
        "texts": len(labels),
        "sources": sorted({e.source for e in judged}),
        "accuracy": scoring.accuracy(logits, labels),
    }
    for name, value in (("before", 1.0), ("after", temperature)):
        figures[name] = {
            "nll": scoring.negative_log_likelihood(logits, labels, value),
            "ece": scoring.calibration_error(logits, labels, value),
        }
    if undecided:
        ids = network.encode(tokenizer, [e.text for e in undecided], longest)
        scores = scoring.log_probabilities(scoring.paddle_logits(classifier, ids, tokenizer.pad_token_id), temperature)
        figures["undecided"] = {"texts": len(undecided), "mean_score": float(np.exp(scores.max(-1)).mean())}
    return figures


def _labelled_logits(
    classifier: Any, tokenizer: Any, longest: int, examples: Sequence[dataset.Example]
) -> tuple[scoring.Floats, scoring.Labels]:
    """Logits and labels of labelled sentences."""
    if not examples:
        raise RecipeError("the dev split has no labelled sentence to fit the temperature on; add data")
    ids = network.encode(tokenizer, [e.text for e in examples], longest)
    logits = scoring.paddle_logits(classifier, ids, tokenizer.pad_token_id)
    return logits, np.asarray([e.label for e in examples], dtype=np.int64)


def _write_program(served: Any, folder: Path) -> None:
    """Writes `model.pdmodel` and `model.pdiparams`."""
    import paddle
    from paddle.static import InputSpec

    ids = paddle.ones([1, 4], dtype="int64")
    served(ids, paddle.zeros_like(ids))  # Paddle needs one eager call before `to_static`.
    names = ("input_ids", "token_type_ids")
    specs = [InputSpec([None, None], "int64", name=name) for name in names]
    program.write(served, specs, folder)


def _write_tokenizer(tokenizer: Any, labels: Sequence[str], folder: Path) -> None:
    """Writes the vocabulary, the tokenizer's settings and the labels."""
    scratch = folder / "tokenizer"
    tokenizer.save_pretrained(str(scratch))
    (scratch / "vocab.txt").replace(folder / "vocab.txt")
    settings = json.loads((scratch / "tokenizer_config.json").read_text(encoding="utf-8"))
    kept = {name: value for name, value in settings.items() if name not in _LOCAL_SETTINGS}
    write_json(folder / "tokenizer_config.json", kept)
    shutil.rmtree(scratch)
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
