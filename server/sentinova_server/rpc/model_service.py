"""`sentinova.v1.ModelService`: which models there are.

Knows messages and pages; must not know how models come about.
"""

from __future__ import annotations

import base64
import binascii

from sentinova.v1 import model_service_pb2 as pb
from sentinova.v1 import model_service_pb2_grpc as pb_grpc

from sentinova_server.errors import Reason, ServingError
from sentinova_server.rpc.call import Context
from sentinova_server.rpc.conversion import to_model
from sentinova_server.serving.loading import ModelRegistry

_MAX_PAGE = 1000


class ModelService(pb_grpc.ModelServiceServicer):
    """The service, on the models of a registry."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:  # noqa: N802
        """See the proto."""
        if request.page_size < 0:
            raise ServingError(
                Reason.INVALID_FIELD,
                f"page_size is {request.page_size}; it must be 0 or more",
                field="page_size",
            )
        after = _decode_token(request.page_token)
        size = min(request.page_size or _MAX_PAGE, _MAX_PAGE)
        # The token is the last name given, so a page stays right where models come and go between calls.
        rest = [record for record in self._registry.models if record.name > after]
        token = _encode_token(rest[size - 1].name) if len(rest) > size else ""
        return pb.ListModelsResponse(models=[to_model(record) for record in rest[:size]], next_page_token=token)

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:  # noqa: N802
        """See the proto."""
        if not request.name:
            raise ServingError(Reason.INVALID_FIELD, "name is empty: give a model's name", field="name")
        return pb.GetModelResponse(model=to_model(self._registry.get(request.name)))


def _encode_token(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _decode_token(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise ServingError(
            Reason.INVALID_FIELD,
            "page_token is not one that ListModels gave: start without one",
            field="page_token",
        ) from None
