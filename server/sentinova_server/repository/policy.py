"""The version policy: which of the versions found are served, and what is to be done for that.

Pure functions, as in TensorFlow Serving's core. Must not know what a version is made of, nor how it is loaded.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto


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


class Holding(Enum):
    """What a server has of a version; of one that is not loaded it has nothing."""

    LOADING = auto()
    AVAILABLE = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Held:
    """A version that a server has.

    A key stands for the files and the settings that a version is loaded from; equal keys load alike. It is never None.

    Attributes:
        holding: what the server has of it.
        key: what it was loaded from, or is being, or could not be.
        failed_key: for an available version, what it could not be loaded anew from; None: nothing.
    """

    holding: Holding
    key: Hashable
    failed_key: Hashable | None = None


@dataclass(frozen=True, slots=True)
class Actions:
    """What is to be done now; no version is in two of these, and each is in ascending order.

    Attributes:
        load: versions to load that serve nothing.
        reload: available versions to load anew, from what is there now; each serves on until the new one is proved.
        unload: available versions to take out of service.
    """

    load: tuple[int, ...] = ()
    reload: tuple[int, ...] = ()
    unload: tuple[int, ...] = ()


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


def plan_actions(
    found: Mapping[int, Hashable],
    held: Mapping[int, Held],
    policy: VersionPolicy,
    *,
    labelled: Collection[int] = (),
    excluded: Mapping[int, Hashable] | None = None,
    requested: Collection[int] = (),
    kept: Collection[int] = (),
) -> Actions:
    """Decides what is to be done for one model. To be asked again whenever something that it was given changes.

    - Wanted are the versions found, without those excluded at the key that they still have, unless requested.
    - Candidates are those wanted that did not fail at the key that they still have: a version that failed is tried
      again only when its key changes, and until then `Latest` counts the next lower one in its place.
    - Desired are the candidates that the policy chooses, and those labelled or requested.
    - Desired and not held, or failed at another key: to be loaded.
    - Desired and available from another key than it has now, unless it was tried from that: to be loaded anew.
    - Available, and neither desired nor kept: to be unloaded, once every desired version is available, and there is
      one. Where nothing is found and nothing is loading, all those are unloaded. What was found and failed, or was
      excluded, never takes the old one away, even if the folder of the old one is gone.
    - What is loading is left alone. What is no longer found is not desired, and goes by the rule above.

    A model that has an available version keeps one as long as a version is found. Where loads end, well or not, and
    nothing else changes, a plan without actions is reached: each version is loaded at most once from each key, and
    what is unloaded is not loaded again.

    Args:
        found: the complete versions on disk, each with its key.
        held: what the server has; nothing for versions that it unloaded.
        policy: the model's version policy.
        labelled: versions that a label or a share of the traffic names.
        excluded: versions that were rolled back or unloaded by hand, with the key that they had then.
        requested: versions to serve whatever the policy says.
        kept: versions not to be unloaded, as the one that was the default before.
    """
    wanted = {
        version: key
        for version, key in found.items()
        if version in requested or excluded is None or version not in excluded or excluded[version] != key
    }
    candidates = {version for version, key in wanted.items() if not _failed_at(held.get(version), key)}
    desired = candidates.intersection({*choose_versions(candidates, policy), *labelled, *requested})
    available = {version for version, one in held.items() if one.holding is Holding.AVAILABLE}
    load = {version for version in desired if version not in held or held[version].holding is Holding.FAILED}
    reload = {version for version in desired & available if wanted[version] not in _tried_keys(held[version])}
    surplus = available - desired - set(kept)
    if found:
        surplus = surplus if desired and desired <= available else set()
    elif any(one.holding is Holding.LOADING for one in held.values()):
        surplus = set()
    return Actions(tuple(sorted(load)), tuple(sorted(reload)), tuple(sorted(surplus)))


def _failed_at(held: Held | None, key: Hashable) -> bool:
    return held is not None and held.holding is Holding.FAILED and held.key == key


def _tried_keys(held: Held) -> tuple[Hashable, ...]:
    return (held.key, held.failed_key)
