"""The `parameters` of a `config.pbtxt`: what Triton's fields have no place for. Pure functions.

Knows each key and the text that it may have; must not know the other fields, nor files.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from sentinova_server.errors import LoadError
from sentinova_server.repository.traffic import CanaryLimits, Traffic, VersionName, is_label

# Fewer would hold no text of a few words; a longer text than the limit is a batch of its own.
_LEAST_BATCH_TOKENS, _MOST_BATCH_TOKENS = 16, 1 << 20
_MOST_CANARY_DOCUMENTS = 1000
_MAX_VERSION = (1 << 63) - 1

# All the requests, in percent.
_WHOLE = 100

# A parameter of all versions (`temperature`) or of one (`temperature.2`).
_TEMPERATURE_KEY = re.compile(r"temperature(?:\.([1-9][0-9]*))?")
_PRECISION_KEY = re.compile(r"precision(?:\.([1-9][0-9]*))?")
_LABEL_KEY = re.compile(r"label\.(.*)", re.DOTALL)
_WEIGHT_KEY = re.compile(r"weight\.(.*)", re.DOTALL)
_LABEL_FORM = "1 to 63 of a-z, 0-9, - and _, the first a letter"
_KNOWN_KEYS = (
    "max_length, max_batch_tokens, keep_previous, shadow, shadow.percent, canary.max_error_rate, "
    "canary.max_disagreement, canary.min_documents, label.NAME, weight.N and weight.NAME, and temperature and "
    "precision, alone or with .N for version N"
)

# Makes the error that says what is wrong with a field: its name, and the problem.
Refuse = Callable[[str, str], LoadError]


class Precision(StrEnum):
    """What a model version computes in."""

    AUTO = "auto"
    F32 = "f32"
    BF16 = "bf16"
    INT8 = "int8"


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the parameters say; the names are those of `ModelConfig`."""

    max_length: int = 0
    max_batch_tokens: int = 0
    temperatures: Mapping[int | None, float] = field(default_factory=dict)
    precisions: Mapping[int | None, Precision] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)
    keep_previous: bool = False


class _ExpectedError(ValueError):
    """A text that its key does not take; says what it takes."""


_T = TypeVar("_T")


class _Reader:
    """The parameters that nothing has taken yet."""

    def __init__(self, parameters: Mapping[str, str], refuse: Refuse) -> None:
        # Protobuf gives a map in any order; with two errors, the same one is to be told each time.
        self._rest = dict(sorted(parameters.items()))
        self._refuse = refuse

    def take(self, key: str, parse: Callable[[str], _T], default: _T) -> _T:
        """Takes one parameter; gives the default where it is not there."""
        return self._parse(key, parse) if key in self._rest else default

    def take_matching(self, pattern: re.Pattern[str], parse: Callable[[str], _T]) -> dict[str, _T]:
        """Takes each parameter whose key matches; gives them by the pattern's first group, empty where that is not."""
        matches = [found for key in self._rest if (found := pattern.fullmatch(key))]
        return {found[1] or "": self._parse(found[0], parse) for found in matches}

    def refuse(self, key: str, problem: str) -> LoadError:
        """Makes the error about a parameter."""
        return self._refuse(f"parameters[{key!r}]", problem)

    def refuse_rest(self) -> None:
        """Refuses a parameter that nothing has taken."""
        for key in self._rest:
            raise self.refuse(key, f"is unknown; known keys: {_KNOWN_KEYS}")

    def _parse(self, key: str, parse: Callable[[str], _T]) -> _T:
        text = self._rest.pop(key)
        try:
            return parse(text)
        except _ExpectedError as error:
            raise self.refuse(key, f"is {text!r}; it must be {error}") from None


def parse_parameters(parameters: Mapping[str, str], refuse: Refuse) -> Parameters:
    """Reads all parameters of a config.

    Args:
        parameters: the text of each, by key.
        refuse: makes the error from a field's name and what is wrong with it.

    Raises:
        LoadError: a key is unknown, a text is not what its key takes, or two of them do not go together.
    """
    reader = _Reader(parameters, refuse)
    parsed = Parameters(
        max_length=reader.take("max_length", _parse_count, 0),
        max_batch_tokens=reader.take("max_batch_tokens", _parse_batch_tokens, 0),
        temperatures=_by_version(reader.take_matching(_TEMPERATURE_KEY, _parse_temperature)),
        precisions=_by_version(reader.take_matching(_PRECISION_KEY, _parse_precision)),
        traffic=_take_traffic(reader),
        keep_previous=reader.take("keep_previous", _parse_flag, False),
    )
    reader.refuse_rest()
    return parsed


