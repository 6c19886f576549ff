"""A server that cases run against, and the ways to call it.

Knows the real client and its stubs; must not know how a server is started or what a case asks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from tritonclient.grpc import InferenceServerClient, service_pb2_grpc

from conforming.models import Model
from conforming.repositories import Repository

# No call of any case takes longer, even on a busy machine.
CALL_SECONDS = 30.0


@dataclass(frozen=True)
class Target:
    """A server.

    Attributes:
        server: its name.
        address: where it listens.
        repository: what it serves.
        channel: a plain channel.
        stub: for requests that the client would not make.
        client: the real client.
    """

    server: str
    address: str
    repository: Repository
    channel: grpc.Channel
    stub: service_pb2_grpc.GRPCInferenceServiceStub
    client: InferenceServerClient

    def config(self, model: Model, changes: Mapping[str, Any]) -> str:
        """Gives a model's config for this server as JSON, with some of it changed."""
        return json.dumps(model.config(self.repository.backend, changes))


@contextmanager
def connect(server: str, address: str, repository: Repository) -> Iterator[Target]:
    """Opens a channel and a client, and closes them in the end."""
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(address, options) as channel, InferenceServerClient(address) as client:
        yield Target(server, address, repository, channel, service_pb2_grpc.GRPCInferenceServiceStub(channel), client)
