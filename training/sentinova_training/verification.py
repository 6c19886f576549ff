"""The `verify` step: the exported folder, read by OpenVINO as the server reads it, against Paddle and people.

Knows OpenVINO's Paddle frontend; must not import Paddle's own runtime (the tokenizer is PaddleNLP's).
"""

# ruff: noqa: PLC0415 - Paddle is imported after its flags are set.

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from sentinova_training import batching, dataset, network, scoring
from sentinova_training.errors import RecipeError
from sentinova_training.workspace import Workspace

Encode = Callable[[Sequence[str]], list[list[int]]]
Infer = Callable[[batching.Ids], scoring.Floats]
GROUPS = {
    "movie": ("movie",),
    "external": tuple(dataset.EXTERNAL_FILES),
}


def compiled(folder: Path) -> Infer:
    """The model of a version folder, compiled for CPU in float32.

    Returns:
        A function from ids `[batch, seq] int64` to logits `[batch, classes] float32`. Inputs are fed by name:
        OpenVINO may list them in another order than Paddle wrote them.

    Raises:
        RecipeError: OpenVINO cannot read the folder.
    """
    import openvino

    core = openvino.Core()
    try:
        model = core.read_model(str(folder / "model.pdmodel"))
        network_ = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    except RuntimeError as error:
        raise RecipeError(f"{folder}: OpenVINO cannot read it; export it again\n{error}") from error

    def infer(ids: batching.Ids) -> scoring.Floats:
        feed = {"input_ids": ids, "token_type_ids": np.zeros_like(ids)}
        logits: scoring.Floats = network_(feed)[0]
        return logits

    return infer


def logits_of(infer: Infer, ids: Sequence[Sequence[int]], pad: int, label: str) -> scoring.Floats:
    """Logits of many texts, in batches of like length, in the order of `ids`."""
    rows: dict[int, scoring.Floats] = {}
    for batch in tqdm(batching.by_length([len(row) for row in ids], 16), desc=label, unit="batch"):
        logits = infer(batching.padded([ids[index] for index in batch], pad))
        rows.update(zip(batch, logits.copy(), strict=True))
    return np.stack([rows[index] for index in range(len(ids))])


def golden_differences(infer: Infer, content: dict[str, Any], pad: int) -> dict[str, Any]:
    """Compares with the golden logits, each text alone and all of them in padded batches.

    Returns:
        Largest absolute differences, the tolerance, and how many labels differ.
    """
    cases = content["cases"]
    ids = [case["input_ids"] for case in cases]
    wanted = np.asarray([case["logits"] for case in cases], dtype=np.float32)
    alone = np.stack([infer(batching.padded([row], pad))[0].copy() for row in ids])
    together = logits_of(infer, ids, pad, "golden, padded")
    return {
        "cases": len(cases),
        "tolerance": content["tolerance"],
        "max_difference": float(np.abs(alone - wanted).max()),
        "max_difference_padded": float(np.abs(together - wanted).max()),
        "labels_differing": int((alone.argmax(-1) != wanted.argmax(-1)).sum()),
    }


def judged(logits: scoring.Floats, labels: scoring.Labels, temperature: float) -> dict[str, Any]:
    """Figures of one set of labelled texts: accuracy with its 95% interval, and calibration."""
    correct = int((logits.argmax(-1) == labels).sum())
    return {
        "texts": len(labels),
        "correct": correct,
        "accuracy": correct / len(labels),
        "interval": list(scoring.wilson(correct, len(labels))),
        "ece": scoring.calibration_error(logits, labels, temperature),
        "nll": scoring.negative_log_likelihood(logits, labels, temperature),
    }


def run(workspace: Workspace, folder: Path, version: int) -> dict[str, Any]:
    """Checks a version folder and measures it on the held-out sets.

    Raises:
        RecipeError: a file is missing, or OpenVINO's logits or labels are not Paddle's.
    """
    for name in ("model.pdmodel", "model.pdiparams", "vocab.txt", "labels.txt", "golden.json"):
        if not (folder / name).is_file():
            raise RecipeError(f"{folder / name}: not there; run `sentinova-train export` first")
    from paddlenlp.transformers import BertTokenizer

    tokenizer = BertTokenizer.from_pretrained(str(folder))
    infer = compiled(folder)
    content = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    agreement = golden_differences(infer, content, tokenizer.pad_token_id)
    exported = workspace.read_summary(f"export-{version}")
    encode = partial(network.encode, tokenizer, max_length=exported["max_length"])
    measured = _measure(workspace, infer, encode, tokenizer.pad_token_id, exported["calibration"]["temperature"])
    summary = {"version": version, "golden": agreement, "ids_equal": _same_ids(encode, content), **measured}
    workspace.write_summary(f"verify-{version}", summary)
    _demand(summary, folder)
    return summary


def _same_ids(encode: Encode, content: dict[str, Any]) -> bool:
    """Whether the exported tokenizer gives the golden ids."""
    texts = [case["text"] for case in content["cases"]]
    found = encode(texts)
    return bool(found == [case["input_ids"] for case in content["cases"]])


def _measure(workspace: Workspace, infer: Infer, encode: Encode, pad: int, temperature: float) -> dict[str, Any]:
    """Figures of each source of the test and external splits, and of the groups that count."""
    examples = [e for split in ("test", "external") for e in _split(workspace, split) if e.label is not None]
    if not examples:
        return {"sources": {}, "groups": {}}
    ids = encode([e.text for e in examples])
    logits = logits_of(infer, ids, pad, "held-out texts")
    labels = np.asarray([e.label for e in examples], dtype=np.int64)
    origin = np.asarray([e.source for e in examples])

    def figures(names: Sequence[str]) -> dict[str, Any]:
        chosen = np.isin(origin, list(names))
        return judged(logits[chosen], labels[chosen], temperature)

    present = sorted(set(origin.tolist()))
    groups = {name: members for name, members in GROUPS.items() if set(members) <= set(present)}
    return {
        "sources": {name: figures([name]) for name in present},
        "groups": {name: figures(members) for name, members in groups.items()},
        "scores_above_0.9": _high_scores(logits, labels, temperature),
    }


def _split(workspace: Workspace, name: str) -> list[dataset.Example]:
    """A split, or nothing where the run has none (a user's data has no external one)."""
    path = workspace.data / f"{name}.jsonl"
    return dataset.read(path) if path.is_file() else []


def _high_scores(logits: scoring.Floats, labels: scoring.Labels, temperature: float) -> dict[str, Any]:
    """Of the texts that score 0.9 or more: how many there are, and the share that is right."""
    scores = np.exp(scoring.log_probabilities(logits, temperature)).max(-1)
    sure = scores >= 0.9
    right = (logits.argmax(-1) == labels)[sure]
    return {
        "texts": int(sure.sum()),
        "accuracy": float(right.mean()) if sure.any() else 0.0,
        "mean_score": float(scores[sure].mean()) if sure.any() else 0.0,
    }


def _demand(summary: dict[str, Any], folder: Path) -> None:
    """Raises unless OpenVINO agrees with Paddle."""
    golden = summary["golden"]
    worst = max(golden["max_difference"], golden["max_difference_padded"])
    if not worst <= golden["tolerance"]:
        raise RecipeError(f"{folder}: a logit is {worst:.2g} off Paddle's; at most {golden['tolerance']} is allowed")
    if golden["labels_differing"]:
        raise RecipeError(f"{folder}: {golden['labels_differing']} golden texts get another label than Paddle's")
    if not summary["ids_equal"]:
        raise RecipeError(f"{folder}: the exported tokenizer gives other ids than those in golden.json")