def _by_version(texts: Mapping[str, _T]) -> dict[int | None, _T]:
    return {int(version) if version else None: value for version, value in texts.items()}


def _take_traffic(reader: _Reader) -> Traffic:
    labels = reader.take_matching(_LABEL_KEY, _parse_version)
    for name in labels:
        if not is_label(name):
            raise reader.refuse(f"label.{name}", f"is no label: it must be {_LABEL_FORM}")
    shadow = reader.take("shadow", _parse_version_name, None)
    if isinstance(shadow, str) and shadow not in labels:
        raise reader.refuse("shadow", f"names the label {shadow!r}, which no parameter label.{shadow} defines")
    percent = reader.take("shadow.percent", _parse_shadow_percent, None)
    if percent is not None and shadow is None:
        raise reader.refuse("shadow.percent", "needs the parameter shadow, which names a version")
    usual = CanaryLimits()
    return Traffic(
        labels=labels,
        weights=_take_weights(reader, labels),
        shadow=shadow,
        shadow_percent=Traffic().shadow_percent if percent is None else percent,
        limits=CanaryLimits(
            max_error_rate=reader.take("canary.max_error_rate", _parse_share, usual.max_error_rate),
            max_disagreement=reader.take("canary.max_disagreement", _parse_share, usual.max_disagreement),
            min_documents=reader.take("canary.min_documents", _parse_canary_documents, usual.min_documents),
        ),
    )


def _take_weights(reader: _Reader, labels: Mapping[str, int]) -> dict[VersionName, int]:
    """Takes the weights, checked against the labels and each other."""
    weights: dict[VersionName, int] = {}
    keys: dict[int, str] = {}
    for text, percent in reader.take_matching(_WEIGHT_KEY, _parse_percent).items():
        key = f"weight.{text}"
        try:
            name = _parse_version_name(text)
        except _ExpectedError as error:
            raise reader.refuse(key, f"names no version: after weight. must stand {error}") from None
        if isinstance(name, str) and name not in labels:
            raise reader.refuse(key, f"names a label that no parameter label.{name} defines")
        version = labels[name] if isinstance(name, str) else name
        if version in keys:
            raise reader.refuse(key, f"is another weight of version {version}, which has {keys[version]}")
        keys[version] = key
        weights[name] = percent
    if weights and sum(weights.values()) != _WHOLE:
        raise reader.refuse(
            ", ".join(keys.values()), f"sum to {sum(weights.values())} percent; all weights must sum to {_WHOLE}"
        )
    return weights


def _parse_integer(text: str, least: int, most: int) -> int:
    if re.fullmatch(r"0|[1-9][0-9]{0,18}", text) and least <= int(text) <= most:
        return int(text)
    raise _ExpectedError(f"a whole number from {least} to {most}")


def _parse_count(text: str) -> int:
    return _parse_integer(text, 1, 999_999_999)


def _parse_batch_tokens(text: str) -> int:
    return _parse_integer(text, _LEAST_BATCH_TOKENS, _MOST_BATCH_TOKENS)


def _parse_version(text: str) -> int:
    return _parse_integer(text, 1, _MAX_VERSION)


def _parse_percent(text: str) -> int:
    return _parse_integer(text, 0, _WHOLE)


def _parse_shadow_percent(text: str) -> int:
    return _parse_integer(text, 1, _WHOLE)


def _parse_canary_documents(text: str) -> int:
    return _parse_integer(text, 1, _MOST_CANARY_DOCUMENTS)


def _parse_version_name(text: str) -> VersionName:
    if is_label(text):
        return text
    try:
        return _parse_version(text)
    except _ExpectedError:
        raise _ExpectedError(f"a version's number or label ({_LABEL_FORM})") from None


def _parse_temperature(text: str) -> float:
    value = _parse_float(text)
    if not (math.isfinite(value) and value > 0):
        raise _ExpectedError("a number above 0")
    return value


def _parse_share(text: str) -> float:
    value = _parse_float(text)
    if not 0 <= value <= 1:
        raise _ExpectedError("a number from 0 to 1")
    return value


def _parse_float(text: str) -> float:
    """Reads a number; gives one that is none (NaN) where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _parse_flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise _ExpectedError("true or false")
    return text == "true"


def _parse_precision(text: str) -> Precision:
    try:
        return Precision(text)
    except ValueError:
        raise _ExpectedError(f"one of {', '.join(Precision)}") from None
