"""`inference.GRPCInferenceService`: KServe v2 as Triton speaks it.

Knows which part answers which call; must not know how.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

from sentinova_server import __version__
from sentinova_server.errors import Reason, ServingError
from sentinova_server.observability.metrics import Metrics
from sentinova_server.rpc.call import Context
from sentinova_server.rpc.inference import grpc_service_pb2 as pb
from sentinova_server.rpc.inference import grpc_service_pb2_grpc as pb_grpc
from sentinova_server.rpc.inference import log_settings, repository_control
from sentinova_server.rpc.inference.description import EXTENSIONS, to_config, to_index, to_metadata, to_statistics
from sentinova_server.rpc.inference.infer_stream import answer_in_order, wants_status
from sentinova_server.rpc.inference.inference import Inference
from sentinova_server.rpc.inference.naming import lease, read_version
from sentinova_server.rpc.inference.views import main_view
from sentinova_server.serving.delivery import Deliveries
from sentinova_server.serving.model_control import ModelControl
from sentinova_server.serving.readiness import Readiness
from sentinova_server.serving.registry import State
from sentinova_server.serving.served import ModelRegistry, served_by

_SHARED_MEMORY = "shared memory is not supported: send tensors in the messages"
_TRACE = "tracing by calls is not supported"


class InferenceService(pb_grpc.GRPCInferenceServiceServicer):
    """The service, on the models of a registry."""

    def __init__(
        self,
        registry: ModelRegistry,
        control: ModelControl,
        deliveries: Deliveries,
        metrics: Metrics,
        readiness: Readiness,
        *,
        max_batch_documents: int,
        max_stream_in_flight: int,
    ) -> None:
        """Makes it.

        Args:
            registry: the models.
            control: changes them.
            deliveries: told of every answer to a text, for versions to be compared.
            metrics: where documents are counted.
            readiness: whether the server takes traffic.
            max_batch_documents: most texts of one request.
            max_stream_in_flight: most unanswered requests of one stream.
        """
        self._registry = registry
        self._control = control
        self._readiness = readiness
        self._max_rows = max_batch_documents
        self._max_stream_in_flight = max_stream_in_flight
        self._inference = Inference(registry, deliveries, metrics, max_batch_documents)

    async def ServerLive(self, request: pb.ServerLiveRequest, context: Context) -> pb.ServerLiveResponse:  # noqa: N802
        """See the proto."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(  # noqa: N802
        self, request: pb.ServerReadyRequest, context: Context
    ) -> pb.ServerReadyResponse:
        """See the proto."""
        return pb.ServerReadyResponse(ready=not self._readiness.why_not())

    async def ModelReady(self, request: pb.ModelReadyRequest, context: Context) -> pb.ModelReadyResponse:  # noqa: N802
        """See the proto."""
        read_version(request.version)
        try:
            with lease(self._registry, request.name, request.version):
                return pb.ModelReadyResponse(ready=True)
        except ServingError:
            return pb.ModelReadyResponse(ready=False)

    async def ServerMetadata(  # noqa: N802
        self, request: pb.ServerMetadataRequest, context: Context
    ) -> pb.ServerMetadataResponse:
        """See the proto."""
        return pb.ServerMetadataResponse(name="sentinova", version=__version__, extensions=EXTENSIONS)

    async def ModelMetadata(  # noqa: N802
        self, request: pb.ModelMetadataRequest, context: Context
    ) -> pb.ModelMetadataResponse:
        """See the proto."""
        with lease(self._registry, request.name, request.version) as record:
            served = served_by(record)
            versions = [record.version] if request.version else self._registry.get(request.name).available
            return to_metadata(served, versions, main_view(served, self._max_rows))

    async def ModelInfer(self, request: pb.ModelInferRequest, context: Context) -> pb.ModelInferResponse:  # noqa: N802
        """See the proto."""
        return await self._inference.infer(request, _deadline(context))

    async def ModelStreamInfer(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.ModelInferRequest], context: Context
    ) -> AsyncIterator[pb.ModelStreamInferResponse]:
        """See the proto."""

        async def infer(request: pb.ModelInferRequest) -> pb.ModelInferResponse:
            return await self._inference.infer(request, _deadline(context))

        answers = answer_in_order(
            request_iterator, infer, self._max_stream_in_flight, end_at_error=wants_status(context)
        )
        async for answer in answers:
            yield answer

    async def ModelConfig(  # noqa: N802
        self, request: pb.ModelConfigRequest, context: Context
    ) -> pb.ModelConfigResponse:
        """See the proto."""
        with lease(self._registry, request.name, request.version) as record:
            served = served_by(record)
            return pb.ModelConfigResponse(config=to_config(served, main_view(served, self._max_rows)))

    async def ModelStatistics(  # noqa: N802
        self, request: pb.ModelStatisticsRequest, context: Context
    ) -> pb.ModelStatisticsResponse:
        """See the proto."""
        version = read_version(request.version)
        if request.name:
            with lease(self._registry, request.name, request.version):
                owners = [self._registry.get(request.name)]
        else:
            owners = self._registry.models
        return pb.ModelStatisticsResponse(
            model_stats=[
                to_statistics(record.served)
                for owner in owners
                for record in owner.versions.values()
                if record.served is not None and record.state is State.AVAILABLE and version in (None, record.version)
            ]
        )

    async def RepositoryIndex(  # noqa: N802
        self, request: pb.RepositoryIndexRequest, context: Context
    ) -> pb.RepositoryIndexResponse:
        """See the proto."""
        repository_control.refuse_repository(request.repository_name)
        entries = [entry for owner in self._registry.models for entry in to_index(owner, ready=request.ready)]
        return pb.RepositoryIndexResponse(models=entries)

    async def RepositoryModelLoad(  # noqa: N802
        self, request: pb.RepositoryModelLoadRequest, context: Context
    ) -> pb.RepositoryModelLoadResponse:
        """See the proto."""
        return await repository_control.load(self._control, request)

    async def RepositoryModelUnload(  # noqa: N802
        self, request: pb.RepositoryModelUnloadRequest, context: Context
    ) -> pb.RepositoryModelUnloadResponse:
        """See the proto."""
        return await repository_control.unload(self._control, self._registry, request)

    async def LogSettings(  # noqa: N802
        self, request: pb.LogSettingsRequest, context: Context
    ) -> pb.LogSettingsResponse:
        """See the proto."""
        return log_settings.update(request)

    async def SystemSharedMemoryStatus(self, request: Any, context: Context) -> Any:  # noqa: N802
        """See the proto."""
        raise ServingError(Reason.NOT_SUPPORTED, _SHARED_MEMORY)

    async def SystemSharedMemoryRegister(self, request: Any, context: Context) -> Any:  # noqa: N802
        """See the proto."""
        raise ServingError(Reason.NOT_SUPPORTED, _SHARED_MEMORY)

    async def SystemSharedMemoryUnregister(self, request: Any, context: Context) -> Any:  # noqa: N802
        """See the proto."""
        raise ServingError(Reason.NOT_SUPPORTED, _SHARED_MEMORY)

    async def CudaSharedMemoryStatus(self, request: Any, context: Context) -> Any:  # noqa: N802
        """See the proto."""
        raise ServingError(Reason.NOT_SUPPORTED, _SHARED_MEMORY)

    async def CudaSharedMemoryRegister(self, request: Any, context: Context) -> Any:  # noqa: N802
        """See the proto."""
        raise ServingError(Reason.NOT_SUPPORTED, _SHARED_MEMORY)

    async def CudaSharedMemoryUnregister(self, request: Any, context: Context) -> Any:  # noqa: N802
        """See the proto."""
        raise ServingError(Reason.NOT_SUPPORTED, _SHARED_MEMORY)

    async def TraceSetting(self, request: Any, context: Context) -> Any:  # noqa: N802
        """See the proto."""
        raise ServingError(Reason.NOT_SUPPORTED, _TRACE)


def _deadline(context: Context) -> float | None:
    """Gives the call's deadline on the monotonic clock; None: it has none."""
    remaining = context.time_remaining()
    return None if remaining is None else time.monotonic() + remaining
