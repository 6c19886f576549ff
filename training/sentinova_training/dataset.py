"""Sentences, their targets and their splits.

Knows the formats that sentences come in and how they are divided; must not know about networks.
A split is a JSON Lines file, one `Example` a line.
"""

from __future__ import annotations

import csv
import html
import io
import json
import math
import random
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sentinova_training import sources
from sentinova_training.errors import RecipeError

SENTIMENT_LABELS = ("negative", "positive")
SPLITS = ("train", "dev", "test", "external")
RATED_FILES = {
    "movie": "movieReviewSnippets_GroundTruth.txt",
    "amazon": "amazonReviewSnippets_GroundTruth.txt",
    "tweets": "tweets_GroundTruth.txt",
    "editorials": "nytEditorialSnippets_GroundTruth.txt",
}
LEXICON_FILE = "vader_sentiment_lexicon.txt"
EXTERNAL_FILES = {
    "external-imdb": "imdb.json",
    "external-yelp": "yelp.json",
    "external-amazon": "amazon.json",
}


@dataclass(frozen=True)
class Example:
    """One sentence.

    Attributes:
        text: the sentence.
        target: probability of each class; sums to 1.
        label: the class index, or None where the raters were undecided (training may use it, tests do not).
        source: where it came from.
        group: examples of one group never straddle two splits.
    """

    text: str
    target: tuple[float, ...]
    label: int | None
    source: str
    group: str


@dataclass(frozen=True)
class SplitPlan:
    """How groups are divided.

    Attributes:
        seed: of the shuffle.
        dev: share of the examples, 0 to 1, that goes to the development split.
        test: share that goes to the test split.
    """

    seed: int = 20260101
    dev: float = 0.08
    test: float = 0.12


def normalise(text: str) -> str:
    """Letters and digits alone, case-folded: equal for two texts that differ in case, marks or spacing."""
    folded = unicodedata.normalize("NFKC", html.unescape(text)).casefold()
    return " ".join(re.findall(r"\w+", folded))


def soft_target(mean: float, sharpness: float) -> tuple[float, float]:
    """Class probabilities from a mean human rating.

    Args:
        mean: mean rating, -4 (negative) to 4 (positive).
        sharpness: k in p(positive) = 1 / (1 + exp(-k * mean)).
    """
    positive = 1.0 / (1.0 + math.exp(-sharpness * mean))
    return (1.0 - positive, positive)


def parse_ratings(content: str, source: str, sharpness: float, margin: float = 0.5) -> list[Example]:
    r"""Parses `<id>\t<mean rating>\t<text>` lines; ids `<document>_<sentence>` are grouped by document.

    Args:
        content: the file's text.
        source: name given to the examples.
        sharpness: see `soft_target`.
        margin: |mean| below this leaves the example without a label.

    Raises:
        RecipeError: a line has another form.
    """
    examples = []
    for number, line in enumerate(content.split("\n"), start=1):
        fields = line.strip("\r\n").split("\t", 2)
        if not line.strip():
            continue
        try:
            identity, mean, text = fields[0], float(fields[1]), html.unescape(fields[2]).strip()
        except (IndexError, ValueError) as error:
            raise RecipeError(f"{source}, line {number}: not `id<TAB>mean<TAB>text`") from error
        document = identity.split("_")[0] if "_" in identity else normalise(text)
        label = None if abs(mean) < margin else int(mean > 0)
        target = soft_target(mean, sharpness)
        examples.append(Example(text, target, label, source, f"{source}:{document}"))
    return examples


def parse_lexicon(content: str, sharpness: float) -> list[Example]:
    r"""Parses `<expression>\t<mean rating>\t…` lines: words and emoticons, rated like the sentences.

    They serve training alone, and have no label.

    Raises:
        RecipeError: a line has another form.
    """
    examples = []
    for number, line in enumerate(content.split("\n"), start=1):
        fields = line.strip("\r\n").split("\t")
        if not line.strip():
            continue
        try:
            text, target = fields[0].strip(), soft_target(float(fields[1]), sharpness)
        except (IndexError, ValueError) as error:
            raise RecipeError(f"lexicon, line {number}: not `expression<TAB>mean<TAB>…`") from error
        examples.append(Example(text, target, None, "lexicon", f"lexicon:{text}"))
    return examples


def parse_external(content: str, source: str) -> list[Example]:
    """Parses the separate test source: a JSON list of `{"text": …, "class": 0 or 1}`.

    Each file ends with an entry of no text and no class, which is left out.
    """
    examples = []
    for entry in json.loads(content):
        if entry["class"] is None:
            continue
        label = int(entry["class"])
        text = str(entry["text"]).strip()
        examples.append(Example(text, one_hot(label, 2), label, source, f"{source}:{normalise(text)}"))
    return examples


def one_hot(label: int, classes: int) -> tuple[float, ...]:
    """All the probability on one class."""
    return tuple(float(index == label) for index in range(classes))


def read_table(
    path: Path, text_column: str, label_column: str, labels: Sequence[str] | None
) -> tuple[list[Example], tuple[str, ...]]:
    """Reads a user's `.tsv` or `.csv` of text and label, with a header line.

    Args:
        path: the file, UTF-8.
        text_column: header of the text.
        label_column: header of the label.
        labels: class names in class order; None takes the names found, sorted.

    Returns:
        The examples and the class names in class order.

    Raises:
        RecipeError: the file is empty, not UTF-8, lacks a column, or holds an unknown label or no text.
    """
    rows = _table_rows(path, text_column, label_column)
    names = tuple(labels) if labels else tuple(sorted({label for _, _, label in rows}))
    if len(names) < 2:
        raise RecipeError(f"{path}: column '{label_column}' has one label only ({names[0]}); two are needed")
    examples = []
    for number, text, label in rows:
        if label not in names:
            known = ", ".join(names)
            raise RecipeError(f"{path}, line {number}: unknown label '{label}'; --labels has {known}")
        index = names.index(label)
        target = one_hot(index, len(names))
        examples.append(Example(text, target, index, path.stem, f"{path.stem}:{normalise(text) or number}"))
    return examples, names


