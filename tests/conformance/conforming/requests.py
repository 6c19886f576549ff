"""Requests for inference, well-formed or not, in few words.

Knows the messages; must not know servers or answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tritonclient.grpc import service_pb2 as pb

from conforming.datatypes import CONTENTS_FIELDS, pack

InputTensor = pb.ModelInferRequest.InferInputTensor


class Uint(NamedTuple):
    """A parameter sent as uint64_param."""

    value: int


class Input(NamedTuple):
    """An input with its raw contents; None: it has none."""

    tensor: Any
    raw: bytes | None


class Output(NamedTuple):
    """A requested output with parameters."""

    name: str
    parameters: Mapping[str, Any]


def raw_input(
    name: str,
    datatype: str,
    shape: Sequence[int],
    values: Sequence[Any] | bytes,
    parameters: Mapping[str, Any] | None = None,
) -> Input:
    """Makes an input whose elements are sent as raw contents; `values` may be the contents themselves."""
    tensor = InputTensor(name=name, datatype=datatype, shape=shape)
    set_parameters(tensor.parameters, parameters or {})
    return Input(tensor, values if isinstance(values, bytes) else pack(datatype, values))


def typed_input(name: str, datatype: str, shape: Sequence[int], values: Sequence[Any], field: str = "") -> Input:
    """Makes an input whose elements are sent in the field for its type, or in another."""
    tensor = InputTensor(name=name, datatype=datatype, shape=shape)
    tensor.contents.SetInParent()
    elements = [value.encode() if isinstance(value, str) else value for value in values]
    getattr(tensor.contents, field or CONTENTS_FIELDS[datatype]).extend(elements)
    return Input(tensor, None)


def bare_input(name: str, datatype: str, shape: Sequence[int], parameters: Mapping[str, Any] | None = None) -> Input:
    """Makes an input without contents of any kind."""
    tensor = InputTensor(name=name, datatype=datatype, shape=shape)
    set_parameters(tensor.parameters, parameters or {})
    return Input(tensor, None)


def request(
    model: str,
    *inputs: Input,
    outputs: Iterable[str | Output] = (),
    parameters: Mapping[str, Any] | None = None,
    more_raw: Sequence[bytes] = (),
    version: str = "",
    request_id: str = "",
) -> pb.ModelInferRequest:
    """Makes a request; `more_raw` are raw contents without an input."""
    message = pb.ModelInferRequest(model_name=model, model_version=version, id=request_id)
    set_parameters(message.parameters, parameters or {})
    for one in inputs:
        message.inputs.append(one.tensor)
        if one.raw is not None:
            message.raw_input_contents.append(one.raw)
    message.raw_input_contents.extend(more_raw)
    for wanted in outputs:
        output = Output(wanted, {}) if isinstance(wanted, str) else wanted
        set_parameters(message.outputs.add(name=output.name).parameters, output.parameters)
    return message


def set_parameters(target: Any, values: Mapping[str, Any]) -> None:
    """Sets parameters, each in the field of its Python type; None leaves the choice unset."""
    for name, value in values.items():
        if value is None:
            target[name].SetInParent()
        elif isinstance(value, Uint):
            target[name].uint64_param = value.value
        else:
            kind = {bool: "bool", int: "int64", str: "string", float: "double", bytes: "bytes"}[type(value)]
            setattr(target[name], f"{kind}_param", value)


def get_parameters(source: Any) -> dict[str, Any]:
    """Gives parameters as plain data."""
    return {name: getattr(value, str(value.WhichOneof("parameter_choice"))) for name, value in sorted(source.items())}


def ones(model: str, rows: int = 1, width: int = 2, value: float = 1.0, **more: Any) -> pb.ModelInferRequest:
    """Makes a good request of a model that takes floats as INPUT0."""
    return request(model, raw_input("INPUT0", "FP32", [rows, width], [value] * (rows * width)), **more)


def pair(**more: Any) -> pb.ModelInferRequest:
    """Makes a good request of `simple`."""
    inputs = [raw_input("INPUT0", "INT32", [1, 16], range(16)), raw_input("INPUT1", "INT32", [1, 16], [1] * 16)]
    return request("simple", *inputs, **more)


def texts(*values: str | bytes, shape: Sequence[int] | None = None, **more: Any) -> pb.ModelInferRequest:
    """Makes a request of `text`."""
    return request("text", raw_input("TEXT", "BYTES", shape or [len(values), 1], values), **more)
