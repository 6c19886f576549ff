"""The runner of the asynchronous Python client: reads one request, makes its calls, writes what came of them.

Knows `sentinova.AsyncClient`; must not judge: see ../README.md.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

from exchange import (
    Request,
    read_request,
    write_event,
    write_health,
    write_model,
    write_outcome,
    write_unanswered,
)
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sentinova import AsyncClient, CallCancelledError, Sentiment, SentinovaError
from sentinova.results import EventKind


async def unary(client: AsyncClient, request: Request) -> None:
    """Asks for each document in a call of its own, `concurrency` calls at once."""
    documents = iter(request.documents * request.content.get("repeat", 1))
    async with asyncio.TaskGroup() as group:
        for _ in range(request.content.get("concurrency", 1)):
            group.create_task(_ask_each(client, request, documents))


async def _ask_each(client: AsyncClient, request: Request, documents: Iterator[tuple[str, str]]) -> None:
    for identity, text in documents:
        write_outcome(identity, await _analyze(client, request, text))


async def _analyze(client: AsyncClient, request: Request, text: str) -> Sentiment | SentinovaError:
    try:
        return await client.analyze(text, **request.config)
    except SentinovaError as failure:
        return failure


async def batch(client: AsyncClient, request: Request) -> None:
    """Asks for all documents in one call."""
    try:
        outcomes = await client.analyze_batch([text for _, text in request.documents], **request.config)
    except SentinovaError as failure:
        return write_unanswered(request.documents, set(), failure)
    for (identity, _), outcome in zip(request.documents, outcomes, strict=True):
        write_outcome(identity, outcome)
    return None


async def stream(client: AsyncClient, request: Request) -> None:
    """Asks for all documents over one stream."""
    answered: set[int] = set()
    try:
        async for answer in client.stream(request.documents, **request.config):
            answered.add(answer.index)
            outcome = answer.result or answer.error
            assert outcome is not None
            write_outcome(answer.id, outcome)
    except SentinovaError as failure:
        write_unanswered(request.documents, answered, failure)


async def cancel(client: AsyncClient, request: Request) -> None:
    """Asks for the first document, and gives up: cancelling a task cancels the call that it awaits."""
    identity, text = request.documents[0]
    task = asyncio.create_task(_analyze(client, request, text))
    await asyncio.sleep(request.content["cancel_after_seconds"])
    task.cancel()
    try:
        write_outcome(identity, await task)
    except asyncio.CancelledError:
        write_outcome(identity, CallCancelledError("the task was cancelled"))


async def health(_: AsyncClient, request: Request) -> None:
    """Asks for the health of the server and of the models, by the standard service."""
    credentials, options = request.credentials()
    channel = (
        aio.secure_channel(request.address, credentials, options)
        if credentials
        else aio.insecure_channel(request.address)
    )
    async with channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ["", *request.models]:
            question = health_pb2.HealthCheckRequest(service=service)
            write_health(service, await stub.Check(question, timeout=request.timeout))


async def models(client: AsyncClient, _: Request) -> None:
    """Lists the models."""
    for model in await client.list_models():
        write_model(model)


async def watch(client: AsyncClient, request: Request) -> None:
    """Watches the models until enough has happened."""
    events = client.watch_models(request.models)
    left: int | None = None
    async for event in events:
        write_event(event)
        if left is not None:
            left -= 1
        elif event.kind is EventKind.SYNCED:
            left = request.content["events"]
        if left == 0:
            break
    await events.aclose()


SCENARIOS = {each.__name__: each for each in (unary, batch, stream, cancel, health, models, watch)}


async def main() -> int:
    """Does what the request asks for; gives the exit code."""
    request = read_request()
    async with AsyncClient(request.address, **request.settings()) as client:
        await SCENARIOS[request.scenario](client, request)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