def _table_rows(path: Path, text_column: str, label_column: str) -> list[tuple[int, str, str]]:
    """Line number, text and label of each row."""
    if path.suffix.lower() not in {".tsv", ".csv"}:
        raise RecipeError(f"{path}: name it .tsv or .csv, so that the separator is known")
    try:
        content = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise RecipeError(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    tabs = path.suffix.lower() == ".tsv"
    lines = io.StringIO(content, newline="")
    reader = (
        csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.DictReader(lines, delimiter=",")
    )
    header = reader.fieldnames or []
    if not header:
        raise RecipeError(f"{path}: the file is empty; the first line names the columns")
    for column in (text_column, label_column):
        if column not in header:
            raise RecipeError(f"{path}: no column '{column}'; it has {', '.join(header)}")
    rows = []
    for row in reader:
        text, label = (row[text_column] or "").strip(), (row[label_column] or "").strip()
        if not text or not label:
            missing = text_column if not text else label_column
            raise RecipeError(f"{path}, line {reader.line_num}: column '{missing}' is empty")
        rows.append((reader.line_num, text, label))
    if not rows:
        raise RecipeError(f"{path}: the file has a header but no rows")
    return rows


def split(examples: Sequence[Example], plan: SplitPlan) -> dict[str, list[Example]]:
    """Divides the examples of each source into train, dev and test, whole groups at a time.

    The same examples and plan give the same split, in whatever order the examples come.
    """
    parts: dict[str, list[Example]] = {"train": [], "dev": [], "test": []}
    for source in sorted({example.source for example in examples}):
        members: dict[str, list[Example]] = {}
        for example in sorted((e for e in examples if e.source == source), key=lambda e: (e.group, e.text)):
            members.setdefault(example.group, []).append(example)
        order = sorted(members)
        random.Random(f"{plan.seed}:{source}").shuffle(order)  # noqa: S311 - an order, not a secret
        _deal(members, order, plan, parts)
    return parts


def _deal(
    members: dict[str, list[Example]], order: list[str], plan: SplitPlan, parts: dict[str, list[Example]]
) -> None:
    """Gives groups to test, then to dev, until each has its share, and the rest to train."""
    total = sum(len(group) for group in members.values())
    given = 0
    for group in order:
        if given < plan.test * total:
            name = "test"
        elif given < (plan.test + plan.dev) * total:
            name = "dev"
        else:
            name = "train"
        parts[name].extend(members[group])
        given += len(members[group])


def without(examples: Iterable[Example], held_out: Iterable[Example]) -> list[Example]:
    """The examples whose normalised text occurs in none of `held_out`; those without text go too."""
    known = {normalise(example.text) for example in held_out} | {""}
    return [example for example in examples if normalise(example.text) not in known]


def unique(examples: Iterable[Example]) -> list[Example]:
    """The first example of each normalised text."""
    seen: set[str] = set()
    kept = []
    for example in examples:
        key = normalise(example.text)
        if key not in seen:
            seen.add(key)
            kept.append(example)
    return kept


def builtin(downloads: Path, plan: SplitPlan, sharpness: float) -> dict[str, list[Example]]:
    """The splits of the packaged English sentences; the test splits hold labelled examples only."""
    rated = []
    for source, name in RATED_FILES.items():
        rated.extend(parse_ratings(sources.rated_file(downloads, name), source, sharpness))
    external = []
    for source, name in EXTERNAL_FILES.items():
        external.extend(parse_external(sources.external_file(downloads, name), source))
    parts = split(rated, plan)
    parts["train"].extend(parse_lexicon(sources.rated_file(downloads, LEXICON_FILE, "latin-1"), sharpness))
    return guarded(parts, external)


def guarded(parts: dict[str, list[Example]], external: list[Example]) -> dict[str, list[Example]]:
    """Takes from train and dev every text that a test split holds, and from train what dev holds."""
    held_out = [*parts["test"], *external]
    dev = unique(without(parts["dev"], held_out))
    train = unique(without(parts["train"], [*held_out, *dev]))
    test = [example for example in parts["test"] if example.label is not None]
    return {"train": train, "dev": dev, "test": test, "external": external}


def write(examples: Iterable[Example], path: Path) -> None:
    """Writes a split."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as stream:
        for example in examples:
            stream.write(json.dumps(asdict(example), ensure_ascii=False) + "\n")


def read(path: Path) -> list[Example]:
    """Reads a split.

    Raises:
        RecipeError: the split is not there.
    """
    if not path.is_file():
        raise RecipeError(f"{path}: not there; run `sentinova-train prepare` first")
    with path.open(encoding="utf-8") as stream:
        return [_example(json.loads(line)) for line in stream]


def _example(fields: dict[str, Any]) -> Example:
    """The example of one line."""
    return Example(**{**fields, "target": tuple(fields["target"])})


def counts(parts: dict[str, list[Example]]) -> dict[str, dict[str, dict[str, int]]]:
    """For each split and source: the number of examples, and of those with each label or none."""
    table: dict[str, dict[str, dict[str, int]]] = {}
    for name, examples in parts.items():
        for example in examples:
            row = table.setdefault(name, {}).setdefault(example.source, {"texts": 0})
            row["texts"] += 1
            key = "undecided" if example.label is None else str(example.label)
            row[key] = row.get(key, 0) + 1
    return table
