"""Every element type, there and back, in every way that the client has and in typed contents."""

from __future__ import annotations

from typing import Any

from conforming.case import Case, infer
from conforming.clients import WAYS, client_input
from conforming.datatypes import CONTENTS_FIELDS, DATATYPES, SAMPLES
from conforming.observations import Observation, answered, observe, refused
from conforming.requests import raw_input, request, typed_input
from conforming.targets import Target

TITLE = "Element types"

_BAD = "INVALID_ARGUMENT"


def _model(datatype: str) -> str:
    return f"identity_{datatype.lower()}"


def _round_trip(datatype: str, way: str) -> Case:
    model, values = _model(datatype), SAMPLES[datatype]

    def run(target: Target) -> Observation:
        given: dict[str, Any] = {"model_name": model, "inputs": [client_input("INPUT0", datatype, [2, 2], values)]}
        return observe(lambda: WAYS[way](target, request_id="it", **given))

    expected = answered(model, ["OUTPUT0", datatype, [2, 2], values], request_id="it")
    return Case(f"datatype/{datatype}/{way}", run, expected)


def _typed(datatype: str) -> Case:
    values = SAMPLES[datatype]
    message = request(_model(datatype), typed_input("INPUT0", datatype, [2, 2], values))
    return infer(
        f"datatype/{datatype}/typed", message, answered(_model(datatype), ["OUTPUT0", datatype, [2, 2], values])
    )


def _empty(datatype: str) -> Case:
    message = request(_model(datatype), raw_input("INPUT0", datatype, [0, 3], []))
    return infer(f"datatype/{datatype}/empty", message, answered(_model(datatype), ["OUTPUT0", datatype, [0, 3], []]))


def _exact(datatype: str, values: list[Any]) -> Case:
    message = request(_model(datatype), raw_input("INPUT0", datatype, [1, len(values)], values))
    expected = answered(_model(datatype), ["OUTPUT0", datatype, [1, len(values)], values])
    return infer(f"datatype/{datatype}/exact", message, expected)


def _beyond(datatype: str, values: list[Any], name: str = "beyond") -> Case:
    """Makes a case of a value of the type that OpenVINO does not compute with."""
    message = request(_model(datatype), raw_input("INPUT0", datatype, [1, len(values)], values))
    return infer(f"datatype/{datatype}/{name}", message, refused(_BAD, "INPUT0"))


def _untypable(datatype: str, field: str, values: list[Any]) -> Case:
    """Makes a case of a type that no field holds, sent in one anyway."""
    message = request(_model(datatype), typed_input("INPUT0", datatype, [1, 2], values, field))
    return infer(f"datatype/{datatype}/typed in {field}", message, refused(_BAD, "INPUT0"))


CASES = [
    *[_round_trip(datatype, way) for datatype in DATATYPES for way in WAYS],
    *[_typed(datatype) for datatype in CONTENTS_FIELDS],
    *[_empty(datatype) for datatype in DATATYPES],
    _exact("UINT32", [4294967295, 2147483648]),
    _exact("FP16", [65504.0, -0.0, float(2**-24)]),
    _exact("FP32", [3.4028234663852886e38, 2.0**-126, 0.100000001490116119384765625]),
    _exact("FP64", [0.5, -1024.0]),
    _exact("BYTES", ["x" * 100_000, "a\x00b", "\U0001f600"]),
    _beyond("INT64", [1 << 40, 0]),
    _beyond("INT64", [0, -(1 << 63)], "lowest"),
    _beyond("UINT64", [(1 << 64) - 1, 0]),
    _beyond("BYTES", ["ends in a zero byte\x00", ""]),
    infer(
        "datatype/FP64/digits past those of FP32",
        request("identity_fp64", raw_input("INPUT0", "FP64", [1, 2], [0.1, 1e30])),
        answered("identity_fp64", ["OUTPUT0", "FP64", [1, 2], [0.10000000149011612, 1.0000000150474662e30]]),
    ),
    *[
        _untypable(datatype, field, values)
        for datatype in ("FP16", "BF16")
        for field, values in (
            ("fp32_contents", [1.0, 2.0]),
            ("uint_contents", [1, 2]),
            ("bytes_contents", ["ab", "cd"]),
        )
    ],
    infer(
        "datatype/BYTES/not UTF-8",
        request("identity_bytes", raw_input("INPUT0", "BYTES", [1, 2], [b"\xff\xfe", b"\x00\xff"])),
        answered("identity_bytes", ["OUTPUT0", "BYTES", [1, 2], ["\\xff\\xfe", "\x00\\xff"]]),
    ),
    infer(
        "datatype/BOOL/byte 2",
        request("identity_bool", raw_input("INPUT0", "BOOL", [1, 2], b"\x02\x00")),
        answered("identity_bool", ["OUTPUT0", "BOOL", [1, 2], [True, False]]),
    ),
    infer(
        "datatype/FP32/not a number",
        request("identity_fp32", raw_input("INPUT0", "FP32", [1, 3], [float("nan"), float("inf"), -float("inf")])),
        answered("identity_fp32", ["OUTPUT0", "FP32", [1, 3], ["nan", "inf", "-inf"]]),
    ),
]
