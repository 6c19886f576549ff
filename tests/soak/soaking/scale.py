"""How much of everything: the one place where the long form and the short one differ."""

from __future__ import annotations

import os
from dataclasses import dataclass

LONG_VARIABLE = "SENTINOVA_SOAK"
SEED_VARIABLE = "SENTINOVA_SOAK_SEED"


@dataclass(frozen=True)
class Scale:
    """One form of the soak.

    Attributes:
        name: "long" or "short".
        seed: of everything that chance decides.
        swaps: versions published one after the other, all of them small ones.
        mixed_swaps: the same, where one in ten is the shipped model's.
        warm_swaps: those after which memory is first looked at.
        fault_rounds: faults injected.
        lanes: models that faults are injected into at the same time.
        rollbacks: rollbacks measured of the small model.
        shipped_rollbacks: rollbacks measured of the shipped model.
        compared_texts: documents that a shadow computes.
        load_seconds: seconds of one part of a measurement of latencies.
        flood_seconds: seconds of one part of the measurement of a flood.
        test_seconds: the longest that one test may take.
    """

    name: str
    seed: int
    swaps: int
    mixed_swaps: int
    warm_swaps: int
    fault_rounds: int
    lanes: int
    rollbacks: int
    shipped_rollbacks: int
    compared_texts: int
    load_seconds: float
    flood_seconds: float
    test_seconds: float


def choose_scale() -> Scale:
    """Gives the form that the environment asks for: the long one where SENTINOVA_SOAK is 1."""
    if os.environ.get(LONG_VARIABLE, "0") == "1":
        seed = int(os.environ.get(SEED_VARIABLE) or int.from_bytes(os.urandom(4), "big"))
        return Scale(
            "long", seed, swaps=500, mixed_swaps=500, warm_swaps=20, fault_rounds=300, lanes=3, rollbacks=50,
            shipped_rollbacks=10, compared_texts=5000, load_seconds=60.0, flood_seconds=30.0, test_seconds=3600.0,
        )  # fmt: skip
    # The same each time: what fails is to fail again.
    seed = int(os.environ.get(SEED_VARIABLE) or 1)
    return Scale(
        "short", seed, swaps=40, mixed_swaps=11, warm_swaps=20, fault_rounds=21, lanes=3, rollbacks=5,
        shipped_rollbacks=0, compared_texts=400, load_seconds=3.0, flood_seconds=2.0, test_seconds=240.0,
    )  # fmt: skip
