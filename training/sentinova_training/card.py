"""`MODEL_CARD.md`: what a version is, written from the summaries of the steps that made it.

Knows the summaries; must not measure anything itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sentinova_training.workspace import Workspace

_SOURCE_NAMES = {
    "movie": "movie-review sentences, held out",
    "amazon": "product-review sentences, held out by review",
    "tweets": "tweets, held out",
    "editorials": "newspaper editorials, held out by article",
    "lexicon": "single words and emoticons",
    "external-imdb": "separate source: film reviews",
    "external-yelp": "separate source: restaurant reviews",
    "external-amazon": "separate source: phone-accessory reviews",
}


def write(path: Path, workspace: Workspace, version: int, step: str) -> None:
    """Writes a version's card; accuracies appear once `verify` has measured them."""
    prepared = workspace.read_summary("prepare")
    exported = workspace.read_summary(f"export-{version}")
    verified = workspace.summary_path(f"verify-{version}").is_file()
    measured = workspace.read_summary(f"verify-{version}") if verified else {}
    path.write_text(render(prepared, stages(workspace, step), exported, measured), encoding="utf-8")


def stages(workspace: Workspace, step: str) -> list[tuple[str, dict[str, Any]]]:
    """Name and summary of each stage of training, first to last: one may go on from another, or learn from it."""
    summary = workspace.read_summary(step)
    earlier = summary["teacher"] or summary["init"]
    known = earlier is not None and earlier != step and workspace.summary_path(earlier).is_file()
    return [*(stages(workspace, earlier) if known else []), (step, summary)]


