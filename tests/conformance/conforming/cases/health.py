"""Whether the server and its models are live and ready."""

from __future__ import annotations

import asyncio

from tritonclient.grpc import aio as aio_client
from tritonclient.grpc import service_pb2 as pb

from conforming.case import Case, call
from conforming.observations import Observation, observe, refused
from conforming.targets import Target

TITLE = "Health"


def _model(name: str, version: str, ready: bool | None) -> Case:
    """Makes a case of ModelReady; None: it is refused."""
    message = pb.ModelReadyRequest(name=name, version=version)
    expected = refused("INVALID_ARGUMENT") if ready is None else {"code": "OK", "ready": ready}
    return call(f"health/model {name!r} {version!r}", "ModelReady", message, expected, lambda got: {"ready": got.ready})


def _ask_client(target: Target) -> Observation:
    client = target.client
    return observe(
        lambda: {
            "live": client.is_server_live(),
            "ready": client.is_server_ready(),
            "model": client.is_model_ready("batched", "1"),
            "unknown": client.is_model_ready("nope"),
        }
    )


def _ask_aio(target: Target) -> Observation:
    async def ask() -> Observation:
        async with aio_client.InferenceServerClient(target.address) as client:
            live, ready = await client.is_server_live(), await client.is_server_ready()
            return {"live": live, "ready": ready, "model": await client.is_model_ready("versions", "2")}

    return observe(lambda: asyncio.run(ask()))


CASES = [
    call("health/live", "ServerLive", pb.ServerLiveRequest(), {"code": "OK", "live": True}, lambda got: {"live": got.live}),
    call("health/ready", "ServerReady", pb.ServerReadyRequest(), {"code": "OK", "ready": True}, lambda got: {"ready": got.ready}),
    _model("batched", "", True),
    _model("batched", "1", True),
    _model("versions", "2", True),
    _model("batched", "9", False),
    _model("batched", "0", False),
    _model("nope", "", False),
    _model("nope", "1", False),
    _model("", "", False),
    _model("batched", "abc", None),
    _model("batched", "-1", None),
    Case("health/client", _ask_client, {"code": "OK", "live": True, "ready": True, "model": True, "unknown": False}),
    Case("health/asyncio client", _ask_aio, {"code": "OK", "live": True, "ready": True, "model": True}),
]  # fmt: skip
