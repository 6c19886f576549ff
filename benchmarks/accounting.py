"""What is made of times: schedules, percentiles, and the calls that a waiting client did not make.

Pure functions on numbers. Knows no clock, no call and no target. Times are seconds unless a name says otherwise.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# One very late answer must not fill the memory with the calls that it held back.
_MAX_HELD_BACK = 10_000


@dataclass(frozen=True, slots=True)
class Spread:
    """Several measurements of one thing.

    Attributes:
        median: the middle one.
        low: the least.
        high: the greatest.
    """

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Sums several measurements up; there is at least one."""
    return Spread(statistics.median(values), min(values), max(values))


def percentile(values: Sequence[float], share: float) -> float:
    """Gives the value that a share (0 to 1) of the values do not exceed, by linear interpolation; NaN of none.

    Hyndman and Fan, "Sample Quantiles in Statistical Packages" (1996), definition 7, as NumPy's default.
    """
    if not values:
        return math.nan
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def plan_arrivals(rate: float, seconds: float, arrivals: str = "even", seed: int = 1) -> list[float]:
    """Plans when an open loop sends, whatever the answers do.

    Args:
        rate: calls a second.
        seconds: how long it sends.
        arrivals: "even": one after every 1/rate seconds; "poisson": at random with that mean, as from many people who
            know nothing of each other.
        seed: of the random ones.

    Returns:
        Times since the start, ascending.
    """
    count = max(1, math.floor(rate * seconds))
    if arrivals == "even":
        return [index / rate for index in range(count)]
    rng = random.Random(f"arrivals {seed}")
    # Given their number, a Poisson process's arrivals are uniform: the number is the same in every round.
    return sorted(rng.uniform(0, count / rate) for _ in range(count))


def correct_omission(latencies: Sequence[float], interval: float) -> list[float]:
    """Adds the latencies of the calls that a closed loop held back while it waited for a late answer.

    A client that would have called every `interval` and waits `latency` for one answer leaves out latency / interval
    calls, each of which would have waited one interval less than the one before: coordinated omission, corrected as
    HdrHistogram's `recordValueWithExpectedInterval` does.

    Args:
        latencies: what was measured.
        interval: time between the calls of one client if no answer were late; 0: nothing is added.

    Returns:
        The latencies with the added ones, in no order.
    """
    corrected = list(latencies)
    if interval <= 0:
        return corrected
    for latency in latencies:
        missed = min(math.ceil(latency / interval) - 1, _MAX_HELD_BACK)
        corrected += [latency - interval * step for step in range(1, missed + 1)]
    return corrected
