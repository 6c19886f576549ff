"""Both clients against the fake server: results, errors, retries, deadlines, readiness, models."""

from __future__ import annotations

import asyncio
import pickle
from datetime import UTC, datetime

import grpc
import pytest
import trustme
from fake_server import DOWN, EMPTY, FULL, NO_MODEL, FakeServer, model, status
from google.rpc import status_pb2
from sentinova import (
    AsyncClient,
    CallCancelledError,
    DeadlineExceededError,
    FieldViolation,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    Sentiment,
    SentinovaError,
    TensorInfo,
    Timings,
    Tls,
    UnavailableError,
    UnimplementedError,
    UnknownError,
    VersionState,
)
from sentinova.v1 import sentiment_service_pb2 as pb


def test_analyze_gives_every_field(client):
    assert client.analyze("good film") == Sentiment(
        label="positive",
        score=0.75,
        scores={"negative": 0.25, "positive": 0.75},
        model="sentiment_en",
        version=2,
        token_count=4,
        truncated=False,
        timings=Timings(tokenization=0.001, queue=0.002, inference=1.5),
    )


def test_scores_keep_the_order_of_the_model(client):
    assert list(client.analyze("bad").scores) == ["negative", "positive"]


def test_what_was_asked_for_is_sent(client, behaviour):
    result = client.analyze("x" * 200, model="other", version=7, long_text="truncate", priority=3)
    assert (result.model, result.version, result.truncated) == ("other", 7, True)
    assert behaviour.configs[-1].long_text_policy == pb.LONG_TEXT_POLICY_TRUNCATE
    assert behaviour.configs[-1].priority == 3


@pytest.mark.parametrize(("options", "sent"), [({}, 0), ({"priority": 2}, 2)])
def test_every_call_sends_its_priority(client, behaviour, options, sent):
    client.analyze("good", **options)
    client.analyze_batch(["good"], **options)
    list(client.stream(["good"], **options))
    assert [config.priority for config in behaviour.configs] == [sent] * 3


@pytest.mark.parametrize("priority", [-1, 1 << 32])
def test_a_priority_that_cannot_be_sent_is_refused(client, behaviour, priority):
    with pytest.raises(ValueError, match="out of range"):
        client.analyze("good", priority=priority)
    assert behaviour.configs == []


def test_no_version_is_sent_where_none_is_asked_for(client, behaviour):
    client.analyze("good")
    assert not behaviour.configs[-1].HasField("version")
    assert behaviour.configs[-1].long_text_policy == pb.LONG_TEXT_POLICY_ERROR


def test_an_error_carries_its_details(client):
    with pytest.raises(InvalidArgumentError) as caught:
        client.analyze("")
    error = caught.value
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (error.reason, error.domain, error.metadata) == ("TEXT_EMPTY", "sentinova", {"bytes": "0"})
    assert error.field_violations == (FieldViolation("document.text", "is wrong", "TEXT_EMPTY"),)
    assert error.retry_after is None
    assert str(error) == "INVALID_ARGUMENT (TEXT_EMPTY): the text is empty"
    assert isinstance(error.__cause__, grpc.RpcError)


def test_an_overloaded_server_says_when_to_come_back(client, behaviour):
    behaviour.failures = [FULL]
    with pytest.raises(ResourceExhaustedError) as caught:
        client.analyze("good")
    assert caught.value.retry_after == 0.5
    assert behaviour.calls["AnalyzeSentiment"] == 1


def test_an_error_without_details_keeps_its_class(client, behaviour):
    behaviour.failures = [status_pb2.Status(code=12, message="no such method")]
    with pytest.raises(UnimplementedError) as caught:
        client.analyze("good")
    assert (caught.value.reason, caught.value.message) == ("", "no such method")


def test_an_error_can_be_pickled(client):
    with pytest.raises(NotFoundError) as caught:
        client.analyze("good", model="nope")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), again.reason, again.metadata) == (NotFoundError, "MODEL_NOT_FOUND", {"model": "nope"})


def test_every_status_code_has_its_class():
    codes = {kind.status_code for kind in SentinovaError.__subclasses__()}
    assert codes == set(grpc.StatusCode) - {grpc.StatusCode.OK}


@pytest.mark.parametrize("call", ["analyze", "analyze_batch", "list_models"])
def test_unavailable_is_tried_again(client, behaviour, call):
    behaviour.failures = [DOWN, DOWN]
    arguments = {"analyze": ("good",), "analyze_batch": (["good"],), "list_models": ()}[call]
    getattr(client, call)(*arguments)
    assert behaviour.calls.total() == 3


GONE = status(14, "the connection broke", "")


def test_a_server_that_never_answered_is_given_up_after_the_last_attempt(face, server, behaviour):
    behaviour.failures = [GONE] * 9
    with pytest.raises(UnavailableError, match="the connection broke"):
        face.open(server.address, attempts=2).analyze("good")
    assert behaviour.calls["AnalyzeSentiment"] == 2


