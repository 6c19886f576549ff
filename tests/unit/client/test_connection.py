"""How a server is reached: addresses, TLS, the retry policy; and reading documents from files."""

from __future__ import annotations

import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova.base import readiness_checks
from sentinova.connection import Connection, Tls, check_address, is_local, service_config
from sentinova.display import LONGEST_SNIPPET, bar, printable, snippet
from sentinova.documents import Lines, byte_lines, chunks
from sentinova.errors import DeadlineExceededError


@pytest.mark.parametrize(
    "address", ["localhost:8001", "127.0.0.1:1", "[::1]:8001", "unix:/run/s.sock", "dns:///host.example:443", "a-b.c:9"]
)
def test_addresses_that_grpc_takes(address):
    check_address(address)


@pytest.mark.parametrize(
    "address", ["", "localhost", "http://localhost:8001", "::1:8001", "host:0", "host:99999", "host:port", "a b"]
)
def test_addresses_that_are_none(address):
    with pytest.raises(ValueError, match="address"):
        check_address(address)


def test_no_proxy_stands_between_this_machine_and_itself():
    assert all(map(is_local, ["localhost:1", "127.0.0.9:1", "[::1]:1", "unix:/s"]))
    assert not any(map(is_local, ["10.0.0.1:1", "host.example:1", "dns:///localhost:1"]))
    assert ("grpc.enable_http_proxy", 0) in Connection("127.0.0.1:8001").options()
    assert ("grpc.enable_http_proxy", 0) not in Connection("host.example:8001").options()


def test_only_unavailable_and_only_unary_methods_are_retried():
    (method_config,) = service_config(4, 0.2)["methodConfig"]
    assert method_config["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
    assert method_config["retryPolicy"]["maxAttempts"] == 4
    assert "StreamAnalyzeSentiment" not in json.dumps(method_config["name"])
    assert all("method" in name for name in method_config["name"])
    assert "methodConfig" not in service_config(1, 0.2)


@pytest.mark.parametrize("attempts", [1, 5])
def test_calls_go_to_all_addresses_in_turn(attempts):
    assert service_config(attempts, 0.2)["loadBalancingConfig"] == [{"round_robin": {}}]


@pytest.mark.parametrize(
    "settings",
    [{"attempts": 0}, {"attempts": 6}, {"timeout": -1}, {"timeout": float("nan")}, {"metadata": (("Key", "v"),)}],
    ids=str,
)
def test_settings_that_make_no_sense(settings):
    with pytest.raises(ValueError, match=r"attempts|timeout|metadata"):
        Connection(**settings)


def test_a_certificate_needs_its_key():
    with pytest.raises(ValueError, match="both"):
        Tls(cert="cert.pem")
    with pytest.raises(FileNotFoundError):
        Connection(tls=Tls(ca="/does/not/exist")).credentials()


def test_a_server_name_can_be_set():
    options = Connection("127.0.0.1:8001", tls=Tls(server_name="host.example")).options()
    assert ("grpc.ssl_target_name_override", "host.example") in options


def test_readiness_checks_end_with_the_time():
    now = 0.0

    def clock():
        return now

    spent = []
    with pytest.raises(DeadlineExceededError):  # noqa: PT012  (the time is up inside the loop)
        for limit, pause in readiness_checks(10.0, clock):
            assert 0 < pause <= 1
            assert limit <= 5
            assert now + limit <= 10
            now += pause
            spent.append(pause)
    assert spent == sorted(spent[:-1]) + spent[-1:]


@given(blocks=st.lists(st.binary(max_size=20), max_size=10))
def test_lines_of_a_descriptor_are_those_of_a_file(blocks, tmp_path_factory):
    path = tmp_path_factory.mktemp("lines") / "file"
    path.write_bytes(b"\n".join(blocks))
    with path.open("rb") as file:
        read = list(byte_lines(file))
    assert read == list(io.BytesIO(path.read_bytes()))


def test_lines_keep_their_numbers_and_forget_what_was_taken():
    lines = Lines(io.BytesIO(b"\xef\xbb\xbfone\r\n\n \nfour\n"))
    assert list(lines) == [("1", "one"), ("4", "four")]
    assert lines.take("1") == ("one", 8)
    assert lines.take("4") == ("four", 8)
    with pytest.raises(KeyError):
        lines.take("1")


@given(st.lists(st.text(), max_size=20), st.integers(1, 7))
def test_chunks_hold_everything_in_order(texts, size):
    found = list(chunks(texts, size))
    assert [text for chunk in found for text in chunk] == texts
    assert all(0 < len(chunk) <= size for chunk in found)


@given(st.text())
def test_what_is_shown_cannot_steer_a_terminal(text):
    assert not any(unicodedata.category(each).startswith("C") for each in printable(text))
    assert len(snippet(text)) <= LONGEST_SNIPPET


@pytest.mark.parametrize(("score", "drawn"), [(0, "." * 10), (0.5, "#####....."), (1, "#" * 10), (2, "#" * 10)])
def test_bars(score, drawn):
    assert bar(score, "ascii") == drawn
