"""What was measured: one sample for each target, case and round, and the numbers made of them.

Knows names and numbers; must not know how they were measured or how they are shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# A measured value by round.
Series = Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement.

    Attributes:
        part: which part of the benchmarks: "throughput", "latency", …
        case: what was asked: "mixed/unary", …
        target: the target's name.
        round: its round, from 1.
        values: numbers by name; the name ends with the unit where it has one.
    """

    part: str
    case: str
    target: str
    round: int
    values: Mapping[str, float]


@dataclass(slots=True)
class Results:
    """All of one run.

    Attributes:
        facts: what it ran on and how, in the order in which it is told.
        titles: targets' titles by name.
        missing: why targets were not run, by title.
        notes: what a reader must know of single numbers.
        samples: the measurements.
    """

    facts: dict[str, str] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def add(self, part: str, case: str, target: str, number: int, **values: float) -> None:
        """Adds a sample of a round."""
        self.samples.append(Sample(part, case, target, number, values))

    def series(self, part: str, case: str, target: str, value: str) -> Series:
        """Gives one value by round; empty where it was not measured."""
        return {
            sample.round: sample.values[value]
            for sample in self.samples
            if (sample.part, sample.case, sample.target) == (part, case, target) and value in sample.values
        }

    def cases(self, part: str) -> list[str]:
        """Gives a part's cases in the order they were first measured."""
        return list(dict.fromkeys(sample.case for sample in self.samples if sample.part == part))

    def targets(self, part: str, case: str | None = None) -> list[str]:
        """Gives the targets that were measured, in the order of `titles`."""
        found = {sample.target for sample in self.samples if sample.part == part and case in (None, sample.case)}
        return [name for name in self.titles if name in found]

    def save(self, file: Path) -> None:
        """Writes everything as JSON."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, file: Path) -> Results:
        """Reads what `save` wrote."""
        content: dict[str, Any] = json.loads(file.read_text())
        samples = [Sample(**sample) for sample in content.pop("samples")]
        return cls(**content, samples=samples)


def ratios(above: Series, below: Series) -> list[float]:
    """Divides round by round: what was measured together is compared, so that a slow minute does not count twice."""
    return [above[number] / below[number] for number in sorted(above) if below.get(number)]


def times(series: Series, factor: float) -> Series:
    """Multiplies every value, as for another unit."""
    return {number: value * factor for number, value in series.items()}


def total(samples: Iterable[Sample], value: str) -> float:
    """Adds a value up over samples that have it."""
    return sum(sample.values.get(value, 0.0) for sample in samples)
