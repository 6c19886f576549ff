"""How requests of this service name a model version: the version is text, and empty where none is asked for.

Knows names and versions; must not know what is asked of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sentinova_server.errors import Reason, ServingError
from sentinova_server.serving.served import ModelRegistry, ServedVersion

_VERSION = re.compile(r"[0-9]{1,19}")
# Where the registry names a field, it is one of `sentinova.v1`.
_FIELDS = {
    "config.model": "model_name",
    "config.version": "model_version",
    "config.label": "parameters['version_label']",
}


def read_version(text: str) -> int | None:
    """Gives the version that a request names; None: none. Raises ServingError INVALID_FIELD."""
    if not text:
        return None
    if not _VERSION.fullmatch(text):
        message = f"model version {text[:100]!r} is no number: give one of 1 or more, or none for the default one"
        raise ServingError(Reason.INVALID_FIELD, message, field="model_version")
    return int(text)


@contextmanager
def lease(
    registry: ModelRegistry, name: str, version: str, *, label: str = "", key: str = ""
) -> Iterator[ServedVersion]:
    """Lends the version that a request names, as `Registry.lease` does.

    Raises:
        ServingError: there is no such model or version, or it takes no requests now.
    """
    number = read_version(version)
    if not name:
        raise ServingError(Reason.MODEL_NOT_FOUND, "the model's name is empty: name one", field="model_name")
    if number is not None and label:
        message = f"model version {number} and parameter version_label are both given: give one of them"
        raise ServingError(Reason.INVALID_FIELD, message, field="parameters['version_label']")
    try:
        with registry.lease(name, number, label=label, key=key) as record:
            yield record
    except ServingError as error:
        error.field = _FIELDS.get(error.field, error.field)
        raise
