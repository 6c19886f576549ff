"""Faults under a version that serves: its files are changed in place, or its model's config is."""

from __future__ import annotations

import os
import time

from soaking.contents import MODEL_FILES
from soaking.faults.mending import copy_over
from soaking.lane import CONFIG, Lane
from soaking.watching import AVAILABLE


def cut_serving_file(lane: Lane) -> None:
    """Model files of the version that serves are cut short in place: a process that had them mapped would die."""
    saved = {name: (lane.serving / name).read_bytes() for name in MODEL_FILES}
    for name in lane.rng.sample(("model.xml", "model.bin"), lane.rng.choice((1, 2))):
        os.truncate(lane.serving / name, lane.rng.choice((0, 0, len(saved[name]) // 2)))
    _serve_on_then_restore(lane, saved, "model.")


def overwritten_serving_file(lane: Lane) -> None:
    """A file of the version that serves is overwritten in place with something else."""
    saved = {name: (lane.serving / name).read_bytes() for name in MODEL_FILES}
    name = lane.rng.choice(("model.xml", "vocab.txt", "tokenizer_config.json", "golden.json"))
    (lane.serving / name).write_bytes(lane.rng.randbytes(len(saved[name])))
    _serve_on_then_restore(lane, saved, name)


def _serve_on_then_restore(lane: Lane, saved: dict[str, bytes], *parts: str) -> None:
    lane.until_serves_on(lane.version, *parts)
    for name, data in saved.items():
        if not (lane.serving / name).exists() or (lane.serving / name).read_bytes() != data:
            (lane.serving / name).write_bytes(data)
    lane.until_well(lane.version, "golden texts")


def replaced_content(lane: Lane) -> None:
    """All files of the version that serves are replaced in place by those of another content, which then serves."""
    content = lane.choose_content(lane.version)
    source = lane.stage(content)
    before = time.monotonic()
    lane.allow(lane.version, content)
    copy_over(source, lane.serving)
    loaded = lane.observer.wait_for_state(lane.model, lane.version, AVAILABLE, after=lane.mark)
    lane.ledger.close(lane.model, lane.version, loaded.received, opened_before=before)
    lane.content = content
    lane.until_well(lane.version, "golden texts")


def broken_config(lane: Lane) -> None:
    """The config is overwritten with what is none; the earlier one stays in force."""
    text = lane.rng.choice((
        "version_polisy { all {} }", CONFIG[:-4], 'parameters { key: "weight.1" value { string_value: "70" } }',
        'name: "another"', "\0\xff\n",
    ))  # fmt: skip
    (lane.folder / "config.pbtxt").write_text(text)
    model = lane.observer.until("config", lane.model, lambda one: "config.pbtxt" in one.message)
    assert "served on by its earlier config" in model.message
    assert model.default_version == lane.version
    lane.note(model.message)
    # The earlier config is in force for new versions too.
    version = lane.next_version()
    content = lane.choose_content(version)
    staged = lane.stage(content)
    lane.allow(version, content)
    lane.put(staged, version)
    lane.advance(version, content)
    (lane.folder / "config.pbtxt").write_text(CONFIG)
    lane.observer.until("no message", lane.model, lambda one: not one.message)
