"""The model card says what the summaries say, and nothing where they say nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sentinova_training import card
from sentinova_training.workspace import Workspace

FIGURES = {"texts": 1000, "correct": 900, "accuracy": 0.9, "interval": [0.88, 0.917], "ece": 0.021, "nll": 0.25}
PREPARED: dict[str, Any] = {
    "labels": ["negative", "positive"],
    "seed": 3,
    "soft_target_sharpness": 1.5,
    "counts": {"train": {"movie": {"texts": 1200, "0": 500, "1": 600, "undecided": 100}}},
    "packages": [{"name": "some-package", "version": "1.2", "licence": "MIT"}],
}
TRAINED: dict[str, Any] = {
    "schedule": {
        "epochs": 3,
        "batch_size": 32,
        "learning_rate": 1.5e-4,
        "layer_decay": 0.85,
        "train_embeddings": False,
    },
    "init": "packaged",
    "teacher": None,
    "sources": ["movie"],
    "training_texts": 1200,
    "dropout": 0.1,
    "members": [{}, {}],
    "dev": {"finetune-member-1": {"accuracy": 0.88, "nll": 0.3}, "average": {"accuracy": 0.89, "nll": 0.29}},
    "chosen": "average",
}
EXPORTED: dict[str, Any] = {
    "model": "sentiment_en",
    "version": 2,
    "checkpoint": "finetune",
    "labels": ["negative", "positive"],
    "layers": 6,
    "width": 384,
    "heads": 12,
    "vocabulary": 30522,
    "max_length": 512,
    "parameters": 22_714_754,
    "bytes": {"model.pdmodel": 106_070, "model.pdiparams": 45_492_930},
    "generator": {"paddlepaddle": "3.1.1", "paddlenlp": "3.0.0b4"},
    "calibration": {
        "temperature": 0.6,
        "texts": 900,
        "sources": ["movie"],
        "accuracy": 0.89,
        "before": {"nll": 0.3, "ece": 0.08},
        "after": {"nll": 0.27, "ece": 0.02},
        "undecided": {"texts": 50, "mean_score": 0.71},
    },
}
MEASURED: dict[str, Any] = {
    "golden": {"cases": 48, "max_difference": 1e-6, "max_difference_padded": 2e-6},
    "sources": {"movie": FIGURES, "editorials": {**FIGURES, "accuracy": 0.75}},
    "groups": {"external": {**FIGURES, "texts": 3000}},
    "scores_above_0.9": {"texts": 700, "mean_score": 0.97, "accuracy": 0.965},
}


def test_the_card_holds_what_was_measured():
    text = card.render(PREPARED, [("finetune", TRAINED)], EXPORTED, MEASURED)
    assert "# sentiment_en, version 2" in text
    assert "22,714,754 parameters" in text
    assert "| movie-review sentences, held out | 1,000 | 90.0% | 88.0 to 91.7% | 0.021 |" in text
    assert "separate source, all three** | 3,000" in text
    assert "from 0.080 to 0.020" in text
    assert "700 score 0.9 or more: mean score 0.970, right 96.5%" in text
    assert "| average (kept) | 89.0% | 0.290 |" in text
    assert "| train | movie | 1,200 | negative 500, positive 600, undecided 100 |" in text
    assert "`some-package` 1.2, declared licence MIT" in text
    assert "mean score is 0.71" in text
    assert "editorials it is right 75.0%" in text
    assert "| `model.pdiparams` | 45.5 MB |" in text
    assert "at most 2e-06" in text


def test_the_card_of_an_unverified_version_says_so():
    assert "Not measured yet" in card.render(PREPARED, [("finetune", TRAINED)], EXPORTED, {})


def test_a_distilled_version_names_its_teacher():
    trained = {**TRAINED, "teacher": "finetune", "init": None, "sources": []}
    text = card.render(PREPARED, [("distill", trained)], EXPORTED, {})
    assert "layers of the network `finetune`" in text
    assert "(all sources)" in text


def test_a_users_own_data_carries_no_caveats_of_ours():
    prepared = {key: value for key, value in PREPARED.items() if key != "packages"}
    assert "Fetched by name" not in card.render(prepared, [("finetune", TRAINED)], EXPORTED, {})


def test_a_stage_that_went_on_from_another_is_listed_after_it(tmp_path: Path):
    workspace = Workspace(tmp_path, "run")
    workspace.write_summary("finetune", TRAINED)
    workspace.write_summary("refine", {**TRAINED, "init": "finetune"})
    assert [name for name, _ in card.stages(workspace, "refine")] == ["finetune", "refine"]


def test_a_note_stands_below_the_accuracies():
    text = card.render(PREPARED, [("finetune", TRAINED)], {**EXPORTED, "note": "Measured twice."}, MEASURED)
    assert text.index("Measured twice.") > text.index("## Accuracy")
