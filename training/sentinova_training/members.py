"""The `finetune` and `distill` steps: several members trained side by side, then averaged.

Members start from the same weights and differ in the order of the sentences and in dropout, so that the mean
of their weights is a network of its own, as a rule better than each ("model soups", Wortsman et al., 2022).
Each runs in a process of its own with its share of the cores: Paddle's elementwise work uses one thread only.
Knows the workspace; must not know how a step of training is made (see `finetuning`).
"""

# ruff: noqa: PLC0415 - Paddle is imported after its flags are set.

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from sentinova_training import dataset, finetuning, network, scoring, sources
from sentinova_training.dataset import Example
from sentinova_training.errors import RecipeError
from sentinova_training.finetuning import Schedule, TrainingSet
from sentinova_training.workspace import Workspace

HEAD_SEED = 7


@dataclass(frozen=True)
class Assignment:
    """What one step trains, the same for each of its members.

    Attributes:
        workspace: of the run.
        step: name of the step, and of the checkpoint that it leaves.
        init: `packaged`, a checkpoint of this run, or a PaddleNLP name or folder.
        teacher: name of the checkpoint to learn from, or None to learn from the raters.
        layers: depth of a student, or how many of the starting network's lowest layers to train; 0 keeps all.
        sources: sources to train on; empty takes all.
        dev_sources: sources to compare candidates on; empty takes all.
        dropout: 0 to 1.
        max_length: tokens of a sentence that training reads.
        schedule: of training; each member has a seed of its own.
        members: how many to train.
        threads: of each member; 0 divides the cores among them.
    """

    workspace: Workspace
    step: str
    init: str = network.PACKAGED_START
    teacher: str | None = None
    layers: int = 0
    sources: tuple[str, ...] = ()
    dev_sources: tuple[str, ...] = ()
    dropout: float = 0.1
    max_length: int = 128
    schedule: Schedule = field(default_factory=Schedule)
    members: int = 2
    threads: int = 0

    @property
    def own_start(self) -> Path | None:
        """The checkpoint of this run that training goes on from, if it does."""
        found = self.workspace.checkpoint(self.init)
        own = self.teacher is None and not Path(self.init).is_absolute() and (found / "config.json").is_file()
        return found if own else None

    def member_name(self, seed: int) -> str:
        """Name of a member's checkpoint."""
        return f"{self.step}-member-{seed}"


