"""Faults of what a new version holds: files cut short, missing, unreadable, or not of one export."""

from __future__ import annotations

import os
from pathlib import Path

from soaking.contents import MODEL_FILES, SUMS_FILE, Content, write_sums
from soaking.faults.mending import copy_over, fail_then_mend
from soaking.lane import Lane


def cut_file(lane: Lane) -> None:
    """A file of a new version is cut short."""
    name = lane.rng.choice(MODEL_FILES)

    def spoil(folder: Path, _: Content) -> tuple[str, ...]:
        # Of the class names, a whole one must go: nothing says what they were. Of the graph, more than a line's end.
        least = 10 if name in ("labels.txt", "model.xml") else 2
        os.truncate(folder / name, lane.rng.randrange((folder / name).stat().st_size - least))
        # Weights are read together with the graph, which may be what is named.
        return ("model.",) if name == "model.bin" else (name,)

    fail_then_mend(lane, spoil)


def wrong_golden(lane: Lane) -> None:
    """The golden values are not those of the model."""

    def spoil(folder: Path, content: Content) -> tuple[str, ...]:
        content.write_golden(folder, error=lane.rng.choice((-1.0, 0.01, 0.5)))
        return ("golden.json: cases.3", "the model gives logits")

    fail_then_mend(lane, spoil)


def longer_vocabulary(lane: Lane) -> None:
    """The vocabulary has a word more than the model; a golden text has that word."""

    def spoil(folder: Path, content: Content) -> tuple[str, ...]:
        case = {"text": "good extra", "input_ids": [*content.ids("good")[:-1], 1, 3], "logits": content.logits("good")}
        content.write_golden(folder, extra=[case])
        with (folder / "vocab.txt").open("a") as file:
            file.write("extra\n")
        return ("golden.json: cases.4", "tokenizer gives other token ids", "vocab.txt")

    fail_then_mend(lane, spoil)


def shorter_vocabulary(lane: Lane) -> None:
    """The vocabulary lacks a word that a golden text has."""

    def spoil(folder: Path, _: Content) -> tuple[str, ...]:
        words = (folder / "vocab.txt").read_text().split("\n")
        (folder / "vocab.txt").write_text("\n".join(words[:-2]) + "\n")
        return ("golden.json: cases.1", "tokenizer gives other token ids", "vocab.txt")

    fail_then_mend(lane, spoil)


def unproved_vocabulary(lane: Lane) -> None:
    """The vocabulary has a word more or less than the model, and there are no golden values: that is told."""
    version = lane.next_version()
    content = lane.choose_content(version)
    staged = lane.stage(content)
    (staged / "golden.json").unlink()
    words = (staged / "vocab.txt").read_text().split()
    # The last word weighs the same for both classes, so no score of a known text depends on it.
    words = [*words, "extra"] if lane.rng.random() < 0.5 else words[:-1]
    (staged / "vocab.txt").write_text("".join(f"{word}\n" for word in words))
    lane.allow(version, content)
    lane.put(staged, version)
    found = lane.until_well(version, "not checked against Paddle", "no golden.json")
    lane.note(found.state_message)
    lane.advance(version, content)
    copy_over(lane.stage(content), lane.serving)
    lane.until_well(version, "golden texts")


def missing_labels(lane: Lane) -> None:
    """The class names are missing."""

    def spoil(folder: Path, _: Content) -> tuple[str, ...]:
        (folder / "labels.txt").unlink()
        return ("labels.txt: is missing",)

    fail_then_mend(lane, spoil)


def unreadable_file(lane: Lane) -> None:
    """The server may not read a file of a new version."""
    name = lane.rng.choice(MODEL_FILES)

    def spoil(folder: Path, _: Content) -> tuple[str, ...]:
        (folder / name).chmod(0)
        return (name, "ermission denied")

    fail_then_mend(lane, spoil)


def wrong_sums(lane: Lane) -> None:
    """The list of checksums does not fit the files, or is none."""
    name = lane.rng.choice(MODEL_FILES)

    def spoil(folder: Path, _: Content) -> tuple[str, ...]:
        if lane.rng.random() < 0.3:
            (folder / SUMS_FILE).write_text("deadbeef  model.xml\n")
            return (f"{SUMS_FILE}: line 1",)
        write_sums(folder, lambda one, digest: digest[::-1] if one == name else digest)
        return (f"{name}: is not the file that {SUMS_FILE} lists",)

    fail_then_mend(lane, spoil, sums=True)
