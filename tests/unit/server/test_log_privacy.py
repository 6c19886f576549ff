"""What the log tells of an error: where it was, and not what a client had sent."""

import pytest
import structlog
from sentinova_server.observability.logs import configure_logs


def fail(text):
    held = text.upper()
    raise RuntimeError(f"no place for {len(held)} characters")


@pytest.mark.parametrize("form", ["json", "console"])
def test_an_error_is_logged_without_what_variables_held(form, capsys):
    configure_logs("info", form)
    try:
        fail("my own words")
    except RuntimeError as error:
        structlog.get_logger().error("call_failed", exc_info=error)
    written = capsys.readouterr().err
    assert "no place for 12 characters" in written
    assert "fail" in written
    assert "MY OWN WORDS" not in written
    assert "my own words" not in written.replace('fail("my own words")', "")
