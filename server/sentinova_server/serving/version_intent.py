"""What is to be served of one model, as far as it does not stand in its config: what was tried, taken out, asked for.

Knows versions, their files and what became of loading them; must not know how they are loaded. Feeds
`repository.policy.plan_actions`, which decides.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from copy import copy

from sentinova_server.repository.config import ModelConfig
from sentinova_server.repository.fingerprint import Fingerprint
from sentinova_server.repository.policy import Actions, Held, Holding, choose_versions, plan_actions
from sentinova_server.serving.look import Sighting
from sentinova_server.serving.registry import State

# What a version is loaded from: its files, and what the config says of it.
VersionKey = tuple[Fingerprint, Hashable]

_HOLDINGS = {
    State.LOADING: Holding.LOADING,
    State.AVAILABLE: Holding.AVAILABLE,
    State.FAILED: Holding.FAILED,
}


class VersionIntent:
    """What was tried of a model's versions, and what users asked for."""

    def __init__(self) -> None:
        self._loaded: dict[int, VersionKey] = {}
        self._failed: dict[int, VersionKey] = {}
        self._refused: set[int] = set()
        # By the files that were taken out; None: whatever its files.
        self._excluded: dict[int, Fingerprint | None] = {}
        self._requested: set[int] = set()
        self._previous: int | None = None
        self._fallback: int | None = None

    def save(self) -> VersionIntent:
        """Gives what users have asked for until now, to be restored."""
        saved = copy(self)
        saved._requested, saved._excluded = set(self._requested), dict(self._excluded)
        return saved

    def restore(self, saved: VersionIntent) -> None:
        """Takes back what users have asked for since it was saved."""
        self._requested, self._excluded = saved._requested, saved._excluded

    def plan(
        self, sighting: Sighting, config: ModelConfig, states: Mapping[int, State], named: Collection[int]
    ) -> Actions:
        """Decides what is to be loaded and unloaded now.

        Args:
            sighting: what is there.
            config: what is asked for.
            states: the versions that the server has.
            named: versions that labels, weights or the shadow name.
        """
        available = [number for number, state in states.items() if state is State.AVAILABLE]
        if not config.keep_previous:
            self._previous = None
        if self._fallback is not None and available and max(available) > self._fallback:
            self._fallback = None
        keys = self._find_keys(sighting, config)
        if not keys and sighting.folder.found:
            return Actions()  # all that there is is being written: until it is whole, what serves goes on
        # Taken out are the same files, whatever the config says of them by now.
        excluded = {version: keys[version] for version, files in self._excluded.items() if _is_of(keys, version, files)}
        return plan_actions(
            keys,
            {
                number: Held(
                    _HOLDINGS[state], self._loaded.get(number, self._failed.get(number)), self._failed.get(number)
                )
                for number, state in states.items()
                if state in _HOLDINGS
            },
            config.version_policy,
            labelled=named,
            excluded=excluded,
            requested=self._requested | ({self._fallback} if self._fallback else set()),
            kept={self._previous} if self._previous else set(),
        )

    def is_wanted(self, version: int, sighting: Sighting, config: ModelConfig, named: Collection[int]) -> bool:
        """Tells whether a version that failed would be served if it could be."""
        found = sighting.folder.found
        return version in found and (
            version in self._requested or version in named or version in choose_versions(found, config.version_policy)
        )

    def is_current(self, version: int, sighting: Sighting, config: ModelConfig) -> bool:
        """Tells whether a version was loaded from what is there now."""
        return self._find_keys(sighting, config).get(version) == self._loaded.get(version)

    def find_changing(self, sighting: Sighting) -> list[int]:
        """Gives the new versions that are not complete yet, ascending."""
        known = sighting.settled.keys() | self._loaded.keys() | self._failed.keys()
        return sorted(sighting.folder.found.keys() - known)

    def find_previous(self, sighting: Sighting, version: int) -> list[int]:
        """Gives the complete versions below one that were not taken out, the highest first."""
        return sorted((v for v in sighting.settled if v < version and v not in self._excluded), reverse=True)

    def note_loaded(self, version: int, key: VersionKey) -> None:
        """Notes what a version was loaded from."""
        self._failed.pop(version, None)
        self._loaded[version] = key

    def note_failed(self, version: int, key: VersionKey, *, for_memory: bool) -> None:
        """Notes what a version could not be loaded from, and whether only memory was wanting."""
        self._failed[version] = key
        if for_memory:
            self._refused.add(version)

    def note_ended(self, version: int) -> None:
        """Notes that a version is gone from memory, or that one that failed is no longer of interest."""
        self._loaded.pop(version, None)
        self._failed.pop(version, None)

    def note_default(self, before: int | None, now: int | None) -> None:
        """Notes that another version is the default one by now."""
        if before is not None and now is not None and before < now:
            self._previous = before

    def request(self, version: int) -> None:
        """Has a version served whatever the policy says, and whatever was decided about it before."""
        self._excluded.pop(version, None)
        self._requested.add(version)

    def exclude(self, version: int, *, for_good: bool = False) -> None:
        """Has an available version not loaded again until its files change; for good: until it is asked for."""
        self._requested.discard(version)
        self._excluded[version] = None if for_good else self._loaded[version][0]

    def fall_back(self, version: int) -> None:
        """Has a version served whatever the policy says, until a higher one is."""
        self._fallback = version

    def retry(self, version: int | None = None) -> None:
        """Has a version tried again that failed, though its files have not changed; None: all."""
        if version is None:
            self._failed.clear()
        else:
            self._failed.pop(version, None)

    def retry_refused(self) -> set[int]:
        """Has the versions tried again that there was no memory for; gives them."""
        refused, self._refused = self._refused, set()
        for version in refused:
            self._failed.pop(version, None)
        return refused

    def forget_requests(self) -> None:
        """Forgets what users asked for."""
        self._excluded.clear()
        self._requested.clear()

    def _find_keys(self, sighting: Sighting, config: ModelConfig) -> dict[int, VersionKey]:
        """Gives what each complete version on disk would be loaded from.

        One whose files are being changed counts as it was when it was loaded, or failed; a new one does not count yet.
        """
        keys: dict[int, VersionKey] = {}
        for version in sighting.folder.found:
            if version in sighting.settled:
                keys[version] = make_key(sighting, config, version)
            elif version in self._loaded:
                keys[version] = self._loaded[version]
            elif version in self._failed:
                keys[version] = self._failed[version]
        return keys


def make_key(sighting: Sighting, config: ModelConfig, version: int) -> VersionKey:
    """Gives what a complete version would be loaded from."""
    return sighting.settled[version], config.serving_part(version)


def _is_of(keys: Mapping[int, VersionKey], version: int, files: Fingerprint | None) -> bool:
    return version in keys and files in (None, keys[version][0])
