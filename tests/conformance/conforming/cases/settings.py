"""The settings of tracing and of the log."""

from __future__ import annotations

from typing import Any

from tritonclient.grpc import service_pb2 as pb

from conforming.case import Case, call
from conforming.observations import Observation, observe, refused
from conforming.targets import CALL_SECONDS, Target

TITLE = "Settings of tracing and of the log"

_BAD = "INVALID_ARGUMENT"
_NO_TRACE = refused("UNIMPLEMENTED")
_LOG = ["log_error", "log_file", "log_format", "log_info", "log_verbose_level", "log_warning"]


def _trace(model: str = "", **values: list[str]) -> pb.TraceSettingRequest:
    message = pb.TraceSettingRequest(model_name=model)
    for name, value in values.items():
        message.settings[name].value.extend(value)
    return message


def _log(**values: Any) -> pb.LogSettingsRequest:
    message = pb.LogSettingsRequest()
    for name, value in values.items():
        if value is None:
            message.settings[name].SetInParent()
        else:
            kind = {bool: "bool", int: "uint32", str: "string"}[type(value)]
            setattr(message.settings[name], f"{kind}_param", value)
    return message


def _value(setting: Any) -> Any:
    return getattr(setting, str(setting.WhichOneof("parameter_choice")))


def _sets(name: str, **values: Any) -> Case:
    """Makes a case of a setting of the log that is set, read, and set back to what it was."""
    [(setting, value)] = values.items()

    def run(target: Target) -> Observation:
        def ask(message: pb.LogSettingsRequest) -> Any:
            return _value(target.stub.LogSettings(message, timeout=CALL_SECONDS).settings[setting])

        def change() -> Observation:
            before = ask(_log())
            try:
                return {"set": ask(_log(**values)), "then": ask(_log())}
            finally:
                ask(_log(**{setting: before}))

        return observe(change)

    return Case(f"log/{name}", run, {"code": "OK", "set": value, "then": value})


def _fails(name: str, code: str, **values: Any) -> Case:
    return call(f"log/{name}", "LogSettings", _log(**values), refused(code, *values))


def _ask_client(target: Target) -> Observation:
    return observe(lambda: {"names": sorted(target.client.get_log_settings(as_json=True)["settings"])})


CASES = [
    call("log/get", "LogSettings", _log(), {"code": "OK", "names": _LOG}, lambda got: {"names": sorted(got.settings)}),
    _sets("log_verbose_level 1", log_verbose_level=1),
    _sets("log_info off", log_info=False),
    _sets("log_warning off", log_warning=False),
    _sets("log_error off", log_error=False),
    _sets("log_format ISO8601", log_format="ISO8601"),
    _fails("log_info as text", _BAD, log_info="x"),
    _fails("log_info as number", _BAD, log_info=1),
    _fails("log_verbose_level as text", _BAD, log_verbose_level="1"),
    _fails("log_format unknown", _BAD, log_format="nope"),
    _fails("log_format as number", _BAD, log_format=1),
    _fails("log_file", "UNIMPLEMENTED", log_file="a.log"),
    _fails("unknown setting", _BAD, nope=1),
    _fails("no value", _BAD, log_info=None),
    call("trace/get", "TraceSetting", _trace(), _NO_TRACE),
    call("trace/get of a model", "TraceSetting", _trace("batched"), _NO_TRACE),
    call("trace/get of an unknown model", "TraceSetting", _trace("nope"), _NO_TRACE),
    call("trace/off", "TraceSetting", _trace(trace_level=["OFF"]), _NO_TRACE),
    call("trace/on without a file", "TraceSetting", _trace(trace_level=["TIMESTAMPS"]), _NO_TRACE),
    call("trace/unknown setting", "TraceSetting", _trace(nope=["1"]), _NO_TRACE),
    Case("log/client", _ask_client, {"code": "OK", "names": _LOG}),
]  # fmt: skip
