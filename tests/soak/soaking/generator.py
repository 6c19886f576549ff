"""The load: a process of its own that sends requests, takes note of every answer, and misses none.

Reads its plan as one line of JSON from standard input, tells with one line when every client has had an answer, and
ends when another line comes: it sends no more, waits for what is under way, and tells what it counted. Each answered
document is a record in a file; what must not be is told at once, as a line with `problem`. It knows nothing of what is
right beyond that: each document is answered once, with OK, for its own id. Times are those of the monotonic clock,
which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from sentinova.v1 import sentiment_service_pb2 as pb
from sentinova.v1 import sentiment_service_pb2_grpc as pb_grpc

# One answered document. `text` counts in the plan's texts; `floor` is the highest version of the model that had
# answered anything when it was sent; `due` is when it was to be sent, `sent` when it was.
RECORD = np.dtype([
    ("client", "<u2"), ("text", "<u4"), ("sequence", "<u4"), ("version", "<u8"), ("floor", "<u8"), ("score", "<f8"),
    ("due", "<f8"), ("sent", "<f8"), ("received", "<f8"),
])  # fmt: skip
_CONNECTIONS = 4
_OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
_LABELS = ("negative", "positive")
_FLUSH_RECORDS = 4096
_MAX_PROBLEMS = 50
# Answers that are outstanding when the end comes have so long; no call lives longer than the second.
_LAST_SECONDS = 60.0
_CALL_SECONDS = 60.0
_STREAM_WINDOW = 64


@dataclass(frozen=True)
class Plan:
    """One client.

    Attributes:
        kind: "unary", "batch", "stream", or "open": unary calls at their times, whatever became of those before.
        model: whom it asks.
        rate: documents a second; 0: one call after the other.
        version: the version it asks for; 0: none.
        size: documents in a batch.
        count: documents it sends in all, each text in turn; 0: until the end.
        refusals: whether a full queue is an answer too, as for those that flood.
    """

    kind: str
    model: str
    rate: float = 0.0
    version: int = 0
    size: int = 8
    count: int = 0
    refusals: bool = False


class Book:
    """What was sent and answered."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("wb")
        self._waiting: list[tuple] = []
        self.floors: dict[str, int] = {}
        self.sent = self.answered = self.refused = self.bad = 0

    def add(self, record: tuple) -> None:
        self._waiting.append(record)
        if len(self._waiting) >= _FLUSH_RECORDS:
            self.flush()

    def flush(self) -> None:
        self._file.write(np.array(self._waiting, RECORD).tobytes())
        self._file.flush()
        self._waiting.clear()

    def tell_problem(self, what: str) -> None:
        """Tells at once of what must not be; the first ones in words."""
        self.bad += 1
        if self.bad <= _MAX_PROBLEMS:
            tell(problem=what, at=time.monotonic())


def tell(**values: Any) -> None:
    """Writes one line."""
    print(json.dumps(values), flush=True)