@pytest.mark.parametrize("failure", [DOWN, status(1, "the server stops", "")], ids=["loading", "cancelled"])
def test_a_server_that_says_it_is_there_is_asked_until_it_answers(face, server, behaviour, failure):
    behaviour.failures = [failure] * 3
    assert face.open(server.address, attempts=2).analyze("good").label
    assert behaviour.calls["AnalyzeSentiment"] == 4


def test_a_server_that_answered_before_is_asked_until_it_is_back(face, server, behaviour):
    client = face.open(server.address, attempts=2)
    client.analyze("good")
    behaviour.failures = [GONE] * 3
    assert client.analyze("good").label
    assert behaviour.calls["AnalyzeSentiment"] == 5


def test_it_is_asked_until_the_deadline_and_no_longer(face, server, behaviour):
    behaviour.failures = [DOWN] * 1000
    with pytest.raises((UnavailableError, DeadlineExceededError)):
        face.open(server.address, attempts=2, timeout=0.7).analyze("good")
    assert 2 < behaviour.calls["AnalyzeSentiment"] < 100


def test_what_changes_something_is_not_made_twice(client, behaviour):
    behaviour.failures = [DOWN]
    with pytest.raises(UnavailableError):
        client.rollback_model("tiny")
    assert behaviour.calls.total() == 1


@pytest.mark.parametrize("code", [3, 4, 5, 8, 9, 10, 13, 16])
def test_no_other_error_is_tried_again(client, behaviour, code):
    behaviour.failures = [status(code, "no", "NO")] * 3
    with pytest.raises(SentinovaError):
        client.analyze("good")
    assert behaviour.calls["AnalyzeSentiment"] == 1


def test_retries_can_be_turned_off(face, server, behaviour):
    behaviour.failures = [DOWN]
    with pytest.raises(UnavailableError):
        face.open(server.address, attempts=1).analyze("good")
    assert behaviour.calls["AnalyzeSentiment"] == 1


def test_a_server_that_is_not_there_is_unavailable(face, server):
    address = server.address
    server.stop()
    with pytest.raises(UnavailableError):
        face.open(address, attempts=1).analyze("good")


def test_the_deadline_of_a_call_holds(client, behaviour):
    behaviour.hang = True
    with pytest.raises(DeadlineExceededError):
        client.analyze("good", timeout=0.1)


def test_the_deadline_of_the_client_holds(face, server, behaviour):
    behaviour.hang = True
    with pytest.raises(DeadlineExceededError):
        face.open(server.address, timeout=0.1).analyze("good")


def test_a_batch_answers_in_order_and_fails_one_by_one(client):
    good, empty, bad = client.analyze_batch(["good", "", "bad"])
    assert (good.label, bad.label) == ("positive", "negative")
    assert isinstance(empty, InvalidArgumentError)
    assert empty.reason == "TEXT_EMPTY"
    assert empty.field_violations


def test_a_text_that_is_not_unicode_fails_alone(client, behaviour):
    good, broken = client.analyze_batch(iter(["good", "half \udcff"]))
    assert good.label == "positive"
    assert broken.reason == "TEXT_NOT_UNICODE"
    with pytest.raises(InvalidArgumentError, match="U\\+DCFF"):
        client.analyze("half \udcff")


def test_a_batch_with_nothing_to_send_makes_no_call(client, behaviour):
    assert client.analyze_batch([]) == []
    assert [each.reason for each in client.analyze_batch(["\udcff"])] == ["TEXT_NOT_UNICODE"]
    assert not behaviour.calls


def test_a_batch_as_a_whole_can_fail(client):
    with pytest.raises(NotFoundError):
        client.analyze_batch(["good"], model="nope")


def test_too_few_answers_are_noticed(client, behaviour):
    behaviour.answers_short = 1
    with pytest.raises(InternalError, match="UNEXPECTED_ANSWER"):
        client.analyze_batch(["good", "bad"])


def test_wrong_arguments_are_refused_at_once(client, behaviour):
    with pytest.raises(TypeError):
        client.analyze_batch("one string")
    with pytest.raises(TypeError):
        client.analyze_batch([b"bytes"])
    with pytest.raises(TypeError):
        client.stream("one string")
    with pytest.raises(ValueError, match="long_text"):
        client.analyze("good", long_text="shorten")
    with pytest.raises(ValueError, match="timeout"):
        client.analyze("good", timeout=0)
    with pytest.raises(ValueError, match="max_in_flight"):
        client.stream([], max_in_flight=0)
    assert not behaviour.calls


def test_models_are_listed_through_all_pages(client, behaviour):
    behaviour.models = [model(name) for name in "abcde"]
    assert [each.name for each in client.list_models()] == list("abcde")
    assert behaviour.calls["ListModels"] == 3


