"""Token ids that requests bring: padding is cut off, each row is a document, and the logits are those of the text."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from openvino import opset13 as ops
from sentinova_server.errors import Reason, ServingError
from sentinova_server.repository.config import ModelConfig, Precision
from sentinova_server.runtime.engine import Engine
from sentinova_server.runtime.preparation import Preparation
from sentinova_server.runtime.token_rows import RowRules, check_range

PAD = 3
RULES = RowRules(pad_id=PAD, max_tokens=8, tables={"input_ids": 10, "token_type_ids": 2})
SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8)
# Each row holds a token: one of nothing but padding is refused.
IDS = arrays.arrays(np.int64, SHAPES, elements=st.integers(0, 9)).map(lambda ids: with_first(ids, 1))
SHIPPED = Path(__file__).resolve().parents[4] / "model_repository" / "sentiment_en"


def with_first(tensor, value):
    """Sets the first of each row."""
    tensor[:, 0] = value
    return tensor


def masks(shape):
    return arrays.arrays(np.int64, shape, elements=st.integers(0, 1)).map(lambda mask: with_first(mask, 1))


def refusal(tensors, rules=RULES):
    with pytest.raises(ServingError) as caught:
        rules.split({name: np.array(value) for name, value in tensors.items()})
    assert caught.value.reason is Reason.INVALID_FIELD
    return caught.value


def split(rules=RULES, **tensors):
    return rules.split({name: np.array(value) for name, value in tensors.items()})


@given(IDS)
def test_padding_at_the_end_of_a_row_is_cut_and_nothing_else(ids):
    rows = split(input_ids=ids)
    assert len(rows) == len(ids)
    for row, given_ids in zip(rows, ids, strict=True):
        assert list(row) == given_ids[: len(row)].tolist()
        assert (given_ids[len(row) :] == PAD).all()
        assert row[len(row) - 1] != PAD


@given(st.data())
def test_where_there_is_a_mask_it_alone_says_what_padding_is(data):
    ids = data.draw(IDS)
    mask = data.draw(masks(ids.shape))
    types = data.draw(arrays.arrays(np.int64, ids.shape, elements=st.integers(0, 1)))
    for i, row in enumerate(split(input_ids=ids, attention_mask=mask, token_type_ids=types)):
        end = int(np.flatnonzero(mask[i]).max()) + 1
        assert list(row) == ids[i, :end].tolist()
        assert row.others["attention_mask"].tolist() == mask[i, :end].tolist()
        assert row.others["token_type_ids"].tolist() == types[i, :end].tolist()
        assert "input_ids" not in row.others


@given(IDS, st.integers(0, 5), st.data())
def test_padding_more_changes_no_row(ids, more, data):
    rules = RowRules(PAD, 99, RULES.tables)
    wider = np.concatenate([ids, np.full((len(ids), more), PAD)], axis=1)
    pairs = zip(split(rules, input_ids=ids), split(rules, input_ids=wider), ids, strict=True)
    assert all(list(row) == list(other) for row, other, own in pairs if (own != PAD).any())
    mask = data.draw(masks(ids.shape))
    masked = np.concatenate([mask, np.zeros((len(ids), more), np.int64)], axis=1)
    narrow_rows = split(rules, input_ids=ids, attention_mask=mask)
    wide_rows = split(rules, input_ids=wider, attention_mask=masked)
    for row, other, own in zip(narrow_rows, wide_rows, mask, strict=True):
        assert not own.any() or list(row) == list(other)


def test_only_what_is_left_counts_against_the_most_tokens():
    rules = RowRules(PAD, 4, RULES.tables)
    assert [len(row) for row in split(rules, input_ids=[[1, 1, 1, 1, PAD, PAD], [1, PAD, PAD, PAD, PAD, PAD]])] == [
        4,
        1,
    ]
    error = refusal({"input_ids": [[1] * 5, [1] * 5]}, rules)
    assert "a row of 5 tokens; the model reads 4" in error.message
    assert error.field == "inputs['input_ids']"


def test_a_row_of_nothing_but_padding_is_refused():
    assert "makes row 1 nothing but padding" in refusal({"input_ids": [[1, PAD], [PAD, PAD]]}, RULES).message
    masked = {"input_ids": [[1, 2]], "attention_mask": [[0, 0]]}
    assert "'attention_mask' makes row 0 nothing" in refusal(masked, RULES).message


@pytest.mark.parametrize(
    ("tensors", "name", "told"),
    [
        ({"input_ids": [[10]]}, "input_ids", "holds 10; the model takes 0 to 9"),
        ({"input_ids": [[1, -1]]}, "input_ids", "holds -1; the model takes 0 to 9"),
        ({"input_ids": [[1]], "attention_mask": [[2]]}, "attention_mask", "holds 2; the model takes 0 to 1"),
        ({"input_ids": [[1]], "token_type_ids": [[2]]}, "token_type_ids", "holds 2; the model takes 0 to 1"),
        ({"input_ids": [[1, 2]], "attention_mask": [[1]]}, "attention_mask", r"shape [1, 1], and input_ids has [1, 2]"),
        (
            {"input_ids": [[1]], "token_type_ids": [[1], [1]]},
            "token_type_ids",
            "shape [2, 1], and input_ids has [1, 1]",
        ),
        ({"input_ids": np.zeros((0, 4), np.int64)}, "input_ids", "has shape [0, 4]"),
        ({"input_ids": np.zeros((4, 0), np.int64)}, "input_ids", "has shape [4, 0]"),
    ],
)
def test_what_is_wrong_is_told_with_the_tensors_name(tensors, name, told):
    error = refusal(tensors)
    assert told in error.message
    assert error.field == f"inputs[{name!r}]"


@given(arrays.arrays(np.int64, arrays.array_shapes(min_side=0), elements=st.integers(-5, 20)), st.integers(1, 15))
def test_numbers_are_in_their_table_or_refused(tensor, values):
    if ((tensor >= 0) & (tensor < values)).all():
        check_range("x", tensor, values)
    else:
        with pytest.raises(ServingError, match=rf"the model takes 0 to {values - 1}") as caught:
            check_range("x", tensor, values)
        assert caught.value.field == "inputs['x']"
    check_range("x", tensor, None)


# The shipped model, as it is and with an `attention_mask` of its own.


def build_masked(folder):
    """Writes the shipped model with one input more: where `attention_mask` is 0, a token is padding."""
    source = SHIPPED / "2"
    model = ov.Core().read_model(source / "model.pdmodel")
    mask = ops.parameter([-1, -1], np.int64, name="attention_mask")
    mask.output(0).set_names({"attention_mask"})
    [ids] = [parameter for parameter in model.get_parameters() if "input_ids" in parameter.output(0).get_names()]
    users = list(ids.output(0).get_target_inputs())
    chosen = ops.select(ops.equal(mask, ops.constant(np.int64(0))), ops.constant(np.int64(0)), ids)
    for user in users:
        user.replace_source_output(chosen.output(0))
    model.add_parameters([mask])
    model.validate_nodes_and_infer_types()
    folder.mkdir(parents=True)
    ov.save_model(model, folder / "model.xml", compress_to_fp16=False)
    for name in ("vocab.txt", "tokenizer_config.json", "labels.txt", "golden.json"):
        shutil.copy(source / name, folder)
    return folder


@pytest.fixture(scope="module", params=["as shipped", "with a mask"])
def real(request, tmp_path_factory):
    folder = SHIPPED / "2" if request.param == "as shipped" else build_masked(tmp_path_factory.mktemp("masked") / "2")
    model, proof = Preparation(folder, ModelConfig("m"), 2, engine=Engine(precision=Precision.F32)).run()
    assert proof.logits is not None
    assert model.rewrites, "the golden texts did not prove the graph's faster form, so rows are not put through it"
    yield model
    model.close()


@pytest.fixture(scope="module")
def golden():
    return json.loads((SHIPPED / "2" / "golden.json").read_text())["cases"]


def padded(texts, pad_id, more=0):
    """Gives texts' ids as one `[rows, length]` tensor, and the mask of what is real."""
    width = max(map(len, texts)) + more
    ids, mask = np.full((len(texts), width), pad_id, np.int64), np.zeros((len(texts), width), np.int64)
    for i, text in enumerate(texts):
        ids[i, : len(text)], mask[i, : len(text)] = text, 1
    return ids, mask


