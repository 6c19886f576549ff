"""Loading with parameters: a configuration in place of the one on disk, and files in place of the folder's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tritonclient.grpc import InferenceServerClient

from conforming.case import Case
from conforming.models import CYCLES
from conforming.observations import Observation, observe
from conforming.orders import batch_size, factor, index, is_gone, load, unload, until
from conforming.targets import Target

TITLE = "Loading with parameters"


def _config(target: Target, case: str, changes: dict[str, Any] | None = None) -> str:
    return target.config(CYCLES[case], changes or {})


def _override(target: Target) -> Observation:
    """Loads with a smaller batch, as the client sends it, and looks at what then holds."""
    name = CYCLES["override"].name

    def ask() -> Observation:
        file = target.repository.root / name / "config.pbtxt"
        before = file.read_bytes()
        with InferenceServerClient(target.address) as client:
            client.load_model(name, config=_config(target, "override", {"max_batch_size": 4}))
        return {
            "max_batch_size": batch_size(target, name),
            "batch of 4": factor(target, name, rows=4),
            "batch of 5": factor(target, name, rows=5),
            "file as it was": file.read_bytes() == before,
        }

    return observe(ask)


def _back(target: Target) -> Observation:
    """Takes an override back: by a plain load, and by unloading."""
    name = CYCLES["replace"].name
    load(target, name)
    first = load(target, name, {"config": _config(target, "replace", {"max_batch_size": 4})})
    again, size = load(target, name), batch_size(target, name)
    unload(target, name)
    until(lambda: is_gone(target, name))
    return {
        "load": first,
        "plain": again,
        "then": size,
        "after unload": load(target, name),
        "at last": batch_size(target, name),
    }


def _policy(target: Target) -> Observation:
    """Serves version 1 alone, then all versions."""
    name = CYCLES["policy"].name
    load(target, name)
    one = load(target, name, {"config": _config(target, "policy", {"version_policy": {"specific": {"versions": [1]}}})})
    alone = until(lambda: index(target, name, ready=True) == [["1", "READY"]])
    found = factor(target, name)
    both = load(target, name, {"config": _config(target, "policy", {"version_policy": {"all": {}}})})
    return {"one": one, "alone": alone, "infer": found, "both": both, "then": factor(target, name)}


def _none_left(target: Target) -> Observation:
    """Asks for a version that is not there."""
    name = CYCLES["none_left"].name
    load(target, name)
    policy = {"version_policy": {"specific": {"versions": [7]}}}
    found = load(target, name, {"config": _config(target, "none_left", policy)})
    return {"load": found, "infer": factor(target, name)}


def _bad(label: str, code: str, make: Callable[[Target], Any]) -> Case:
    """Makes a case of an override that is refused, and changes nothing."""

    def run(target: Target) -> Observation:
        name = CYCLES["late"].name
        load(target, name)
        found = load(target, name, {"config": make(target)})
        return {"load": found, "infer": factor(target, name, rows=8)}

    return Case(f"override/{label}", run, {"load": code, "infer": 20.0}, "explicit")


def _change(label: str, code: str, **changes: Any) -> Case:
    return _bad(label, code, lambda target: _config(target, "late", changes))


def _files(label: str, paths: list[str], expected: Observation, *, config: bool = True) -> Case:
    """Makes a case of a load that brings the files of a version along."""

    def run(target: Target) -> Observation:
        name = CYCLES["files"].name
        [code] = [
            entry.read_bytes()
            for entry in (target.repository.root / name / "1").iterdir()
            if entry.name in {"model.py", "model.xml"}
        ]
        unload(target, name)
        until(lambda: is_gone(target, name))
        parameters: dict[str, Any] = {f"file:{path}": code for path in paths}
        if config:
            parameters["config"] = _config(target, "files")
        found = load(target, name, parameters)
        places = (target.repository.root, target.repository.root.parent, Path("/"))
        outside = sum((place / "evil").exists() for place in places)
        return {"load": found, "infer": factor(target, name), "written outside": outside}

    return Case(f"override/file {label}", run, expected, "explicit")


def _parameter(label: str, parameters: dict[str, Any], code: str) -> Case:
    def run(target: Target) -> Observation:
        return {"load": load(target, CYCLES["path"].name, parameters)}

    return Case(f"override/{label}", run, {"load": code}, "explicit")


_BAD = "INVALID_ARGUMENT"
_REFUSED = {"load": _BAD, "infer": "NOT_FOUND", "written outside": 0}

CASES = [
    Case("override/max_batch_size", _override, {"code": "OK", "max_batch_size": 4, "batch of 4": 20.0, "batch of 5": _BAD,
                                                "file as it was": True}, "explicit"),
    Case("override/taken back", _back, {"load": "OK", "plain": "OK", "then": 8, "after unload": "OK", "at last": 8}, "explicit"),
    Case("override/version_policy", _policy, {"one": "OK", "alone": True, "infer": 10.0, "both": "OK", "then": 20.0}, "explicit"),
    Case("override/no version left", _none_left, {"load": _BAD, "infer": 20.0}, "explicit"),
    _bad("empty", _BAD, lambda target: ""),
    _bad("no JSON", _BAD, lambda target: '{"max_batch_size":'),
    _bad("not an object", _BAD, lambda target: "[1]"),
    _change("unknown field", _BAD, nope=1),
    _change("wrong type", _BAD, max_batch_size="x"),
    _change("negative max_batch_size", _BAD, max_batch_size=-1),
    _change("another name", _BAD, name="other"),
    _change("unknown backend", _BAD, backend="nope"),
    _bad("bytes", _BAD, lambda target: _config(target, "late").encode()),
    _bad("a number", _BAD, lambda target: 5),
    _parameter("unknown parameter", {"nope": "x"}, _BAD),
    _parameter("file as text", {"file:1/model.py": "x", "config": "{}"}, _BAD),
    _files("of a version", ["1/model.py"], _REFUSED),
    _files("without config", ["1/model.py"], _REFUSED, config=False),
    _files("path out of the folder", ["../evil"], _REFUSED),
    _files("path out and in again", ["1/../../evil"], _REFUSED),
    _files("absolute path", ["/evil"], _REFUSED),
    _files("no path", [""], _REFUSED),
]  # fmt: skip
