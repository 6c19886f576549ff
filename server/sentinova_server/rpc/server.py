"""The gRPC server: its services, its port and its end.

Knows gRPC's options; must not know what the services do.
"""

from __future__ import annotations

from dataclasses import dataclass

import grpc
import structlog
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from sentinova.v1 import (
    model_service_pb2,
    model_service_pb2_grpc,
    sentiment_service_pb2,
    sentiment_service_pb2_grpc,
)

from sentinova_server.observability.metrics import Metrics
from sentinova_server.rpc.call import CallInterceptor
from sentinova_server.rpc.health import HealthReporter
from sentinova_server.rpc.inference import grpc_service_pb2, grpc_service_pb2_grpc
from sentinova_server.rpc.inference.service import InferenceService
from sentinova_server.rpc.model_service import ModelService
from sentinova_server.rpc.reflection import JoinedPools
from sentinova_server.rpc.sentiment_service import SentimentService
from sentinova_server.serving.delivery import Deliveries
from sentinova_server.serving.events import ModelEvents
from sentinova_server.serving.model_control import ModelControl
from sentinova_server.serving.readiness import Readiness
from sentinova_server.serving.served import ModelRegistry
from sentinova_server.settings import ServerSettings

_log = structlog.get_logger()

# What a call that has ended gets for its status to reach the client.
_STATUS_SECONDS = 1.0

_SERVICES = (
    sentiment_service_pb2.DESCRIPTOR.services_by_name["SentimentService"],
    model_service_pb2.DESCRIPTOR.services_by_name["ModelService"],
    grpc_service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"],
)
_NAMES = tuple(service.full_name for service in _SERVICES)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the services are made on.

    Attributes:
        registry: the models.
        control: changes them.
        deliveries: compares their versions.
        events: tells of their changes.
        metrics: where calls and documents are counted.
        readiness: whether the server takes traffic.
    """

    registry: ModelRegistry
    control: ModelControl
    deliveries: Deliveries
    events: ModelEvents
    metrics: Metrics
    readiness: Readiness


class GrpcServer:
    """The gRPC side of the server."""

    def __init__(self, settings: ServerSettings, parts: Parts) -> None:
        """Makes the server and its services; it does not listen yet. Call on the event loop."""
        self.health = HealthReporter(parts.registry, parts.readiness.why_not, _NAMES)
        self._events = parts.events
        self._calls = CallInterceptor(parts.metrics, _SERVICES)
        self._server = grpc.aio.server(
            interceptors=[self._calls],
            options=[
                ("grpc.max_receive_message_length", settings.max_message_bytes),
                ("grpc.max_send_message_length", settings.max_message_bytes),
                # A taken port must be an error: with port sharing, two servers would split the traffic.
                ("grpc.so_reuseport", 0),
                # Clients may ping idle connections every ten seconds; gRPC's own limit of five minutes would end them.
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ],
        )
        sentiment = SentimentService(
            parts.registry,
            parts.metrics,
            parts.deliveries,
            max_batch_documents=settings.max_batch_documents,
            max_stream_in_flight=settings.max_stream_in_flight,
        )
        sentiment_service_pb2_grpc.add_SentimentServiceServicer_to_server(sentiment, self._server)
        models = ModelService(parts.registry, parts.control, parts.deliveries, parts.events)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(models, self._server)
        inference = InferenceService(
            parts.registry,
            parts.control,
            parts.deliveries,
            parts.metrics,
            parts.readiness,
            max_batch_documents=settings.max_batch_documents,
            max_stream_in_flight=settings.max_stream_in_flight,
        )
        grpc_service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(inference, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health.servicer, self._server)
        health_service = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
        names = (*_NAMES, health_service, reflection.SERVICE_NAME)
        pools = (descriptor_pool.Default(), grpc_service_pb2.DESCRIPTOR.pool)
        reflection.enable_server_reflection(names, self._server, pool=JoinedPools(pools))  # type: ignore[arg-type]  # asked like one

    async def start(self, host: str, port: int, credentials: grpc.ServerCredentials | None) -> int:
        """Listens; gives the port, which is the system's choice where `port` is 0. Raises OSError where it is taken."""
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if credentials is None:
                bound = self._server.add_insecure_port(address)
            else:
                bound = self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise OSError(
                f"cannot listen on {address}: the port is taken, or the address is not this machine's"
            ) from error
        await self._server.start()
        return bound

    async def stop(self, timeout: float) -> None:
        """Refuses new calls at once, gives running ones `timeout` seconds to end, and closes the port.

        The port stays open while calls run: a new call gets UNAVAILABLE with a reason, which clients try again. Once
        gRPC itself stops, it cancels calls that it has not handed over yet, and clients do not try those again. Watches
        have no end of their own, and end at once.
        """
        self._events.close()
        if not await self._calls.drain(timeout):
            _log.warning("calls_cut", reason=f"calls had not ended after {timeout:g} s")
        await self._server.stop(_STATUS_SECONDS)
