"""A model runs any batch, padding changes nothing, and a version whose parts do not belong together is refused."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentinova_server.errors import LoadError
from sentinova_server.repository.config import ModelConfig, Precision, TensorConfig
from sentinova_server.runtime.engine import Engine
from sentinova_server.runtime.text_model import LENGTH_STEP, TextModel
from sentinova_server.runtime.text_parts import TextModelParts

ENGINE = Engine()


@pytest.fixture(scope="module")
def model(tiny_version, tmp_path_factory):
    model = compile_text_model(tiny_version(tmp_path_factory.mktemp("tiny") / "1"))
    yield model
    model.close()


def compile_text_model(folder, **config):
    parts = TextModelParts.read(folder, ModelConfig("tiny", **config), ENGINE)
    return TextModel(parts, ENGINE.compile(parts.graph, precision=Precision.F32), Precision.F32)


def load(folder, **config):
    compile_text_model(folder, **config).close()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.integers(1, 8), min_size=1, max_size=64), min_size=1, max_size=64))
def test_a_batch_gives_what_each_text_gives_alone(model, batch):
    together = model.submit(batch).result()
    assert together.shape == (len(batch), 2)
    assert together.dtype == np.float32
    alone = np.concatenate([model.submit([ids]).result() for ids in batch[:3]])
    np.testing.assert_allclose(together[:3], alone, atol=1e-5)


@given(st.integers(1, 64))
def test_lengths_are_padded_to_few_values_and_never_cut(model, tokens):
    padded = model.padded_length(tokens)
    assert tokens <= padded < tokens + LENGTH_STEP
    assert padded == model.max_tokens or padded % LENGTH_STEP == 0


def test_a_failed_inference_raises_and_the_model_runs_on(model):
    with pytest.raises(ValueError, match="max"):
        model.submit([]).result()
    with pytest.raises(RuntimeError):
        model._compiled.infer({"input_ids": np.zeros((1, 1, 1), np.int64)})
    # More failures than infer requests: none of them is lost.
    for _ in range(2 * model.parallelism):
        with pytest.raises(RuntimeError):
            model._compiled.infer({"input_ids": np.zeros((1, 1, 1), np.int64)})
    assert model.submit([[2, 5, 3]]).result().tolist() == [[-1, 2]]


def test_another_vocabulary_is_caught_by_the_golden_ids(tiny_version, tmp_path):
    folder = tiny_version(tmp_path / "1")
    words = (folder / "vocab.txt").read_text().splitlines()
    (folder / "vocab.txt").write_text("\n".join([*words[:5], *reversed(words[5:])]) + "\n")
    with pytest.raises(LoadError, match=r"golden\.json: cases\.0: the tokenizer gives other token ids"):
        load(folder)


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({"inputs": (TensorConfig("ids"),)}, "'ids' is not in the model, which has .'TEXT', 'input_ids'."),
        ({"inputs": (TensorConfig("input_ids", "INT32"),)}, "declared INT32; the model has INT64"),
        ({"outputs": (TensorConfig("logits", "FP32", (3,)),)}, r"dims \[3\]; the model has \[2\]"),
    ],
)
def test_a_config_at_odds_with_the_model_is_told(tiny_version, tmp_path, declared, told):
    folder = tiny_version(tmp_path / "tiny" / "1")
    with pytest.raises(LoadError, match=told) as error:
        load(folder, **declared)
    assert error.value.file == folder.parent / "config.pbtxt"


def test_a_config_that_fits_is_taken(tiny_version, tmp_path):
    load(
        tiny_version(tmp_path / "1"),
        inputs=(TensorConfig("input_ids", "INT64", (-1,)),),
        outputs=(TensorConfig("logits", "FP32", (2,)),),
        max_length=32,
        instance_count=1,
    )


def test_labels_that_are_not_the_models_are_told(tiny_version, tmp_path):
    folder = tiny_version(tmp_path / "1")
    (folder / "labels.txt").write_text("a\nb\nc\n")
    with pytest.raises(LoadError, match=r"labels\.txt: has 3 names, and the model has 2 classes"):
        load(folder)


def test_a_broken_graph_is_told(tiny_version, tmp_path):
    folder = tiny_version(tmp_path / "1")
    (folder / "model.xml").write_text("not xml")
    with pytest.raises(LoadError, match=r"model\.xml: OpenVINO cannot read it"):
        load(folder)


def test_a_model_that_is_no_text_classifier_is_told(tmp_path, tiny_version):
    import openvino as ov
    from openvino import opset13 as ops

    folder = tiny_version(tmp_path / "1")
    image = ops.parameter([-1, 3, 8, 8], np.float32, name="image")
    image.output(0).set_names({"image"})
    ov.save_model(ov.Model([ops.add(image, ops.constant(np.float32(1)))], [image], "image"), folder / "model.xml")
    with pytest.raises(LoadError, match=r"has the inputs \['image'\]; a text model takes input_ids"):
        load(folder)


def test_broken_json_is_told(tiny_version, tmp_path):
    folder = tiny_version(tmp_path / "1")
    (folder / "tokenizer_config.json").write_text(json.dumps([1]))
    with pytest.raises(LoadError, match=r"tokenizer_config\.json"):
        load(folder)