class Client:
    """One client: sends by its plan until it is stopped."""

    def __init__(
        self, number: int, plan: Plan, texts: list[str], stub: pb_grpc.SentimentServiceStub, book: Book
    ) -> None:
        self.plan = plan
        self.calls = 0
        self.first_answer = asyncio.Event()
        self._number = number
        self._texts = texts
        self._stub = stub
        self._book = book
        self._sequence = itertools.count()
        self._stop = asyncio.Event()
        self._config = pb.AnalysisConfig(model=plan.model)
        if plan.version:
            self._config.version = plan.version

    def stop(self) -> None:
        """Has it send no more."""
        self._stop.set()

    async def run(self) -> None:
        """Sends until the stop, or until all is sent, and waits for every answer."""
        work = {"unary": self._call, "batch": self._call, "open": self._call_open, "stream": self._stream}
        try:
            await work[self.plan.kind]()
        except Exception as error:
            self._book.tell_problem(f"client {self._number} ({self.plan.kind}) ended: {error!r}")
        finally:
            self.first_answer.set()

    async def _pace(self) -> AsyncIterator[float]:
        """Gives the times at which to send, when they have come."""
        size = self.plan.size if self.plan.kind == "batch" else 1
        step = size / self.plan.rate if self.plan.rate else 0.0
        # Clients of one rate do not send at the same moment.
        due = time.monotonic() + step * (self._number % 16) / 16
        sent = 0
        while not self._stop.is_set() and (not self.plan.count or sent < self.plan.count):
            wait = due - time.monotonic()
            if step and wait > 0:
                try:
                    await asyncio.wait_for(self._stop.wait(), wait)
                except TimeoutError:
                    pass
                else:
                    return
            elif not step:
                due = time.monotonic()
            yield due
            due += step
            # A closed loop that fell behind does not catch up: what is measured is how it goes on.
            if step and self.plan.kind in ("unary", "batch"):
                due = max(due, time.monotonic() - step)
            sent += size

    async def _call(self) -> None:
        ask = self._ask_batch if self.plan.kind == "batch" else self._ask
        async for due in self._pace():
            await ask(due)

    async def _call_open(self) -> None:
        async with asyncio.TaskGroup() as group:
            async for due in self._pace():
                group.create_task(self._ask(due))

    async def _ask(self, due: float) -> None:
        sequence, text, document = self._next()
        request = pb.AnalyzeSentimentRequest(document=document, config=self._config)
        answer, floor, sent = await self._send(self._stub.AnalyzeSentiment, request, 1)
        if answer is not None:
            self._note(sequence, text, floor, due, sent, answer.id, answer.result)

    async def _ask_batch(self, due: float) -> None:
        documents = [self._next() for _ in range(self.plan.size)]
        request = pb.BatchAnalyzeSentimentRequest(documents=[one[2] for one in documents], config=self._config)
        answer, floor, sent = await self._send(self._stub.BatchAnalyzeSentiment, request, len(documents))
        if answer is None:
            return
        if len(answer.results) != len(documents):
            self._book.tell_problem(f"{len(documents)} documents in a batch, {len(answer.results)} answers")
        if len({one.result.model.version for one in answer.results}) != 1:
            self._book.tell_problem("several versions answered one batch")
        for (sequence, text, _), one in zip(documents, answer.results, strict=False):
            if one.WhichOneof("outcome") == "result":
                self._note(sequence, text, floor, due, sent, one.id, one.result)
            else:
                self._failed(one.error.code, f"a document of a batch failed: {one.error.message}")

    async def _send(self, method: Callable[..., Awaitable[Any]], request: Any, documents: int) -> tuple:
        book = self._book
        self.calls += 1
        book.sent += documents
        floor, sent = book.floors.get(self.plan.model, 0), time.monotonic()
        try:
            return await method(request, timeout=_CALL_SECONDS), floor, sent
        except grpc.aio.AioRpcError as error:
            for _ in range(documents):
                self._failed(error.code().value[0], f"{error.code().name}: {error.details()}")
            return None, floor, sent

    def _failed(self, code: int, what: str) -> None:
        if self.plan.refusals and code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]:
            self._book.refused += 1
            self.first_answer.set()
        else:
            self._book.tell_problem(f"client {self._number} ({self.plan.kind}, {self.plan.model}): {what}")

    async def _stream(self) -> None:
        """Sends everything through one call, which lives from the start to the end."""
        self.calls += 1
        call = self._stub.StreamAnalyzeSentiment()
        await call.write(pb.StreamAnalyzeSentimentRequest(config=self._config))
        pending: dict[str, tuple] = {}
        room = asyncio.Semaphore(_STREAM_WINDOW)
        reader = asyncio.create_task(self._read(call, pending, room))
        async for due in self._pace():
            await room.acquire()
            if reader.done():
                break
            sequence, text, document = self._next()
            self._book.sent += 1
            pending[document.id] = (sequence, text, self._book.floors.get(self.plan.model, 0), due, time.monotonic())
            await call.write(pb.StreamAnalyzeSentimentRequest(document=document))
        if reader.done() and not self._stop.is_set():
            self._book.tell_problem(f"client {self._number}: the server ended the stream by itself")
        await call.done_writing()
        await asyncio.wait_for(reader, _LAST_SECONDS)
        if (code := await call.code()) is not grpc.StatusCode.OK:
            self._book.tell_problem(f"client {self._number}: the stream ended with {code.name}: {await call.details()}")
        if pending:
            self._book.tell_problem(f"client {self._number}: {len(pending)} documents of the stream had no answer")

    async def _read(self, call: Any, pending: dict[str, tuple], room: asyncio.Semaphore) -> None:
        try:
            async for answer in call:
                known = pending.pop(answer.id, None)
                if known is None:
                    self._book.tell_problem(f"client {self._number}: an answer that nobody waits for: {answer.id!r}")
                elif answer.WhichOneof("outcome") == "result":
                    sequence, text, floor, due, sent = known
                    self._note(sequence, text, floor, due, sent, answer.id, answer.result)
                else:
                    self._failed(answer.error.code, f"a document of a stream failed: {answer.error.message}")
                room.release()
        except grpc.aio.AioRpcError:
            pass  # told with the call's code
        finally:
            for _ in range(_STREAM_WINDOW):
                room.release()

    def _next(self) -> tuple[int, int, pb.Document]:
        sequence = next(self._sequence)
        text = (sequence if self.plan.count else sequence + self._number) % len(self._texts)
        return sequence, text, pb.Document(id=f"{self._number}-{sequence}", text=self._texts[text])

    def _note(self, sequence: int, text: int, floor: int, due: float, sent: float, own_id: str, result: Any) -> None:
        received = time.monotonic()
        book, version = self._book, result.model.version
        if own_id != f"{self._number}-{sequence}":
            book.tell_problem(f"client {self._number}: asked {sequence}, answered {own_id!r}")
        if result.model.name != self.plan.model or (self.plan.version and version != self.plan.version):
            book.tell_problem(f"client {self._number}: {result.model} answered")
        scores = {entry.label: entry.score for entry in result.scores}
        if tuple(scores) != _LABELS or scores.get(result.label) != max(scores.values()):
            book.tell_problem(f"client {self._number}: label {result.label!r} of {scores}")
        book.answered += 1
        book.floors[self.plan.model] = max(book.floors.get(self.plan.model, 0), version)
        book.add((
            self._number, text, sequence, version, floor, scores.get("positive", -1.0), due, sent, received,
        ))  # fmt: skip
        self.first_answer.set()