def run(assignment: Assignment) -> dict[str, Any]:
    """Trains the members, averages them, keeps what does best on the dev split, and writes the summary."""
    for split, wanted in (("train", assignment.sources), ("dev", assignment.dev_sources)):
        _examples(assignment, split, wanted)  # What is wrong with the data is told before any process starts.
    network.threads(assignment.threads or max(1, (os.cpu_count() or 1) // assignment.members))
    seeds = [assignment.schedule.seed + index for index in range(assignment.members)]
    if assignment.teacher is not None:
        write_teacher_logits(assignment)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=assignment.members, mp_context=context) as pool:
        histories = list(pool.map(_train_member, [assignment] * len(seeds), seeds))
    chosen, figures = _choose(assignment, seeds)
    summary = {
        "schedule": asdict(assignment.schedule),
        "dropout": assignment.dropout,
        "max_length": assignment.max_length,
        "init": assignment.init if assignment.teacher is None else None,
        "layers": assignment.layers,
        "teacher": assignment.teacher,
        "sources": list(assignment.sources),
        "dev_sources": list(assignment.dev_sources),
        "training_texts": histories[0]["texts"],
        "members": histories,
        "dev": figures,
        "chosen": chosen,
    }
    assignment.workspace.write_summary(assignment.step, summary)
    return summary


def _choose(assignment: Assignment, seeds: Sequence[int]) -> tuple[str, dict[str, dict[str, float]]]:
    """Saves, as the step's checkpoint, the candidate that the dev split finds likeliest."""
    candidates, tokenizer = _candidates(assignment, seeds)
    ids, labels = _labelled(assignment, tokenizer)
    pad = tokenizer.pad_token_id
    figures = {name: finetuning.measure(found, ids, pad, labels) for name, found in candidates.items()}
    chosen = min(figures, key=lambda name: figures[name]["nll"])
    network.save(candidates[chosen], tokenizer, assignment.workspace.checkpoint(assignment.step))
    return chosen, figures


def _candidates(assignment: Assignment, seeds: Sequence[int]) -> tuple[dict[str, Any], Any]:
    """The members, their average, and the average with the checkpoint that they started from; the tokenizer."""
    names = [assignment.member_name(seed) for seed in seeds]
    loaded = [network.load(assignment.workspace.checkpoint(name)) for name in names]
    members = [member for member, _ in loaded]
    candidates: dict[str, Any] = dict(zip(names, members, strict=True))
    if len(members) > 1:
        candidates["average"] = finetuning.averaged(members)
    if assignment.own_start is not None:
        candidates["start"] = network.load(assignment.own_start)[0]
        candidates["average with start"] = finetuning.averaged([*members, candidates["start"]])
    return candidates, loaded[0][1]


def _labelled(assignment: Assignment, tokenizer: Any) -> tuple[list[list[int]], list[int]]:
    """Token ids and labels of the labelled dev sentences of the sources trained on."""
    kept = [e for e in _examples(assignment, "dev", assignment.dev_sources) if e.label is not None]
    if not kept:
        raise RecipeError(f"{assignment.workspace.data}: the dev split has no labelled sentence; add data")
    ids = network.encode(tokenizer, [e.text for e in kept], assignment.max_length)
    return ids, [e.label for e in kept if e.label is not None]


def _examples(assignment: Assignment, split: str, wanted: Sequence[str]) -> list[Example]:
    """The examples of a split that come from the sources asked for."""
    found = dataset.read(assignment.workspace.data / f"{split}.jsonl")
    known = {example.source for example in found}
    unknown = sorted(set(wanted) - known)
    if unknown:
        raise RecipeError(f"--sources: no {', '.join(unknown)} in the data; it has {', '.join(sorted(known))}")
    return [e for e in found if not wanted or e.source in wanted]


def _train_member(assignment: Assignment, seed: int) -> dict[str, Any]:
    """Trains one member, in a process of its own; its checkpoint is written anew after each epoch."""
    labels = json.loads((assignment.workspace.data / "labels.json").read_text(encoding="utf-8"))
    classifier, tokenizer = _start(assignment, labels)
    examples = _examples(assignment, "train", assignment.sources)
    ids = network.encode(tokenizer, [e.text for e in examples], assignment.max_length)
    targets = _targets(assignment, examples)
    dev_ids, dev_labels = _labelled(assignment, tokenizer)
    pad = tokenizer.pad_token_id
    checkpoint = assignment.workspace.checkpoint(assignment.member_name(seed))
    epochs: list[dict[str, float]] = []

    def report(epoch: int, figures: dict[str, float], averaged: Any) -> None:
        found = finetuning.measure(averaged, dev_ids, pad, dev_labels)
        epochs.append({"epoch": epoch, **figures, **{f"dev_{key}": found[key] for key in found}})
        network.save(averaged, tokenizer, checkpoint)
        shown = ", ".join(f"{key} {value:.4g}" for key, value in epochs[-1].items())
        print(f"\n{assignment.member_name(seed)}: {shown}", flush=True)

    schedule = replace(assignment.schedule, seed=seed)
    data = TrainingSet(ids=ids, targets=targets, pad=pad)
    finetuning.train(classifier, data, schedule, report, f"{assignment.step} {seed}")
    return {"seed": seed, "texts": len(ids), "epochs": epochs}


def _start(assignment: Assignment, labels: Sequence[str]) -> tuple[Any, Any]:
    """The network before its first step, and the tokenizer."""
    folder = assignment.workspace.folder
    if assignment.teacher is not None:
        teacher, tokenizer = network.load(folder / assignment.teacher)
        return network.student_of(teacher, assignment.layers, assignment.dropout), tokenizer
    if assignment.init == network.PACKAGED_START:
        weights = sources.starting_weights(assignment.workspace.downloads)
        classifier = network.from_packaged(weights, labels, assignment.dropout, HEAD_SEED)
        tokenizer = network.packaged_tokenizer(weights)
    else:
        from paddlenlp.transformers import BertTokenizer

        name = str(assignment.own_start or assignment.init)
        classifier = network.from_paddlenlp(name, labels, assignment.dropout, HEAD_SEED)
        tokenizer = BertTokenizer.from_pretrained(name)
    return network.lowest(classifier, assignment.layers) if assignment.layers else classifier, tokenizer


def _targets(assignment: Assignment, examples: Sequence[Example]) -> finetuning.Floats:
    """Class probabilities to learn, `[sentences, classes] float32`: the teacher's, or the raters'."""
    if assignment.teacher is None:
        return np.asarray([example.target for example in examples], dtype=np.float32)
    stored = np.load(teacher_logits_path(assignment))
    return np.exp(scoring.log_probabilities(stored)).astype(np.float32)


def teacher_logits_path(assignment: Assignment) -> Any:
    """File with the teacher's logits on the training split, in its order."""
    return assignment.workspace.folder / f"{assignment.step}-teacher-logits.npy"


def write_teacher_logits(assignment: Assignment) -> None:
    """Runs the teacher over the training split once, so that no member need do it again."""
    if assignment.teacher is None:
        raise ValueError("no teacher")
    teacher, tokenizer = network.load(assignment.workspace.checkpoint(assignment.teacher))
    texts = [example.text for example in _examples(assignment, "train", assignment.sources)]
    ids = network.encode(tokenizer, texts, assignment.max_length)
    logits = scoring.paddle_logits(teacher, ids, tokenizer.pad_token_id, label="teacher")
    np.save(teacher_logits_path(assignment), logits)
