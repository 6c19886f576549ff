"""What memory does over many requests of random lengths: whether it stays as it was after the first 5,000.

Runs once, last: it changes the servers. Resident memory is read after every step of requests.
"""

from __future__ import annotations

import time

from benchmarks.bench import Bench
from benchmarks.targets.base import Service
from benchmarks.texts import make_texts

PART = "memory"
# Requests after which memory counts as settled.
SETTLED = 5_000
_STEP = 250
# Peers get less time: the question is about Sentinova.
_PEER_SHARE = 1 / 3


def measure(bench: Bench) -> None:
    """Sends requests of random lengths to every service, until there were enough or time is up."""
    for service in bench.services:
        bench.say(f"memory over {bench.options.memory_requests:,} requests of random lengths, {service.title}")
        _watch(bench, service)


def _watch(bench: Bench, service: Service) -> None:
    seconds = bench.options.memory_seconds * (1 if service is bench.sentinova else _PEER_SHARE)
    deadline = time.monotonic() + seconds
    bench.results.add(PART, "0", service.name, 1, memory_mb=service.memory_mb())
    for done in range(0, bench.options.memory_requests, _STEP):
        if time.monotonic() > deadline:
            bench.results.notes.append(
                f"{service.title}: memory was watched for {done:,} requests, as many as it answered in {seconds:.0f} s."
            )
            return
        count = min(_STEP, bench.options.memory_requests - done)
        # Other texts in each step; the generator keeps the last ones only.
        key = bench.keep(service, "random unary", service.unary(make_texts("random", count, done)))
        bench.run_closed(service, key, bench.options.clients)
        bench.results.add(PART, str(done + count), service.name, 1, memory_mb=service.memory_mb())
