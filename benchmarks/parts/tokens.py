"""CPU time for each token of texts of one length: Sentinova's, against bare OpenVINO's on the same texts."""

from __future__ import annotations

from functools import partial

from benchmarks.bench import Bench
from benchmarks.texts import TOKEN_LENGTHS, make_equal_texts

PART = "tokens"
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
            _record(bench, tokens, bench.bare.name, number, values)
        if (service := bench.sentinova) is not None:
            key = bench.keep(service, f"{tokens} tokens", service.unary(texts))
            _record(bench, tokens, service.name, number, bench.run_closed(service, key, bench.options.clients).values())


def _record(bench: Bench, tokens: int, target: str, number: int, values: dict[str, float]) -> None:
    per_token = 1000 * values["cpu_s_per_1000"] / tokens
    bench.results.add(PART, str(tokens), target, number, cpu_us_per_token=per_token)
