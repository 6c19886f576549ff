"""The version policy: which of the versions found are served. A pure function, as in TensorFlow Serving's core."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Latest:
    """The `count` highest versions; `count` is 1 or more."""

    count: int = 1


@dataclass(frozen=True, slots=True)
class All:
    """Every version."""


@dataclass(frozen=True, slots=True)
class Specific:
    """Exactly these versions."""

    versions: frozenset[int]


VersionPolicy = Latest | All | Specific


def choose_versions(found: Iterable[int], policy: VersionPolicy) -> list[int]:
    """Gives the versions to serve, in ascending order.

    Versions that the policy names and the folder lacks are left out: `missing_versions` tells them.
    """
    ascending = sorted(set(found))
    match policy:
        case Latest(count):
            return ascending[-count:]
        case All():
            return ascending
        case Specific(versions):
            return [version for version in ascending if version in versions]


def missing_versions(found: Iterable[int], policy: VersionPolicy) -> list[int]:
    """Gives the versions that the policy names and the folder lacks, in ascending order."""
    if isinstance(policy, Specific):
        return sorted(policy.versions.difference(found))
    return []
