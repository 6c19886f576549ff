"""Where the elements of inputs are: raw contents and typed contents, too few and too many."""

from __future__ import annotations

from typing import Any

from conforming.case import Case, infer
from conforming.datatypes import pack
from conforming.observations import answered, digest, refused
from conforming.requests import Input, InputTensor, bare_input, raw_input, request, typed_input

TITLE = "Contents"

_BAD = refused("INVALID_ARGUMENT", "INPUT0")
_GOOD = answered("batched", ["OUTPUT0", "FP32", [1, 2], [2.0, 4.0]])
_FLOATS = pack("FP32", [1, 2])


def _raw(name: str, contents: bytes, expected: Any = _BAD) -> Case:
    return infer(f"contents/raw/{name}", request("batched", raw_input("INPUT0", "FP32", [1, 2], contents)), expected)


def _typed(name: str, values: list[Any], field: str = "", expected: Any = _BAD) -> Case:
    message = request("batched", typed_input("INPUT0", "FP32", [1, 2], values, field))
    return infer(f"contents/typed/{name}", message, expected)


def _range(datatype: str, values: list[int]) -> Case:
    """Makes a case of a number that its field holds and its type does not."""
    message = request(f"identity_{datatype.lower()}", typed_input("INPUT0", datatype, [1, len(values)], values))
    return infer(f"contents/typed/{datatype} out of range", message, _BAD)


def _bytes(name: str, contents: bytes) -> Case:
    """Makes a case of raw contents that are not two elements of BYTES."""
    message = request("identity_bytes", raw_input("INPUT0", "BYTES", [1, 2], contents))
    return infer(f"contents/BYTES/{name}", message, _BAD)


def _two_fields() -> Input:
    tensor = typed_input("INPUT0", "FP32", [1, 2], [1.0, 2.0]).tensor
    tensor.contents.int_contents.append(1)
    return Input(tensor, None)


def _both() -> Input:
    return Input(typed_input("INPUT0", "FP32", [1, 2], [1.0, 2.0]).tensor, _FLOATS)


def _empty_contents(model: str, shape: list[int]) -> Any:
    tensor = InputTensor(name="INPUT0", datatype="FP32", shape=shape)
    tensor.contents.SetInParent()
    return request(model, Input(tensor, None))


def _mixed(first_raw: bool) -> Any:
    inputs = [typed_input("INPUT0", "INT32", [1, 16], range(16)), raw_input("INPUT1", "INT32", [1, 16], range(16))]
    return (
        request("simple", *inputs)
        if not first_raw
        else request("simple", inputs[0], more_raw=[b"", inputs[1].raw or b""])
    )


_INTS = [raw_input(name, "INT32", [1, 16], range(16)) for name in ("INPUT0", "INPUT1")]

CASES = [
    infer("contents/none", request("batched", bare_input("INPUT0", "FP32", [1, 2])), _BAD),
    _raw("good", _FLOATS, _GOOD),
    _raw("too short", _FLOATS[:4]),
    _raw("too long", _FLOATS + bytes(4)),
    _raw("empty", b""),
    _raw("not whole elements", _FLOATS[:7]),
    infer("contents/raw/one of two", request("simple", _INTS[0], Input(_INTS[1].tensor, None)), refused("INVALID_ARGUMENT")),
    infer("contents/raw/more than inputs", request("batched", raw_input("INPUT0", "FP32", [1, 2], [1, 2]), more_raw=[_FLOATS]), refused("INVALID_ARGUMENT")),
    infer("contents/raw/without inputs", request("batched", more_raw=[_FLOATS]), refused("INVALID_ARGUMENT")),
    infer("contents/raw and typed", request("batched", _both()), _BAD),
    infer("contents/one raw, one typed", _mixed(False), refused("INVALID_ARGUMENT")),
    infer("contents/one raw, one typed, an empty one between", _mixed(True), refused("INVALID_ARGUMENT")),
    _typed("good", [1.0, 2.0], expected=_GOOD),
    _typed("too few", [1.0]),
    _typed("too many", [1.0, 2.0, 3.0]),
    _typed("in int_contents", [1, 2], "int_contents"),
    _typed("in fp64_contents", [1.0, 2.0], "fp64_contents"),
    _typed("in bytes_contents", [b"1234", b"5678"], "bytes_contents"),
    infer("contents/typed/in two fields", request("batched", _two_fields()), _BAD),
    infer("contents/typed/no element", _empty_contents("batched", [1, 2]), _BAD),
    infer("contents/typed/no element wanted", _empty_contents("identity_fp32", [0, 2]), answered("identity_fp32", ["OUTPUT0", "FP32", [0, 2], []])),
    infer("contents/none, no element wanted", request("batched", bare_input("INPUT0", "FP32", [1, 0])), answered("batched", ["OUTPUT0", "FP32", [1, 0], []])),
    _range("UINT8", [256, 1]),
    _range("UINT16", [65536, 1]),
    _range("INT8", [200, -200]),
    _range("INT16", [32768, 0]),
    _bytes("cut in a length", b"\x01\x00"),
    _bytes("length past the end", b"\x05\x00\x00\x00ab"),
    _bytes("greatest length", b"\xff\xff\xff\xffab"),
    _bytes("too few elements", pack("BYTES", ["a"])),
    _bytes("too many elements", pack("BYTES", ["a", "b", "c"])),
    _bytes("empty", b""),
    _bytes("bytes after the last element", pack("BYTES", ["a", "b"]) + b"x"),
    infer("contents/BYTES/typed, too few", request("identity_bytes", typed_input("INPUT0", "BYTES", [1, 2], ["a"])), _BAD),
    infer("contents/BYTES/typed, too many", request("identity_bytes", typed_input("INPUT0", "BYTES", [1, 2], ["a", "b", "c"])), _BAD),
    infer(
        "contents/8 MB",
        request("identity_uint8", raw_input("INPUT0", "UINT8", [8, 1_000_000], bytes(8_000_000)), outputs=["OUTPUT0"]),
        answered("identity_uint8", ["OUTPUT0", "UINT8", [8, 1_000_000], digest(bytes(8_000_000))]),
    ),
]  # fmt: skip
