"""What both Python runners read and write: the request, and the lines of an outcome.

Knows the contract in ../README.md and the values of the `sentinova` package; must not make a call.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from sentinova import ModelEvent, ModelInfo, Sentiment, SentinovaError, Tls

_writing = threading.Lock()


class Request:
    """What the tests ask for."""

    def __init__(self, content: dict[str, Any]) -> None:
        """Makes it.

        Args:
            content: as ../README.md has it.
        """
        self.content = content
        self.scenario: str = content["scenario"]
        self.address: str = content["address"]
        self.timeout: float | None = content.get("timeout_seconds")
        self.documents: list[tuple[str, str]] = [(each["id"], each["text"]) for each in content.get("documents", [])]
        self.config: dict[str, Any] = dict(content.get("config") or {})

    @property
    def models(self) -> list[str]:
        """The models that health and watch are about; empty: all."""
        return [self.config["model"]] if self.config.get("model") else []

    def settings(self) -> dict[str, Any]:
        """Gives what a client is made with."""
        tls = self.content.get("tls")
        settings: dict[str, Any] = {"timeout": self.timeout} if self.timeout is not None else {}
        if tls:
            settings["tls"] = Tls(tls["ca_file"], tls.get("cert_file"), tls.get("key_file"), tls.get("server_name"))
        return settings

    def credentials(self) -> tuple[grpc.ChannelCredentials | None, list[tuple[str, str]]]:
        """Gives the credentials and options of a channel beside the client's: health has no method in the client."""
        tls = self.content.get("tls")
        if not tls:
            return None, []
        pem = {
            key: Path(tls[key]).read_bytes() if tls.get(key) else None for key in ("ca_file", "key_file", "cert_file")
        }
        name = tls.get("server_name")
        options = [("grpc.ssl_target_name_override", name)] if name else []
        return grpc.ssl_channel_credentials(pem["ca_file"], pem["key_file"], pem["cert_file"]), options


def read_request() -> Request:
    """Reads the request from the standard input."""
    return Request(json.load(sys.stdin.buffer))


def write(line: dict[str, Any]) -> None:
    """Writes a line, at once."""
    with _writing:
        print(json.dumps(line), flush=True)


def write_outcome(identity: str, outcome: Sentiment | SentinovaError) -> None:
    """Writes the outcome of a document."""
    write({"id": identity} | (result(outcome) if isinstance(outcome, Sentiment) else error(outcome)))


def result(sentiment: Sentiment) -> dict[str, Any]:
    """Gives a result's part of a line."""
    return {
        "outcome": "result",
        "label": sentiment.label,
        "score": sentiment.score,
        "scores": sentiment.scores,
        "model": sentiment.model,
        "version": sentiment.version,
        "token_count": sentiment.token_count,
        "truncated": sentiment.truncated,
    }


def error(failure: SentinovaError) -> dict[str, Any]:
    """Gives an error's part of a line."""
    return {
        "outcome": "error",
        "code": failure.code.name,
        "reason": failure.reason,
        "field": failure.field_violations[0].field if failure.field_violations else "",
        "message": failure.message,
        "metadata": failure.metadata,
        "retry_after_seconds": failure.retry_after,
    }


def write_health(service: str, answer: health_pb2.HealthCheckResponse) -> None:
    """Writes the health of a service."""
    write({"service": service, "status": health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)})


def write_model(model: ModelInfo) -> None:
    """Writes a model and its versions."""
    versions = [{"version": v.version, "state": v.state.value, "labels": list(v.labels)} for v in model.versions]
    write({"model": model.name, "default_version": model.default_version, "versions": versions})


def write_event(event: ModelEvent) -> None:
    """Writes an event of a watch."""
    state = event.state.value if event.state else ""
    write({"kind": event.kind.value, "model": event.model, "version": event.version, "state": state})


def write_unanswered(documents: list[tuple[str, str]], answered: set[int], failure: SentinovaError) -> None:
    """Writes the error of a whole call for each document that has no answer, by its place."""
    for place, (identity, _) in enumerate(documents):
        if place not in answered:
            write_outcome(identity, failure)
