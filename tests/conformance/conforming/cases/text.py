"""The text model as tensors: texts in; labels, scores and logits out."""

from __future__ import annotations

from typing import Any

from conforming.case import Case, infer
from conforming.clients import WAYS, client_input
from conforming.observations import Observation, answered, observe, refused
from conforming.requests import raw_input, request, texts, typed_input
from conforming.targets import Target

TITLE = "Text classification"

_BAD = "INVALID_ARGUMENT"
# Scores to four decimals: the softmax of the logits.
_DIGITS = 4
_OF = {
    "good": ("positive", [0.0474, 0.9526], [-1.0, 2.0]),
    "bad": ("negative", [0.9526, 0.0474], [2.0, -1.0]),
    "not bad": ("negative", [0.9627, 0.0373], [2.5, -0.75]),
    "film": ("negative", [0.5, 0.5], [0.125, 0.125]),
}


def _expect(*given: str) -> Observation:
    found = [_OF[text] for text in given]
    return answered(
        "text",
        ["LABEL", "BYTES", [len(given), 1], [label for label, _, _ in found]],
        ["SCORES", "FP32", [len(given), 2], [score for _, scores, _ in found for score in scores]],
        ["LOGITS", "FP32", [len(given), 2], [logit for _, _, logits in found for logit in logits]],
    )


def _one_way(way: str) -> Case:
    def run(target: Target) -> Observation:
        given: dict[str, Any] = {
            "model_name": "text",
            "inputs": [client_input("TEXT", "BYTES", [2, 1], ["good", "bad"])],
        }
        found = observe(lambda: WAYS[way](target, **given))
        for output in found.get("outputs", []):
            output[3] = [round(one, _DIGITS) if isinstance(one, float) else one for one in output[3]]
        return found

    return Case(f"text/{way}", run, _expect("good", "bad"))


def _texts(name: str, message: Any, expected: Observation) -> Case:
    return infer(f"text/{name}", message, expected, digits=_DIGITS)


CASES = [
    *[_one_way(way) for way in WAYS],
    _texts("one", texts("good"), _expect("good")),
    _texts("several", texts("good", "bad", "not bad", "film"), _expect("good", "bad", "not bad", "film")),
    _texts("typed", request("text", typed_input("TEXT", "BYTES", [1, 1], ["good"])), _expect("good")),
    _texts("as many as one request may have", texts(*["good"] * 1024), _expect(*["good"] * 1024)),
    _texts("one too many", texts(*["good"] * 1025), refused(_BAD)),
    _texts("not UTF-8", texts(b"\xff\xfe"), refused(_BAD)),
    _texts("empty text", texts(""), refused(_BAD)),
    _texts("empty among others", texts("good", ""), refused(_BAD)),
    _texts("no text", texts(shape=[0, 1]), refused(_BAD)),
    _texts("rank too low", texts("good", shape=[1]), refused(_BAD, "TEXT")),
    _texts("two texts a row", texts("good", "bad", shape=[1, 2]), refused(_BAD, "TEXT")),
    _texts("none a row", texts(shape=[1, 0]), refused(_BAD, "TEXT")),
    _texts("numbers", request("text", raw_input("TEXT", "INT32", [1, 1], [1])), refused(_BAD, "TEXT")),
    _texts("too long for the model", texts("good " * 200), refused(_BAD)),
]
