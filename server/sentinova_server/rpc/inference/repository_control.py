"""Models loaded and unloaded by this service's calls, which have two forms.

Triton's requests name the model in `model_name` and may carry a config; KServe's have one field, with the number of
Triton's `repository_name`. Knows both forms and their parameters; must not know how a model is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf import json_format, text_format

from sentinova_server.errors import Reason, ServingError
from sentinova_server.repository import model_config_pb2
from sentinova_server.rpc.inference import grpc_service_pb2 as pb
from sentinova_server.serving.model_control import ModelControl
from sentinova_server.serving.served import ModelRegistry

_FILE_PREFIX = "file:"


async def load(control: ModelControl, request: pb.RepositoryModelLoadRequest) -> pb.RepositoryModelLoadResponse:
    """Loads a model as its folder is now. Raises ServingError."""
    name = _read_name(request)
    for key in request.parameters:
        if key.startswith(_FILE_PREFIX):
            message = (
                f"parameter {key[:100]!r}: this server loads models from its repository alone: publish the files "
                "there, as a new version"
            )
            raise ServingError(Reason.INVALID_FIELD, message, field=f"parameters[{key[:100]!r}]")
        if key != "config":
            message = f"parameter {key[:100]!r} is unknown; a load takes 'config'"
            raise ServingError(Reason.INVALID_FIELD, message, field=f"parameters[{key[:100]!r}]")
    await control.load_model(name, config=_read_config(request.parameters))
    return pb.RepositoryModelLoadResponse(model_name=name, isLoaded=True)


async def unload(
    control: ModelControl, registry: ModelRegistry, request: pb.RepositoryModelUnloadRequest
) -> pb.RepositoryModelUnloadResponse:
    """Unloads a model and waits until its requests have ended; one not loaded stays so. Raises ServingError."""
    name = _read_name(request)
    dependents = request.parameters.get("unload_dependents")
    if dependents is not None and dependents.WhichOneof("parameter_choice") != "bool_param":
        message = "parameter 'unload_dependents' must be a bool_param; no model depends on another here"
        raise ServingError(Reason.INVALID_FIELD, message, field="parameters['unload_dependents']")
    control.require_explicit("RepositoryModelUnload")
    if registry.get(name).loaded:
        await control.unload_model(name)
    return pb.RepositoryModelUnloadResponse(model_name=name, isUnloaded=True)


def _read_name(request: pb.RepositoryModelLoadRequest | pb.RepositoryModelUnloadRequest) -> str:
    """Gives the model that a request names in either form."""
    if request.model_name and request.repository_name:
        refuse_repository(request.repository_name)
    name = request.model_name or request.repository_name
    if not name:
        raise ServingError(Reason.INVALID_FIELD, "model_name is empty: name a model", field="model_name")
    return str(name)


def refuse_repository(name: str) -> None:
    """Raises ServingError NOT_SUPPORTED for a request that names a repository."""
    if name:
        message = "repository_name is set; this server has one repository: leave it empty"
        raise ServingError(Reason.NOT_SUPPORTED, message, field="repository_name")


def _read_config(parameters: Mapping[str, pb.ModelRepositoryParameter]) -> str:
    """Gives the text of the config that a request carries as JSON; empty: it carries none."""
    if "config" not in parameters:
        return ""
    value = parameters["config"]
    if value.WhichOneof("parameter_choice") != "string_param":
        raise _refuse_config("must be a string_param with the config as JSON")
    message = model_config_pb2.ModelConfig()
    try:
        json_format.Parse(value.string_param, message)
    except (json_format.ParseError, RecursionError) as error:
        raise _refuse_config(f"is no model config as JSON: {error}") from None
    # A config of nothing but defaults is one too, and not the lack of one.
    return text_format.MessageToString(message) or "# empty\n"


def _refuse_config(problem: str) -> ServingError:
    return ServingError(Reason.INVALID_FIELD, f"parameter 'config' {problem}", field="parameters['config']")