def render(
    prepared: dict[str, Any],
    trained: Sequence[tuple[str, dict[str, Any]]],
    exported: dict[str, Any],
    measured: dict[str, Any],
) -> str:
    """The card's text, from the summaries of prepare, training, export and (perhaps empty) verify."""
    sections = (
        _head(exported),
        _accuracy(measured, exported.get("note", "")),
        _calibration(exported["calibration"], measured),
        _training(trained, exported),
        _data(prepared),
        _limits(exported, measured),
        _files(exported, measured),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def _head(exported: dict[str, Any]) -> str:
    """Title and what the model is."""
    labels = ", ".join(f"`{label}`" for label in exported["labels"])
    return (
        f"# {exported['model']}, version {exported['version']}\n\n"
        f"A BERT text classifier with {exported['layers']} layers, {exported['width']} wide, "
        f"{exported['heads']} attention heads, {exported['parameters']:,} parameters and a vocabulary of "
        f"{exported['vocabulary']:,} word pieces. Classes, in the order of the logits: {labels}. "
        f"It reads up to {exported['max_length']} tokens. Score = softmax(logits / temperature)."
    )


def _accuracy(measured: dict[str, Any], note: str) -> str:
    """Accuracy of each held-out source."""
    if not measured.get("sources"):
        return "## Accuracy\n\nNot measured yet: run `sentinova-train verify`."
    rows = [(_SOURCE_NAMES.get(name, name), row) for name, row in measured["sources"].items()]
    groups = measured["groups"]
    if "external" in groups:
        rows.append(("**separate source, all three**", groups["external"]))
    table = _table(
        ("texts", "number", "accuracy", "95% interval", "calibration error"),
        [
            (name, f"{row['texts']:,}", _percent(row["accuracy"]), _interval(row), f"{row['ece']:.3f}")
            for name, row in rows
        ],
    )
    return (
        "## Accuracy\n\nMeasured through OpenVINO in float32 on texts that neither training, selection nor "
        f"calibration saw; the interval is Wilson's.\n\n{table}" + (f"\n\n{note}" if note else "")
    )


def _calibration(calibration: dict[str, Any], measured: dict[str, Any]) -> str:
    """The temperature and what it did."""
    before, after = calibration["before"], calibration["after"]
    text = (
        f"## Calibration\n\nTemperature {calibration['temperature']}, fitted by likelihood on "
        f"{calibration['texts']:,} development sentences ({', '.join(calibration['sources'])}); there, the expected "
        f"calibration error (15 bins) went from {before['ece']:.3f} to {after['ece']:.3f} and the negative "
        f"log-likelihood from {before['nll']:.3f} to {after['nll']:.3f}."
    )
    sure = measured.get("scores_above_0.9")
    if sure and sure["texts"]:
        text += (
            f" Of the held-out texts, {sure['texts']:,} score 0.9 or more: mean score {sure['mean_score']:.3f}, "
            f"right {_percent(sure['accuracy'])}."
        )
    return text


def _training(trained: Sequence[tuple[str, dict[str, Any]]], exported: dict[str, Any]) -> str:
    """How it was trained, stage by stage."""
    parts = "\n\n".join(_stage(name, summary) for name, summary in trained)
    return (
        f"## Training\n\n{parts}\n\nMade again by `sentinova-train all`, with paddlepaddle "
        f"{exported['generator']['paddlepaddle']} and paddlenlp {exported['generator']['paddlenlp']}; the seeds are "
        "fixed, but rounding differs from machine to machine."
    )


def _stage(name: str, trained: dict[str, Any]) -> str:
    """How one stage was trained, and what each candidate reached on the dev split."""
    schedule, members = trained["schedule"], len(trained["members"])
    lowest = f" (its lowest {trained['layers']} layers)" if trained.get("layers") else ""
    start, learnt = f"started from `{trained['init']}`{lowest}", "the raters' judgements as soft targets"
    if trained["teacher"]:
        start = f"started from evenly spaced layers of the network `{trained['teacher']}`, its embeddings and its head"
        learnt = "that network's class probabilities"
    rows = [
        (label + (" (kept)" if label == trained["chosen"] else ""), _percent(row["accuracy"]), f"{row['nll']:.3f}")
        for label, row in trained["dev"].items()
    ]
    return (
        f"`{name}` {start} and learnt {learnt} on {trained['training_texts']:,} texts "
        f"({', '.join(trained['sources']) or 'all sources'}): members {members}, epochs {schedule['epochs']}, batch "
        f"{schedule['batch_size']}, AdamW, peak rate {schedule['learning_rate']:g}, {schedule['layer_decay']:g} times "
        f"that from layer to layer downwards, dropout {trained['dropout']:g}, word embeddings "
        f"{'trained' if schedule['train_embeddings'] else 'kept as they were'}, weights averaged along the way. Kept "
        "is the candidate that the development split finds likeliest:\n\n"
        + _table(("candidate", "dev accuracy", "dev nll"), rows)
    )


def _data(prepared: dict[str, Any]) -> str:
    """Splits, origins and licence caveats."""
    rows = [
        (split, source, f"{row['texts']:,}", _classes(row, prepared["labels"]))
        for split, sources in prepared["counts"].items()
        for source, row in sources.items()
    ]
    table = _table(("split", "source", "texts", "of which"), rows)
    text = (
        f"## Data\n\nDivided with seed {prepared['seed']}, whole reviews and articles at a time; a text that also "
        f"occurs in a test split (case and marks aside) was taken out of training.\n\n{table}"
    )
    packages = prepared.get("packages", [])
    if packages:
        listed = "\n".join(f"- `{p['name']}` {p['version']}, declared licence {p['licence']}" for p in packages)
        text += (
            "\n\nMean human ratings run from -4 to 4; a sentence counts as a class from 0.5 away from zero, and is "
            '"undecided" nearer to it. Undecided sentences take part in training through soft targets alone: '
            f"p(positive) = 1 / (1 + exp(-{prepared['soft_target_sharpness']:g} x mean)).\n\nFetched by name, version "
            f"and hash; none of the text is kept here:\n\n{listed}\n\n"
            "A package's licence covers its packager's work, not always the text inside: the sentences are other "
            "people's reviews, tweets and newspaper prose, gathered for research. Whether weights learnt from them "
            "suit your use is for you to judge.\n\n"
            "The packaged starting network (bge-small-en-v1.5) was trained by its makers on pairs of web texts. "
            "Reviews from the sites that the separate test source was taken from may be among them, so its figures may "
            "be somewhat better than on text of a kind that was never seen."
        )
    return text


def _classes(row: dict[str, int], labels: Sequence[str]) -> str:
    """How many texts of a split and source have each label."""
    if row.get("undecided") == row["texts"]:
        return "no label: rated words and emoticons, for training alone"
    named = {labels[int(key)] if key.isdigit() else key: row[key] for key in sorted(row) if key != "texts"}
    return ", ".join(f"{name} {number:,}" for name, number in named.items())


def _limits(exported: dict[str, Any], measured: dict[str, Any]) -> str:
    """What it is bad at, with figures where the run has them."""
    points = [
        "There is no neutral class: a text of facts alone still gets one of the labels.",
        "Mixed texts get one label for all of it, however long; long documents were never trained on "
        "(sentences of up to 128 tokens were).",
        "Sarcasm, irony and praise that is meant as blame are read by their words.",
        "English only. Other scripts fall into word pieces that training seldom or never met; emoji are mostly "
        "unknown to the vocabulary.",
        "Sentences about films, products, restaurants and short posts are its ground; elsewhere expect less.",
        "It repeats what its raters and its pretraining text take for granted about people, groups and places; do "
        "not judge people by it.",
    ]
    undecided = exported["calibration"].get("undecided")
    if undecided:
        points[0] += (
            f" On {undecided['texts']:,} development sentences that raters left undecided, its mean score is "
            f"{undecided['mean_score']:.2f}."
        )
    editorials = measured.get("sources", {}).get("editorials")
    if editorials:
        points[4] += f" On newspaper editorials it is right {_percent(editorials['accuracy'])} of the time."
    return "## What it is bad at\n\n" + "\n".join(f"- {point}" for point in points)


def _files(exported: dict[str, Any], measured: dict[str, Any]) -> str:
    """Sizes, and how near OpenVINO comes to Paddle."""
    rows = [(f"`{name}`", f"{size / 1e6:.1f} MB") for name, size in exported["bytes"].items()]
    text = "## Files\n\nMatrices and embeddings are stored as float16 and computed with as float32.\n\n" + _table(
        ("file", "size"), rows
    )
    golden = measured.get("golden")
    if golden:
        text += (
            f"\n\nOn {golden['cases']} golden texts OpenVINO's logits (float32) differ from Paddle's by at most "
            f"{max(golden['max_difference'], golden['max_difference_padded']):.1g}; all labels are equal."
        )
    return text


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _percent(share: float) -> str:
    """A share of 1 as a percentage."""
    return f"{100 * share:.1f}%"


def _interval(row: dict[str, Any]) -> str:
    """An interval of shares as percentages."""
    low, high = row["interval"]
    return f"{100 * low:.1f} to {100 * high:.1f}%"
