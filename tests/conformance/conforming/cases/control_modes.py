"""The model repository, where the server does not take orders, and where it follows the folders."""

from __future__ import annotations

from typing import Any

from tritonclient.grpc import service_pb2 as pb

from conforming.case import Case, Mode, call
from conforming.models import FOLLOWED, STEADY
from conforming.observations import Observation, refused
from conforming.orders import factor, until
from conforming.targets import Target

TITLE = "Control modes none and poll"

_STATES = {
    "code": "OK",
    "states": sorted([model.name, str(version), "READY"] for model in STEADY for version in model.versions),
}


def _states(got: Any) -> Observation:
    return {"states": sorted([one.name, one.version, one.state] for one in got.models)}


def _refused(mode: Mode, steady: str) -> list[Case]:
    """Makes cases of orders that a mode does not take."""
    load, unload = pb.RepositoryModelLoadRequest, pb.RepositoryModelUnloadRequest
    code = refused("FAILED_PRECONDITION")
    return [
        call(f"{mode}/load", "RepositoryModelLoad", load(model_name=steady), code, mode=mode),
        call(f"{mode}/load an unknown one", "RepositoryModelLoad", load(model_name="nope"), code, mode=mode),
        call(f"{mode}/unload", "RepositoryModelUnload", unload(model_name=steady), code, mode=mode),
        call(f"{mode}/unload an unknown one", "RepositoryModelUnload", unload(model_name="nope"), code, mode=mode),
    ]


def _grow(target: Target) -> Observation:
    """Adds a version under a server that polls, and takes it away again."""
    model = FOLLOWED["grow"]
    target.repository.add_version(model, 2)
    try:
        grown = until(lambda: factor(target, model.name) == 20.0)
    finally:
        target.repository.remove_version(model, 2)
    return {"grown": grown, "shrunk": until(lambda: factor(target, model.name) == 10.0)}


CASES = [
    call("none/index", "RepositoryIndex", pb.RepositoryIndexRequest(), _STATES, _states),
    call("none/index of what is ready", "RepositoryIndex", pb.RepositoryIndexRequest(ready=True), _STATES, _states),
    call("none/index of another repository", "RepositoryIndex", pb.RepositoryIndexRequest(repository_name="other"), refused("UNIMPLEMENTED")),
    *_refused("none", "batched"),
    *_refused("poll", "followed_still"),
    Case("poll/a version comes and goes", _grow, {"grown": True, "shrunk": True}, "poll"),
]  # fmt: skip
