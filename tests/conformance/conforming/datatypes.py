"""The protocol's element types: how values go into raw contents and come out of them.

Knows the layout that the protocol gives; must not know messages or servers.

Format: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_grpc.md
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

NUMPY_TYPES = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}
DATATYPES = (*NUMPY_TYPES, "BF16", "BYTES")

# The field of InferTensorContents that holds each type; FP16 and BF16 have none.
CONTENTS_FIELDS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}

# Four values of each type, its extremes among them where OpenVINO computes in the type itself.
SAMPLES: dict[str, list[Any]] = {
    "BOOL": [True, False, False, True],
    "UINT8": [0, 1, 128, 255],
    "UINT16": [0, 1, 32768, 65535],
    "UINT32": [0, 1, 2, 2147483647],
    "UINT64": [0, 1, 2, 2147483647],
    "INT8": [-128, -1, 0, 127],
    "INT16": [-32768, -1, 0, 32767],
    "INT32": [-2147483648, -1, 0, 2147483647],
    "INT64": [-2147483648, -1, 0, 2147483647],
    "FP16": [-1.5, 0.0, 0.25, 1024.0],
    "BF16": [-1.5, 0.0, 0.25, 1024.0],
    "FP32": [-1.5, 0.0, 0.25, 16777216.0],
    "FP64": [-1.5, 0.0, 0.25, 16777216.0],
    "BYTES": ["one", "", "drei ü", "a\x00b"],
}


def pack(datatype: str, values: Sequence[Any]) -> bytes:
    """Gives the raw contents of a tensor with these elements."""
    if datatype == "BYTES":
        elements = [value.encode() if isinstance(value, str) else value for value in values]
        return b"".join(struct.pack("<I", len(element)) + element for element in elements)
    if datatype == "BF16":
        return b"".join(struct.pack("<f", value)[2:] for value in values)
    return np.array(values, np.dtype(NUMPY_TYPES[datatype]).newbyteorder("<")).tobytes()


def unpack(datatype: str, raw: bytes) -> list[Any]:
    """Gives the elements of raw contents as plain data: numbers, booleans, and texts for BYTES."""
    if datatype == "BYTES":
        return _unpack_elements(raw)
    if datatype == "BF16":
        return [struct.unpack("<f", b"\x00\x00" + raw[i : i + 2])[0] for i in range(0, len(raw), 2)]
    return np.frombuffer(raw, np.dtype(NUMPY_TYPES[datatype]).newbyteorder("<")).tolist()


def _unpack_elements(raw: bytes) -> list[str]:
    elements, start = [], 0
    while start < len(raw):
        (length,) = struct.unpack_from("<I", raw, start)
        start += 4 + length
        assert start <= len(raw), f"an element of {length} bytes reaches past the end of {raw!r}"
        elements.append(raw[start - length : start].decode("utf-8", "backslashreplace"))
    return elements
