"""Which view of a model a request means, what rows it may have, and how texts come out as tensors."""

import json

import numpy as np
import pytest
from sentinova_server.errors import Reason, ServingError
from sentinova_server.observability.metrics import Metrics
from sentinova_server.repository.config import ModelConfig, Precision
from sentinova_server.rpc.inference.parameters import InferParameters
from sentinova_server.rpc.inference.views import View, answer, choose_view, main_view
from sentinova_server.runtime.engine import Engine
from sentinova_server.runtime.preparation import Preparation
from sentinova_server.runtime.tensors import TensorSpec
from sentinova_server.serving.analysis import LongText, TextClassifier
from sentinova_server.serving.packing import BatchLimits
from sentinova_server.serving.scheduler import SchedulerLimits

X, Y = TensorSpec("x", "FP32", (-1, 2)), TensorSpec("y", "INT8", (-1,))


def refusal(view, **tensors):
    with pytest.raises(ServingError) as caught:
        view.check_rows({name: np.asarray(value) for name, value in tensors.items()})
    assert caught.value.reason is Reason.INVALID_FIELD
    return caught.value


def test_a_batch_has_as_many_rows_in_every_tensor_and_no_more_than_it_may():
    view = View((X, Y), (), max_batch_size=4)
    view.check_rows({"x": np.zeros((4, 2)), "y": np.zeros(4)})
    assert "'y' has 3 rows, and 'x' has 2" in refusal(view, x=np.zeros((2, 2)), y=np.zeros(3)).message
    # What broadcasts inside the graph would mix the rows of two requests.
    assert refusal(view, x=np.zeros((2, 2)), y=np.zeros(1)).field == "inputs['y']"
    for rows in (0, 5):
        error = refusal(view, x=np.zeros((rows, 2)), y=np.zeros(rows))
        assert f"'x' has {rows} rows; a request may have 1 to 4" in error.message
        assert error.field == "inputs['x']"


def test_without_a_batch_dimension_any_first_dimensions_will_do():
    View((X, Y), ()).check_rows({"x": np.zeros((2, 2)), "y": np.zeros(9)})


@pytest.fixture
async def classifier(tiny_version, tmp_path):
    folder = tiny_version(tmp_path / "tiny" / "1")
    model, _ = Preparation(folder, ModelConfig("tiny"), 1, engine=Engine(precision=Precision.F32)).run()
    limits = SchedulerLimits(BatchLimits(512), queue_size=100)
    made = TextClassifier("tiny", 1, model, limits, config=ModelConfig("tiny"), max_text_bytes=300, metrics=Metrics())
    yield made
    model.close()


async def ask(classifier, tensors, heard=None, **parameters):
    tensors = {name: np.asarray(value) for name, value in tensors.items()}
    view = choose_view(classifier, list(tensors), 8)

    def answered(*told):
        if heard is not None:
            heard.append(told)

    return await answer(classifier, view, tensors, InferParameters(**parameters), deadline=None, answered=answered)


def texts(*given):
    column = np.empty((len(given), 1), object)
    column[:, 0] = given
    return {"TEXT": column}


async def test_the_names_of_the_inputs_tell_the_view(classifier):
    of_texts = choose_view(classifier, ["TEXT"], 8)
    assert [spec.name for spec in of_texts.inputs] == ["TEXT"]
    assert [spec.name for spec in of_texts.outputs] == ["LABEL", "SCORES", "LOGITS"]
    assert of_texts == main_view(classifier, 8) == choose_view(classifier, [], 8) == choose_view(classifier, ["x"], 8)
    of_ids = choose_view(classifier, ["input_ids"], 8)
    assert [spec.name for spec in of_ids.inputs] == ["input_ids"]
    assert [(spec.name, spec.shape) for spec in of_ids.outputs] == [("logits", (-1, 2))]
    assert of_ids.labels == {"logits": ("negative", "positive")}
    assert of_ids.max_batch_size == 8


async def test_texts_come_out_as_labels_scores_and_logits(classifier, tmp_path):
    golden = json.loads((tmp_path / "tiny" / "1" / "golden.json").read_text())["cases"]
    heard = []
    found = await ask(classifier, texts(*(case["text"].encode() for case in golden)), heard)
    logits = np.array([case["logits"] for case in golden])
    np.testing.assert_allclose(found.outputs["LOGITS"], logits, atol=1e-5)
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.outputs["SCORES"], scores, atol=1e-5)
    names = [[b"negative", b"positive"][row] for row in logits.argmax(axis=1)]
    assert found.outputs["LABEL"].tolist() == [[name] for name in names]
    assert (found.rows, found.truncated) == (len(golden), 0)
    assert [text for text, _, _ in heard] == [case["text"] for case in golden]


async def test_ids_and_texts_give_the_same_logits(classifier, tmp_path):
    golden = json.loads((tmp_path / "tiny" / "1" / "golden.json").read_text())["cases"]
    width = max(len(case["input_ids"]) for case in golden)
    ids = [case["input_ids"] + [0] * (width - len(case["input_ids"])) for case in golden]
    by_ids = await ask(classifier, {"input_ids": np.array(ids)})
    by_text = await ask(classifier, texts(*(case["text"].encode() for case in golden)))
    np.testing.assert_allclose(by_ids.outputs["logits"], by_text.outputs["LOGITS"], atol=1e-6)
    assert by_ids.rows == len(golden)


async def test_a_text_that_is_cut_is_counted_and_one_that_may_not_be_fails_by_its_place(classifier):
    long = b"the " * 70
    found = await ask(classifier, texts(b"good", long, long), long_text=LongText.TRUNCATE)
    assert found.truncated == 2
    with pytest.raises(ServingError, match=r"TEXT'?\]?\[1\]") as caught:
        await ask(classifier, texts(b"good", long))
    assert caught.value.reason is Reason.TEXT_TOO_LONG
    assert caught.value.field == "inputs['TEXT'][1]"


@pytest.mark.parametrize(
    ("bad", "reason", "told"),
    [
        (b"", Reason.TEXT_EMPTY, "empty"),
        (b" \n", Reason.TEXT_EMPTY, "empty|white"),
        (b"\xff", Reason.INVALID_FIELD, "element 1 is not UTF-8"),
        (b"x" * 301, Reason.TEXT_TOO_LONG, "300"),
    ],
)
async def test_one_bad_text_fails_its_request_and_is_named(classifier, bad, reason, told):
    with pytest.raises(ServingError, match=told) as caught:
        await ask(classifier, texts(b"good", bad, b"bad"))
    assert caught.value.reason is reason
    assert "document.text" not in caught.value.message + caught.value.field


@pytest.mark.parametrize("count", [0, 9])
async def test_more_texts_or_rows_than_may_be_are_refused(classifier, count):
    with pytest.raises(ServingError, match=f"'TEXT' has {count} rows; a request may have 1 to 8"):
        await ask(classifier, texts(*[b"good"] * count))
    with pytest.raises(ServingError, match=f"'input_ids' has {count} rows"):
        await ask(classifier, {"input_ids": np.full((count, 3), 5)})
