"""Parameters of requests: those with a meaning, those that are reserved, and a client's own."""

from __future__ import annotations

from typing import Any

from conforming.case import Case, infer
from conforming.clients import client_input, infer_sync
from conforming.observations import Observation, answered, observe, refused
from conforming.requests import Uint, ones
from conforming.targets import Target

TITLE = "Parameters"

_BAD = "INVALID_ARGUMENT"
_GOOD = answered("batched", ["OUTPUT0", "FP32", [1, 2], [2.0, 2.0]])


def _passes(name: str, **parameters: Any) -> Case:
    return infer(f"parameter/{name}", ones("batched", parameters=parameters), _GOOD)


def _fails(name: str, **parameters: Any) -> Case:
    return infer(f"parameter/{name}", ones("batched", parameters=parameters), refused(_BAD, *parameters))


def _ask_client(target: Target) -> Observation:
    given = [client_input("INPUT0", "FP32", [1, 2], [1.0, 1.0])]
    more = {"priority": 1, "timeout": 20_000_000, "parameters": {"mine": "a", "count": 3, "flag": True, "share": 0.5}}
    return observe(lambda: infer_sync(target, model_name="batched", inputs=given, **more))


CASES = [
    _passes("priority/1", priority=1),
    _passes("priority/0: the default", priority=0),
    _passes("priority/5, of a model without levels", priority=5),
    _passes("priority/uint64", priority=Uint(1)),
    _fails("priority/negative", priority=-1),
    _fails("priority/string", priority="1"),
    _fails("priority/bool", priority=True),
    _fails("priority/double", priority=1.0),
    _fails("priority/no value", priority=None),
    _passes("timeout/0: none", timeout=0),
    _passes("timeout/long", timeout=20_000_000),
    _passes("timeout/longest", timeout=(1 << 63) - 1),
    _fails("timeout/negative", timeout=-1),
    _fails("timeout/string", timeout="5"),
    _fails("timeout/bool", timeout=True),
    _fails("timeout/double", timeout=1.0),
    _fails("timeout/uint64", timeout=Uint(5)),
    _fails("timeout/no value", timeout=None),
    _passes("own/int", mine=1),
    _passes("own/string", mine="a"),
    _passes("own/bool", mine=True),
    _passes("own/double", mine=0.5),
    _passes("own/uint64", mine=Uint(1)),
    _passes("own/no value", mine=None),
    _passes("binary_data_output", binary_data_output=True),
    _fails("reserved/triton_x", triton_x=1),
    _fails("reserved/triton_", triton_="a"),
    _fails("reserved/triton_final_response", triton_final_response=True),
    _passes("triton_enable_empty_final_response/true", triton_enable_empty_final_response=True),
    _passes("triton_enable_empty_final_response/false", triton_enable_empty_final_response=False),
    _fails("triton_enable_empty_final_response/int", triton_enable_empty_final_response=1),
    _passes("sequence/number", sequence_id=5, sequence_start=True, sequence_end=True),
    _passes("sequence/string", sequence_id="five"),
    _fails("sequence/bool", sequence_id=True),
    _fails("sequence/start as int", sequence_start=1),
    _fails("sequence/end as string", sequence_end="x"),
    Case("parameter/client", _ask_client, _GOOD),
]
