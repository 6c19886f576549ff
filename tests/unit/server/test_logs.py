"""Which lines are written: as the settings say from the next line on, also where a logger was bound before."""

import itertools
import json
import logging

import pytest
import structlog
from sentinova_server.observability import logs
from sentinova_server.observability.logs import LogSettings, change_log_settings, configure_logs, log_settings

LEVELS = ("debug", "info", "warning", "error")


@pytest.fixture(autouse=True)
def settings_as_they_were(monkeypatch):
    monkeypatch.setattr(logs._Log, "settings", LogSettings())
    monkeypatch.setattr(logs._Log, "observers", [])


def written(capsys, log=None):
    """Writes a line of each level; gives those that came."""
    log = log or structlog.get_logger()
    for level in LEVELS:
        getattr(log, level)(f"a_{level}")
    return [json.loads(line)["level"] for line in capsys.readouterr().err.splitlines()]


@pytest.mark.parametrize(
    ("level", "expected"),
    [("debug", LEVELS), ("info", LEVELS[1:]), ("warning", LEVELS[2:]), ("error", LEVELS[3:])],
)
def test_the_level_at_start_says_what_is_written(capsys, level, expected):
    configure_logs(level, "json")
    assert written(capsys) == list(expected)


@pytest.mark.parametrize(
    "flags", [*itertools.product([True, False], repeat=4)], ids=lambda flags: "".join(str(int(flag)) for flag in flags)
)
def test_each_combination_writes_its_lines_and_is_taken_back(capsys, flags):
    configure_logs("info", "json")
    error, warning, info, verbose = flags
    change_log_settings(error=error, warning=warning, info=info, verbose=verbose)
    assert log_settings() == LogSettings(error, warning, info, verbose)
    wanted = {
        "debug": verbose,
        "info": verbose or (error and warning and info),
        "warning": verbose or (error and warning),
        "error": verbose or error,
    }
    assert written(capsys) == [level for level in LEVELS if wanted[level]]
    change_log_settings(error=True, warning=True, info=True, verbose=False)
    assert written(capsys) == list(LEVELS[1:])


def test_what_is_not_named_stays():
    configure_logs("warning", "json")
    change_log_settings(verbose=True)
    assert log_settings() == LogSettings(info=False, verbose=True)
    change_log_settings(verbose=False)
    assert log_settings() == LogSettings(info=False)
    assert log_settings().level == logging.WARNING


def test_who_has_bound_a_logger_is_told_to_bind_it_anew(capsys):
    configure_logs("info", "json")
    holder = {"log": structlog.get_logger().bind()}
    logs.observe_logs(lambda: holder.update(log=structlog.get_logger().bind()))
    assert written(capsys, holder["log"]) == list(LEVELS[1:])
    change_log_settings(info=False)
    assert written(capsys, holder["log"]) == list(LEVELS[2:])


def test_an_unknown_setting_changes_nothing():
    before = log_settings()
    with pytest.raises(TypeError):
        change_log_settings(colour=True)
    assert log_settings() == before