async def main() -> None:
    """Runs the plan."""
    loop = asyncio.get_running_loop()
    plan = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    book = Book(Path(plan["records"]))
    channels = [grpc.aio.insecure_channel(plan["address"], _OPTIONS) for _ in range(_CONNECTIONS)]
    stubs = [pb_grpc.SentimentServiceStub(channel) for channel in channels]
    clients = [
        Client(number, Plan(**client), plan["texts"], stubs[number % _CONNECTIONS], book)
        for number, client in enumerate(plan["clients"])
    ]
    tasks = [asyncio.create_task(client.run()) for client in clients]
    await asyncio.gather(*(client.first_answer.wait() for client in clients))
    tell(started=time.monotonic())
    stopped = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    everything = asyncio.ensure_future(asyncio.gather(*tasks))
    await asyncio.wait({stopped, everything}, return_when=asyncio.FIRST_COMPLETED)
    for client in clients:
        client.stop()
    await asyncio.wait_for(everything, _LAST_SECONDS)
    book.flush()
    tell(
        sent=book.sent, answered=book.answered, refused=book.refused, bad=book.bad,
        calls=[client.calls for client in clients], cpu_seconds=time.process_time(),
    )  # fmt: skip
    for channel in channels:
        await channel.close()
    if not stopped.done():
        await stopped  # the end of the input


if __name__ == "__main__":
    asyncio.run(main())
