"""What the suite found, written for people: both servers' answers where they differ, and why; and the fuzzer's counts.

Knows Markdown and the table of differences; must not know servers.
"""

from __future__ import annotations

import datetime
import json
import platform
from pathlib import Path

from conforming.cases import CASES
from conforming.differences import DIFFERENCES, comparable
from conforming.observations import Observation
from conforming.scale import Scale

_LONGEST = 300


class Report:
    """All observations of one run."""

    def __init__(self, scale: Scale) -> None:
        """Begins one."""
        self._scale = scale
        self._sentinova: dict[str, Observation] = {}
        self._triton: dict[str, Observation] = {}
        self._facts: dict[str, str] = {}
        self._fuzzing: list[tuple[str, str]] = []

    def add_sentinova(self, name: str, found: Observation) -> None:
        """Takes what Sentinova gave in a case."""
        self._sentinova[name] = found

    def add_triton(self, name: str, found: Observation) -> None:
        """Takes what Triton gave in a case."""
        self._triton[name] = found

    def add_fact(self, what: str, value: str) -> None:
        """Takes what was run."""
        self._facts[what] = value

    def add_fuzzing(self, what: str, value: object) -> None:
        """Takes a row of the fuzzer's."""
        self._fuzzing.append((what, str(value)))

    def summary(self) -> str:
        """Gives the counts in a line."""
        both = [name for name in self._sentinova if name in self._triton]
        differing = [name for name in both if self._differs(name)]
        unexplained = [name for name in differing if name not in DIFFERENCES]
        return (
            f"{len(both)} cases on both servers: {len(both) - len(differing)} equal, {len(differing)} different, "
            f"{len(unexplained)} of them unexplained."
        )

    def write(self, folder: Path, failed: int) -> Path:
        """Writes `report.md` and `observations.json`; gives the report's path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "report.md"
        path.write_text(self._markdown(failed))
        found = {
            name: {"sentinova": self._sentinova.get(name), "triton": self._triton.get(name)} for name in self._sentinova
        }
        (folder / "observations.json").write_text(json.dumps(found, indent=1, ensure_ascii=False))
        return path

    def _markdown(self, failed: int) -> str:
        verdict = "Every check passed." if not failed else f"**{failed} tests failed: see pytest's own output.**"
        facts = {
            **self._facts,
            "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
            "machine": f"{platform.machine()}, {platform.system()} {platform.release()}, Python {platform.python_version()}",
        }
        lines = ["# Conformance with Triton's GRPCInferenceService", "", verdict, "", self.summary(), ""]
        lines += _table(("", ""), facts.items())
        lines += ["", "## Cases", "", *_table(("group", "cases", "equal", "different"), self._groups())]
        if self._fuzzing:
            lines += ["", "## Mutated requests", "", *_table(("", ""), self._fuzzing)]
        lines += ["", "## Differences", ""]
        lines += _table(("case", "Sentinova", "Triton", "why"), self._differences())
        return "\n".join(lines) + "\n"

    def _groups(self) -> list[tuple[str, ...]]:
        rows = []
        for title, cases in CASES.items():
            both = [case.name for case in cases if case.name in self._triton]
            differing = sum(self._differs(name) for name in both)
            rows.append((title, str(len(cases)), str(len(both) - differing), str(differing)))
        return rows

    def _differences(self) -> list[tuple[str, ...]]:
        rows = []
        for name, found in self._triton.items():
            if name in self._sentinova and self._differs(name):
                why = DIFFERENCES[name].reason.why if name in DIFFERENCES else "**not explained**"
                rows.append((name, _short(self._sentinova[name]), _short(found), why))
        return rows

    def _differs(self, name: str) -> bool:
        return comparable(self._sentinova[name]) != comparable(self._triton[name])


def _short(found: Observation) -> str:
    text = json.dumps(comparable(found), ensure_ascii=False)
    return f"`{text if len(text) <= _LONGEST else text[:_LONGEST] + '…'}`"


def _table(head: tuple[str, ...], rows) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return [
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in map(str, row)) + " |" for row in lines
    ]
