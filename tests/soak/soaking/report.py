"""What a soak counted and measured: gathered by the tests, written as tables for people and as JSON for the rest."""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from soaking.scale import LONG_VARIABLE, SEED_VARIABLE, Scale


@dataclass
class Section:
    """One part of the report: rows of what and how much, and what they were made of."""

    title: str
    rows: list[tuple[str, str]] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def row(self, what: str, value: object) -> None:
        """Adds a row."""
        self.rows.append((what, str(value)))


class Report:
    """All sections of one run."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self.sections: list[Section] = []
        self._began = datetime.datetime.now(datetime.UTC)

    def section(self, title: str) -> Section:
        """Begins a section."""
        section = Section(title)
        self.sections.append(section)
        return section

    def command(self) -> str:
        """Gives a command line that does the same again."""
        form = f"{LONG_VARIABLE}=1 " if self.scale.name == "long" else ""
        return f"{form}{SEED_VARIABLE}={self.scale.seed} python -m pytest {' '.join(sys.argv[1:])}".rstrip()

    def facts(self) -> dict[str, str]:
        """Gives what was run, and on what."""
        return {
            "form": self.scale.name,
            "seed": str(self.scale.seed),
            "command": self.command(),
            "began": f"{self._began:%Y-%m-%d %H:%M} UTC",
            "machine": f"{find_cpu()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
            "Python": platform.python_version(),
        }

    def markdown(self, failed: int) -> str:
        """Gives the report as text."""
        verdict = "Every check passed." if not failed else f"**{failed} tests failed: see pytest's own output.**"
        lines = ["# Soak", "", verdict, "", *table(self.facts().items())]
        for section in self.sections:
            lines += ["", f"## {section.title}", "", *table(section.rows)]
            if section.notes:
                lines += ["", *section.notes]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path, failed: int) -> None:
        """Writes `report.md` and `report.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.md").write_text(self.markdown(failed))
        sections = [
            {"title": one.title, "rows": dict(one.rows), "data": one.data, "notes": one.notes} for one in self.sections
        ]
        content = {**self.facts(), "failed_tests": failed, "sections": sections}
        (folder / "report.json").write_text(json.dumps(content, indent=1))


def table(rows) -> list[str]:
    """Gives rows as a table in Markdown."""
    cells = [(show(what), show(value)) for what, value in rows]
    return ["| what | value |", "| --- | --- |", *(f"| {what} | {value} |" for what, value in cells)]


def show(text: str) -> str:
    """Gives a text as it may stand in a table."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text).replace("|", "\\|")


def find_cpu() -> str:
    """Gives the processor's name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def milliseconds(seconds: Sequence[float], *quantiles: float) -> str:
    """Gives quantiles of times in milliseconds, and how many there are."""
    if not len(seconds):
        return "none"
    parts = [f"p{quantile:g} {np.percentile(seconds, quantile) * 1000:.1f}" for quantile in quantiles or (50, 99)]
    return f"{', '.join(parts)}, max {max(seconds) * 1000:.1f} ms of {len(seconds):,}"
