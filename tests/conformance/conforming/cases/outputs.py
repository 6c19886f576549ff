"""Outputs: which ones are asked for, and in which order they come."""

from __future__ import annotations

from conforming.case import Case, infer
from conforming.clients import client_input, client_output, infer_sync
from conforming.observations import Observation, answered, observe, refused
from conforming.requests import Output, ones, pair, texts
from conforming.targets import Target

TITLE = "Requested outputs"

_SUM = ["OUTPUT0", "INT32", [1, 16], [*range(1, 17)]]
_DIFFERENCE = ["OUTPUT1", "INT32", [1, 16], [*range(-1, 15)]]
_BAD = "INVALID_ARGUMENT"
_DOUBLED = ["OUTPUT0", "FP32", [1, 2], [2.0, 2.0]]


def _ask_client(target: Target) -> Observation:
    inputs = [client_input(name, "INT32", [2, 16], [2] * 32) for name in ("INPUT0", "INPUT1")]
    outputs = [client_output("OUTPUT1")]
    return observe(lambda: infer_sync(target, model_name="simple", inputs=inputs, outputs=outputs))


CASES = [
    infer("outputs/all by default", pair(), answered("simple", _SUM, _DIFFERENCE)),
    infer("outputs/one of two", pair(outputs=["OUTPUT1"]), answered("simple", _DIFFERENCE)),
    infer("outputs/other order", pair(outputs=["OUTPUT1", "OUTPUT0"]), answered("simple", _SUM, _DIFFERENCE)),
    infer("outputs/twice", ones("batched", outputs=["OUTPUT0", "OUTPUT0"]), answered("batched", _DOUBLED)),
    infer("outputs/unknown", ones("batched", outputs=["NOPE"]), refused(_BAD, "NOPE")),
    infer("outputs/one known, one not", ones("batched", outputs=["OUTPUT0", "NOPE"]), refused(_BAD, "NOPE")),
    infer("outputs/no name", ones("batched", outputs=[""]), refused(_BAD)),
    infer("outputs/an input", ones("batched", outputs=["INPUT0"]), refused(_BAD, "INPUT0")),
    infer("outputs/unknown parameter", ones("batched", outputs=[Output("OUTPUT0", {"nope": 1})]), answered("batched", _DOUBLED)),
    infer("outputs/binary_data", ones("batched", outputs=[Output("OUTPUT0", {"binary_data": True})]), answered("batched", _DOUBLED)),
    infer("outputs/of the text model", texts("good", outputs=["LOGITS", "LABEL"]), answered(
        "text", ["LABEL", "BYTES", [1, 1], ["positive"]], ["LOGITS", "FP32", [1, 2], [-1.0, 2.0]])),
    Case("outputs/client", _ask_client, answered("simple", ["OUTPUT1", "INT32", [2, 16], [0] * 32])),
]  # fmt: skip
