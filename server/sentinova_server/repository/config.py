"""The configuration of a model: `config.pbtxt` parsed, checked and given defaults.

Knows the file's fields (protos/inference/model_config.proto); must not know the model files beside it.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from google.protobuf import text_format

from sentinova_server.errors import LoadError
from sentinova_server.repository import model_config_pb2
from sentinova_server.repository.config_parameters import Precision, Refuse, parse_parameters
from sentinova_server.repository.policy import All, Latest, Specific, VersionPolicy
from sentinova_server.repository.traffic import Traffic

__all__ = [
    "BACKENDS",
    "CONFIG_FILE",
    "LABELS_FILE",
    "ModelConfig",
    "Precision",
    "TensorConfig",
    "parse_config",
    "read_config",
    "read_config_text",
]

CONFIG_FILE = "config.pbtxt"
BACKENDS = ("", "openvino")
LABELS_FILE = "labels.txt"
_MAX_PRIORITY_LEVELS = 100
# What a loaded version does not depend on, or not as a whole: only what is said of that version counts.
_NOT_SERVED = frozenset({"version_policy", "traffic", "keep_previous", "temperatures", "precisions"})

# `TYPE_FP32` -> `FP32`: the names that KServe v2 gives to element types, but for STRING, which it calls BYTES.
_DATATYPE_PREFIX = "TYPE_"


@dataclass(frozen=True, slots=True)
class TensorConfig:
    """An input or output as the config declares it.

    Attributes:
        name: its name in the model file.
        datatype: its element type in KServe v2 words ("INT64"); empty: not declared.
        dims: its dimensions without the batch dimension, -1 for any size; empty: not declared.
        label_filename: of an output, file in each version's folder with a class name a line; empty: none.
    """

    name: str
    datatype: str = ""
    dims: tuple[int, ...] = ()
    label_filename: str = ""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """How one model is served.

    Attributes:
        name: the model's name, which is its folder's.
        platform: what it was made with; free text.
        version_policy: which versions are served.
        max_batch_size: most documents in a batch; 0: bounded by tokens alone.
        inputs: declared inputs; empty: as the model file has them.
        outputs: declared outputs; empty: as the model file has them.
        label_filename: file in each version's folder with a class name a line, of a text classifier.
        instance_count: inferences that run in parallel; 0: the server's choice.
        max_queue_delay: seconds that a batch which is not full waits for more.
        max_queue_size: most documents that wait for one version; 0: the server's choice.
        queue_timeout: most seconds that a document waits for its batch; 0: until the call's deadline.
        priority_levels: levels of priority, 1 the highest; 0: none.
        default_priority: level of a request that names none; 0 where there are none.
        response_cache: whether answers are kept.
        max_batch_tokens: most padded tokens in a batch; 0: the server's choice.
        max_length: most tokens read of one text; 0: the tokenizer's.
        temperatures: what logits are divided by before softmax, by version; None: for the other versions.
        precisions: what is computed in, by version; None: for the other versions.
        traffic: how requests are shared between versions.
        keep_previous: whether the version that was the default before stays in memory, for a rollback at once.
    """

    name: str
    platform: str = ""
    version_policy: VersionPolicy = field(default_factory=Latest)
    max_batch_size: int = 0
    inputs: tuple[TensorConfig, ...] = ()
    outputs: tuple[TensorConfig, ...] = ()
    label_filename: str = LABELS_FILE
    instance_count: int = 0
    max_queue_delay: float = 0.0
    max_queue_size: int = 0
    queue_timeout: float = 0.0
    priority_levels: int = 0
    default_priority: int = 0
    response_cache: bool = False
    max_batch_tokens: int = 0
    max_length: int = 0
    temperatures: Mapping[int | None, float] = field(default_factory=dict)
    precisions: Mapping[int | None, Precision] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)
    keep_previous: bool = False

    def precision(self, version: int) -> Precision | None:
        """Gives what `version` computes in; None: the server's choice."""
        return self.precisions.get(version, self.precisions.get(None))

    def temperature(self, version: int) -> float:
        """Gives what the logits of `version` are divided by before softmax."""
        return self.temperatures.get(version, self.temperatures.get(None, 1.0))

    def serving_part(self, version: int) -> Hashable:
        """Gives all that `version` depends on once it is loaded; equal for configs under which it need not be reloaded.

        What only says which versions are served, and how requests are shared between them, is not part of it, nor is
        what is said of other versions.
        """
        shared = tuple(getattr(self, one.name) for one in fields(self) if one.name not in _NOT_SERVED)
        return (*shared, self.temperature(version), self.precision(version))


def read_config(folder: Path) -> ModelConfig:
    """Reads the `config.pbtxt` of a model's folder, or derives a config where there is none.

    Raises:
        LoadError: the file cannot be read, or a field of it is wrong; names the file, the line and the field.
    """
    return parse_config(read_config_text(folder), folder / CONFIG_FILE)


def read_config_text(folder: Path) -> str:
    """Reads the text of the `config.pbtxt` of a model's folder; empty where there is none.

    Raises:
        LoadError: the file cannot be read.
    """
    file = folder / CONFIG_FILE
    try:
        return file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise LoadError(file, f"cannot be read: {error}") from error


def parse_config(text: str, file: Path) -> ModelConfig:
    """Reads the text of a `config.pbtxt`.

    Args:
        text: its content.
        file: where it stands, or is to stand: in the model's folder.

    Raises:
        LoadError: a field of it is wrong; names the file, the line and the field.
    """
    message = model_config_pb2.ModelConfig()
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise LoadError(file, f"line {_describe_parse_error(error)}") from error
    return _convert(message, file)


