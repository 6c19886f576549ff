"""What one run of the benchmarks is asked to do. Knows names and limits; `cli` reads them, `bench` follows them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TARGETS = ("bare", "sentinova", "triton", "mlserver", "paddle")
PARTS = ("throughput", "latency", "open-loop", "interference", "tokens", "memory")
PRECISIONS = ("auto", "f32", "bf16", "int8")


@dataclass(frozen=True, slots=True)
class Options:
    """What to run.

    Attributes:
        targets: which of `TARGETS`.
        parts: which of `PARTS`.
        rounds: how often each measurement is made, interleaved; medians are over these.
        texts: texts in one measurement of throughput.
        mixes: mixes of texts, the first of which serves where one is enough.
        clients: concurrent clients of the closed loop that throughput is measured with.
        sweep: numbers of clients for throughput against latency.
        seconds: how long a closed loop runs where time bounds it.
        open_seconds: how long an open loop sends.
        arrivals: "even" or "poisson".
        load_share: share of the measured capacity that the open loop asks for.
        memory_requests: requests after which memory is compared.
        memory_seconds: most seconds that Sentinova's memory is watched; its peers' a third of that.
        work: folder for environments, logs and the report.
    """

    targets: tuple[str, ...]
    parts: tuple[str, ...]
    rounds: int
    texts: int
    mixes: tuple[str, ...]
    seconds: float
    open_seconds: float
    arrivals: str
    memory_requests: int
    memory_seconds: float
    work: Path
    clients: int = 64
    sweep: tuple[int, ...] = (1, 4, 16, 64)
    load_share: float = 0.8

    @property
    def mix(self) -> str:
        """The mix that serves where one is enough."""
        return self.mixes[0]

    def texts_of(self, mix: str) -> int:
        """Gives how many texts of a mix one measurement takes: long ones take longer."""
        return max(8, self.texts // 8) if mix == "long" else self.texts
