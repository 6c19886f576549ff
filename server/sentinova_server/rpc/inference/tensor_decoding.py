"""From the tensors of a request to arrays, each checked first. Pure functions.

Knows the wire format of tensors; must not know models, beyond what their inputs are.

Format: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_grpc.md (raw tensor
data: elements in row-major order, little endian; BYTES as a 4-byte length before each element), and Triton's rules.

What a client claims costs nothing here: sizes are compared before anything is allocated by them.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from sentinova_server.errors import Reason, ServingError
from sentinova_server.rpc.inference import grpc_service_pb2 as pb
from sentinova_server.runtime.tensors import BF16, BYTES, NUMPY_TYPES, Tensor, TensorSpec
from sentinova_server.runtime.token_rows import refuse_tensor

# Which field of `InferTensorContents` holds the elements of a type. FP16 and BF16 have none: they come raw.
_TYPED_FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}
_LENGTH = struct.Struct("<I")
_SHARED_MEMORY = "shared_memory_region"
# More than any message has room for, unless another dimension is 0; libraries fail on the largest 64-bit numbers.
_MOST_SIZE = (1 << 31) - 1

InputTensor = pb.ModelInferRequest.InferInputTensor


def decode_inputs(
    request: pb.ModelInferRequest, specs: Sequence[TensorSpec], *, optional: Collection[str] = ()
) -> dict[str, Tensor]:
    """Gives the tensors of a request by name.

    Args:
        request: the request.
        specs: the inputs of the model.
        optional: names of inputs that may be left out.

    Raises:
        ServingError: INVALID_FIELD; names the tensor and what is wrong with it. NOT_SUPPORTED: shared memory.
    """
    by_name = {spec.name: spec for spec in specs}
    _check_names([tensor.name for tensor in request.inputs], by_name, optional)
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise ServingError(
            Reason.INVALID_FIELD,
            f"raw_input_contents has {len(raw)} elements for {len(request.inputs)} inputs: send one for each input, or "
            "none and `contents` in each",
            field="raw_input_contents",
        )
    tensors = {}
    for index, tensor in enumerate(request.inputs):
        shape = _check_tensor(tensor, by_name[tensor.name])
        if raw:
            if tensor.HasField("contents"):
                raise refuse_tensor(tensor.name, "has contents, and raw_input_contents too: send one of the two")
            flat = _decode_raw(tensor.name, tensor.datatype, math.prod(shape), raw[index])
        else:
            flat = _decode_typed(tensor, math.prod(shape))
        try:
            tensors[tensor.name] = flat.reshape(shape)
        except ValueError:  # no elements, and other dimensions beyond what an array may have
            raise refuse_tensor(tensor.name, f"has shape {list(shape)}, which is too large") from None
    return tensors


def _check_names(names: Sequence[str], known: Mapping[str, TensorSpec], optional: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise refuse_tensor(name, f"is not one that the model has: {sorted(known)}")
        if names.count(name) > 1:
            raise refuse_tensor(name, "comes more than once")
    missing = [name for name in known if name not in names and name not in optional]
    if missing:
        raise refuse_tensor(missing[0], f"is missing; the request has {list(names)}")


def _check_tensor(tensor: InputTensor, spec: TensorSpec) -> tuple[int, ...]:
    """Checks what a tensor says of itself; gives its shape."""
    if _SHARED_MEMORY in tensor.parameters:
        raise ServingError(
            Reason.NOT_SUPPORTED,
            f"input {spec.name!r} is in shared memory, which this server does not read: send its contents",
            field=f"inputs[{spec.name!r}]",
        )
    if tensor.datatype != spec.datatype:
        raise refuse_tensor(spec.name, f"has datatype {tensor.datatype!r}; the model takes {spec.datatype!r}")
    shape = tuple(tensor.shape)
    if max(shape, default=0) > _MOST_SIZE:
        raise refuse_tensor(spec.name, f"has shape {list(shape)}; a dimension may be {_MOST_SIZE:,} at most")
    fits = len(shape) == len(spec.shape) and all(
        size == own or (own == -1 and size >= 0) for size, own in zip(shape, spec.shape, strict=True)
    )
    if not fits:
        raise refuse_tensor(
            spec.name, f"has shape {list(shape)}; the model takes {list(spec.shape)}, where -1 is any size from 0"
        )
    return shape


def _decode_raw(name: str, datatype: str, count: int, data: bytes) -> Tensor:
    if datatype == BYTES:
        return _to_objects(_split_bytes(name, count, data))
    dtype = NUMPY_TYPES[datatype]
    if len(data) != count * dtype.itemsize:
        raise refuse_tensor(
            name, f"has {len(data):,} bytes; {count:,} elements of {datatype} take {count * dtype.itemsize:,}"
        )
    if datatype == "BOOL":
        # Any byte but 0 is true; an array of truths with other bytes in it is not one.
        truths: Tensor = np.frombuffer(data, np.uint8) != 0
        return truths
    return np.frombuffer(data, dtype.newbyteorder("<"))


def _split_bytes(name: str, count: int, data: bytes) -> list[bytes]:
    # Each element has its length before it, so a claim of more than that is known to be wrong before it is looked at.
    if count * _LENGTH.size > len(data):
        raise refuse_tensor(name, f"has {len(data):,} bytes, too few for {count:,} elements with a length before each")
    elements: list[bytes] = []
    position = 0
    while position < len(data):
        start = position + _LENGTH.size
        if len(elements) == count:
            raise refuse_tensor(name, f"has more than its {count:,} elements: {len(data) - position:,} bytes are left")
        if start > len(data):
            raise refuse_tensor(name, f"ends within the length of element {len(elements)}")
        [length] = _LENGTH.unpack_from(data, position)
        position = start + length
        if position > len(data):
            raise refuse_tensor(
                name,
                f"element {len(elements)} is said to have {length:,} bytes, and {len(data) - start:,} are left",
            )
        elements.append(data[start:position])
    if len(elements) != count:
        raise refuse_tensor(name, f"has {len(elements):,} elements; its shape says {count:,}")
    return elements


def _decode_typed(tensor: InputTensor, count: int) -> Tensor:
    expected = _TYPED_FIELDS.get(tensor.datatype)
    if expected is None:
        raise refuse_tensor(
            tensor.name, f"has no contents: {tensor.datatype} has no typed field: send raw_input_contents"
        )
    for found, _ in tensor.contents.ListFields():
        if found.name != expected:
            raise refuse_tensor(
                tensor.name, f"has contents.{found.name}; elements of {tensor.datatype} go into contents.{expected}"
            )
    elements = getattr(tensor.contents, expected)
    if len(elements) != count:
        raise refuse_tensor(
            tensor.name, f"has {len(elements):,} elements in contents.{expected}; its shape says {count:,}"
        )
    if tensor.datatype == BYTES:
        return _to_objects(list(elements))
    try:
        return np.array(elements, NUMPY_TYPES[tensor.datatype])
    except OverflowError:
        raise refuse_tensor(tensor.name, f"holds a number that is no {tensor.datatype}") from None


def _to_objects(elements: Sequence[bytes]) -> Tensor:
    # Element by element, as numpy would take an array of texts of one length for one of characters.
    array = np.empty(len(elements), np.object_)
    array[:] = elements
    return array


def encode_tensor(datatype: str, tensor: Tensor) -> bytes:
    """Gives the raw form of an output."""
    if datatype == BYTES:
        return b"".join(_LENGTH.pack(len(element)) + element for element in tensor.flat)
    dtype = NUMPY_TYPES[BF16 if datatype == BF16 else datatype]
    return np.ascontiguousarray(tensor, dtype.newbyteorder("<")).tobytes()
