"""Where one run of the recipe keeps its files, and how a step leaves its summary.

Knows paths and JSON; must not know what the steps do.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentinova_training.errors import RecipeError


@dataclass(frozen=True)
class Workspace:
    """The folder of one run: `<root>/<run>`, with downloads shared between runs.

    Attributes:
        root: folder for everything that the recipe builds; ignored by git.
        run: name of the run, a folder below `root`.
    """

    root: Path
    run: str

    @property
    def downloads(self) -> Path:
        """Folder of the fetched packages."""
        return self.root / "downloads"

    @property
    def folder(self) -> Path:
        """Folder of this run."""
        return self.root / self.run

    @property
    def data(self) -> Path:
        """Folder of the prepared splits."""
        return self.folder / "data"

    def checkpoint(self, name: str) -> Path:
        """Folder of a trained network, in PaddleNLP's own format."""
        return self.folder / name

    def summary_path(self, step: str) -> Path:
        """File that a step leaves its numbers in."""
        return self.folder / f"{step}.json"

    def write_summary(self, step: str, summary: dict[str, Any]) -> Path:
        """Writes a step's numbers, stamped with the time in UTC."""
        stamp = {"step": step, "finished_utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        return write_json(self.summary_path(step), {**stamp, **summary})

    def read_summary(self, step: str) -> dict[str, Any]:
        """Reads a step's numbers.

        Raises:
            RecipeError: the step has not been run.
        """
        path = self.summary_path(step)
        if not path.is_file():
            raise RecipeError(f"{path}: not there; run `sentinova-train {step.split('-', maxsplit=1)[0]}` first")
        summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return summary


def write_json(path: Path, value: Any) -> Path:
    """Writes JSON so that a reader sees the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(path)
    return path
