"""A server of the API for tests: its answers follow from the texts, and tests choose how it fails.

Texts: "" fails with TEXT_EMPTY; one that begins with "bad" is negative; every other is positive. Calls that change a
model are noted and change nothing.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter
from concurrent import futures
from dataclasses import dataclass, field

import grpc
from google.protobuf import any_pb2, duration_pb2, wrappers_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from sentinova.v1 import model_service_pb2 as models_pb
from sentinova.v1 import model_service_pb2_grpc, sentiment_service_pb2_grpc
from sentinova.v1 import sentiment_service_pb2 as pb

PAGE = 2  # models of a page


def status(code: int, message: str, reason: str, **more) -> status_pb2.Status:
    """Makes a status with the details that the API promises."""
    info = error_details_pb2.ErrorInfo(reason=reason, domain="sentinova", metadata=more.get("metadata", {}))
    details = [info]
    if "violation" in more:
        bad = error_details_pb2.BadRequest()
        bad.field_violations.add(field=more["violation"], description="is wrong", reason=reason)
        details.append(bad)
    if "retry_after" in more:
        delay = duration_pb2.Duration(nanos=int(more["retry_after"] * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    packed = []
    for each in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(each)
    return status_pb2.Status(code=code, message=message, details=packed)


EMPTY = status(
    code_pb2.INVALID_ARGUMENT, "the text is empty", "TEXT_EMPTY", violation="document.text", metadata={"bytes": "0"}
)
NO_MODEL = status(code_pb2.NOT_FOUND, 'there is no model "nope"', "MODEL_NOT_FOUND", metadata={"model": "nope"})
FULL = status(code_pb2.RESOURCE_EXHAUSTED, "the queue is full", "QUEUE_FULL", retry_after=0.5)
DOWN = status(code_pb2.UNAVAILABLE, "the model is loading", "MODEL_LOADING")


@dataclass
class Behaviour:
    """What the server does, and what it saw."""

    failures: list[status_pb2.Status] = field(default_factory=list)  # of the next calls, in order
    calls: Counter = field(default_factory=Counter)
    metadata: dict = field(default_factory=dict)  # of the latest call
    configs: list = field(default_factory=list)
    fail_after: int = 0  # so many calls go well before `failures`
    hang: bool = False  # never answer
    hang_after: int | None = None  # answer so many calls, and no more
    documents: int = 0  # of batches
    backwards: int = 0  # a stream answers so many documents at a time, the latest first
    wrong_id: bool = False
    answers_short: int = 0  # so many answers are left out at the end of a batch or stream
    serving: int = 1
    received: int = 0  # documents of streams
    stream_over: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)  # a call has come
    hanging: threading.Event = field(default_factory=threading.Event)  # a call hangs
    released: threading.Event = field(default_factory=threading.Event)  # lets go what hangs
    models: list = field(default_factory=list)
    requests: list = field(default_factory=list)  # of the calls that change models, and of watches
    limits: list = field(default_factory=list)  # seconds that each call had left
    # What watches tell, one after the other: an event; a Status that ends a watch; None, which ends it with OK.
    events: queue.SimpleQueue = field(default_factory=queue.SimpleQueue)
    watch_over: threading.Event = field(default_factory=threading.Event)


class _Over:
    """Tells one watch that its call is over."""


def event(
    kind: str, name: str = "", version: int = 0, state: str = "UNSPECIFIED", **more
) -> models_pb.WatchModelsResponse:
    """Makes an event of a watch, of the year 2023."""
    made = models_pb.WatchModelsResponse(
        kind=f"MODEL_EVENT_KIND_{kind}", model=name, version=version, state=f"MODEL_VERSION_STATE_{state}", **more
    )
    made.time.FromSeconds(1_700_000_000)
    return made


def result(text: str, config: pb.AnalysisConfig) -> pb.SentimentResult:
    negative = text.startswith("bad")
    scores = [pb.ClassScore(label="negative", score=0.25), pb.ClassScore(label="positive", score=0.75)]
    if negative:
        scores[0].score, scores[1].score = 0.75, 0.25
    return pb.SentimentResult(
        label="negative" if negative else "positive",
        score=0.75,
        scores=scores,
        model=pb.ModelRef(name=config.model or "sentiment_en", version=config.version or 2),
        token_count=len(text.split()) + 2,
        truncated=config.long_text_policy == pb.LONG_TEXT_POLICY_TRUNCATE and len(text) > 100,
        timings=pb.Timings(
            tokenization=duration_pb2.Duration(nanos=1_000_000),
            queue=duration_pb2.Duration(nanos=2_000_000),
            inference=duration_pb2.Duration(seconds=1, nanos=500_000_000),
        ),
    )


class FakeService(sentiment_service_pb2_grpc.SentimentServiceServicer, model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.lock = threading.Lock()

    def _begin(self, name, context, config=None):
        do = self.behaviour
        do.calls[name] += 1
        do.begun.set()
        do.metadata = dict(context.invocation_metadata())
        do.limits.append(context.time_remaining())
        if config is not None:
            do.configs.append(config)
        if do.failures and do.calls.total() > do.fail_after:
            context.abort_with_status(rpc_status.to_status(do.failures.pop(0)))
        if config is not None and config.model == "nope":
            context.abort_with_status(rpc_status.to_status(NO_MODEL))
        if do.hang or (do.hang_after is not None and do.calls.total() > do.hang_after):
            do.hanging.set()
            do.released.wait()

    def AnalyzeSentiment(self, request, context):  # noqa: N802
        self._begin("AnalyzeSentiment", context, request.config)
        if not request.document.text:
            context.abort_with_status(rpc_status.to_status(EMPTY))
        return pb.AnalyzeSentimentResponse(result=result(request.document.text, request.config))

    def BatchAnalyzeSentiment(self, request, context):  # noqa: N802
        self._begin("BatchAnalyzeSentiment", context, request.config)
        with self.lock:
            self.behaviour.documents += len(request.documents)
        kept = request.documents[: len(request.documents) - self.behaviour.answers_short]
        return pb.BatchAnalyzeSentimentResponse(
            results=[self._outcome(pb.DocumentResult, each, request.config) for each in kept]
        )

    def StreamAnalyzeSentiment(self, requests, context):  # noqa: N802
        context.add_callback(self.behaviour.stream_over.set)
        config = next(requests).config
        self._begin("StreamAnalyzeSentiment", context, config)
        size = self.behaviour.backwards or 1
        group = []
        for request in requests:
            self.behaviour.received += 1
            group.append(request.document)
            if len(group) == size:
                yield from self._answers(group, config)
                group = []
        yield from self._answers(group[self.behaviour.answers_short :], config)

    def _answers(self, group, config):
        for document in reversed(group):
            answer = self._outcome(pb.StreamAnalyzeSentimentResponse, document, config)
            if self.behaviour.wrong_id:
                answer.id = "stranger"
            yield answer

    @staticmethod
    def _outcome(kind, document, config):
        if not document.text:
            return kind(id=document.id, error=EMPTY)
        return kind(id=document.id, result=result(document.text, config))

    def ListModels(self, request, context):  # noqa: N802
        self._begin("ListModels", context)
        start = int(request.page_token or 0)
        models = self.behaviour.models
        more = str(start + PAGE) if start + PAGE < len(models) else ""
        return models_pb.ListModelsResponse(models=models[start : start + PAGE], next_page_token=more)

    def GetModel(self, request, context):  # noqa: N802
        self._begin("GetModel", context)
        return models_pb.GetModelResponse(model=self._model(request, context))

    def WatchModels(self, request, context):  # noqa: N802
        events = self.behaviour.events
        context.add_callback(self.behaviour.watch_over.set)
        over = _Over()
        context.add_callback(lambda: events.put(over))
        self._begin("WatchModels", context)
        self.behaviour.requests.append(request)
        while (told := events.get()) is not None and told is not over:
            if isinstance(told, status_pb2.Status):
                context.abort_with_status(rpc_status.to_status(told))
            if not isinstance(told, _Over):  # (of an earlier watch)
                yield told

    def LoadModel(self, request, context):  # noqa: N802
        return models_pb.LoadModelResponse(model=self._changed("LoadModel", request, context))

    def UnloadModel(self, request, context):  # noqa: N802
        return models_pb.UnloadModelResponse(model=self._changed("UnloadModel", request, context))

    def SetModelLabel(self, request, context):  # noqa: N802
        return models_pb.SetModelLabelResponse(model=self._changed("SetModelLabel", request, context))

    def DeleteModelLabel(self, request, context):  # noqa: N802
        return models_pb.DeleteModelLabelResponse(model=self._changed("DeleteModelLabel", request, context))

    def SetModelWeights(self, request, context):  # noqa: N802
        return models_pb.SetModelWeightsResponse(model=self._changed("SetModelWeights", request, context))

    def SetModelShadow(self, request, context):  # noqa: N802
        return models_pb.SetModelShadowResponse(model=self._changed("SetModelShadow", request, context))

    def RollbackModel(self, request, context):  # noqa: N802
        model = self._changed("RollbackModel", request, context)
        return models_pb.RollbackModelResponse(model=model, from_version=3, to_version=2)

    def ReloadRepository(self, request, context):  # noqa: N802
        self._begin("ReloadRepository", context)
        self.behaviour.requests.append(request)
        return models_pb.ReloadRepositoryResponse(models=self.behaviour.models)

    def _changed(self, name, request, context):
        self._begin(name, context)
        self.behaviour.requests.append(request)
        return self._model(request, context)

    def _model(self, request, context):
        for model in self.behaviour.models:
            if model.name == request.name:
                return model
        return context.abort_with_status(rpc_status.to_status(NO_MODEL))

    def check_health(self, request, context):
        self._begin("Check", context)
        return wrappers_pb2.Int32Value(value=self.behaviour.serving)


def model(name: str) -> models_pb.Model:
    """Makes a model with one version that serves and one that could not be loaded."""
    tensor = models_pb.TensorMetadata(name="input_ids", datatype="INT64", shape=[-1, -1])
    good = models_pb.ModelVersion(
        version=1,
        state=models_pb.MODEL_VERSION_STATE_AVAILABLE,
        inputs=[tensor],
        labels=["negative", "positive"],
        max_tokens=512,
        format="paddle",
        precision="bf16",
    )
    good.state_time.FromSeconds(1_700_000_000)
    failed = models_pb.ModelVersion(
        version=2, state=models_pb.MODEL_VERSION_STATE_FAILED, state_message="2/model.pdiparams is missing"
    )
    return models_pb.Model(name=name, backend="openvino", default_version=1, versions=[good, failed], loaded=True)


def canary(name: str) -> models_pb.Model:
    """Makes a model with labels, weights, a shadow and comparisons."""
    made = model(name)
    del made.versions[1]
    for number in (2, 3):
        made.versions.add().CopyFrom(made.versions[0])
        made.versions[-1].version = number
    made.default_version = 3
    for version, labels, weight, memory in zip(
        made.versions, (["stable"], ["canary", "next"], []), (90, 10, 0), (411_000_000, 104_857_600, 0), strict=True
    ):
        version.version_labels.extend(labels)
        version.weight = weight
        version.memory_bytes = memory
    made.weights.add(version=1, percent=90)
    made.weights.add(version=2, percent=10)
    made.shadow_version = 3
    made.comparisons.add(
        version=2,
        baseline=1,
        documents=2000,
        agreed=1990,
        mean_distance=0.0125,
        max_distance=0.25,
        latency_ratio=0.5,
        dropped=7,
        failed=1,
        live=True,
    )
    made.comparisons.add(version=3, baseline=1)
    return made


class FakeServer:
    """The server, listening on a free port of this machine, or at an address of the test."""

    def __init__(self, credentials: grpc.ServerCredentials | None = None, address: str | None = None) -> None:
        self.behaviour = Behaviour()
        service = FakeService(self.behaviour)
        self._server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        sentiment_service_pb2_grpc.add_SentimentServiceServicer_to_server(service, self._server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(service, self._server)
        check = grpc.unary_unary_rpc_method_handler(
            service.check_health,
            request_deserializer=wrappers_pb2.StringValue.FromString,
            response_serializer=wrappers_pb2.Int32Value.SerializeToString,
        )
        handler = grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": check})
        self._server.add_generic_rpc_handlers((handler,))
        asked = address or "127.0.0.1:0"
        if credentials is None:
            port = self._server.add_insecure_port(asked)
        else:
            port = self._server.add_secure_port(asked, credentials)
        self.address = address or f"127.0.0.1:{port}"
        self._server.start()

    def stop(self) -> None:
        self.behaviour.released.set()
        self._server.stop(None).wait()
