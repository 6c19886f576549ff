"""What long texts do to short ones: the short ones' latency alone, and at the same rate beside long ones.

Each service is loaded by its own capacity: short texts with 30% of what it answers of these alone, and long ones with
another 30% of theirs.
"""

from __future__ import annotations

from benchmarks.accounting import percentile, plan_arrivals
from benchmarks.bench import Bench
from benchmarks.parts.throughput import capacity

PART = "interference"
SHARE = 0.3
CASES = ("short alone", "short beside long")


def measure(bench: Bench, number: int) -> None:
    """Measures short texts alone and beside long ones on every service."""
    for service in bench.in_turn(number):
        bench.say(f"round {number}: short texts beside long ones, {service.title}")
        rates = {mix: SHARE * capacity(bench, service, mix, number) for mix in ("short", "long")}
        plans = [
            (
                bench.keep_mix(service, mix),
                plan_arrivals(rate, bench.options.open_seconds, bench.options.arrivals, number),
            )
            for mix, rate in rates.items()
        ]
        for case, tracks in zip(CASES, (plans[:1], plans), strict=True):
            outcome = bench.run_open(service, tracks)
            short = outcome.load.latencies[0]
            values = {"p50_ms": 1000 * percentile(short, 0.5), "p99_ms": 1000 * percentile(short, 0.99)}
            values |= {"rate": rates["short"], "long_rate": rates["long"] if len(tracks) > 1 else 0.0}
            bench.results.add(PART, case, service.name, number, **outcome.values(), **values)
