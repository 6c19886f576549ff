"""A real server on a repository of tiny models, and short ways to call it.

Knows the services and the pages; must not know what a test is about.
"""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from model_watch import WAIT_SECONDS, ModelWatch, state_name
from prometheus_client.parser import text_string_to_metric_families
from sentinova.v1 import model_service_pb2 as model_pb
from sentinova.v1 import model_service_pb2_grpc, sentiment_service_pb2_grpc
from sentinova.v1 import sentiment_service_pb2 as pb
from tiny_models import TinyModels

# The three ways to ask.
WAYS = ("unary", "batch", "stream")
# Every call that changes something, as it would go well on a model with the versions 1 and 2.
CHANGES = {
    "LoadModel": {"name": "both"},
    "UnloadModel": {"name": "both"},
    "ReloadRepository": {},
    "SetModelLabel": {"name": "both", "label": "canary", "version": 2},
    "DeleteModelLabel": {"name": "both", "label": "stable"},
    "SetModelWeights": {"name": "both", "weights": [model_pb.VersionWeight(version=1, percent=100)]},
    "SetModelShadow": {"name": "both", "version": 1},
    "RollbackModel": {"name": "both"},
}


@dataclass(frozen=True)
class Refusal:
    """Why a call was refused."""

    code: str
    reason: str
    fields: tuple[str, ...]
    message: str
    metadata: dict[str, str] = field(hash=False)


def refusal(call: Callable[..., object], *args: object, **fields: object) -> Refusal:
    """Makes a call that must be refused; gives why."""
    with pytest.raises(grpc.RpcError) as caught:
        call(*args, **fields)
    error = caught.value
    status = rpc_status.from_call(error)
    assert status is not None, f"no details: {error}"
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert any(detail.Unpack(info) for detail in status.details)
    assert info.domain == "sentinova"
    for detail in status.details:
        detail.Unpack(bad)
    named = tuple(violation.field for violation in bad.field_violations)
    return Refusal(error.code().name, info.reason, named, error.details(), dict(info.metadata))


