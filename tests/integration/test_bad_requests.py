"""Bad requests: each gets its documented code and reason, and the server answers the next one."""

import grpc
import pytest
from grpc_status import rpc_status
from sentinova.v1 import model_service_pb2 as model_pb
from sentinova.v1 import sentiment_service_pb2 as pb

GOOD = pb.AnalyzeSentimentRequest(document=pb.Document(text="a good one"), config=pb.AnalysisConfig(version=1))
INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND


def request(text="good", **config):
    return pb.AnalyzeSentimentRequest(document=pb.Document(text=text), config=pb.AnalysisConfig(**config))


@pytest.fixture
def check(stubs, reason):
    """Calls, checks the error, and that the server still answers."""

    def run(call, message, code, expected_reason, told):
        with pytest.raises(grpc.RpcError) as error:
            call(message, timeout=30)
        assert error.value.code() is code
        assert reason(error.value) == expected_reason
        assert told in error.value.details()
        assert any(key == "x-request-id" for key, _ in error.value.trailing_metadata())
        assert stubs.sentiment.AnalyzeSentiment(GOOD, timeout=30).result.label == "positive"

    return run


@pytest.mark.parametrize(
    ("message", "code", "expected", "told"),
    [
        (pb.AnalyzeSentimentRequest(), INVALID, "INVALID_FIELD", "document is missing"),
        (request(""), INVALID, "TEXT_EMPTY", "document.text is empty"),
        (request(" \n\t\u200b\x00"), INVALID, "TEXT_EMPTY", "document.text is empty"),
        (request("a" * (1 << 20)), INVALID, "TEXT_TOO_LONG", "1,048,576 bytes"),
        (request("b " * 30_000), INVALID, "TEXT_TOO_LONG", "30,002 tokens"),
        (request(model="nobody"), NOT_FOUND, "MODEL_NOT_FOUND", "'nobody'; the server has: sentiment_en"),
        (request(version=0), INVALID, "INVALID_FIELD", "config.version is 0"),
        (request(version=-1), INVALID, "INVALID_FIELD", "config.version is -1"),
        (request(version=99), NOT_FOUND, "VERSION_NOT_FOUND", "no version 99; available: [1, 2]"),
        (request(long_text_policy=7), INVALID, "INVALID_FIELD", "long_text_policy is 7"),
        (
            pb.AnalyzeSentimentRequest(document=pb.Document(id="é" * 129, text="good")),
            INVALID,
            "INVALID_FIELD",
            "document.id has more than 256 bytes",
        ),
    ],
)
def test_unary(stubs, check, message, code, expected, told):
    check(stubs.sentiment.AnalyzeSentiment, message, code, expected, told)


def test_a_bad_field_is_named_for_machines(stubs):
    with pytest.raises(grpc.RpcError) as error:
        stubs.sentiment.AnalyzeSentiment(request(""), timeout=30)
    status = rpc_status.from_call(error.value)
    kinds = {detail.type_url.rpartition(".")[2] for detail in status.details}
    assert kinds == {"ErrorInfo", "BadRequest", "RequestInfo"}


def test_bytes_that_are_no_utf8(stubs, check):
    wire = GOOD.SerializeToString().replace(b"a good one", b"\xff\xfe\xfd good")
    call = stubs.channel.unary_unary(
        "/sentinova.v1.SentimentService/AnalyzeSentiment", request_serializer=lambda message: message
    )
    check(call, wire, INVALID, "INVALID_FIELD", "document.text is not valid UTF-8")


def test_bytes_that_are_no_message(stubs, check):
    call = stubs.channel.unary_unary("/sentinova.v1.ModelService/GetModel", request_serializer=lambda message: message)
    check(call, b"\x0a\xff", INVALID, "INVALID_FIELD", "not a valid sentinova.v1.GetModelRequest message")


@pytest.mark.parametrize(("count", "told"), [(0, "has 0 documents"), (1025, "has 1025 documents")])
def test_batches_of_wrong_size(stubs, check, count, told):
    message = pb.BatchAnalyzeSentimentRequest(documents=[pb.Document(text="x")] * count)
    check(stubs.sentiment.BatchAnalyzeSentiment, message, INVALID, "INVALID_FIELD", told)


def test_bad_documents_of_a_batch_fail_alone(stubs, status_reason):
    texts = ["very good", "", "c" * (1 << 20), "w " * 1000, "very bad"]
    documents = [pb.Document(id=f"d{i}", text=text) for i, text in enumerate(texts)]
    documents.append(pb.Document(id="x" * 300, text="good"))
    message = pb.BatchAnalyzeSentimentRequest(documents=documents, config=pb.AnalysisConfig(version=1))
    results = stubs.sentiment.BatchAnalyzeSentiment(message, timeout=30).results
    assert [result.id for result in results] == ["d0", "d1", "d2", "d3", "d4", ""]
    assert [results[i].result.label for i in (0, 4)] == ["positive", "negative"]
    assert [status_reason(results[i].error) for i in (1, 2, 3, 5)] == [
        "TEXT_EMPTY",
        "TEXT_TOO_LONG",
        "TEXT_TOO_LONG",
        "INVALID_FIELD",
    ]
    assert "documents[1].text" in str(results[1].error)


