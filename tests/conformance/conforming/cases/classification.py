"""The classification extension: the best classes in place of the numbers."""

from __future__ import annotations

from typing import Any

from conforming.case import Case, infer
from conforming.clients import client_input, client_output, infer_sync
from conforming.observations import Observation, answered, observe, refused
from conforming.requests import Output, Uint, ones, pair, raw_input, request, texts
from conforming.targets import Target

TITLE = "Classification"

_BAD = "INVALID_ARGUMENT"
_VALUES = [0.1, 0.7, 0.15, 0.05]
_BEST = ["0.700000:1:green", "0.150000:2:blue", "0.100000:0:red", "0.050000:3:black"]


def _ask(count: Any, rows: int = 1, values: list[float] | None = None) -> Any:
    given = raw_input("INPUT0", "FP32", [rows, 4], (values or _VALUES) * rows)
    return request("scores", given, outputs=[Output("SCORES", {"classification": count})])


def _best(name: str, count: int, expected: list[str], rows: int = 1, values: list[float] | None = None) -> Case:
    shape = [rows, len(expected) // rows]
    return infer(
        f"classification/{name}", _ask(count, rows, values), answered("scores", ["SCORES", "BYTES", shape, expected])
    )


def _of_type(datatype: str, values: list[Any], best: str = "", *, deadly: bool = False) -> Case:
    """Makes a case of the best of a tensor without batch or labels; refused where there is no best one."""
    model = f"identity_{datatype.lower()}"
    given = raw_input("INPUT0", datatype, [1, len(values)], values)
    message = request(model, given, outputs=[Output("OUTPUT0", {"classification": 1})])
    expected = answered(model, ["OUTPUT0", "BYTES", [1], [best]]) if best else refused(_BAD, "OUTPUT0")
    return infer(f"classification/{datatype}", message, expected, deadly=deadly)


def _flat(name: str, shape: list[int], values: list[float], count: int, expected: list[str]) -> Case:
    given = raw_input("INPUT0", "FP32", shape, values)
    message = request("identity_fp32", given, outputs=[Output("OUTPUT0", {"classification": count})])
    return infer(
        f"classification/{name}", message, answered("identity_fp32", ["OUTPUT0", "BYTES", [len(expected)], expected])
    )


def _ask_client(target: Target) -> Observation:
    given = {"inputs": [client_input("INPUT0", "FP32", [1, 4], _VALUES)], "outputs": [client_output("SCORES", 2)]}
    return observe(lambda: infer_sync(target, model_name="scores", **given))


CASES = [
    _best("one", 1, _BEST[:1]),
    _best("two", 2, _BEST[:2]),
    _best("all", 4, _BEST),
    _best("more than there are", 5, _BEST),
    _best("far more than there are", 1 << 40, _BEST),
    _best("each row by itself", 2, _BEST[:2] * 3, rows=3),
    _best("ties: the lower index", 4, ["0.500000:0:red", "0.500000:1:green", "0.500000:3:black", "0.250000:2:blue"],
          values=[0.5, 0.5, 0.25, 0.5]),
    _best("negative numbers", 2, ["-0.250000:2:blue", "-0.500000:0:red"], values=[-0.5, -3.0, -0.25, -1e3]),
    _best("large numbers", 1, ["16777216.000000:3:black"], values=[1.0, 2.0, 3.0, 16777216.0]),
    *[
        infer(f"classification/{name}", _ask(value), refused(_BAD, "classification"))
        for name, value in (("0", 0), ("negative", -1), ("string", "2"), ("bool", True), ("double", 2.0),
                            ("uint64", Uint(2)), ("no value", None))
    ],
    infer("classification/no labels", ones("batched", outputs=[Output("OUTPUT0", {"classification": 1})]),
          answered("batched", ["OUTPUT0", "BYTES", [1, 1], ["2.000000:0"]])),
    infer("classification/beside a plain output", pair(outputs=[Output("OUTPUT0", {"classification": 2}), "OUTPUT1"]),
          answered("simple", ["OUTPUT0", "BYTES", [1, 2], ["16:15", "15:14"]],
                   ["OUTPUT1", "INT32", [1, 16], [*range(-1, 15)]])),
    infer("classification/text scores", texts("good", "bad", outputs=[Output("SCORES", {"classification": 1})]),
          answered("text", ["SCORES", "BYTES", [2, 1], ["0.952574:1:positive", "0.952574:0:negative"]])),
    _flat("without batch: over all elements", [2, 3], [1, 2, 3, 6, 5, 4], 2, ["6.000000:3", "5.000000:4"]),
    _flat("without elements", [0, 3], [], 2, []),
    _of_type("INT8", [-1, 2], "2:1"),
    _of_type("UINT8", [255, 2], "255:0"),
    _of_type("INT16", [-5, -6], "-5:0"),
    _of_type("UINT16", [1, 65535], "65535:1"),
    _of_type("INT32", [1, -5], "1:0"),
    _of_type("UINT32", [1, 5], "5:1"),
    _of_type("INT64", [1, -5], "1:0"),
    _of_type("UINT64", [1, 5], "5:1"),
    _of_type("FP64", [1.0, 2.5], "2.500000:1"),
    _of_type("FP16", [1.0, 2.0]),
    _of_type("BF16", [1.0, 2.0]),
    _of_type("BOOL", [True, False]),
    _of_type("BYTES", ["a", "b"], deadly=True),
    Case("classification/client", _ask_client, answered("scores", ["SCORES", "BYTES", [1, 2], _BEST[:2]])),
]  # fmt: skip
