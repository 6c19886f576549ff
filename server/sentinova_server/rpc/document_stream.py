"""A stream of documents answered as they come: many at once, each alone, never more than a limit.

Knows the stream's messages and their order; must not know how a document is analyzed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog
from sentinova.v1 import sentiment_service_pb2 as pb

from sentinova_server.errors import Reason, ServingError
from sentinova_server.rpc.decoding import Undecodable
from sentinova_server.rpc.status import to_status

_log = structlog.get_logger()

Analyze = Callable[[pb.Document, pb.AnalysisConfig], Awaitable[pb.SentimentResult]]
CheckConfig = Callable[[pb.AnalysisConfig], None]
Response = pb.StreamAnalyzeSentimentResponse


async def answer_stream(
    requests: AsyncIterator[pb.StreamAnalyzeSentimentRequest],
    check_config: CheckConfig,
    analyze: Analyze,
    limit: int,
) -> AsyncIterator[Response]:
    """Answers every document of a stream, in the order in which the answers get ready.

    Args:
        requests: the messages; gRPC gives no further one while this does not ask for it.
        check_config: raises ServingError where no document could be answered.
        analyze: answers one document, or raises ServingError.
        limit: most documents read and not yet handed to gRPC as answers.

    Raises:
        ServingError: the configuration is wrong, or comes too late.
    """
    stream = _DocumentStream(check_config, analyze, limit)
    reader = asyncio.create_task(stream.read(requests))
    try:
        while (response := await stream.answers.get()) is not None:
            yield response
            stream.slots.release()
        await reader
    finally:
        reader.cancel()
        stream.cancel()


class _DocumentStream:
    """The documents of one stream that are under way."""

    def __init__(self, check_config: CheckConfig, analyze: Analyze, limit: int) -> None:
        self.answers: asyncio.Queue[Response | None] = asyncio.Queue()
        self.slots = asyncio.Semaphore(limit)
        self._check_config = check_config
        self._analyze = analyze
        self._config: pb.AnalysisConfig | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def read(self, requests: AsyncIterator[pb.StreamAnalyzeSentimentRequest]) -> None:
        """Reads the stream to its end and waits for the answers; None in `answers` is the end, also after an error."""
        try:
            async for request in requests:
                await self._accept(request)
            if self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            self.answers.put_nowait(None)

    def cancel(self) -> None:
        """Gives up the documents under way: nobody waits for them."""
        for task in self._tasks:
            task.cancel()

    async def _accept(self, request: pb.StreamAnalyzeSentimentRequest | Undecodable) -> None:
        if isinstance(request, Undecodable):
            await self.slots.acquire()
            self.answers.put_nowait(Response(error=to_status(request.error)))
            return
        match request.WhichOneof("content"):
            case "config":
                self._set_config(request.config)
            case "document":
                config = self._config or self._set_config(pb.AnalysisConfig())
                await self.slots.acquire()
                task = asyncio.create_task(self._answer(request.document, config))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case _:
                raise ServingError(
                    Reason.INVALID_FIELD,
                    "a message holds neither config nor document: send one",
                    field="content",
                )

    def _set_config(self, config: pb.AnalysisConfig) -> pb.AnalysisConfig:
        if self._config is not None:
            raise ServingError(
                Reason.INVALID_FIELD,
                "config comes after the first message: send it first, and once",
                field="config",
            )
        self._check_config(config)
        self._config = config
        return config

    async def _answer(self, document: pb.Document, config: pb.AnalysisConfig) -> None:
        try:
            response = Response(id=document.id, result=await self._analyze(document, config))
        except ServingError as error:
            # An id that is too long is not given back.
            response = Response(id="" if error.field == "document.id" else document.id, error=to_status(error))
            if error.__cause__ is not None:
                _log.error("document_failed", document=response.id, exc_info=error.__cause__)
        except Exception as error:  # a defect must not end the stream of the others
            _log.error("unexpected_error", document=document.id, exc_info=error)
            response = Response(
                id=document.id,
                error=to_status(ServingError(Reason.INTERNAL, "internal error; the server's log has the cause")),
            )
        self.answers.put_nowait(response)
