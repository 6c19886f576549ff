"""Which content each version may answer with, and when; and whether every answer kept to that. No input or output.

A time is one of the monotonic clock. All are taken on the side of those who ask, and bracket what the server did: an
answer that came before a version was put in place, or to a request that was sent after the server had told that the
version takes none, cannot be right.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# Gives the probability of "positive" that a content has for a text.
Scorer = Callable[[str], float]
_SHOWN = 10


@dataclass
class Tenure:
    """A time in which a version may answer with a content.

    Attributes:
        model: the model.
        version: its version.
        content: name of the content; None: any, as nobody can tell.
        opened: before it was put in place.
        closed: when it was known not to take requests any more.
    """

    model: str
    version: int
    content: str | None
    opened: float
    closed: float = math.inf


class Ledger:
    """All tenures of a test. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.tenures: list[Tenure] = []

    def open(self, model: str, version: int, content: str | None) -> Tenure:
        """Allows a version to answer with a content from now on; to be called before anything is put in place."""
        tenure = Tenure(model, version, content, time.monotonic())
        with self._lock:
            self.tenures.append(tenure)
        return tenure

    def close(self, model: str, version: int, at: float, *, opened_before: float = math.inf) -> None:
        """Ends the tenures of a version; requests that were sent after `at` must not be answered under them."""
        with self._lock:
            for tenure in self.tenures:
                if (tenure.model, tenure.version) == (model, version) and tenure.opened < min(at, opened_before):
                    tenure.closed = min(tenure.closed, at)

    def find_wrong(
        self, records: np.ndarray, model: str, texts: Sequence[str], scorers: Mapping[str, Scorer], tolerance: float
    ) -> list[str]:
        """Gives the answers that were not right, the first ones in words; empty: all were.

        Args:
            records: answers of one model; see `generator.RECORD`.
            model: the model.
            texts: what `text` counts in.
            scorers: each content's scores.
            tolerance: largest difference of a score.
        """
        right = np.zeros(len(records), bool)
        for tenure in self.tenures:
            if tenure.model != model:
                continue
            rows = (
                (records["version"] == tenure.version)
                & (records["received"] >= tenure.opened)
                & (records["sent"] <= tenure.closed)
            )
            if tenure.content is not None:
                expected = np.array([scorers[tenure.content](text) for text in texts])
                rows &= np.abs(records["score"] - expected[records["text"]]) <= tolerance
            right |= rows
        wrong = records[~right]
        shown = [self._describe(record, model, texts, scorers, tolerance) for record in wrong[:_SHOWN]]
        return shown if len(wrong) <= _SHOWN else [f"{len(wrong)} wrong answers, the first:", *shown]

    def _describe(self, record, model: str, texts, scorers: Mapping[str, Scorer], tolerance: float) -> str:
        text = texts[record["text"]]
        matches = [name for name, score in scorers.items() if abs(score(text) - record["score"]) <= tolerance]
        allowed = [one for one in self.tenures if one.model == model and one.version == record["version"]]
        return (
            f"version {record['version']} of {model} answered {text[:40]!r} with {record['score']:.6f}, which is "
            f"{' or '.join(matches) or 'of no content'}; sent {record['sent']:.3f}, received {record['received']:.3f}; "
            f"allowed: {[(one.content, round(one.opened, 3), round(one.closed, 3)) for one in allowed]}"
        )


def find_fallbacks(records: np.ndarray) -> list[str]:
    """Gives the answers of a version below one that had answered before the request was sent; the first ones."""
    back = records[records["version"] < records["floor"]]
    return [
        f"{len(back)} times; client {one['client']} was answered by {one['version']} after {one['floor']} had answered"
        for one in back[:_SHOWN]
    ]
