"""The log's settings by call: all or nothing changes, and the names are Triton's."""

import pytest
from sentinova_server.errors import Reason, ServingError
from sentinova_server.observability import logs
from sentinova_server.observability.logs import LogSettings, log_settings
from sentinova_server.rpc.inference import grpc_service_pb2 as pb
from sentinova_server.rpc.inference.log_settings import update


@pytest.fixture(autouse=True)
def settings_as_they_were(monkeypatch):
    monkeypatch.setattr(logs._Log, "settings", LogSettings())
    monkeypatch.setattr(logs._Log, "observers", [])


def request(**settings):
    made = pb.LogSettingsRequest()
    for name, (kind, value) in settings.items():
        setattr(made.settings[name], f"{kind}_param", value)
    return made


def values(response):
    return {name: getattr(value, value.WhichOneof("parameter_choice")) for name, value in response.settings.items()}


DEFAULTS = {
    "log_error": True, "log_warning": True, "log_info": True, "log_verbose_level": 0, "log_format": "ISO8601", "log_file": "",
}  # fmt: skip


def test_asked_for_nothing_it_gives_all_settings():
    assert values(update(request())) == DEFAULTS


def test_what_is_named_is_changed_and_the_rest_stays():
    response = update(request(log_info=("bool", False), log_verbose_level=("uint32", 2)))
    assert values(response) == {**DEFAULTS, "log_info": False, "log_verbose_level": 1}
    assert log_settings() == LogSettings(info=False, verbose=True)
    assert values(update(request(log_verbose_level=("uint32", 0), log_format=("string", "ISO8601")))) == {
        **DEFAULTS,
        "log_info": False,
    }


@pytest.mark.parametrize(
    ("name", "value", "reason", "told"),
    [
        ("log_info", ("string", "no"), Reason.INVALID_FIELD, "must be a bool_param"),
        ("log_verbose_level", ("bool", True), Reason.INVALID_FIELD, "must be a uint32_param"),
        ("log_format", ("string", "default"), Reason.INVALID_FIELD, "must be 'ISO8601'"),
        ("log_file", ("string", "/tmp/log"), Reason.NOT_SUPPORTED, "log_file cannot be set"),
        ("log_colour", ("bool", True), Reason.INVALID_FIELD, "'log_colour' is unknown; settings: log_error"),
    ],
)
def test_what_is_wrong_is_told_by_name_and_changes_nothing(name, value, reason, told):
    with pytest.raises(ServingError, match=told) as caught:
        update(request(log_warning=("bool", False), **{name: value}))
    assert (caught.value.reason, caught.value.field) == (reason, f"settings[{name!r}]")
    assert log_settings() == LogSettings()


def test_a_setting_without_a_value_is_refused():
    made = pb.LogSettingsRequest()
    made.settings["log_info"].SetInParent()
    with pytest.raises(ServingError, match="must be a bool_param"):
        update(made)


def test_a_name_of_any_length_is_not_given_back_whole():
    with pytest.raises(ServingError) as caught:
        update(request(**{"n" * 100_000: ("bool", True)}))
    assert len(caught.value.message) < 500
