"""`sentinova.v1.SentimentService`: documents in, sentiment out.

Knows messages and leases; must not know how a text is analyzed.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from sentinova.v1 import sentiment_service_pb2 as pb
from sentinova.v1 import sentiment_service_pb2_grpc as pb_grpc

from sentinova_server.errors import Reason, ServingError
from sentinova_server.observability.metrics import Metrics
from sentinova_server.rpc.call import Context, current_call
from sentinova_server.rpc.conversion import check_document_id, read_choice, read_long_text, to_result
from sentinova_server.rpc.document_stream import answer_stream
from sentinova_server.rpc.status import code_of, to_status
from sentinova_server.serving.analysis import Analysis, LongText, TextClassifier
from sentinova_server.serving.delivery import Deliveries
from sentinova_server.serving.served import ModelRegistry, ServedVersion, classifier_of
from sentinova_server.serving.statistics import RequestTimes


class SentimentService(pb_grpc.SentimentServiceServicer):
    """The service, on the models of a registry."""

    def __init__(
        self,
        registry: ModelRegistry,
        metrics: Metrics,
        deliveries: Deliveries,
        *,
        max_batch_documents: int,
        max_stream_in_flight: int,
    ) -> None:
        """Makes it.

        Args:
            registry: the models.
            metrics: where documents are counted.
            deliveries: told of every answer, for versions to be compared.
            max_batch_documents: most documents in one batch call.
            max_stream_in_flight: most unanswered documents of one stream.
        """
        self._registry = registry
        self._metrics = metrics
        self._deliveries = deliveries
        self._max_batch_documents = max_batch_documents
        self._max_stream_in_flight = max_stream_in_flight

    async def AnalyzeSentiment(  # noqa: N802
        self, request: pb.AnalyzeSentimentRequest, context: Context
    ) -> pb.AnalyzeSentimentResponse:
        """See the proto."""
        if not request.HasField("document"):
            raise ServingError(Reason.INVALID_FIELD, "document is missing: send one", field="document")
        result = await self._analyze(request.document, request.config, _deadline(context))
        return pb.AnalyzeSentimentResponse(id=request.document.id, result=result)

    async def BatchAnalyzeSentiment(  # noqa: N802
        self, request: pb.BatchAnalyzeSentimentRequest, context: Context
    ) -> pb.BatchAnalyzeSentimentResponse:
        """See the proto."""
        self._check_batch(request)
        long_text = read_long_text(request.config)
        with read_choice(request.config).lease(self._registry) as record:
            classifier = _served(record)
            texts = [document.text for document in request.documents]
            outcomes = await classifier.analyze_batch(
                texts, long_text, _deadline(context), priority=request.config.priority
            )
            results = [
                self._to_document_result(index, document, classifier, long_text, outcome)
                for index, (document, outcome) in enumerate(zip(request.documents, outcomes, strict=True))
            ]
        return pb.BatchAnalyzeSentimentResponse(results=results)

    async def StreamAnalyzeSentiment(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.StreamAnalyzeSentimentRequest], context: Context
    ) -> AsyncIterator[pb.StreamAnalyzeSentimentResponse]:
        """See the proto."""

        async def analyze(document: pb.Document, config: pb.AnalysisConfig) -> pb.SentimentResult:
            return await self._analyze(document, config, _deadline(context))

        answers = answer_stream(request_iterator, self._check_config, analyze, self._max_stream_in_flight)
        async for answer in answers:
            yield answer

    async def _analyze(
        self, document: pb.Document, config: pb.AnalysisConfig, deadline: float | None
    ) -> pb.SentimentResult:
        """Analyzes one document under a lease of its own, and counts it."""
        long_text = read_long_text(config)
        with read_choice(config).lease(self._registry) as record:
            classifier = _served(record)
            try:
                check_document_id(document)
                analysis = await classifier.analyze(document.text, long_text, deadline, priority=config.priority)
            except ServingError as error:
                self._note(classifier, document, long_text, error)
                raise
            except Exception:  # a defect of the version counts against it, and ends the call as any other does
                self._note(classifier, document, long_text, ServingError(Reason.INTERNAL, "unexpected error"))
                raise
            self._note(classifier, document, long_text, analysis)
            return to_result(classifier, analysis)

    def _check_config(self, config: pb.AnalysisConfig) -> None:
        """Raises ServingError where no document could be answered with this configuration."""
        read_long_text(config)
        with read_choice(config).lease(self._registry) as record:
            _served(record).check_priority(config.priority)

    def _check_batch(self, request: pb.BatchAnalyzeSentimentRequest) -> None:
        count = len(request.documents)
        if not 1 <= count <= self._max_batch_documents:
            raise ServingError(
                Reason.INVALID_FIELD,
                f"documents has {count} documents; it must have 1 to {self._max_batch_documents}",
                field="documents",
            )

    def _to_document_result(
        self,
        index: int,
        document: pb.Document,
        classifier: TextClassifier,
        long_text: LongText,
        outcome: Analysis | ServingError,
    ) -> pb.DocumentResult:
        try:
            check_document_id(document)
        except ServingError as error:
            outcome = error
        self._note(classifier, document, long_text, outcome)
        if isinstance(outcome, ServingError):
            outcome = outcome.renamed("document.", f"documents[{index}].")
            # An id that is too long is not given back either.
            return pb.DocumentResult(id="" if outcome.field.endswith(".id") else document.id, error=to_status(outcome))
        return pb.DocumentResult(id=document.id, result=to_result(classifier, outcome))

    def _note(
        self, classifier: TextClassifier, document: pb.Document, long_text: LongText, outcome: Analysis | ServingError
    ) -> None:
        """Counts a document, and has its answer compared where versions are."""
        seconds = time.monotonic() - current_call.get().started
        if isinstance(outcome, ServingError):
            classifier.statistics.failed(seconds)
        else:
            classifier.statistics.answered(
                RequestTimes(seconds, outcome.queue_seconds, outcome.tokenization_seconds, outcome.inference_seconds)
            )
        self._deliveries.answered(classifier.name, classifier.version, document.text, long_text, outcome)
        code = code_of(outcome).name if isinstance(outcome, ServingError) else "OK"
        labels = (classifier.name, str(classifier.version), current_call.get().method, code)
        self._metrics.child(self._metrics.documents, *labels).inc()


def _served(record: ServedVersion) -> TextClassifier:
    """Gives what answers under a lease, and tells the call's logs and metrics which version that is."""
    call = current_call.get()
    call.model, call.version = record.model, str(record.version)
    return classifier_of(record)


def _deadline(context: Context) -> float | None:
    """Gives the call's deadline on the monotonic clock; None: it has none."""
    remaining = context.time_remaining()
    return None if remaining is None else time.monotonic() + remaining
