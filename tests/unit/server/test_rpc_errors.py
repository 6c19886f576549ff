"""What clients see of errors."""

import grpc
import pytest
from google.rpc import error_details_pb2
from hypothesis import given
from hypothesis import strategies as st
from sentinova.v1 import sentiment_service_pb2 as pb
from sentinova_server.errors import Reason, ServingError
from sentinova_server.rpc.decoding import Undecodable, explain, tolerant
from sentinova_server.rpc.status import code_of, to_duration, to_status

BATCH = pb.BatchAnalyzeSentimentRequest


def details(status):
    known = [getattr(error_details_pb2, name) for name in ("ErrorInfo", "BadRequest", "RetryInfo", "RequestInfo")]
    unpacked = {}
    for packed in status.details:
        for kind in known:
            message = kind()
            if packed.Unpack(message):
                unpacked[kind.DESCRIPTOR.name] = message
    return unpacked


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_code_that_is_an_error(reason):
    assert code_of(ServingError(reason, "x")) not in (grpc.StatusCode.OK, grpc.StatusCode.UNKNOWN)


def test_a_status_carries_what_is_known():
    error = ServingError(
        Reason.TEXT_TOO_LONG, "too long", field="document.text", metadata={"tokens": "9"}, retry_after=1.5
    )
    status = to_status(error, "id-1")
    found = details(status)
    assert (status.code, status.message) == (grpc.StatusCode.INVALID_ARGUMENT.value[0], "too long")
    assert (found["ErrorInfo"].reason, found["ErrorInfo"].domain) == ("TEXT_TOO_LONG", "sentinova")
    assert found["ErrorInfo"].metadata == {"tokens": "9"}
    assert found["BadRequest"].field_violations[0].field == "document.text"
    assert found["RetryInfo"].retry_delay.ToTimedelta().total_seconds() == 1.5
    assert found["RequestInfo"].request_id == "id-1"


def test_a_status_says_nothing_that_is_not_known():
    assert set(details(to_status(ServingError(Reason.INTERNAL, "x")))) == {"ErrorInfo"}


@given(st.floats(0, 1e6))
def test_durations_are_seconds(seconds):
    duration = to_duration(seconds)
    assert 0 <= duration.nanos < 1_000_000_000
    assert duration.seconds + duration.nanos / 1e9 == pytest.approx(seconds, abs=1e-6)


def field(number, payload):
    """Encodes a length-delimited protobuf field of at most 127 bytes."""
    return bytes([number << 3 | 2, len(payload)]) + payload


def is_utf8(data):
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(st.lists(st.one_of(st.text(max_size=5).map(str.encode), st.binary(max_size=8)), min_size=1, max_size=5))
def test_the_first_string_that_is_no_utf8_is_named(texts):
    wire = b"".join(field(1, field(2, text)) for text in texts)
    bad = [i for i, text in enumerate(texts) if not is_utf8(text)]
    assert explain(wire, BATCH.DESCRIPTOR).field == (f"documents[{bad[0]}].text" if bad else "")


def test_text_that_is_no_utf8_reaches_the_service_as_undecodable():
    wire = pb.AnalyzeSentimentRequest(document=pb.Document(text="XX")).SerializeToString().replace(b"XX", b"\xc3\x28")
    decoded = tolerant(pb.AnalyzeSentimentRequest.FromString, pb.AnalyzeSentimentRequest.DESCRIPTOR)(wire)
    assert isinstance(decoded, Undecodable)
    assert decoded.error.field == "document.text"
    assert "UTF-8" in decoded.error.message


@given(st.binary(max_size=100))
def test_any_bytes_are_decoded_or_explained(wire):
    decoded = tolerant(BATCH.FromString, BATCH.DESCRIPTOR)(wire)
    if isinstance(decoded, Undecodable):
        assert decoded.error.reason is Reason.INVALID_FIELD
    else:
        assert decoded == BATCH.FromString(wire)
