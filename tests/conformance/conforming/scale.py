"""How much is run: against Sentinova alone, or against a real Triton too; and how many messages the fuzzer sends.

Knows the environment's variables; must not know cases.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

FULL_VARIABLE = "SENTINOVA_CONFORMANCE"
SEED_VARIABLE = "SENTINOVA_CONFORMANCE_SEED"


@dataclass(frozen=True)
class Scale:
    """A form of the suite.

    Attributes:
        full: whether a real Triton is compared with.
        seed: of the fuzzer.
        fuzz_messages: how many messages it sends.
    """

    full: bool
    seed: int
    fuzz_messages: int


def choose_scale() -> Scale:
    """Reads the environment."""
    full = os.environ.get(FULL_VARIABLE) == "1"
    return Scale(full, int(os.environ.get(SEED_VARIABLE, "20261122")), 200_000 if full else 15_000)