def stream(*messages):
    return iter([pb.StreamAnalyzeSentimentRequest(**message) for message in messages])


def test_bad_documents_of_a_stream_fail_alone(stubs, status_reason):
    documents = [pb.Document(id=str(i), text=text) for i, text in enumerate(["good", "", "bad", "x " * 600])]
    responses = stubs.sentiment.StreamAnalyzeSentiment(
        stream({"config": pb.AnalysisConfig(version=1)}, *({"document": document} for document in documents)),
        timeout=30,
    )
    found = {response.id: response for response in responses}
    assert set(found) == {"0", "1", "2", "3"}
    assert found["0"].result.label == "positive"
    assert status_reason(found["1"].error) == "TEXT_EMPTY"
    assert found["2"].result.label == "negative"
    assert status_reason(found["3"].error) == "TEXT_TOO_LONG"


def test_a_stream_message_that_is_no_utf8_fails_alone(stubs, status_reason):
    good = pb.StreamAnalyzeSentimentRequest(document=pb.Document(id="1", text="good")).SerializeToString()
    bad = good.replace(b"good", b"\xc3\x28\xa0\xa1")
    call = stubs.channel.stream_stream(
        "/sentinova.v1.SentimentService/StreamAnalyzeSentiment",
        request_serializer=lambda message: message,
        response_deserializer=pb.StreamAnalyzeSentimentResponse.FromString,
    )
    found = {response.id: response for response in call(iter([bad, good]), timeout=30)}
    assert found["1"].result.label == "positive"
    assert status_reason(found[""].error) == "INVALID_FIELD"
    assert "document.text is not valid UTF-8" in found[""].error.message


@pytest.mark.parametrize(
    ("messages", "code", "expected"),
    [
        ([{"config": pb.AnalysisConfig(model="nobody")}], NOT_FOUND, "MODEL_NOT_FOUND"),
        ([{"config": pb.AnalysisConfig(version=0)}], INVALID, "INVALID_FIELD"),
        ([{}], INVALID, "INVALID_FIELD"),
        ([{"document": pb.Document(text="good")}, {"config": pb.AnalysisConfig()}], INVALID, "INVALID_FIELD"),
        ([{"config": pb.AnalysisConfig()}] * 2, INVALID, "INVALID_FIELD"),
    ],
)
def test_streams_that_are_wrong_as_a_whole(stubs, reason, messages, code, expected):
    with pytest.raises(grpc.RpcError) as error:
        list(stubs.sentiment.StreamAnalyzeSentiment(stream(*messages), timeout=30))
    assert error.value.code() is code
    assert reason(error.value) == expected


def test_an_empty_stream_ends_well(stubs):
    assert list(stubs.sentiment.StreamAnalyzeSentiment(iter([]), timeout=30)) == []


@pytest.mark.parametrize(
    ("method", "message", "code", "expected", "told"),
    [
        ("GetModel", model_pb.GetModelRequest(), INVALID, "INVALID_FIELD", "name is empty"),
        ("GetModel", model_pb.GetModelRequest(name="nobody"), NOT_FOUND, "MODEL_NOT_FOUND", "'nobody'"),
        ("ListModels", model_pb.ListModelsRequest(page_size=-1), INVALID, "INVALID_FIELD", "page_size is -1"),
        ("ListModels", model_pb.ListModelsRequest(page_token="é"), INVALID, "INVALID_FIELD", "page_token"),
    ],
)
def test_model_service(stubs, check, method, message, code, expected, told):
    check(getattr(stubs.models, method), message, code, expected, told)


def test_a_deadline_that_passes_is_told(stubs):
    documents = [pb.Document(text="word " * 500)] * 64
    with pytest.raises(grpc.RpcError) as error:
        stubs.sentiment.BatchAnalyzeSentiment(pb.BatchAnalyzeSentimentRequest(documents=documents), timeout=0.05)
    assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert stubs.sentiment.AnalyzeSentiment(GOOD, timeout=30).result.label == "positive"


def test_the_request_id_of_the_client_is_given_back_and_a_wild_one_is_not(stubs):
    for sent, kept in (("order-42", True), ("x" * 500, False)):
        _, call = stubs.sentiment.AnalyzeSentiment.with_call(GOOD, metadata=[("x-request-id", sent)], timeout=30)
        given = dict(call.trailing_metadata())["x-request-id"]
        assert (given == sent) is kept
        assert given
