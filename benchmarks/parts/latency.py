"""How long an answer takes: one client with one text, and ever more clients.

One text's time in a server stands beside its time in bare OpenVINO: on one thread, as a server runs it, and on all
cores.
"""

from __future__ import annotations

import random

from benchmarks.accounting import percentile
from benchmarks.bench import Bench, Outcome
from benchmarks.texts import TYPICAL_TOKENS, make_text

PART = "latency"
SWEEP = "sweep"
# OpenVINO's PERFORMANCE_HINT, and what it means for one text.
HINTS = {"THROUGHPUT": "one thread", "LATENCY": "all cores"}
_BARE_CALLS = 200


def measure(bench: Bench, number: int) -> None:
    """Measures one client with one text, and throughput against latency."""
    bench.say(f"round {number}: latency")
    text = make_text(TYPICAL_TOKENS, random.Random(1))
    if bench.bare is not None:
        key = bench.keep_local(bench.bare, "one text", [text])
        for hint in HINTS:
            latencies = bench.bare.run_single(key, _BARE_CALLS, hint)
            p50, p99 = percentile(latencies, 0.5), percentile(latencies, 0.99)
            bench.results.add(PART, f"one text/{hint}", bench.bare.name, number, p50_ms=1000 * p50, p99_ms=1000 * p99)
    for service in bench.in_turn(number):
        key = bench.keep(service, "one text", service.unary([text]))
        outcome = bench.run_closed(service, key, clients=1, seconds=bench.options.seconds)
        bench.results.add(PART, "one text", service.name, number, **_values(outcome))
        key = bench.keep_mix(service, bench.options.mix)
        for clients in bench.options.sweep:
            outcome = bench.run_closed(service, key, clients, bench.options.seconds)
            bench.results.add(SWEEP, str(clients), service.name, number, **_values(outcome))


def _values(outcome: Outcome) -> dict[str, float]:
    latencies = outcome.load.latencies[0]
    percentiles = {f"p{share}_ms": 1000 * percentile(latencies, share / 100) for share in (50, 90, 99)}
    return {**outcome.values(), **percentiles}
