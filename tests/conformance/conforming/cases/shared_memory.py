"""Shared memory, which Sentinova does not have: calls that register it, and requests that refer to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tritonclient.grpc import service_pb2 as pb

from conforming.case import Case, call, infer
from conforming.observations import Observation, answered, observe, refused
from conforming.requests import Output, bare_input, ones, request
from conforming.targets import Target

TITLE = "Shared memory"

_NONE = refused("UNIMPLEMENTED")
_REGION = {"shared_memory_region": "r", "shared_memory_byte_size": 8}


def _input(name: str, parameters: Mapping[str, Any], expected: Observation) -> Case:
    message = request("batched", bare_input("INPUT0", "FP32", [1, 2], parameters))
    return infer(f"shared memory/input/{name}", message, expected)


def _output(name: str, parameters: Mapping[str, Any], expected: Observation) -> Case:
    return infer(f"shared memory/output/{name}", ones("batched", outputs=[Output("OUTPUT0", parameters)]), expected)


def _ask_client(target: Target) -> Observation:
    def ask() -> Observation:
        system = target.client.get_system_shared_memory_status()
        cuda = target.client.get_cuda_shared_memory_status()
        target.client.unregister_system_shared_memory()
        target.client.unregister_cuda_shared_memory()
        return {"regions": [*system.regions, *cuda.regions]}

    return observe(ask)


_SYSTEM = pb.SystemSharedMemoryRegisterRequest(name="r", key="/sentinova_no_such_memory", byte_size=64)
_CUDA = pb.CudaSharedMemoryRegisterRequest(name="r", raw_handle=b"x" * 64, byte_size=64)

CASES = [
    call("shared memory/system/status", "SystemSharedMemoryStatus", pb.SystemSharedMemoryStatusRequest(), _NONE),
    call("shared memory/system/status of an unknown one", "SystemSharedMemoryStatus", pb.SystemSharedMemoryStatusRequest(name="nope"), _NONE),
    call("shared memory/system/register what is not there", "SystemSharedMemoryRegister", _SYSTEM, _NONE),
    call("shared memory/system/unregister all", "SystemSharedMemoryUnregister", pb.SystemSharedMemoryUnregisterRequest(), _NONE),
    call("shared memory/system/unregister an unknown one", "SystemSharedMemoryUnregister", pb.SystemSharedMemoryUnregisterRequest(name="nope"), _NONE),
    call("shared memory/CUDA/status", "CudaSharedMemoryStatus", pb.CudaSharedMemoryStatusRequest(), _NONE),
    call("shared memory/CUDA/status of an unknown one", "CudaSharedMemoryStatus", pb.CudaSharedMemoryStatusRequest(name="nope"), _NONE),
    call("shared memory/CUDA/register", "CudaSharedMemoryRegister", _CUDA, _NONE),
    call("shared memory/CUDA/unregister all", "CudaSharedMemoryUnregister", pb.CudaSharedMemoryUnregisterRequest(), _NONE),
    call("shared memory/CUDA/unregister an unknown one", "CudaSharedMemoryUnregister", pb.CudaSharedMemoryUnregisterRequest(name="nope"), _NONE),
    _input("unknown region", _REGION, _NONE),
    _input("region as int", {**_REGION, "shared_memory_region": 5}, _NONE),
    _output("unknown region", _REGION, _NONE),
    _output("no size", {"shared_memory_region": "r"}, _NONE),
    _output("size alone", {"shared_memory_byte_size": 8}, answered("batched", ["OUTPUT0", "FP32", [1, 2], [2.0, 2.0]])),
    _output("with classification", {**_REGION, "classification": 1}, _NONE),
    Case("shared memory/client", _ask_client, _NONE),
]  # fmt: skip