@pytest.mark.parametrize("more", [0, 9])
def test_ids_give_the_logits_of_their_text_however_they_are_padded_and_whatever_else_is_given(real, golden, more):
    cases = [case for case in golden if len(case["input_ids"]) <= 40][:12]
    texts = [real.tokenizer.tokenize_batch([case["text"]])[0].input_ids for case in cases]
    assert [list(ids) for ids in texts] == [case["input_ids"] for case in cases]
    of_texts = real.submit(texts).result()
    np.testing.assert_allclose(of_texts, [case["logits"] for case in cases], atol=1e-3)
    ids, mask = padded(texts, real.tokenizer.pad_id, more)
    tensors = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    optional = [spec.name for spec in real.inputs if spec.name != "input_ids"]
    for count in range(len(optional) + 1):
        for others in itertools.combinations(optional, count):
            rows = real.row_rules.split({name: tensors[name] for name in ("input_ids", *others)})
            assert [len(row) for row in rows] == [len(text) for text in texts]
            np.testing.assert_allclose(real.submit(rows).result(), of_texts, atol=1e-5, err_msg=str(others))


@pytest.fixture(scope="module")
def bare(real):
    """The model file in OpenVINO alone: one batch as it is."""
    files, core = real._parts.graph.files, ov.Core()
    model = core.read_model(files.graph, files.weights)
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda tensors: compiled(tensors)[0].copy()


@settings(max_examples=15)
@given(data=st.data())
def test_any_ids_types_and_masks_give_what_the_model_file_gives(real, bare, data):
    names = [spec.name for spec in real.inputs]
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 20)))
    ids = data.draw(arrays.arrays(np.int64, shape, elements=st.integers(1, 30521)))
    tensors = {
        "input_ids": ids,
        "token_type_ids": data.draw(arrays.arrays(np.int64, shape, elements=st.integers(0, 1))),
        # With holes: a token that is masked counts no less for its place.
        "attention_mask": data.draw(arrays.arrays(np.int64, shape, elements=st.integers(0, 1))),
    }
    tensors["attention_mask"][:, 0] = 1  # a row of nothing but padding means nothing
    if "attention_mask" not in names:
        ids[tensors.pop("attention_mask") == 0] = real.tokenizer.pad_id
    rows = real.row_rules.split(tensors)
    np.testing.assert_allclose(real.submit(rows).result(), bare(tensors), atol=2e-5)


def test_what_is_no_token_of_the_model_is_refused(real):
    last = real.tokenizer.vocab_size
    with pytest.raises(ServingError, match=rf"'input_ids' holds {last}; the model takes 0 to {last - 1}"):
        real.row_rules.split({"input_ids": np.array([[101, last, 102]])})
    with pytest.raises(ServingError, match="'token_type_ids' holds 2"):
        real.row_rules.split({"input_ids": np.array([[101]]), "token_type_ids": np.array([[2]])})
