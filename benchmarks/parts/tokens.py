"""CPU time for each token of texts of one length: Sentinova's, against bare OpenVINO's on the same texts."""

from __future__ import annotations

from functools import partial

from benchmarks.bench import Bench
from benchmarks.parts.throughput import BATCH, BATCH_CALLS
from benchmarks.texts import TOKEN_LENGTHS, make_equal_texts

PART = "tokens"
# Microseconds: of unary calls, or in process; and of calls of `BATCH` texts.
CPU, BATCHES_CPU = "cpu_us_per_token", "batches_cpu_us_per_token"
# Tokens in one measurement, as far as that is at least some texts.
_TOKENS = 16_384
_LEAST_TEXTS = 32


def measure(bench: Bench, number: int) -> None:
    """Measures every length."""
    bench.say(f"round {number}: CPU time per token")
    for tokens in TOKEN_LENGTHS:
        texts = make_equal_texts(tokens, max(_LEAST_TEXTS, min(bench.options.texts, _TOKENS // tokens)))
        if bench.bare is not None:
            key = bench.keep_local(bench.bare, f"{tokens} tokens", texts)
            values = bench.run_local(bench.bare, partial(bench.bare.run_sorted, key, bench.budget))
            bench.results.add(PART, str(tokens), bench.bare.name, number, **_per_token(CPU, tokens, values))
        if (service := bench.sentinova) is not None:
            key = bench.keep(service, f"{tokens} tokens", service.unary(texts))
            costs = _per_token(CPU, tokens, bench.run_closed(service, key, bench.options.clients).values())
            key = bench.keep(service, f"{tokens} tokens, batches", service.batches(texts, BATCH))
            costs |= _per_token(BATCHES_CPU, tokens, bench.run_closed(service, key, BATCH_CALLS).values())
            bench.results.add(PART, str(tokens), service.name, number, **costs)


def _per_token(name: str, tokens: int, values: dict[str, float]) -> dict[str, float]:
    return {name: 1000 * values["cpu_s_per_1000"] / tokens}
