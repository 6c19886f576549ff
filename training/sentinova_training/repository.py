"""The model repository that the server reads: version folders put in place whole, and `config.pbtxt`.

Knows folders and the config's text; must not know how a version is made.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

MARKER = "# Written by `sentinova-train export`; once this line is gone, the recipe leaves the file alone."
_TEMPERATURE = re.compile(r'key:\s*"temperature\.(\d+)"\s*value\s*{\s*string_value:\s*"([^"]+)"')


def place(staged: Path, target: Path) -> None:
    """Puts a staged version folder where the server looks, in the place of one that is there.

    The old folder is moved aside and the new one moved in by two renames, so a reader never sees half a version.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    incoming = target.parent / f".{target.name}.incoming-{os.getpid()}"
    outgoing = target.parent / f".{target.name}.outgoing-{os.getpid()}"
    shutil.copytree(staged, incoming)
    if target.exists():
        target.rename(outgoing)
    incoming.rename(target)
    shutil.rmtree(outgoing, ignore_errors=True)


def config_text(name: str, temperatures: Mapping[int, float], max_length: int) -> str:
    """A `config.pbtxt` that serves all versions, each with its own temperature.

    Args:
        name: the model's name.
        temperatures: of each version; a score is softmax(logits / temperature).
        max_length: most tokens that the model takes.
    """
    lines = [MARKER, f'name: "{name}"', 'backend: "openvino"', "version_policy { all {} }"]
    entries = {f"temperature.{version}": f"{temperatures[version]:.4f}" for version in sorted(temperatures)}
    entries["max_length"] = str(max_length)
    for key, value in entries.items():
        lines.append(f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}')
    return "\n".join(lines) + "\n"


def known_temperatures(text: str) -> dict[int, float]:
    """The temperatures that a config written here holds."""
    return {int(version): float(value) for version, value in _TEMPERATURE.findall(text)}


def update_config(path: Path, name: str, version: int, temperature: float, max_length: int) -> bool:
    """Writes one version's temperature into the model's config, keeping the other versions'.

    Returns:
        False, with the file left alone, where a person has taken the config over.
    """
    present = path.read_text(encoding="utf-8") if path.is_file() else MARKER
    if MARKER not in present:
        return False
    temperatures = {**known_temperatures(present), version: temperature}
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(config_text(name, temperatures, max_length), encoding="utf-8")
    draft.replace(path)
    return True
