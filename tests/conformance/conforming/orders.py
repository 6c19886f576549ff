"""Orders to a server in explicit mode, and looks at what became of them.

Knows the repository calls; must not know what a case expects.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import grpc
from tritonclient.grpc import service_pb2 as pb

from conforming.datatypes import unpack
from conforming.requests import ones, set_parameters
from conforming.targets import CALL_SECONDS, Target

# How long a change that a call sets off may take, on a busy machine too.
_CHANGE_SECONDS = 30.0


def until(holds: Callable[[], bool]) -> bool:
    """Waits until something holds; tells whether it came to that."""
    deadline = time.monotonic() + _CHANGE_SECONDS
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return held


def code_of(make: Callable[[], Any]) -> str:
    """Makes a call, and gives its code."""
    try:
        make()
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def load(target: Target, model: str, parameters: dict[str, Any] | None = None, repository: str = "") -> str:
    """Loads a model; gives the code."""
    message = pb.RepositoryModelLoadRequest(model_name=model, repository_name=repository)
    set_parameters(message.parameters, parameters or {})
    return code_of(lambda: target.stub.RepositoryModelLoad(message, timeout=CALL_SECONDS))


def unload(target: Target, model: str, parameters: dict[str, Any] | None = None) -> str:
    """Unloads a model; gives the code. What it sets off may take longer."""
    message = pb.RepositoryModelUnloadRequest(model_name=model)
    set_parameters(message.parameters, parameters or {})
    return code_of(lambda: target.stub.RepositoryModelUnload(message, timeout=CALL_SECONDS))


def factor(target: Target, model: str, version: str = "", rows: int = 1) -> float | str:
    """Gives the factor that a model multiplies by, or the code of the error."""
    try:
        response = target.stub.ModelInfer(ones(model, rows, 1, version=version), timeout=CALL_SECONDS)
    except grpc.RpcError as error:
        return str(error.code().name)
    return float(unpack("FP32", response.raw_output_contents[0])[0])


def index(target: Target, model: str, *, ready: bool = False) -> list[list[str]]:
    """Gives `[version, state]` of each of a model's entries in the index."""
    found = target.stub.RepositoryIndex(pb.RepositoryIndexRequest(ready=ready), timeout=CALL_SECONDS).models
    return [[one.version, one.state] for one in found if one.name == model]


def is_ready(target: Target, model: str) -> bool:
    """Tells whether a model is ready."""
    return bool(target.stub.ModelReady(pb.ModelReadyRequest(name=model), timeout=CALL_SECONDS).ready)


def is_gone(target: Target, model: str) -> bool:
    """Tells whether a model is unloaded, to its last version."""
    return not index(target, model, ready=True) and all(state != "UNLOADING" for _, state in index(target, model))


def batch_size(target: Target, model: str) -> int:
    """Gives a model's max_batch_size."""
    return int(target.stub.ModelConfig(pb.ModelConfigRequest(name=model), timeout=CALL_SECONDS).config.max_batch_size)
