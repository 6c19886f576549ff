"""How much of bare OpenVINO's throughput reaches a client: `make bench`.

In each round, one after the other on the same machine, model version and precision: OpenVINO alone, in process, on
texts that are tokenized and sorted by length already (the ceiling); then a real server, asked by a client on the same
cores in unary calls, in batches and in a stream. Prints medians over the rounds and their ratios to the ceiling. The
client's own work is in the wall time; the server's CPU time per 1,000 texts, from its metrics, leaves it out.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click
import numpy as np
import openvino as ov
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table
from sentinova import AsyncClient
from sentinova_server.runtime.tokenizer import TextTokenizer

MODEL = "sentiment_en"
WORDS = tuple("the film was good bad story not very great boring long short time people we it of acting plot".split())
TOKENS_PER_BATCH = 512

T = TypeVar("T")


def make_texts(count: int, seed: int) -> list[str]:
    """Makes texts of short words whose token counts spread like reviews': mean about 24, one in a hundred above 90."""
    rng = random.Random(seed)
    lengths = [max(1, min(200, round(rng.lognormvariate(2.87, 0.68)))) for _ in range(count)]
    return [" ".join(rng.choices(WORDS, k=length)) for length in lengths]


class Ceiling:
    """OpenVINO in process: every stream busy, batches of like length, nothing else to do."""

    def __init__(self, folder: Path, texts: Sequence[str]) -> None:
        tokenizer = TextTokenizer.load(folder)
        self._ids = sorted((tokenizer.tokenize(text).input_ids for text in texts), key=len)
        properties = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
        model = ov.Core().read_model(folder / "model.pdmodel", folder / "model.pdiparams")
        compiled = ov.Core().compile_model(model, "CPU", properties)
        self._queue = ov.AsyncInferQueue(compiled)
        self._batches = self._make_batches()

    def _make_batches(self) -> list[dict[str, np.ndarray]]:
        batches, rows = [], []
        for ids in self._ids:
            # Ascending, so each text is the widest so far.
            if rows and (len(rows) + 1) * len(ids) > TOKENS_PER_BATCH:
                batches.append(self._pad(rows))
                rows = []
            rows.append(ids)
        return [*batches, self._pad(rows)]

    @staticmethod
    def _pad(rows: Sequence[Sequence[int]]) -> dict[str, np.ndarray]:
        ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
        for row, values in zip(ids, rows, strict=True):
            row[: len(values)] = values
        return {"input_ids": ids, "token_type_ids": np.zeros_like(ids)}

    def run(self) -> float:
        """Runs all texts once; gives texts a second."""
        started = time.perf_counter()
        for batch in self._batches:
            self._queue.start_async(batch)
        self._queue.wait_all()
        return len(self._ids) / (time.perf_counter() - started)


class BenchServer:
    """A server process on free ports."""

    def __init__(self, repository: Path) -> None:
        command = [sys.executable, "-m", "sentinova_server", "serve", "--model-repository", str(repository)]
        command += ["--port", "0", "--http-port", "0", "--log-format", "json"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            entry = json.loads(line)
            if entry["event"] == "listening":
                self.address, self._http = f"127.0.0.1:{entry['grpc']}", f"http://127.0.0.1:{entry['http']}"
            if entry["event"] == "ready":
                return
        raise click.ClickException("the server did not get ready: run `sentinova-server check`")

    def cpu_seconds(self) -> float:
        """Gives the CPU time that the server has used."""
        with urllib.request.urlopen(f"{self._http}/metrics") as response:
            families = text_string_to_metric_families(response.read().decode())
        return next(s.value for family in families for s in family.samples if s.name == "process_cpu_seconds_total")

    def stop(self) -> None:
        """Ends the process."""
        self.process.terminate()
        self.process.wait()


Ask = Callable[[AsyncClient, Sequence[str], int], Awaitable[None]]


async def ask_unary(client: AsyncClient, texts: Sequence[str], version: int) -> None:
    """Asks for each text in a call of its own, 64 at a time."""
    await _share(64, texts, lambda text: client.analyze(text, version=version))


async def ask_batches(client: AsyncClient, texts: Sequence[str], version: int) -> None:
    """Asks for 32 texts a call, four calls at a time."""
    chunks = [texts[i : i + 32] for i in range(0, len(texts), 32)]
    await _share(4, chunks, lambda chunk: client.analyze_batch(chunk, version=version))


async def ask_stream(client: AsyncClient, texts: Sequence[str], version: int) -> None:
    """Sends all texts in one stream."""
    answers = [answer async for answer in client.stream(texts, version=version)]
    assert len(answers) == len(texts)


async def _share(workers: int, items: Sequence[T], call: Callable[[T], Awaitable[object]]) -> None:
    """Has a number of workers make the calls, each one after the other."""
    pending = iter(items)

    async def work() -> None:
        for item in pending:
            await call(item)

    await asyncio.gather(*(work() for _ in range(workers)))


WAYS: dict[str, Ask] = {"unary, 64 at once": ask_unary, "batches of 32": ask_batches, "one stream": ask_stream}


async def measure(server: BenchServer, ask: Ask, texts: Sequence[str], version: int) -> tuple[float, float]:
    """Asks for all texts once; gives texts a second and the server's CPU seconds per 1,000 texts."""
    async with AsyncClient(server.address, timeout=600) as client:
        await client.wait_until_ready()
        cpu, started = server.cpu_seconds(), time.perf_counter()
        await ask(client, texts, version)
        seconds, used = time.perf_counter() - started, server.cpu_seconds() - cpu
    return len(texts) / seconds, used / len(texts) * 1000


@click.command(help=__doc__)
@click.option("--repository", type=click.Path(path_type=Path), default=Path("model_repository"), show_default=True)
@click.option("--version", type=int, default=2, show_default=True, help="Version of the model.")
@click.option("--texts", type=int, default=1000, show_default=True, help="Texts a measurement.")
@click.option("--rounds", type=int, default=3, show_default=True, help="Rounds; medians are over these.")
def main(repository: Path, version: int, texts: int, rounds: int) -> None:
    """Runs the rounds and prints the table."""
    mixed = make_texts(texts, seed=1)
    ceiling = Ceiling(repository / MODEL / str(version), mixed)
    server = BenchServer(repository)
    ceilings: list[float] = []
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    try:
        for _ in range(rounds):
            ceilings.append(ceiling.run())
            for way, ask in WAYS.items():
                found[way].append(asyncio.run(measure(server, ask, mixed, version)))
    finally:
        server.stop()
    table = Table("way", "texts/s", "of the ceiling", "server CPU s / 1,000 texts")
    table.add_row("OpenVINO alone, sorted", f"{statistics.median(ceilings):.0f}", "1.00", "")
    for way, results in found.items():
        ratios = [speed / top for (speed, _), top in zip(results, ceilings, strict=True)]
        speed, cpu = (statistics.median(column) for column in zip(*results, strict=True))
        table.add_row(way, f"{speed:.0f}", f"{statistics.median(ratios):.2f}", f"{cpu:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
