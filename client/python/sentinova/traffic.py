"""How the traffic of a model is written down: versions by number or label, and their shares in percent.

Pure functions on plain values. Knows neither messages nor options; which versions and labels there are is the
server's to know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# A version by its number or its label.
VersionName = int | str

WHOLE = 100  # percent
LARGEST_VERSION = 2**63 - 1


def parse_version(text: str) -> VersionName:
    """Reads a version: digits are a number, anything else is a label.

    Raises:
        ValueError: The text is empty, or the number is 0 or beyond what the API can carry.
    """
    if not text:
        raise ValueError("a version is a number or a label, not an empty text")
    return parse_number(text) if text.isascii() and text.isdigit() else text


def parse_number(text: str) -> int:
    """Reads the number of a version.

    Raises:
        ValueError: The text is no number, or the number is 0 or beyond what the API can carry.
    """
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is not the number of a version")
    if len(text) > len(str(LARGEST_VERSION)) or not 1 <= int(text) <= LARGEST_VERSION:
        raise ValueError(f"versions are numbered from 1 to {LARGEST_VERSION}")
    return int(text)


def parse_weights(texts: Iterable[str]) -> dict[VersionName, int]:
    """Reads shares, each written VERSION=PERCENT, as in `2=90` or `canary=10`.

    Returns:
        Percent by version, in the order of `texts`.

    Raises:
        ValueError: A text is not of that form, a version is named twice, or the shares are not as `check_weights` wants
            them.
    """
    weights: dict[VersionName, int] = {}
    for text in texts:
        name, equals, share = text.partition("=")
        if not (name and equals and len(share) <= len(str(WHOLE)) and share.isascii() and share.isdigit()):
            raise ValueError(f"{text!r} is not VERSION=PERCENT, as in 2=90 or canary=10")
        version = parse_version(name)
        if version in weights:
            raise ValueError(f"{name} is named twice")
        weights[version] = int(share)
    check_weights(weights)
    return weights


def check_weights(weights: Mapping[VersionName, int]) -> None:
    """Checks shares in percent. No shares at all are right too.

    Raises:
        ValueError: A share is below 0 or above 100, or they are not 100 in all.
    """
    for version, percent in weights.items():
        if not 0 <= percent <= WHOLE:
            raise ValueError(f"the weight of {version} must be from 0 to 100 percent, not {percent}")
    total = sum(weights.values())
    if weights and total != WHOLE:
        raise ValueError(f"the weights must be 100 percent in all, not {total}")


def check_percent(percent: int) -> None:
    """Checks which part of the documents a shadow computes.

    Raises:
        ValueError: It is not from 1 to 100.
    """
    if not 1 <= percent <= WHOLE:
        raise ValueError(f"percent must be from 1 to 100, not {percent}")
