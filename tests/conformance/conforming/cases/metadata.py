"""What the server and its models say of themselves."""

from __future__ import annotations

from typing import Any

from tritonclient.grpc import model_config_pb2
from tritonclient.grpc import service_pb2 as pb

from conforming.case import Case, call
from conforming.models import STEADY, Model
from conforming.observations import Observation, observe, refused
from conforming.targets import Target

TITLE = "Metadata and configuration"

_EXTENSIONS = (
    "classification",
    "model_repository",
    "model_repository(unload_dependents)",
    "model_configuration",
    "parameters",
    "statistics",
    "logging",
    "schedule_policy",
)
_NOT_OURS = ("binary_tensor_data", "sequence", "system_shared_memory", "cuda_shared_memory", "trace")


def _tensors(tensors: Any) -> list[list[Any]]:
    return [[one.name, one.datatype, list(one.shape)] for one in tensors]


def _metadata_facts(got: Any) -> Observation:
    return {
        "name": got.name,
        "versions": list(got.versions),
        "inputs": _tensors(got.inputs),
        "outputs": _tensors(got.outputs),
        "platform": bool(got.platform),
    }


def _expected_metadata(model: Model, versions: list[str]) -> Observation:
    batch = [-1] if model.max_batch_size else []

    def shapes(tensors: Any) -> list[list[Any]]:
        return [[one.name, one.datatype, [*batch, *one.dims]] for one in tensors]

    tensors = {"inputs": shapes(model.inputs), "outputs": shapes(model.outputs)}
    return {"code": "OK", "name": model.name, "versions": versions, **tensors, "platform": True}


def _metadata(model: Model, version: str = "") -> Case:
    versions = [version] if version else [str(one) for one in model.versions]
    message = pb.ModelMetadataRequest(name=model.name, version=version)
    name = f"metadata/{model.name}" + (f" {version}" if version else "")
    return call(name, "ModelMetadata", message, _expected_metadata(model, versions), _metadata_facts)


def _config_facts(got: Any) -> Observation:
    def tensors(found: Any) -> list[list[Any]]:
        return [[one.name, model_config_pb2.DataType.Name(one.data_type), list(one.dims)] for one in found]

    config = got.config
    return {
        "name": config.name,
        "max_batch_size": config.max_batch_size,
        "inputs": tensors(config.input),
        "outputs": tensors(config.output),
        "version_policy": config.version_policy.WhichOneof("policy_choice"),
        "backend": bool(config.backend or config.platform),
        "instances": len(config.instance_group),
        "labels": [one.label_filename for one in config.output if one.label_filename],
    }


def _config(model: Model, version: str = "") -> Case:
    def tensors(found: Any) -> list[list[Any]]:
        return [[part["name"], part["data_type"], part["dims"]] for part in (one.settings() for one in found)]

    expected = {
        "code": "OK",
        "name": model.name,
        "max_batch_size": model.max_batch_size,
        "inputs": tensors(model.inputs),
        "outputs": tensors(model.outputs),
        "version_policy": "all" if "version_policy" in model.settings else "latest",
        "backend": True,
        "instances": 1,
        "labels": [one.label_filename for one in model.outputs if one.label_filename],
    }
    name = f"config/{model.name}" + (f" {version}" if version else "")
    return call(name, "ModelConfig", pb.ModelConfigRequest(name=model.name, version=version), expected, _config_facts)


def _refusals(method: str, request: Any) -> list[Case]:
    asked = {
        ("nope", ""): refused("NOT_FOUND", "nope"),
        ("nope", "1"): refused("NOT_FOUND", "nope"),
        ("", ""): refused("NOT_FOUND"),
        ("batched", "9"): refused("NOT_FOUND", "batched", "9"),
        ("batched", "0"): refused("NOT_FOUND", "batched"),
        ("batched", "abc"): refused("INVALID_ARGUMENT", "abc"),
        ("batched", "-1"): refused("INVALID_ARGUMENT", "-1"),
    }
    return [
        call(f"{method}/of {name!r} {version!r}", method, request(name=name, version=version), expected)
        for (name, version), expected in asked.items()
    ]


def _ask_client(target: Target) -> Observation:
    def ask() -> Observation:
        metadata = target.client.get_model_metadata("simple", as_json=True)
        config = target.client.get_model_config("simple", as_json=True)["config"]
        return {"inputs": [one["name"] for one in metadata["inputs"]], "max_batch_size": config["max_batch_size"]}

    return observe(ask)


def _by_name(name: str) -> Model:
    return next(model for model in STEADY if model.name == name)


CASES = [
    call("metadata/server", "ServerMetadata", pb.ServerMetadataRequest(), {"code": "OK", "name": True, "version": True},
         lambda got: {"name": bool(got.name), "version": bool(got.version)}),
    *[
        call(f"metadata/extension {extension}", "ServerMetadata", pb.ServerMetadataRequest(),
             {"code": "OK", "has": extension in _EXTENSIONS},
             lambda got, extension=extension: {"has": extension in got.extensions})
        for extension in (*_EXTENSIONS, *_NOT_OURS)
    ],
    *[_metadata(model) for model in STEADY],
    _metadata(_by_name("versions"), "1"),
    _metadata(_by_name("versions"), "2"),
    *_refusals("ModelMetadata", pb.ModelMetadataRequest),
    *[_config(_by_name(name)) for name in ("batched", "simple", "scores", "versions", "text", "identity_bytes", "identity_bf16")],
    _config(_by_name("versions"), "1"),
    *_refusals("ModelConfig", pb.ModelConfigRequest),
    Case("metadata/client", _ask_client, {"code": "OK", "inputs": ["INPUT0", "INPUT1"], "max_batch_size": 8}),
]  # fmt: skip
