"""What integration tests share: stubs on a channel, and the reason of an error."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from sentinova.v1 import model_service_pb2_grpc, sentiment_service_pb2_grpc

sys.path.insert(0, str(Path(__file__).parent))  # where the tests find the modules beside this file

from rig import run_rig
from tiny_models import Shelf, TinyModels


class Stubs:
    """The services of one server."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.sentiment = sentiment_service_pb2_grpc.SentimentServiceStub(channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(channel)


@contextmanager
def connect(address: str) -> Iterator[Stubs]:
    """Opens a plain channel."""
    with grpc.insecure_channel(address, options=[("grpc.max_send_message_length", -1)]) as channel:
        yield Stubs(channel)


def reason_of(error: grpc.RpcError) -> str:
    """Gives the reason in an error's ErrorInfo."""
    status = rpc_status.from_call(error)
    assert status is not None, f"no status details: {error}"
    return reason_in(status)


def reason_in(status) -> str:
    """Gives the reason in a status's ErrorInfo."""
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    assert info.domain == "sentinova"
    return info.reason


@pytest.fixture
def stubs(shipped_server) -> Iterator[Stubs]:
    """The shipped server's services."""
    with connect(shipped_server.address) as stubs:
        yield stubs


@pytest.fixture
def connect_to():
    """Gives `connect`."""
    return connect


@pytest.fixture
def reason():
    """Gives `reason_of`."""
    return reason_of


@pytest.fixture
def status_reason():
    """Gives `reason_in`."""
    return reason_in


@pytest.fixture(scope="session")
def shelf(tmp_path_factory, tiny_version) -> Shelf:
    """Tiny versions of every kind, each built once."""
    return Shelf(tmp_path_factory.mktemp("shelf"), tiny_version)


@pytest.fixture(scope="module")
def new_models(tmp_path_factory, shelf):
    """Makes a repository of tiny models, empty."""
    return lambda: TinyModels(tmp_path_factory.mktemp("tiny") / "repository", shelf)


@pytest.fixture(scope="module")
def start_rig(start_server):
    """Gives `run_rig` without the function that it starts servers with."""
    return lambda models, *flags: run_rig(start_server, models, *flags)


@pytest.fixture
def name(request) -> str:
    """A model's name that no other test has."""
    return re.sub(r"[^a-z0-9_]+", "-", request.node.name.removeprefix("test_").lower())
