"""How many texts a second, at what cost in CPU time and padding: servers under full load, and the model alone.

Unary calls by many clients; for the first mix also batches of 32, one stream, and the model in arrival order.
"""

from __future__ import annotations

from benchmarks.accounting import correct_omission, percentile
from benchmarks.bench import Bench, Outcome
from benchmarks.targets.base import Service
from benchmarks.targets.local import BareOpenvino, PaddleInference

PART = "throughput"
BATCH = 32
BATCH_CALLS = 4
STREAM_WINDOW = 64
# Texts in a batch where they are not sorted.
ARRIVAL_BATCH = 16


def measure(bench: Bench, number: int) -> None:
    """Runs every mix on every target once."""
    for mix in bench.options.mixes:
        bench.say(f"round {number}: throughput, {mix} texts")
        main = mix == bench.options.mix
        if bench.bare is not None:
            _measure_bare(bench, bench.bare, mix, number, main=main)
        if bench.paddle is not None and main:
            _measure_arrived(bench, bench.paddle, mix, number)
        for service in bench.in_turn(number):
            measure_unary(bench, service, mix, number)
            if main:
                _measure_batches(bench, service, mix, number)
                _measure_stream(bench, service, mix, number)


def measure_unary(bench: Bench, service: Service, mix: str, number: int) -> float:
    """Measures unary calls by many clients; gives texts a second."""
    clients = bench.options.clients
    outcome = bench.run_closed(service, bench.keep_mix(service, mix), clients)
    bench.results.add(PART, f"{mix}/unary", service.name, number, **_values(outcome, clients))
    return outcome.texts_per_second


def capacity(bench: Bench, service: Service, mix: str, number: int) -> float:
    """Gives how many texts a second a service answered in this round, measured now if it was not yet."""
    known = bench.results.series(PART, f"{mix}/unary", service.name, "texts_per_s")
    return known[number] if number in known else measure_unary(bench, service, mix, number)


def _measure_batches(bench: Bench, service: Service, mix: str, number: int) -> None:
    texts = bench.make_texts(mix)
    # Whole batches only, so that every call has as many texts.
    requests = service.batches(texts[: len(texts) // BATCH * BATCH], BATCH)
    outcome = bench.run_closed(service, bench.keep(service, f"{mix} batches", requests), BATCH_CALLS)
    bench.results.add(PART, f"{mix}/batch", service.name, number, **_values(outcome, BATCH_CALLS))


def _measure_stream(bench: Bench, service: Service, mix: str, number: int) -> None:
    requests = service.stream(bench.make_texts(mix))
    if requests is None:
        return
    outcome = bench.run_stream(service, bench.keep(service, f"{mix} stream", requests), STREAM_WINDOW)
    bench.results.add(PART, f"{mix}/stream", service.name, number, **outcome.values())


def _values(outcome: Outcome, clients: int) -> dict[str, float]:
    latencies = outcome.load.latencies[0]
    # The time between one client's calls, had no answer been later than the mean.
    interval = outcome.load.seconds * clients / len(latencies)
    return {
        **outcome.values(),
        "p50_ms": 1000 * percentile(latencies, 0.5),
        "p99_ms": 1000 * percentile(latencies, 0.99),
        "p99_corrected_ms": 1000 * percentile(correct_omission(latencies, interval), 0.99),
    }


def _measure_bare(bench: Bench, bare: BareOpenvino, mix: str, number: int, *, main: bool) -> None:
    key = bench.keep_local(bare, mix, bench.make_texts(mix))
    values = bench.run_local(bare, lambda: bare.run_sorted(key, bench.budget))
    bench.results.add(PART, f"{mix}/sorted", bare.name, number, **values)
    if main:
        _measure_arrived(bench, bare, mix, number)


def _measure_arrived(bench: Bench, target: BareOpenvino | PaddleInference, mix: str, number: int) -> None:
    key = bench.keep_local(target, mix, bench.make_texts(mix))
    values = bench.run_local(target, lambda: target.run_arrived(key, ARRIVAL_BATCH))
    bench.results.add(PART, f"{mix}/arrived", target.name, number, **values)
