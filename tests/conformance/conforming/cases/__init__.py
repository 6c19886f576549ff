"""All cases, in the order in which they run."""

from __future__ import annotations

from conforming.case import Case
from conforming.cases import (
    classification,
    contents,
    control_modes,
    datatypes,
    errors,
    health,
    lifecycle,
    metadata,
    outputs,
    overrides,
    parameters,
    settings,
    shapes,
    shared_memory,
    statistics,
    streaming,
    text,
    wire,
)

_MODULES = (
    health,
    metadata,
    datatypes,
    errors,
    shapes,
    contents,
    outputs,
    classification,
    parameters,
    text,
    streaming,
    wire,
    statistics,
    shared_memory,
    settings,
    control_modes,
    lifecycle,
    overrides,
)
CASES: dict[str, list[Case]] = {module.TITLE: module.CASES for module in _MODULES}
