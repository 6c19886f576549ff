"""Requests as bytes: what is in them, and that answers are read back."""

import struct

from sentinova.v1 import sentiment_service_pb2 as sentiment
from tritonclient.grpc import service_pb2 as kserve

from benchmarks import messages

TEXTS = ["good film", "schlecht — não"]


def test_unary_requests_name_model_and_version():
    requests = messages.sentinova_unary(TEXTS, "m", 3)
    assert requests.path == "/sentinova.v1.SentimentService/AnalyzeSentiment"
    parsed = [sentiment.AnalyzeSentimentRequest.FromString(body) for body in requests.bodies]
    assert [request.document.text for request in parsed] == TEXTS
    assert {(request.config.model, request.config.version) for request in parsed} == {("m", 3)}


def test_batches_hold_so_many_texts_and_the_last_the_rest():
    requests = messages.sentinova_batches(TEXTS * 3, 4, "m", 1)
    parsed = [sentiment.BatchAnalyzeSentimentRequest.FromString(body) for body in requests.bodies]
    assert [len(request.documents) for request in parsed] == [4, 2]
    assert requests.texts == 4


def test_a_stream_begins_with_its_configuration():
    requests = messages.sentinova_stream(TEXTS, "m", 2)
    assert sentiment.StreamAnalyzeSentimentRequest.FromString(requests.first[0]).config.version == 2
    parsed = [sentiment.StreamAnalyzeSentimentRequest.FromString(body).document for body in requests.bodies]
    assert [(document.id, document.text) for document in parsed] == [("0", TEXTS[0]), ("1", TEXTS[1])]


def test_kserve_texts_are_raw_bytes_after_their_length():
    (body,) = messages.kserve_requests(TEXTS, 2, "m").bodies
    request = kserve.ModelInferRequest.FromString(body)
    assert list(request.inputs[0].shape) == [2, 1]
    raw = request.raw_input_contents[0]
    (length,) = struct.unpack_from("<I", raw)
    assert raw[4 : 4 + length].decode() == TEXTS[0]


def test_the_best_class_is_read_from_answers_of_every_kind():
    own = sentiment.AnalyzeSentimentResponse()
    for score in (0.2, 0.8):
        own.result.scores.add(score=score)
    raw = kserve.ModelInferResponse(raw_output_contents=[struct.pack("<3f", 0.1, 0.2, 0.7)])
    plain = kserve.ModelInferResponse()
    plain.outputs.add().contents.fp32_contents.extend([0.9, 0.1])
    assert messages.sentinova_labels([own.SerializeToString()]) == [1]
    assert messages.kserve_labels([raw.SerializeToString(), plain.SerializeToString()]) == [2, 0]
