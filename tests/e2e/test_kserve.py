"""The same vectors over the KServe v2 service, with Triton's own Python client."""

import queue

import numpy as np
import pytest
from polyglot.vectors import VERSIONS, errors, texts
from tritonclient import grpc as triton
from tritonclient.utils import InferenceServerException

COLUMN = "tritonclient"
WAIT_SECONDS = 60.0


def capability(name):
    return pytest.mark.capability(name, language=COLUMN)


@pytest.fixture
def kserve(shipped_server):
    with triton.InferenceServerClient(shipped_server.address) as client:
        yield client


def tensor(documents):
    """Makes the input of texts, `[n, 1]`."""
    given = triton.InferInput("TEXT", [len(documents), 1], "BYTES")
    given.set_data_from_numpy(np.array([[text.encode()] for text in documents], np.object_))
    return given


def check(answer, vectors, cases, version):
    """Checks what came for texts, in order."""
    assert answer.get_response().model_name == vectors.model
    assert answer.get_response().model_version == str(version)
    expected = [case.versions[version] for case in cases]
    labels, scores, logits = (answer.as_numpy(name) for name in ("LABEL", "SCORES", "LOGITS"))
    assert labels.shape == (len(cases), 1)
    assert [label.decode() for label in labels[:, 0]] == [each.label for each in expected]
    assert scores.dtype == logits.dtype == np.float32
    wanted = np.array([list(each.scores.values()) for each in expected])
    np.testing.assert_allclose(scores, wanted, rtol=0, atol=vectors.score_tolerance[version])
    np.testing.assert_allclose(logits, [each.logits for each in expected], rtol=0, atol=vectors.logit_tolerance)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("file", "way"),
    [
        pytest.param("sentiment", "unary", marks=capability("unary")),
        pytest.param("sentiment", "batch", marks=capability("batch")),
        pytest.param("sentiment", "stream", marks=capability("stream")),
        pytest.param("unicode", "unary", marks=capability("Unicode")),
        pytest.param("unicode", "batch", marks=capability("Unicode")),
        pytest.param("unicode", "stream", marks=capability("Unicode")),
    ],
)
def test_texts(kserve, file, way, version):
    vectors = texts(file)
    request = {"model_name": vectors.model, "model_version": str(version)}
    if way == "batch":
        answer = kserve.infer(inputs=[tensor([case.text for case in vectors.cases])], timeout=None, **request)
        return check(answer, vectors, vectors.cases, version)
    if way == "unary":
        for case in vectors.cases:
            answer = kserve.infer(inputs=[tensor([case.text])], request_id=case.id, **request)
            assert answer.get_response().id == case.id
            check(answer, vectors, [case], version)
        return None
    return check_stream(kserve, vectors, version, request)


def check_stream(kserve, vectors, version, request):
    """Asks for each text over one stream, and checks each answer by its id."""
    told = queue.Queue()
    kserve.start_stream(callback=lambda result, error: told.put((result, error)))
    for case in vectors.cases:
        kserve.async_stream_infer(inputs=[tensor([case.text])], request_id=case.id, **request)
    left = {case.id: case for case in vectors.cases}
    while left:
        result, error = told.get(timeout=WAIT_SECONDS)
        assert error is None, error
        check(result, vectors, [left.pop(result.get_response().id)], version)
    kserve.stop_stream()


@capability("choice of version, long texts")
def test_long_texts_are_cut_where_that_was_asked_for(kserve):
    vectors = texts("unicode")
    for version in VERSIONS:
        answer = kserve.infer(
            vectors.model,
            [tensor([case.text for case in vectors.truncated])],
            str(version),
            parameters={"long_text_policy": "truncate"},
        )
        check(answer, vectors, vectors.truncated, version)


def refused(kserve, documents, **request):
    with pytest.raises(InferenceServerException) as caught:
        kserve.infer(**({"model_name": "sentiment_en", "inputs": [tensor(documents)]} | request))
    return caught.value.status().removeprefix("StatusCode.")


@capability("errors")
@pytest.mark.parametrize("case", [case for case in errors("documents") if not case.id], ids=lambda case: case.name)
def test_a_bad_text_fails_its_request(kserve, case):
    assert refused(kserve, ["good", case.text]) == case.code


@capability("errors")
def test_what_is_unknown_is_told(kserve):
    assert refused(kserve, ["good"], model_name="nobody") == "NOT_FOUND"
    assert refused(kserve, ["good"], model_version="99") == "NOT_FOUND"


@capability("health")
def test_health(kserve):
    assert kserve.is_server_live()
    assert kserve.is_server_ready()
    assert kserve.is_model_ready("sentiment_en")
    assert kserve.is_model_ready("sentiment_en", "1")
    assert not kserve.is_model_ready("nobody")


@capability("models")
def test_models(kserve):
    metadata = kserve.get_model_metadata("sentiment_en", as_json=True)
    assert sorted(metadata["versions"]) == ["1", "2"]
    assert [(one["name"], one["datatype"]) for one in metadata["inputs"]] == [("TEXT", "BYTES")]
    outputs = {one["name"]: one["datatype"] for one in metadata["outputs"]}
    assert outputs == {"LABEL": "BYTES", "SCORES": "FP32", "LOGITS": "FP32"}