def test_a_model_is_described(client, behaviour):
    behaviour.models = [model("film")]
    found = client.get_model("film")
    good, failed = found.versions
    assert (found.name, found.backend, found.default_version) == ("film", "openvino", 1)
    assert (good.state, good.labels, good.max_tokens) == (VersionState.AVAILABLE, ("negative", "positive"), 512)
    assert good.inputs == (TensorInfo("input_ids", "INT64", (-1, -1)),)
    assert good.state_time == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert (failed.state, failed.state_time) == (VersionState.FAILED, None)
    assert "pdiparams" in failed.state_message
    behaviour.models[0].default_version = 0
    behaviour.models[0].versions[0].state = 99
    assert client.get_model("film").default_version is None
    assert client.get_model("film").versions[0].state is VersionState.UNKNOWN


def test_a_model_that_is_not_there_is_not_found(client):
    with pytest.raises(NotFoundError):
        client.get_model("film")


def test_readiness_follows_the_health_service(client, behaviour):
    assert client.is_ready()
    behaviour.serving = 2
    assert not client.is_ready()
    behaviour.failures = [DOWN]
    behaviour.serving = 1
    assert not client.is_ready()
    assert client.is_ready()


def test_readiness_does_not_hide_other_errors(client, behaviour):
    behaviour.failures = [status(16, "who are you?", "NO_CREDENTIALS")]
    with pytest.raises(SentinovaError, match="NO_CREDENTIALS"):
        client.is_ready()


def test_a_server_that_is_not_there_is_not_ready(face, server):
    address = server.address
    server.stop()
    face.open(address)
    assert not face.is_ready()
    with pytest.raises(DeadlineExceededError):
        face.wait_until_ready(timeout=0.2)


def test_waiting_ends_when_the_server_is_ready(client, behaviour):
    behaviour.failures = [DOWN, DOWN]
    client.wait_until_ready(timeout=60)
    assert behaviour.calls["Check"] == 3


def test_metadata_and_the_user_agent_go_with_every_call(face, server, behaviour):
    face.open(server.address, metadata={"authorization": "Bearer abc"})
    calls = [lambda: face.analyze("x"), face.list_models, face.is_ready, lambda: list(face.stream(["x"]))]
    for call in calls:
        behaviour.metadata = {}
        call()
        assert behaviour.metadata["authorization"] == "Bearer abc"
        assert behaviour.metadata["user-agent"].startswith("sentinova-python/")


def test_a_closed_client_says_so(client):
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.is_ready()


async def test_closing_the_client_ends_a_call_that_waits(server: FakeServer):
    server.behaviour.hang = True
    client = AsyncClient(server.address, timeout=None)
    call = asyncio.create_task(client.analyze("good"))
    assert await asyncio.to_thread(server.behaviour.begun.wait, 60)
    await client.close()
    with pytest.raises(CallCancelledError, match="the client was closed") as caught:
        await call
    assert caught.value.reason == "CLIENT_CLOSED"


async def test_cancelling_a_task_is_not_taken_for_a_closed_client(server: FakeServer):
    server.behaviour.hang = True
    async with AsyncClient(server.address, timeout=None) as client:
        call = asyncio.create_task(client.analyze("good"))
        assert await asyncio.to_thread(server.behaviour.begun.wait, 60)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


def test_damaged_details_do_not_hide_the_failure(client, behaviour):
    broken = status_pb2.Status(code=5, message="gone")
    broken.details.add(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff\xff")
    behaviour.failures = [broken]
    with pytest.raises(NotFoundError, match="gone"):
        client.analyze("good")


def test_mutual_tls(face, tmp_path):
    authority, stranger = trustme.CA(), trustme.CA()
    served, own = authority.issue_cert("127.0.0.1"), authority.issue_cert("client.example")
    credentials = grpc.ssl_server_credentials(
        [(served.private_key_pem.bytes(), served.cert_chain_pems[0].bytes())],
        root_certificates=authority.cert_pem.bytes(),
        require_client_auth=True,
    )
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    stranger.cert_pem.write_to_path(tmp_path / "stranger.pem")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    server = FakeServer(credentials)
    try:
        both = {"cert": tmp_path / "cert.pem", "key": tmp_path / "key.pem"}
        assert face.open(server.address, tls=Tls(ca=tmp_path / "ca.pem", **both)).analyze("x").label == "positive"
        for bad in (Tls(ca=tmp_path / "stranger.pem", **both), Tls(ca=tmp_path / "ca.pem"), None):
            with pytest.raises(UnavailableError):
                face.open(server.address, tls=bad, attempts=1).analyze("x")
    finally:
        server.stop()


def test_an_unknown_code_is_unknown(client, behaviour):
    from sentinova.status import error_from_status

    error = error_from_status(status_pb2.Status(code=99, message="?"))
    assert type(error) is UnknownError
    assert EMPTY.code == 3
    assert NO_MODEL.code == 5
