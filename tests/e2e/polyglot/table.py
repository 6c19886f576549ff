"""The table of languages and capabilities: gathered from what the tests did, nothing else.

Knows outcomes of tests; must not know what a test is about.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

PASSED, FAILED, NOT_RUN = "passed", "FAILED", "not run"
_ABSENT = "–"


@dataclass
class Cell:
    """What came of the tests of one capability in one language."""

    outcomes: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Gives the cell as the table shows it: any failure is a failure, and nothing unrun is passed."""
        if FAILED in self.outcomes:
            return FAILED
        if NOT_RUN not in self.outcomes:
            return PASSED
        reason = "; ".join(dict.fromkeys(self.reasons))
        return f"{NOT_RUN}: {reason}" if PASSED not in self.outcomes else f"{PASSED}, in part {NOT_RUN}: {reason}"


class Table:
    """Rows of capabilities, columns of languages, in the order in which they came."""

    def __init__(self) -> None:
        self._cells: dict[str, dict[str, Cell]] = {}
        self._languages: list[str] = []
        self._facts: dict[str, float] = {}

    def add(self, capability: str, language: str, outcome: str, reason: str = "") -> None:
        """Adds what came of one test."""
        if language not in self._languages:
            self._languages.append(language)
        cell = self._cells.setdefault(capability, {}).setdefault(language, Cell())
        cell.outcomes.append(outcome)
        if reason:
            cell.reasons.append(reason)

    def note(self, what: str, value: float) -> None:
        """Notes a number; the largest of a kind is told."""
        self._facts[what] = max(value, self._facts.get(what, value))

    def __bool__(self) -> bool:
        return bool(self._cells)

    def text(self, capability: str, language: str) -> str:
        """Gives a cell's text."""
        cell = self._cells.get(capability, {}).get(language)
        return cell.text() if cell else _ABSENT

    def markdown(self) -> str:
        """Gives the table; reasons stand below it, numbered."""
        notes: list[str] = []
        rows = [["", *self._languages]]
        for capability in self._cells:
            rows.append([capability, *(self._short(capability, each, notes) for each in self._languages)])
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = [
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
        ]
        lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
        below = [f"[{number}] {note}" for number, note in enumerate(notes, 1)]
        facts = [f"{what}: {value:.2g}" for what, value in self._facts.items()]
        return "\n\n".join(["# Clients against a real server", "\n".join(lines), *below, *facts])

    def write(self, file: Path) -> None:
        """Writes the table."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.markdown() + "\n", encoding="utf-8")

    def _short(self, capability: str, language: str, notes: list[str]) -> str:
        text, separator, reason = self.text(capability, language).partition(": ")
        if not separator:
            return text
        if reason not in notes:
            notes.append(reason)
        return f"{text} [{notes.index(reason) + 1}]"
