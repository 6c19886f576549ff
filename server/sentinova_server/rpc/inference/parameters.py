"""The parameters of an inference request: what each may be, and what it means. Pure functions.

Knows their names and types, which are Triton's where Triton has them; must not know what is done with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sentinova_server.errors import Reason, ServingError
from sentinova_server.rpc.inference import grpc_service_pb2 as pb
from sentinova_server.serving.analysis import LongText

_RESERVED = "triton_"
EMPTY_FINAL = "triton_enable_empty_final_response"
FINAL = "triton_final_response"
CLASSIFICATION = "classification"

# Types that are checked, and no more is done with them: this server has no models with sequences.
_SEQUENCE = {
    "sequence_id": ("int64_param", "string_param"),
    "sequence_start": ("bool_param",),
    "sequence_end": ("bool_param",),
}
_LONG_TEXT = {policy.value: policy for policy in LongText}
_MAX_KEY_BYTES = 256

Parameters = Mapping[str, pb.InferParameter]


@dataclass(frozen=True, slots=True)
class InferParameters:
    """What a request asks for beside its tensors.

    Attributes:
        priority: level, 1 the highest; 0: the model's default.
        timeout: seconds that it may take; None: until the call's deadline.
        long_text: what happens to a text of more tokens than the model reads.
        label: the version's label, where no number is given.
        key: requests with the same key get the same version where weights choose; may be empty.
    """

    priority: int = 0
    timeout: float | None = None
    long_text: LongText = LongText.ERROR
    label: str = ""
    key: str = ""


def read_parameters(parameters: Parameters) -> InferParameters:
    """Reads the parameters of a request; those unknown mean nothing, as in Triton.

    Raises:
        ServingError: INVALID_FIELD; names the parameter.
    """
    for name, value in parameters.items():
        if name == EMPTY_FINAL:
            _take(name, value, "bool_param")
        elif name.startswith(_RESERVED):
            raise _refuse(name, f"is reserved: of the names with {_RESERVED!r}, requests may use {EMPTY_FINAL}")
        elif name in _SEQUENCE:
            _take(name, value, *_SEQUENCE[name])
    timeout = _take_number(parameters, "timeout", "int64_param")
    policy = _take_text(parameters, "long_text_policy") or LongText.ERROR.value
    if policy not in _LONG_TEXT:
        raise _refuse("long_text_policy", f"is {policy!r}; it must be one of {sorted(_LONG_TEXT)}")
    key = _take_text(parameters, "routing_key")
    if len(key.encode()) > _MAX_KEY_BYTES:
        raise _refuse("routing_key", f"has more than {_MAX_KEY_BYTES} bytes: shorten it")
    return InferParameters(
        priority=_take_number(parameters, "priority", "int64_param", "uint64_param"),
        timeout=timeout / 1e6 if timeout else None,
        long_text=_LONG_TEXT[policy],
        label=_take_text(parameters, "version_label"),
        key=key,
    )


def read_classes(output: str, parameters: Parameters) -> int:
    """Gives how many of the best classes of an output are asked for; 0: the output itself is.

    Raises:
        ServingError: INVALID_FIELD; names the output.
    """
    if "shared_memory_region" in parameters:
        message = f"output {output!r} is to go to shared memory, which this server does not write: read the reply"
        raise ServingError(Reason.NOT_SUPPORTED, message, field=f"outputs[{output!r}]")
    if CLASSIFICATION not in parameters:
        return 0
    value = parameters[CLASSIFICATION]
    if value.WhichOneof("parameter_choice") != "int64_param" or value.int64_param < 1:
        message = f"output {output!r}: parameter {CLASSIFICATION!r} must be an int64_param of 1 or more"
        raise ServingError(Reason.INVALID_FIELD, message, field=f"outputs[{output!r}].parameters[{CLASSIFICATION!r}]")
    return int(value.int64_param)


def _take_number(parameters: Parameters, name: str, *kinds: str) -> int:
    if name not in parameters:
        return 0
    number = int(_take(name, parameters[name], *kinds))
    if number < 0:
        raise _refuse(name, f"is {number}; it must be 0 or more")
    return number


def _take_text(parameters: Parameters, name: str) -> str:
    return str(_take(name, parameters[name], "string_param")) if name in parameters else ""


def _take(name: str, value: pb.InferParameter, *kinds: str) -> int | str | bool | float:
    found = value.WhichOneof("parameter_choice")
    if found not in kinds:
        raise _refuse(name, f"is {found or 'not set'}; it must be {' or '.join(kinds)}")
    taken: int | str | bool | float = getattr(value, found)
    return taken


def _refuse(name: str, problem: str) -> ServingError:
    return ServingError(Reason.INVALID_FIELD, f"parameter {name!r} {problem}", field=f"parameters[{name!r}]")
