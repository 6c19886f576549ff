"""Fixtures: a fake server, and both clients behind one face."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from sentinova import AsyncClient, Client
from sentinova.cli import main

sys.path.insert(0, str(Path(__file__).parent))  # where the tests and this file find `fake_server` and `program`

from fake_server import FakeServer


class Face:
    """Either client, driven by plain calls: the asynchronous one runs on a loop of its own."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.runner = asyncio.Runner() if kind == "async" else None
        self.client = None

    def open(self, address: str, **settings) -> Face:
        self.close()
        self.client = Client(address, **settings) if self.runner is None else AsyncClient(address, **settings)
        return self

    def __getattr__(self, name):
        method = getattr(self.client, name)
        if self.runner is None:
            return method
        if name in {"stream", "watch_models"}:
            return lambda *args, **options: Pull(self.runner, method(*args, **options))
        return lambda *args, **options: self.runner.run(method(*args, **options))

    def close(self) -> None:
        if self.client is None:
            return
        if self.runner is None:
            self.client.close()
        else:
            self.runner.run(self.client.close())

    def end(self) -> None:
        self.close()
        if self.runner is not None:
            self.runner.close()


class Pull:
    """An asynchronous iterator, taken step by step."""

    def __init__(self, runner: asyncio.Runner, iterator) -> None:
        self.runner = runner
        self.iterator = iterator

    def __iter__(self):
        return self

    def __next__(self):
        async def step():
            return await anext(self.iterator)

        try:
            return self.runner.run(step())
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        self.runner.run(self.iterator.aclose())


@pytest.fixture
def server():
    server = FakeServer()
    yield server
    server.stop()


@pytest.fixture
def behaviour(server):
    return server.behaviour


@pytest.fixture(params=["sync", "async"])
def face(request):
    face = Face(request.param)
    yield face
    face.end()


@pytest.fixture
def client(face, server):
    return face.open(server.address)


@pytest.fixture
def run(server):
    def invoke(*arguments, text=None, address=server.address):
        return CliRunner().invoke(main, list(arguments), input=text, env={"SENTINOVA_ADDRESS": address})

    return invoke
