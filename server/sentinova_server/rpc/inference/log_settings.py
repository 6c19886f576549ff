"""The log's settings, read and changed by a call, in Triton's words.

Knows Triton's settings and what they mean here; must not know how lines are written.

Format: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_logging.md
"""

from __future__ import annotations

from sentinova_server.errors import Reason, ServingError
from sentinova_server.observability.logs import LogSettings, change_log_settings, log_settings
from sentinova_server.rpc.inference import grpc_service_pb2 as pb

_FLAGS = {"log_error": "error", "log_warning": "warning", "log_info": "info"}
_VERBOSE = "log_verbose_level"
_FILE = "log_file"
_FORMAT = "log_format"
# Times are written so, and in no other form.
_OWN_FORMAT = "ISO8601"


def update(request: pb.LogSettingsRequest) -> pb.LogSettingsResponse:
    """Changes what a request names, and gives all settings; nothing is changed where any of it is wrong.

    Raises:
        ServingError: INVALID_FIELD or NOT_SUPPORTED; names the setting.
    """
    changes: dict[str, bool] = {}
    for name, value in request.settings.items():
        if name in _FLAGS:
            changes[_FLAGS[name]] = bool(_take(name, value, "bool_param"))
        elif name == _VERBOSE:
            changes["verbose"] = int(_take(name, value, "uint32_param")) > 0
        elif name == _FILE:
            raise ServingError(
                Reason.NOT_SUPPORTED, f"{_FILE} cannot be set: the log goes to standard error", field=_at(name)
            )
        elif name == _FORMAT:
            if _take(name, value, "string_param") != _OWN_FORMAT:
                raise _refuse(name, f"must be {_OWN_FORMAT!r}: this server writes times in no other form")
        else:
            raise _refuse(name, f"is unknown; settings: {', '.join([*_FLAGS, _VERBOSE, _FORMAT])}")
    if changes:
        change_log_settings(**changes)
    return _to_response(log_settings())


def _to_response(settings: LogSettings) -> pb.LogSettingsResponse:
    response = pb.LogSettingsResponse()
    for name, attribute in _FLAGS.items():
        response.settings[name].bool_param = getattr(settings, attribute)
    response.settings[_VERBOSE].uint32_param = int(settings.verbose)
    response.settings[_FORMAT].string_param = _OWN_FORMAT
    response.settings[_FILE].string_param = ""
    return response


def _take(name: str, value: pb.LogSettingsRequest.SettingValue, kind: str) -> bool | int | str:
    if value.WhichOneof("parameter_choice") != kind:
        raise _refuse(name, f"must be a {kind}")
    taken: bool | int | str = getattr(value, kind)
    return taken


def _refuse(name: str, problem: str) -> ServingError:
    return ServingError(Reason.INVALID_FIELD, f"setting {name[:100]!r} {problem}", field=_at(name))


def _at(name: str) -> str:
    return f"settings[{name[:100]!r}]"
