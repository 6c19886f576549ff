"""Which version answers a request that names none. Pure functions of weights, of what is available, and of a key.

Each version has an interval of [0, 1) as long as its share, and a request has a point there: the same for all requests
of one key, in every process. The highest version has the first interval. Where one version's weight grows and no
other's does, its interval only grows, so keys that it had stay with it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hashlib import blake2b

# Sets these digests apart from others of the same text; BLAKE2's `person` is for that (RFC 7693, section 2.8).
_PERSON = b"routing"
# A float holds 53 bits: of more, the highest points would be rounded up to 1.
_POINT_BITS = 53


def choose_version(weights: Mapping[int, int], available: Collection[int], point: float) -> int | None:
    """Chooses the version whose interval a point is in.

    Args:
        weights: shares by version, 0 or more, on any scale.
        available: versions that can take requests; the others' shares go to them in proportion.
        point: from 0 to 1, 1 excluded.

    Returns:
        The version; None where none that is available has a share.
    """
    shares = _shares(weights, available)
    place, bound = point * sum(shares.values()), 0
    chosen = None
    for chosen in sorted(shares, reverse=True):
        bound += shares[chosen]
        if place < bound:
            break
    return chosen


def routing_point(model: str, key: str) -> float:
    """Gives the point in [0, 1) of all requests to a model that have the same key, in every process and release.

    Args:
        model: the model's name.
        key: any Unicode text, half characters (lone surrogates) too.
    """
    digest = blake2b(f"{model}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8, person=_PERSON).digest()
    return float(int.from_bytes(digest, "big") >> (64 - _POINT_BITS)) / (1 << _POINT_BITS)


def find_baseline(weights: Mapping[int, int], available: Collection[int]) -> int | None:
    """Gives the available version with the largest share, of equal ones the lowest; None: none has a share."""
    shares = _shares(weights, available)
    return max(shares, key=lambda version: (shares[version], -version), default=None)


def find_canaries(weights: Mapping[int, int], available: Collection[int]) -> list[int]:
    """Gives the available versions that have a share and are not the baseline, ascending."""
    baseline = find_baseline(weights, available)
    return sorted(version for version in _shares(weights, available) if version != baseline)


def _shares(weights: Mapping[int, int], available: Collection[int]) -> dict[int, int]:
    return {version: weight for version, weight in weights.items() if weight > 0 and version in available}