def _describe_parse_error(error: text_format.ParseError) -> str:
    """Turns `3:1 : Message type "…" has no field named "x".` into `3, column 1: …`."""
    found = re.fullmatch(r"(\d+):(\d+) : (.*)", str(error), re.DOTALL)
    if not found:
        return str(error)
    line, column, text = found.groups()
    return f"{line}, column {column}: {text.replace('inference.', '')}"


def _convert(message: model_config_pb2.ModelConfig, file: Path) -> ModelConfig:
    def refuse(name: str, problem: str) -> LoadError:
        return LoadError(file, f"field `{name}`: {problem}")

    folder = file.parent.name
    if message.name not in ("", folder):
        raise refuse("name", f"is {message.name!r}, but the folder is {folder!r}: make them equal, or leave name out")
    if message.backend not in BACKENDS:
        raise refuse("backend", f"is {message.backend!r}; this server has only 'openvino'")
    if message.max_batch_size < 0:
        raise refuse("max_batch_size", f"is {message.max_batch_size}; it must be 0 or more")
    for tensor in message.input:
        if tensor.optional:
            raise refuse("input.optional", f"is true of {tensor.name!r}; this server's models take all their inputs")
    if message.model_transaction_policy.decoupled:
        raise refuse("model_transaction_policy.decoupled", "is true; every request to this server has one answer")
    labels = [_check_filename(output.label_filename, refuse) for output in message.output if output.label_filename]
    queue = message.dynamic_batching.default_queue_policy
    if queue.timeout_action != model_config_pb2.ModelQueuePolicy.REJECT:
        raise refuse("dynamic_batching.default_queue_policy.timeout_action", "is DELAY; this server has only REJECT")
    levels, default_level = _convert_priorities(message.dynamic_batching, refuse)
    parameters = parse_parameters({key: value.string_value for key, value in message.parameters.items()}, refuse)
    return ModelConfig(
        name=folder,
        platform=message.platform,
        version_policy=_convert_policy(message.version_policy, refuse),
        max_batch_size=message.max_batch_size,
        inputs=tuple(_convert_tensor(tensor) for tensor in message.input),
        outputs=tuple(_convert_tensor(tensor, tensor.label_filename) for tensor in message.output),
        label_filename=labels[0] if labels else LABELS_FILE,
        instance_count=_convert_instances(message, refuse),
        max_queue_delay=message.dynamic_batching.max_queue_delay_microseconds / 1e6,
        max_queue_size=queue.max_queue_size,
        queue_timeout=queue.default_timeout_microseconds / 1e6,
        priority_levels=levels,
        default_priority=default_level,
        response_cache=message.response_cache.enable,
        max_batch_tokens=parameters.max_batch_tokens,
        max_length=parameters.max_length,
        temperatures=parameters.temperatures,
        precisions=parameters.precisions,
        traffic=parameters.traffic,
        keep_previous=parameters.keep_previous,
    )


def _check_filename(name: str, refuse: Refuse) -> str:
    # Only a file of the version's own folder: a path would reach outside the repository.
    if Path(name).name != name or name in ("", ".", ".."):
        raise refuse("output.label_filename", f"is {name!r}; it must be a plain file name")
    return name


def _convert_policy(message: model_config_pb2.ModelVersionPolicy, refuse: Refuse) -> VersionPolicy:
    match message.WhichOneof("policy_choice"):
        case "all":
            return All()
        case "specific":
            versions = frozenset(message.specific.versions)
            if not versions or min(versions) < 1:
                raise refuse("version_policy.specific.versions", "must list at least one version, each 1 or more")
            return Specific(versions)
        case _:
            return Latest(message.latest.num_versions or 1)


def _convert_priorities(message: model_config_pb2.ModelDynamicBatching, refuse: Refuse) -> tuple[int, int]:
    levels, default = message.priority_levels, message.default_priority_level
    if levels > _MAX_PRIORITY_LEVELS:
        raise refuse("dynamic_batching.priority_levels", f"is {levels}; it must be 0 to {_MAX_PRIORITY_LEVELS}")
    if not min(levels, 1) <= default <= levels:
        allowed = f"1 to {levels}, as priority_levels is {levels}" if levels else "0 where priority_levels is 0"
        raise refuse("dynamic_batching.default_priority_level", f"is {default}; it must be {allowed}")
    return levels, default


def _convert_tensor(
    message: model_config_pb2.ModelInput | model_config_pb2.ModelOutput, label_filename: str = ""
) -> TensorConfig:
    datatype = ""
    if message.data_type != model_config_pb2.TYPE_INVALID:
        datatype = model_config_pb2.DataType.Name(message.data_type).removeprefix(_DATATYPE_PREFIX)
        datatype = "BYTES" if datatype == "STRING" else datatype
    return TensorConfig(message.name, datatype, tuple(message.dims), label_filename)


def _convert_instances(message: model_config_pb2.ModelConfig, refuse: Refuse) -> int:
    if not message.instance_group:
        return 0
    if len(message.instance_group) > 1:
        raise refuse("instance_group", "has more than one group; a CPU server takes one")
    group = message.instance_group[0]
    if group.kind == model_config_pb2.ModelInstanceGroup.KIND_GPU:
        raise refuse("instance_group.kind", "is KIND_GPU; this server runs on CPUs: use KIND_CPU")
    if group.count < 0:
        raise refuse("instance_group.count", f"is {group.count}; it must be 0 or more")
    return int(group.count)
