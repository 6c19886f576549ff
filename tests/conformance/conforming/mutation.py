"""Requests for inference gone wrong: valid ones, with fields changed or with bytes changed. Pure functions of a seed.

Knows the message; must not know servers or what they should answer.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from tritonclient.grpc import service_pb2 as pb

from conforming.datatypes import CONTENTS_FIELDS, DATATYPES, SAMPLES, pack
from conforming.requests import Output, Uint, ones, pair, raw_input, request, set_parameters, texts, typed_input

Message = pb.ModelInferRequest

_MODELS = ["batched", "simple", "scores", "versions", "text", *(f"identity_{one.lower()}" for one in DATATYPES)]
_NAMES = [
    *_MODELS,
    "",
    "nope",
    "../batched",
    "INPUT0",
    "INPUT1",
    "OUTPUT0",
    "SCORES",
    "TEXT",
    "LABEL",
    "input_ids",
    "x" * 5000,
    "\x00",
]
_VERSIONS = ["", "0", "1", "2", "7", "-1", "abc", "1.0", " 1", "99999999999999999999", "9223372036854775807", "٣"]
_WORDS = [*DATATYPES, "", "FLOAT", "fp32", "STRING", "TYPE_FP32"]
_SIZES = [0, 1, 2, 3, 4, 8, 9, 16, 17, 1000, -1, -2, 1 << 31, 1 << 32, 1 << 40, 1 << 62, (1 << 63) - 1, -(1 << 63)]
_KEYS = [
    *"priority timeout classification sequence_id sequence_start sequence_end binary_data shared_memory_region".split(),
    *"shared_memory_byte_size long_text_policy version_label routing_key triton_enable_empty_final_response".split(),
    *("triton_x", "mine", "", "headers"),
]
_VALUES = [0, 1, 2, -1, 5, (1 << 63) - 1, -(1 << 63), True, False, "", "a", "error", "truncate", "windows", 0.5,
           float("nan"), float("inf"), Uint(3), Uint((1 << 64) - 1), None]  # fmt: skip
_MOST_MUTATIONS = 4
_MOST_ELEMENTS = 1024


def seed_messages() -> list[Message]:
    """Gives the valid requests that mutations begin with."""
    messages = [
        ones("batched"),
        ones("batched", 5, 7, request_id="five", parameters={"priority": 1, "timeout": 1_000_000, "mine": "a"}),
        ones("versions", version="1"),
        pair(outputs=["OUTPUT1"]),
        texts("good", "not bad"),
        texts(
            "the film",
            outputs=["LABEL", Output("SCORES", {"classification": 1})],
            parameters={"long_text_policy": "truncate"},
        ),
        request("text", typed_input("TEXT", "BYTES", [1, 1], ["bad film"])),
        request(
            "scores", raw_input("INPUT0", "FP32", [2, 4], range(8)), outputs=[Output("SCORES", {"classification": 3})]
        ),
    ]
    for datatype in DATATYPES:
        messages.append(
            request(f"identity_{datatype.lower()}", raw_input("INPUT0", datatype, [2, 2], SAMPLES[datatype]))
        )
    for datatype in CONTENTS_FIELDS:
        messages.append(
            request(f"identity_{datatype.lower()}", typed_input("INPUT0", datatype, [4, 1], SAMPLES[datatype]))
        )
    return messages


def mutate(seeds: Sequence[Message], seed: int, number: int) -> bytes:
    """Gives one mutated request: the same for the same seeds, seed and number."""
    chance = random.Random(f"{seed}/{number}")
    message = Message()
    message.CopyFrom(chance.choice(seeds))
    if chance.random() < 0.7:
        for _ in range(chance.randint(1, _MOST_MUTATIONS)):
            chance.choice(_FIELD_MUTATIONS)(message, chance)
    data = message.SerializeToString()
    if chance.random() < 0.4:
        changed = bytearray(data)
        for _ in range(chance.randint(1, _MOST_MUTATIONS)):
            chance.choice(_BYTE_MUTATIONS)(changed, chance)
        data = bytes(changed)
    return data


def _change_name(message: Message, chance: random.Random) -> None:
    what = chance.choice(["model_name", "model_version", "id"])
    value = chance.choice(_VERSIONS if what == "model_version" else _NAMES)
    setattr(message, what, value)


def _change_input(message: Message, chance: random.Random) -> None:
    if message.inputs:
        tensor = chance.choice(message.inputs)
        if chance.random() < 0.5:
            tensor.datatype = chance.choice(_WORDS)
        else:
            tensor.name = chance.choice(_NAMES)


def _change_shape(message: Message, chance: random.Random) -> None:
    if not message.inputs:
        return
    shape = chance.choice(message.inputs).shape
    kind = chance.randrange(4)
    if kind == 0 or not shape:
        shape.extend([chance.choice(_SIZES)] * chance.choice([1, 1, 1, 40]))
    elif kind == 1:
        del shape[chance.randrange(len(shape))]
    elif kind == 2:
        shape[chance.randrange(len(shape))] = chance.choice(_SIZES)
    else:
        shape[:] = [chance.choice(_SIZES) for _ in range(chance.randint(0, 5))]


def _remake(message: Message, chance: random.Random) -> None:
    """Gives an input another shape, and the elements for it."""
    if not message.inputs or len(message.raw_input_contents) != len(message.inputs):
        return
    index = chance.randrange(len(message.inputs))
    tensor = message.inputs[index]
    if tensor.datatype in SAMPLES:
        sizes = _SIZES if chance.random() < 0.1 else [0, 1, 2, 3, 5, 8, 16]
        tensor.shape[:] = [chance.choice(sizes) for _ in tensor.shape]
        values = [chance.choice(SAMPLES[tensor.datatype]) for _ in range(min(_MOST_ELEMENTS, math.prod(tensor.shape)))]
        message.raw_input_contents[index] = pack(tensor.datatype, values)


def _change_raw(message: Message, chance: random.Random) -> None:
    contents = message.raw_input_contents
    kind = chance.randrange(4)
    if kind == 0 or not contents:
        contents.append(chance.randbytes(chance.choice([0, 1, 4, 8, 16, 64, 1000])))
    elif kind == 1:
        del contents[chance.randrange(len(contents))]
    else:
        index = chance.randrange(len(contents))
        changed = bytearray(contents[index])
        chance.choice(_BYTE_MUTATIONS)(changed, chance)
        contents[index] = bytes(changed)


def _change_typed(message: Message, chance: random.Random) -> None:
    if not message.inputs:
        return
    contents = chance.choice(message.inputs).contents
    datatype = chance.choice(list(CONTENTS_FIELDS))
    field = getattr(contents, CONTENTS_FIELDS[datatype])
    if len(field) and chance.random() < 0.5:
        del field[chance.randrange(len(field)) :]
    else:
        values = [one.encode() if isinstance(one, str) else one for one in SAMPLES[datatype]]
        field.extend(values[: chance.randint(1, 4)])


def _change_number(message: Message, chance: random.Random) -> None:
    """Adds an input or output that is there, or takes one away, or turns their order round."""
    tensors: Any = chance.choice([message.inputs, message.outputs])
    kind = chance.randrange(3)
    if not tensors:
        message.outputs.add(name=chance.choice(_NAMES))
    elif kind == 0:
        tensors.add().CopyFrom(chance.choice(tensors))
    elif kind == 1:
        del tensors[chance.randrange(len(tensors))]
    else:
        turned = [type(one).FromString(one.SerializeToString()) for one in reversed(tensors)]
        del tensors[:]
        tensors.extend(turned)


def _change_parameters(message: Message, chance: random.Random) -> None:
    places = [message, *message.inputs, *message.outputs]
    set_parameters(chance.choice(places).parameters, {chance.choice(_KEYS): chance.choice(_VALUES)})


def _flip(data: bytearray, chance: random.Random) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _overwrite(data: bytearray, chance: random.Random) -> None:
    if data:
        start = chance.randrange(len(data))
        data[start : start + 4] = chance.choice([b"\xff\xff\xff\xff", bytes(4), b"\x7f", chance.randbytes(4)])


def _insert(data: bytearray, chance: random.Random) -> None:
    start = chance.randint(0, len(data))
    data[start:start] = chance.randbytes(chance.randint(1, 8))


def _cut(data: bytearray, chance: random.Random) -> None:
    if data:
        start = chance.randrange(len(data))
        del data[start : start + chance.choice([1, 2, 4, len(data)])]


def _repeat(data: bytearray, chance: random.Random) -> None:
    if data:
        start = chance.randrange(len(data))
        piece = data[start : start + chance.randint(1, 32)]
        data[start:start] = piece * chance.choice([1, 1, 2, 20])


_FIELD_MUTATIONS: list[Callable[[Message, random.Random], None]] = [
    _change_name,
    _change_input,
    _change_shape,
    _change_shape,
    _remake,
    _remake,
    _change_raw,
    _change_raw,
    _change_typed,
    _change_number,
    _change_parameters,
]
_BYTE_MUTATIONS: list[Callable[[bytearray, random.Random], None]] = [_flip, _flip, _overwrite, _insert, _cut, _repeat]