class Calls:
    """The methods of ModelService, by the fields of their requests: `calls.LoadModel(name="a")`."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.stub = model_service_pb2_grpc.ModelServiceStub(channel)

    def __getattr__(self, method: str) -> Callable[..., Any]:
        request = getattr(model_pb, f"{method}Request")
        return lambda **fields: getattr(self.stub, method)(request(**fields), timeout=WAIT_SECONDS)


class Rig:
    """A server, its repository and its services."""

    def __init__(self, server: Any, models: TinyModels, channel: grpc.Channel) -> None:
        """Makes it.

        Args:
            server: the running server.
            models: its repository.
            channel: to its gRPC port.
        """
        self.server = server
        self.models = models
        self.calls = Calls(channel)
        self._sentiment = sentiment_service_pb2_grpc.SentimentServiceStub(channel)
        self._health = health_pb2_grpc.HealthStub(channel)

    def get(self, model: str) -> model_pb.Model:
        """Gives a model as it is now."""
        return self.calls.GetModel(name=model).model

    def states(self, model: str) -> dict[int, str]:
        """Gives the state of each version of a model."""
        return {version.version: state_name(version.state) for version in self.get(model).versions}

    def available(self, model: str) -> list[int]:
        """Gives the versions of a model that take requests."""
        return [version for version, state in self.states(model).items() if state == "AVAILABLE"]

    def message(self, model: str, version: int) -> str:
        """Gives why a version is in its state."""
        return next(one.state_message for one in self.get(model).versions if one.version == version)

    def watch(self, *names: str) -> ModelWatch:
        """Watches models; none named: all."""
        return ModelWatch(self.calls.stub.WatchModels, *names)

    def ask(self, model: str, text: str = "good", *, way: str = "unary", **config: Any) -> pb.SentimentResult:
        """Asks for the sentiment of a text; an error of the one document is an AssertionError."""
        chosen, document = pb.AnalysisConfig(model=model, **config), pb.Document(text=text)
        if way == "unary":
            request = pb.AnalyzeSentimentRequest(document=document, config=chosen)
            return self._sentiment.AnalyzeSentiment(request, timeout=WAIT_SECONDS).result
        if way == "batch":
            batch = pb.BatchAnalyzeSentimentRequest(documents=[document], config=chosen)
            [answer] = self._sentiment.BatchAnalyzeSentiment(batch, timeout=WAIT_SECONDS).results
        else:
            messages = [
                pb.StreamAnalyzeSentimentRequest(config=chosen),
                pb.StreamAnalyzeSentimentRequest(document=document),
            ]
            [answer] = self._sentiment.StreamAnalyzeSentiment(iter(messages), timeout=WAIT_SECONDS)
        assert answer.WhichOneof("outcome") == "result", answer
        return answer.result

    def asked(self, model: str, text: str = "good", **config: Any) -> int:
        """Asks, and gives the version that answered."""
        return self.ask(model, text, **config).model.version

    def begin(self, model: str, **config: Any) -> grpc.Future:
        """Begins to ask, and waits for no answer."""
        request = pb.AnalyzeSentimentRequest(
            document=pb.Document(text="good"), config=pb.AnalysisConfig(model=model, **config)
        )
        return self._sentiment.AnalyzeSentiment.future(request, timeout=WAIT_SECONDS)

    def asking(self, model: str) -> Asker:
        """Asks without a pause, on a thread."""
        return Asker(lambda: self.ask(model))

    def health(self, service: str) -> str:
        """Gives what the health service says of a model, or of the server (empty)."""
        answer = self._health.Check(health_pb2.HealthCheckRequest(service=service), timeout=WAIT_SECONDS)
        return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)

    def page(self, path: str) -> tuple[int, str]:
        """Gives the status and the text of an HTTP page."""
        try:
            with urllib.request.urlopen(self.server.url + path, timeout=WAIT_SECONDS) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """Gives the value of a metric; 0 where it is not there."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.page("/metrics")[1])
            for sample in family.samples
            if sample.name == name and sample.labels == labels
        )

    def logged(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """Gives the log lines of an event, with such fields, so far."""
        return [
            entry
            for entry in list(self.server.logs)
            if entry["event"] == event and all(entry.get(key) == value for key, value in fields.items())
        ]


class Asker:
    """A client that asks for `good` again and again: no call may fail."""

    def __init__(self, ask: Callable[[], pb.SentimentResult]) -> None:
        self._ask = ask
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.answers: list[tuple[int, str]] = []
        self.errors: list[str] = []

    def __enter__(self) -> Asker:
        self._thread.start()
        self.wait_for_more(5)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with self._changed:
            self._stopped = True
        self._thread.join()
        if kind is None:
            assert not self.errors, self.errors

    def wait_for_more(self, count: int) -> None:
        """Waits until so many more calls have been answered, or one has failed."""
        with self._changed:
            least = len(self.answers) + count
            assert self._changed.wait_for(lambda: len(self.answers) >= least or self.errors, WAIT_SECONDS)

    def _run(self) -> None:
        while True:
            try:
                result = self._ask()
            except grpc.RpcError as error:
                result = error
            with self._changed:
                if isinstance(result, grpc.RpcError):
                    self.errors.append(f"{result.code().name}: {result.details()}")
                else:
                    self.answers.append((result.model.version, result.label))
                self._changed.notify_all()
                if self._stopped or self.errors:
                    return


@contextmanager
def run_rig(start: Callable[..., AbstractContextManager[Any]], models: TinyModels, *flags: str) -> Iterator[Rig]:
    """Starts a server on a repository."""
    # What lower precisions a CPU has, and whether they pay, is not measured here: it would only take time.
    with (
        start(models.root, "--precision", "f32", *flags) as server,
        grpc.insecure_channel(server.address, options=[("grpc.enable_http_proxy", 0)]) as channel,
    ):
        yield Rig(server, models, channel)
