"""How late answers get under a steady load: an open loop at a share of the capacity measured in the same round."""

from __future__ import annotations

from benchmarks.accounting import percentile, plan_arrivals
from benchmarks.bench import Bench
from benchmarks.parts.throughput import capacity

PART = "open-loop"


def measure(bench: Bench, number: int) -> None:
    """Sends at a fixed rate to every service."""
    options = bench.options
    for service in bench.in_turn(number):
        bench.say(f"round {number}: open loop, {service.title}")
        rate = options.load_share * capacity(bench, service, options.mix, number)
        times = plan_arrivals(rate, options.open_seconds, options.arrivals, number)
        outcome = bench.run_open(service, [(bench.keep_mix(service, options.mix), times)])
        p50, p99 = (percentile(outcome.load.latencies[0], share) for share in (0.5, 0.99))
        values = {
            "rate": rate,
            "p50_ms": 1000 * p50,
            "p99_ms": 1000 * p99,
            "spread": p99 / p50,
            "lag_p99_ms": 1000 * percentile(outcome.load.lags, 0.99),
        }
        bench.results.add(PART, options.mix, service.name, number, **outcome.values(), **values)
