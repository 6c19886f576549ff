"""Holding a runner's lines against the vectors.

Knows the lines of the contract and what the vectors expect; must not know how they came about.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from polyglot.runner import Line
from polyglot.vectors import ErrorCase, Text, Texts

# Two clients may differ by this much where each text is a batch of its own, and where it shares one: which others are in
# it is a matter of time, and float32 sums come out otherwise in another shape (8.9e-7 was seen).
SAME_SCORE, SAME_SCORE_IN_BATCHES = 1e-6, 5e-6
_RESULT_KEYS = {"id", "outcome", "label", "score", "scores", "model", "version", "token_count", "truncated"}
_ERROR_KEYS = {"id", "outcome", "code", "reason", "field", "message", "metadata", "retry_after_seconds"}


def float32(number: float) -> float:
    """Gives the 32-bit float that a number of a line stands for: some write it in few digits, some in full."""
    return float(struct.unpack("f", struct.pack("f", number))[0])


def check_each_once(lines: Sequence[Line], ids: Iterable[str], times: int = 1) -> dict[str, Line]:
    """Checks that each id has so many outcomes and no other has any; gives the last of each by id."""
    counts, wanted = Counter(line.get("id") for line in lines), dict.fromkeys(ids, times)
    wrong = {key: counts[key] for key in counts.keys() | wanted.keys() if counts[key] != wanted.get(key, 0)}
    assert not wrong, f"outcomes that are not {times} a document: {wrong}"
    return {line["id"]: line for line in lines}


def check_results(
    lines: Sequence[Line], texts: Texts, cases: Sequence[Text], version: int, *, times: int = 1, truncated: bool = False
) -> float:
    """Checks the results of texts; gives the largest difference of a score from Paddle's."""
    check_each_once(lines, (case.id for case in cases), times)
    by_id = {case.id: case for case in cases}
    worst = 0.0
    for line in lines:
        check_result_line(line)
        expected = by_id[line["id"]].versions[version]
        told = (line["label"], line["model"], line["version"], line["token_count"], line["truncated"])
        assert told == (expected.label, texts.model, version, expected.token_count, truncated), line
        assert line["scores"].keys() == expected.scores.keys(), line
        difference = max(abs(float32(line["scores"][label]) - score) for label, score in expected.scores.items())
        assert difference <= texts.score_tolerance[version], f"{line} is {difference:.2g} off Paddle's {expected}"
        worst = max(worst, difference)
    return worst


def check_result_line(line: Line) -> None:
    """Checks the form of a result: every key there, and the score that of the label."""
    assert line.get("outcome") == "result", line
    assert set(line) == _RESULT_KEYS, set(line) ^ _RESULT_KEYS
    assert (
        float32(line["score"]) == float32(line["scores"][line["label"]]) == max(map(float32, line["scores"].values()))
    )


def check_error(line: Line, case: ErrorCase, way: str, index: int = 0) -> None:
    """Checks that an outcome is the error that a case has when it is asked in such a way, at such a place."""
    check_error_line(line)
    told = (line["code"], line["reason"], line["field"])
    assert told == (case.code, case.reason, case.field[way].format(index=index)), line


def check_error_line(line: Line) -> None:
    """Checks the form of an error."""
    assert line.get("outcome") == "error", line
    assert set(line) == _ERROR_KEYS, set(line) ^ _ERROR_KEYS
    assert line["message"], line


def check_failed(lines: Sequence[Line], ids: Iterable[str], *codes: str) -> None:
    """Checks that each document has one outcome, an error with one of the codes."""
    for line in check_each_once(lines, ids).values():
        check_error_line(line)
        assert line["code"] in codes, line


def differences(first: Sequence[Line], second: Sequence[Line]) -> float:
    """Checks that two clients were told the same labels; gives the largest difference of a score."""
    ours, theirs = ({line["id"]: line for line in lines} for lines in (first, second))
    assert ours.keys() == theirs.keys()
    worst = 0.0
    for key, line in ours.items():
        assert line["label"].encode() == theirs[key]["label"].encode(), (line, theirs[key])
        scores = theirs[key]["scores"]
        worst = max(worst, *(abs(float32(score) - float32(scores[label])) for label, score in line["scores"].items()))
    return worst


def error_facts(line: Line) -> dict[str, Any]:
    """Gives what every language must be told alike of an error; the message is for people, and a client may shorten it."""
    return {key: line[key] for key in ("code", "reason", "field", "metadata", "retry_after_seconds")}
