"""Requests for inference that name what is not there, or leave out what is needed."""

from __future__ import annotations

from conforming.case import Case, infer
from conforming.observations import answered, refused
from conforming.requests import ones, pair, raw_input, request

TITLE = "Models, versions and inputs that are not there"

_BAD = "INVALID_ARGUMENT"
_ANSWER = ["OUTPUT0", "FP32", [1, 2], [2.0, 2.0]]
_ROW = raw_input("INPUT0", "FP32", [1, 2], [1, 1])
_INTS = [raw_input(name, "INT32", [1, 16], range(16)) for name in ("INPUT0", "INPUT1")]


def _version(version: str, code: str) -> Case:
    return infer(f"version/{version!r}", ones("batched", version=version), refused(code, version.strip() or "version"))


CASES = [
    infer("good", ones("batched"), answered("batched", _ANSWER)),
    infer("unknown model", ones("nope"), refused("NOT_FOUND", "nope")),
    infer("no model", ones(""), refused("NOT_FOUND")),
    infer("unknown model with a version", ones("nope", version="1"), refused("NOT_FOUND", "nope")),
    infer("a path as model", ones("../batched"), refused("NOT_FOUND")),
    infer("version/given", ones("batched", version="1"), answered("batched", _ANSWER)),
    infer("version/none: the highest", ones("versions"), answered("versions", ["OUTPUT0", "FP32", [1, 2], [20.0, 20.0]], version="2")),
    infer("version/lower one", ones("versions", version="1"), answered("versions", ["OUTPUT0", "FP32", [1, 2], [10.0, 10.0]])),
    infer("version/leading zeros", ones("versions", version="0001"), answered("versions", ["OUTPUT0", "FP32", [1, 2], [10.0, 10.0]])),
    _version("7", "NOT_FOUND"),
    _version("0", "NOT_FOUND"),
    _version("abc", _BAD),
    _version("-1", _BAD),
    _version("\u0661", _BAD),
    _version("99999999999999999999", _BAD),
    *[_version(version, _BAD) for version in ("1.0", "1abc", "+1", " 1")],
    infer("input/unknown", request("batched", raw_input("NOPE", "FP32", [1, 2], [1, 1])), refused(_BAD, "NOPE")),
    infer("input/one too many", request("batched", _ROW, raw_input("NOPE", "FP32", [1, 2], [1, 1])), refused(_BAD, "NOPE")),
    infer("input/none", request("batched"), refused(_BAD, "INPUT0")),
    infer("input/one of two", request("simple", _INTS[0]), refused(_BAD, "INPUT1")),
    infer("input/twice", request("batched", _ROW, _ROW), refused(_BAD, "INPUT0")),
    infer("input/no name", request("batched", raw_input("", "FP32", [1, 2], [1, 1])), refused(_BAD)),
    infer("input/name in another case", request("batched", raw_input("input0", "FP32", [1, 2], [1, 1])), refused(_BAD, "input0")),
    infer(
        "input/other order",
        request("simple", raw_input("INPUT1", "INT32", [1, 16], [1] * 16), _INTS[0]),
        answered("simple", ["OUTPUT0", "INT32", [1, 16], [*range(1, 17)]], ["OUTPUT1", "INT32", [1, 16], [*range(-1, 15)]]),
    ),
    infer("datatype/another type", request("batched", raw_input("INPUT0", "INT32", [1, 2], [1, 1])), refused(_BAD, "INPUT0", "INT32", "FP32")),
    *[
        infer(
            f"datatype/{word!r}",
            request("batched", raw_input("INPUT0", word, [1, 2], bytes(8))),
            refused(_BAD, "INPUT0"),
        )
        for word in ("FLOAT", "fp32", "TYPE_FP32", "")
    ],
    infer(
        "datatype/STRING for BYTES",
        request("identity_bytes", raw_input("INPUT0", "STRING", [1, 1], b"\x01\x00\x00\x00a")),
        refused(_BAD, "INPUT0"),
    ),
    infer("id", pair(request_id="an id, ü"), answered(
        "simple", ["OUTPUT0", "INT32", [1, 16], [*range(1, 17)]], ["OUTPUT1", "INT32", [1, 16], [*range(-1, 15)]],
        request_id="an id, ü")),
]  # fmt: skip
