"""`sentinova.v1.ModelService`: which models there are, and what is to become of them.

Knows messages and pages; must not know how models come about.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator

from sentinova.v1 import model_service_pb2 as pb
from sentinova.v1 import model_service_pb2_grpc as pb_grpc

from sentinova_server.errors import Reason, ServingError
from sentinova_server.rpc.call import Context
from sentinova_server.rpc.conversion import read_limits, read_weights, to_event, to_initial_events, to_model
from sentinova_server.serving.delivery import Deliveries
from sentinova_server.serving.events import ModelEvents
from sentinova_server.serving.model_control import ModelControl, find_model
from sentinova_server.serving.registry import ModelRecord
from sentinova_server.serving.served import ModelRegistry, ServedModel

_MAX_PAGE = 1000
_MAX_WATCHED = 1000


class ModelService(pb_grpc.ModelServiceServicer):
    """The service, on the models of a registry."""

    def __init__(
        self, registry: ModelRegistry, control: ModelControl, deliveries: Deliveries, events: ModelEvents
    ) -> None:
        """Makes it.

        Args:
            registry: the models.
            control: changes them.
            deliveries: compares their versions.
            events: tells of changes.
        """
        self._registry = registry
        self._control = control
        self._deliveries = deliveries
        self._events = events

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
        return pb.ListModelsResponse(models=[self._describe(record) for record in rest[:size]], next_page_token=token)

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:  # noqa: N802
        """See the proto."""
        return pb.GetModelResponse(model=self._describe(find_model(self._registry, _name(request))))

    async def WatchModels(  # noqa: N802
        self, request: pb.WatchModelsRequest, context: Context
    ) -> AsyncIterator[pb.WatchModelsResponse]:
        """See the proto."""
        names = frozenset(request.names)
        if len(names) > _MAX_WATCHED:
            message = f"names has {len(names):,} names; it must have {_MAX_WATCHED:,} at most: leave it empty for all"
            raise ServingError(Reason.INVALID_FIELD, message, field="names")
        with self._events.watch() as watch:
            # Made at one moment, and the watch was there before: no change is told twice or not at all.
            models = [record for record in self._registry.models if not names or record.name in names]
            initial = [event for record in models for event in to_initial_events(record)]
            for response in initial:
                yield response
            yield pb.WatchModelsResponse(kind=pb.MODEL_EVENT_KIND_SYNCED)
            while (event := await watch.next()) is not None:
                if not names or event.model in names:
                    yield to_event(event)

    async def LoadModel(self, request: pb.LoadModelRequest, context: Context) -> pb.LoadModelResponse:  # noqa: N802
        """See the proto."""
        _check_not_negative(request.version)
        record = await self._control.load_model(_name(request), version=request.version, config=request.config)
        return pb.LoadModelResponse(model=self._describe(record))

    async def UnloadModel(  # noqa: N802
        self, request: pb.UnloadModelRequest, context: Context
    ) -> pb.UnloadModelResponse:
        """See the proto."""
        _check_not_negative(request.version)
        record = await self._control.unload_model(_name(request), version=request.version)
        return pb.UnloadModelResponse(model=self._describe(record))

    async def ReloadRepository(  # noqa: N802
        self, request: pb.ReloadRepositoryRequest, context: Context
    ) -> pb.ReloadRepositoryResponse:
        """See the proto."""
        models = await self._control.reload()
        return pb.ReloadRepositoryResponse(models=[self._describe(record) for record in models])

    async def SetModelLabel(  # noqa: N802
        self, request: pb.SetModelLabelRequest, context: Context
    ) -> pb.SetModelLabelResponse:
        """See the proto."""
        traffic = self._control.change_traffic("SetModelLabel", _name(request))
        traffic.set_label(request.label, request.version)
        return pb.SetModelLabelResponse(model=self._describe_named(request.name))

    async def DeleteModelLabel(  # noqa: N802
        self, request: pb.DeleteModelLabelRequest, context: Context
    ) -> pb.DeleteModelLabelResponse:
        """See the proto."""
        self._control.change_traffic("DeleteModelLabel", _name(request)).delete_label(request.label)
        return pb.DeleteModelLabelResponse(model=self._describe_named(request.name))

    async def SetModelWeights(  # noqa: N802
        self, request: pb.SetModelWeightsRequest, context: Context
    ) -> pb.SetModelWeightsResponse:
        """See the proto."""
        traffic = self._control.change_traffic("SetModelWeights", _name(request))
        traffic.set_weights(read_weights(request), read_limits(request))
        return pb.SetModelWeightsResponse(model=self._describe_named(request.name))

    async def SetModelShadow(  # noqa: N802
        self, request: pb.SetModelShadowRequest, context: Context
    ) -> pb.SetModelShadowResponse:
        """See the proto."""
        traffic = self._control.change_traffic("SetModelShadow", _name(request))
        choice = request.WhichOneof("version_choice")
        shadow = None if choice is None else request.version if choice == "version" else request.label
        traffic.set_shadow(shadow, request.percent or 100)
        return pb.SetModelShadowResponse(model=self._describe_named(request.name))

    async def RollbackModel(  # noqa: N802
        self, request: pb.RollbackModelRequest, context: Context
    ) -> pb.RollbackModelResponse:
        """See the proto."""
        record, bad, good = await self._control.roll_back(_name(request))
        return pb.RollbackModelResponse(model=self._describe(record), from_version=bad, to_version=good)

    def _describe_named(self, name: str) -> pb.Model:
        return self._describe(self._registry.get(name))

    def _describe(self, record: ModelRecord[ServedModel]) -> pb.Model:
        shadow = self._control.shadow_of(record.name)
        return to_model(record, shadow=shadow, comparisons=self._deliveries.comparisons(record.name))


_Named = (
    pb.GetModelRequest
    | pb.LoadModelRequest
    | pb.UnloadModelRequest
    | pb.SetModelLabelRequest
    | pb.DeleteModelLabelRequest
    | pb.SetModelWeightsRequest
    | pb.SetModelShadowRequest
    | pb.RollbackModelRequest
)


def _name(request: _Named) -> str:
    """Gives the model that a request names. Raises ServingError INVALID_FIELD where it names none."""
    if not request.name:
        raise ServingError(Reason.INVALID_FIELD, "name is empty: give a model's name", field="name")
    return request.name


def _check_not_negative(version: int) -> None:
    if version < 0:
        raise ServingError(
            Reason.INVALID_FIELD,
            f"version is {version}; versions are 1 or more: leave it out for the model as a whole",
            field="version",
        )


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
