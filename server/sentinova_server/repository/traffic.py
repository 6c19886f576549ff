"""How requests are shared between the versions of a model, as its config says: labels, weights, a shadow, limits.

Plain data. Knows no states: whether a version that is named here can take requests is another's concern.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

# A version by its number or its label.
VersionName = int | str

_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def is_label(text: str) -> bool:
    """Tells whether a text can be a version's label: 1 to 63 of a-z, 0-9, `-` and `_`, the first a letter."""
    return bool(_LABEL.fullmatch(text))


@dataclass(frozen=True, slots=True)
class CanaryLimits:
    """When a canary is rolled back by itself: a version with a part of the traffic that is not the largest.

    Attributes:
        max_error_rate: highest share, 0 to 1, of its documents that it failed on.
        max_disagreement: highest share, 0 to 1, of compared documents with another label; None: no limit.
        min_documents: documents looked at before anything is decided.
    """

    max_error_rate: float = 0.05
    max_disagreement: float | None = None
    min_documents: int = 100


@dataclass(frozen=True, slots=True)
class Traffic:
    """How requests are shared between versions.

    Attributes:
        labels: versions by label.
        weights: percent of the requests that ask for no version, by version or label, 100 in all; empty: the default
            version gets all.
        shadow: the version that computes unseen what the default one answers; None: none.
        shadow_percent: share of the documents that the shadow computes, 1 to 100.
        limits: when a canary is rolled back.
    """

    labels: Mapping[str, int] = field(default_factory=dict)
    weights: Mapping[VersionName, int] = field(default_factory=dict)
    shadow: VersionName | None = None
    shadow_percent: int = 100
    limits: CanaryLimits = CanaryLimits()
