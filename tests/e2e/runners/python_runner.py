"""The runner of the synchronous Python client: reads one request, makes its calls, writes what came of them.

Knows `sentinova.Client`; must not judge: see ../README.md.
"""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from exchange import (
    Request,
    read_request,
    write_event,
    write_health,
    write_model,
    write_outcome,
    write_unanswered,
)
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sentinova import Client, Sentiment, SentinovaError
from sentinova.results import EventKind


def unary(client: Client, request: Request) -> None:
    """Asks for each document in a call of its own, `concurrency` calls at once."""
    documents = request.documents * request.content.get("repeat", 1)
    with ThreadPoolExecutor(request.content.get("concurrency", 1)) as pool:
        list(pool.map(lambda each: write_outcome(each[0], _analyze(client, request, each[1])), documents))


def _analyze(client: Client, request: Request, text: str) -> Sentiment | SentinovaError:
    try:
        return client.analyze(text, **request.config)
    except SentinovaError as failure:
        return failure


def batch(client: Client, request: Request) -> None:
    """Asks for all documents in one call."""
    try:
        outcomes = client.analyze_batch([text for _, text in request.documents], **request.config)
    except SentinovaError as failure:
        return write_unanswered(request.documents, set(), failure)
    for (identity, _), outcome in zip(request.documents, outcomes, strict=True):
        write_outcome(identity, outcome)
    return None


def stream(client: Client, request: Request) -> None:
    """Asks for all documents over one stream."""
    answered: set[int] = set()
    try:
        for answer in client.stream(request.documents, **request.config):
            answered.add(answer.index)
            outcome = answer.result or answer.error
            assert outcome is not None
            write_outcome(answer.id, outcome)
    except SentinovaError as failure:
        write_unanswered(request.documents, answered, failure)


def cancel(client: Client, request: Request) -> None:
    """Asks for the first document, and gives up: closing a client cancels what runs on it."""
    timer = threading.Timer(request.content["cancel_after_seconds"], client.close)
    timer.start()
    identity, text = request.documents[0]
    write_outcome(identity, _analyze(client, request, text))
    timer.cancel()


def health(_: Client, request: Request) -> None:
    """Asks for the health of the server and of the models, by the standard service."""
    credentials, options = request.credentials()
    channel = (
        grpc.secure_channel(request.address, credentials, options)
        if credentials
        else grpc.insecure_channel(request.address)
    )
    with channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ["", *request.models]:
            write_health(service, stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=request.timeout))


def models(client: Client, _: Request) -> None:
    """Lists the models."""
    for model in client.list_models():
        write_model(model)


def watch(client: Client, request: Request) -> None:
    """Watches the models until enough has happened."""
    events = client.watch_models(request.models)
    left: int | None = None
    for event in events:
        write_event(event)
        if left is not None:
            left -= 1
        elif event.kind is EventKind.SYNCED:
            left = request.content["events"]
        if left == 0:
            break
    events.close()


SCENARIOS = {each.__name__: each for each in (unary, batch, stream, cancel, health, models, watch)}


def main() -> int:
    """Does what the request asks for; gives the exit code."""
    request = read_request()
    with Client(request.address, **request.settings()) as client:
        SCENARIOS[request.scenario](client, request)
    return 0


if __name__ == "__main__":
    sys.exit(main())
