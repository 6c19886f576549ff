"""A model of tensors: every element type, batches of whatever comes together, and no harm done by what does not fit."""

import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from openvino import opset13 as ops
from sentinova_server.errors import LoadError, Reason, ServingError
from sentinova_server.repository.config import ModelConfig, Precision, TensorConfig
from sentinova_server.runtime import engine as engine_module
from sentinova_server.runtime.compiled_model import CompiledModel
from sentinova_server.runtime.engine import Engine
from sentinova_server.runtime.shape_probe import MOST_ELEMENTS
from sentinova_server.runtime.tensor_preparation import TensorPreparation
from sentinova_server.runtime.tensors import NUMPY_TYPES, TensorRows
from structlog.testing import capture_logs

MODELS = Path(__file__).resolve().parents[4] / "tests" / "models"
EXPORTED = ("event_sequence", "image_cnn", "page_detector", "similarity_matrix", "text_lstm", "two_inputs")
ENGINE = Engine(streams=2)
# KServe's element types and OpenVINO's words for them.
TYPES = {
    "BOOL": "boolean", "UINT8": "u8", "UINT16": "u16", "UINT32": "u32", "UINT64": "u64", "INT8": "i8", "INT16": "i16",
    "INT32": "i32", "INT64": "i64", "FP16": "f16", "BF16": "bf16", "FP32": "f32", "FP64": "f64", "BYTES": "string",
}  # fmt: skip


def parameter(name, kind, shape):
    made = ops.parameter(list(shape), getattr(ov.Type, kind), name=name)
    made.output(0).set_names({name})
    return made


def constant(value, dtype=np.int64):
    return ops.constant(np.array(value, dtype))


def save(folder, inputs, **outputs):
    """Writes a graph as a version."""
    folder.mkdir(parents=True)
    results = []
    for name, node in outputs.items():
        port = node if isinstance(node, ov.Output) else node.output(0)
        port.set_names({*port.get_names(), name})
        results.append(ops.result(port))
    ov.save_model(ov.Model(results, inputs, "m"), folder / "model.xml", compress_to_fp16=False)
    return folder


def prepare(folder, engine=ENGINE, **config):
    return TensorPreparation(folder, ModelConfig("m", **config), 1, engine).run()


@pytest.fixture
def load():
    """Makes a version ready; closes it at the end."""
    models = []

    def load(folder, engine=ENGINE, **config):
        model, _ = prepare(folder, engine, **config)
        models.append(model)
        return model

    yield load
    for model in models:
        model.close()


@pytest.fixture(scope="module")
def exported():
    """The exported models, with their golden cases: inputs and outputs by name."""
    found = {}
    for name in EXPORTED:
        batch = 0 if name == "similarity_matrix" else 8
        model, proof = prepare(MODELS / name / "1", max_batch_size=batch)
        found[name] = (model, proof, model._parts.golden)
    yield found
    for model, _, _ in found.values():
        model.close()


def rows_of(model, **tensors):
    return TensorRows.of({name: np.asarray(value) for name, value in tensors.items()}, batched=model.max_batch_size > 0)


def ask(model, **tensors):
    """Checks one request and runs it alone, as a server does."""
    rows = rows_of(model, **tensors)
    model.check(rows)
    [outputs] = model.submit([rows]).result()
    return outputs


def refusal(model, **tensors):
    with pytest.raises(ServingError) as caught:
        model.check(rows_of(model, **tensors))
    assert caught.value.reason is Reason.INVALID_FIELD
    return caught.value


# Models that Paddle exported.


@pytest.mark.parametrize("name", EXPORTED)
def test_an_exported_model_gives_what_paddle_gave(exported, name):
    model, proof, golden = exported[name]
    assert (model.format, model.precision, model.rewrites) == ("paddle", Precision.F32, ())
    assert proof.logits.cases == len(golden.cases) > 2
    assert proof.logits.max_difference < 1e-3
    for case in golden.cases:
        outputs = ask(model, **case.inputs)
        assert set(outputs) == set(case.outputs)
        for key, expected in case.outputs.items():
            assert outputs[key].dtype == expected.dtype
            np.testing.assert_allclose(outputs[key], expected, atol=1e-3)


@settings(max_examples=40)
@given(st.data())
def test_a_batch_gives_each_its_own_rows(exported, data):
    name = data.draw(st.sampled_from([name for name in EXPORTED if name != "similarity_matrix"]))
    model, _, golden = exported[name]
    case = data.draw(st.sampled_from(golden.cases))
    rows = len(next(iter(case.inputs.values())))
    # Any rows of the case, some of them twice, in requests of any size.
    picks = data.draw(st.lists(st.lists(st.integers(0, rows - 1), min_size=1, max_size=3), min_size=1, max_size=6))
    batch = [rows_of(model, **{key: values[pick] for key, values in case.inputs.items()}) for pick in picks]
    answers = model.submit(batch).result()
    assert len(answers) == len(picks)
    for pick, outputs in zip(picks, answers, strict=True):
        for key, expected in case.outputs.items():
            np.testing.assert_allclose(outputs[key], expected[pick], atol=1e-3)


def test_the_first_run_of_a_shape_is_not_the_one_that_others_wait_for(exported):
    """Golden inputs ran on every stream: the probe knows their shapes."""
    model, _, golden = exported["image_cnn"]
    for case in golden.cases:
        assert (("image", case.inputs["image"].shape),) in model._probe._good


def test_a_batch_of_no_rows_is_answered_with_none(exported):
    model, _, _ = exported["image_cnn"]
    [probabilities] = ask(model, image=np.zeros((0, 3, 8, 8), np.float32)).values()
    assert probabilities.shape == (0, 10)


@pytest.mark.parametrize(
    ("name", "input_name", "rows"), [("text_lstm", "token_ids", 200), ("two_inputs", "item_ids", 100), ("event_sequence", "kinds", 12)]
)  # fmt: skip
def test_a_number_outside_its_table_is_refused_by_the_tensors_name(exported, name, input_name, rows):
    model, _, golden = exported[name]
    case = golden.cases[1].inputs
    for wrong in (rows, -1, 2**31, -(2**40)):
        ids = case[input_name].astype(np.int64)
        ids.flat[-1] = wrong
        error = refusal(model, **{**case, input_name: ids})
        assert error.field == f"inputs[{input_name!r}]"
        assert f"holds {wrong}; the model takes 0 to {rows - 1}" in error.message
    # The ends of the table are in it.
    ids = case[input_name].copy()
    ids.flat[0], ids.flat[-1] = 0, rows - 1
    assert all(np.isfinite(output).all() for output in ask(model, **{**case, input_name: ids}).values())


BAD = {
    "image_cnn": lambda draw: {"image": np.zeros((draw.randint(1, 4), draw.choice([1, 2, 4]), 8, 8), np.float32)},
    "two_inputs": lambda draw: {
        "user_features": np.zeros((2, 8), np.float32),
        "item_ids": np.zeros((draw.choice([1, 3]), 4), np.int64),
    },
    "page_detector": lambda draw: {"image": np.zeros((1, 3, 0, draw.randint(1, 9)), np.float32)},
    "event_sequence": lambda draw: {
        "values": np.zeros((2, 5, 6), np.float32),
        "kinds": np.zeros((2, draw.choice([3, 4, 6])), np.int32),
        "present": np.ones((2, 5), bool),
    },
}


def mix_good_and_bad(model, good, make_bad, seed, times, *, through_check):
    """Sends good and bad requests in turn; gives what was wrong with the answers."""
    draw, wrong = random.Random(seed), []
    for _ in range(times):
        bad = make_bad(draw)
        try:
            made = TensorRows(bad, rows_of(model, **good[0][0]).key)  # whatever its first dimensions are
            if through_check:
                model.check(made)
            model.submit([made]).result()
            wrong.append(f"{ {name: value.shape for name, value in bad.items()} } was taken")
        except ServingError as error:
            if error.reason is not Reason.INVALID_FIELD:
                wrong.append(error)
        inputs, outputs = draw.choice(good)
        found = ask(model, **inputs)
        wrong += [name for name, value in outputs.items() if not np.allclose(found[name], value, atol=1e-3)]
    return wrong


@pytest.mark.parametrize("through_check", [True, False], ids=["at the door", "in the batch"])
@pytest.mark.parametrize("name", BAD)
def test_bad_shapes_never_run_and_the_next_good_request_is_right(exported, name, through_check):
    model, _, golden = exported[name]
    good = [(case.inputs, case.outputs) for case in golden.cases]

    def run(seed):
        return mix_good_and_bad(model, good, BAD[name], seed, 30, through_check=through_check)

    with capture_logs() as logs, ThreadPoolExecutor(4) as pool:
        assert [*pool.map(run, range(4))] == [[]] * 4
    # Nothing failed inside, so nothing had to be compiled anew.
    assert not [entry for entry in logs if entry["event"] == "model_compiled_anew"]


def test_two_layers_whose_width_only_the_inside_knows(tmp_path, load):
    """What ended the process where it ran: a width that the first matrix does not take, in a dynamic dimension."""
    rng = np.random.default_rng(3)
    first, second = (rng.normal(size=size).astype(np.float32) for size in ((8, 16), (16, 4)))
    x = parameter("x", "f32", [-1, -1])
    hidden = ops.relu(ops.matmul(x, ops.constant(first), False, False))
    folder = save(tmp_path / "m" / "1", [x], y=ops.matmul(hidden, ops.constant(second), False, False))
    model = load(folder, max_batch_size=8)
    for i in range(300):
        width = rng.choice([7, 8, 9, 16, 5])
        values = rng.normal(size=(rng.integers(1, 9), width)).astype(np.float32)
        if width == 8:
            expected = np.maximum(values @ first, 0) @ second
            np.testing.assert_allclose(ask(model, x=values)["y"], expected, atol=1e-4, err_msg=str(i))
        else:
            assert f"x [{len(values)}, {width}]" in refusal(model, x=values).message


# What fails inside nevertheless.


class CountingEngine(Engine):
    """Counts compilations."""

    def __init__(self):
        super().__init__(streams=2)
        self.compiled = 0

    def compile(self, *args, **kwargs):
        model = super().compile(*args, **kwargs)
        compile_model = model._pool._compile

        def counted():
            self.compiled += 1
            return compile_model()

        model._pool._compile = counted
        return model


@pytest.fixture
def cnn(load):
    engine = CountingEngine()
    model = load(MODELS / "image_cnn" / "1", engine, max_batch_size=8)
    return (
        engine,
        model,
        [(case.inputs["image"], next(iter(case.outputs.values()))) for case in model._parts.golden.cases],
    )


def run_inside(model, image):
    """Runs past all checks."""
    return model._compiled.submit(model._compiled.infer, {"image": image})


BAD_IMAGE = np.zeros((1, 3, 0, 8), np.float32)


def test_after_a_failed_inference_the_model_is_compiled_anew_and_right(cnn):
    engine, model, good = cnn
    for number in range(1, 6):
        # The shape that ran before a failure is the one that fails after it, where nothing is done about it.
        image, expected = good[number % len(good)]
        np.testing.assert_allclose(run_inside(model, image).result()[0], expected, atol=1e-3)
        with capture_logs() as logs, pytest.raises(RuntimeError):
            run_inside(model, BAD_IMAGE).result()
        assert [entry["event"] for entry in logs] == ["model_compiled_anew"]
        assert engine.compiled == number
        for _ in range(2 * model.parallelism):
            np.testing.assert_allclose(run_inside(model, image).result()[0], expected, atol=1e-3)


def test_failures_among_others_cost_those_nothing(cnn):
    engine, model, good = cnn
    futures, failed = [], 0
    draw = random.Random(5)
    for _ in range(120):
        if draw.random() < 0.2:
            futures.append((run_inside(model, BAD_IMAGE), None))
        else:
            image, expected = draw.choice(good)
            futures.append((run_inside(model, image), expected))
    for future, expected in futures:
        if expected is None:
            with pytest.raises(RuntimeError):
                future.result()
            failed += 1
        else:
            np.testing.assert_allclose(future.result()[0], expected, atol=1e-3)
    assert failed > 5
    # One that fails beside others is tried once more, as it may be the harm of one of them: two failures at most.
    assert 1 <= engine.compiled <= 2 * failed


def test_a_model_that_cannot_be_compiled_anew_tells_the_failure(cnn, monkeypatch):
    engine, model, good = cnn

    def no_memory():
        raise RuntimeError("no memory")

    monkeypatch.setattr(model._compiled._pool, "_compile", no_memory)
    with pytest.raises(RuntimeError):
        run_inside(model, BAD_IMAGE).result()
    monkeypatch.undo()
    with pytest.raises(RuntimeError):  # so the next failure tries again
        run_inside(model, BAD_IMAGE).result()
    assert engine.compiled == 1
    np.testing.assert_allclose(run_inside(model, good[0][0]).result()[0], good[0][1], atol=1e-3)


def test_an_output_whose_first_dimension_is_not_the_batchs_is_told(tmp_path, load):
    x = parameter("x", "f32", [-1, 2])
    folder = save(tmp_path / "m" / "1", [x], y=ops.reduce_sum(x, constant([0]), keep_dims=True))
    # The graph says [1, 2]: it is known before anything runs.
    with pytest.raises(LoadError, match=r"y has shape \[1, 2\], whose first dimension is not dynamic"):
        load(folder, max_batch_size=4)
    x = parameter("x", "f32", [-1, 2])
    folder = save(tmp_path / "m" / "2", [x], y=ops.concat([x, x], 0))
    model = load(folder, max_batch_size=4)
    with pytest.raises(RuntimeError, match=r"output 'y' has shape \[6, 2\] for a batch of 3 rows.*max_batch_size to 0"):
        ask(model, x=np.zeros((3, 2), np.float32))
    assert ask(load(folder), x=np.zeros((3, 2), np.float32))["y"].shape == (6, 2)


# Element types.


@pytest.fixture(scope="module")
def echoes(tmp_path_factory):
    """A model for each element type that gives its input twice, side by side."""
    models = {}
    for datatype, kind in TYPES.items():
        x = parameter("x", kind, [-1, -1])
        folder = save(tmp_path_factory.mktemp(kind) / "m" / "1", [x], y=ops.concat([x, x], 1))
        models[datatype], _ = prepare(folder, max_batch_size=64)
    yield models
    for model in models.values():
        model.close()


def elements_of(datatype):
    if datatype == "BYTES":
        return st.binary(max_size=12).filter(lambda text: not text.endswith(b"\0"))
    if datatype in ("INT64", "UINT64"):
        return st.integers(-(2**31) if datatype == "INT64" else 0, 2**31 - 1)
    if datatype == "FP64":  # computed as FP32, whose largest number is what infinity becomes
        return st.floats(width=32, allow_nan=False, allow_infinity=False)
    return None


MATRICES = arrays.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=4)


@settings(max_examples=150)
@given(st.data())
def test_elements_of_every_type_come_through_bit_for_bit(echoes, data):
    datatype = data.draw(st.sampled_from(sorted(TYPES)))
    model = echoes[datatype]
    assert [(spec.name, spec.datatype, spec.shape) for spec in model.inputs] == [("x", datatype, (-1, -1))]
    x = data.draw(arrays.arrays(NUMPY_TYPES[datatype], data.draw(MATRICES), elements=elements_of(datatype)))
    y = ask(model, x=x)["y"]
    assert y.dtype == x.dtype
    twice = np.concatenate([x, x], 1)
    if datatype == "BYTES":
        assert y.tolist() == twice.tolist()
    else:
        assert y.tobytes() == twice.tobytes()


@settings(max_examples=60)
@given(st.data())
def test_batches_of_every_type_are_split_again(echoes, data):
    datatype = data.draw(st.sampled_from(sorted(TYPES)))
    width = data.draw(st.integers(1, 3))
    shapes = data.draw(st.lists(st.integers(1, 3), min_size=2, max_size=4))
    requests = [
        data.draw(arrays.arrays(NUMPY_TYPES[datatype], (rows, width), elements=elements_of(datatype)))
        for rows in shapes
    ]
    answers = echoes[datatype].submit([rows_of(echoes[datatype], x=request) for request in requests]).result()
    for request, answer in zip(requests, answers, strict=True):
        twice = np.concatenate([request, request], 1)
        assert answer["y"].tolist() == twice.tolist() or answer["y"].tobytes() == twice.tobytes()


@pytest.mark.parametrize(
    ("datatype", "number"),
    [
        ("INT64", 2**31), ("INT64", -(2**31) - 1), ("INT64", 2**63 - 1), ("INT64", -(2**63)),
        ("UINT64", 2**31), ("UINT64", 2**64 - 1), ("UINT64", 2**53 + 1),
    ],
)  # fmt: skip
def test_an_integer_beyond_32_bits_is_refused_not_cut(echoes, datatype, number):
    x = np.array([[1, number, 2]], NUMPY_TYPES[datatype])
    error = refusal(echoes[datatype], x=x)
    assert f"input 'x' holds {number}; this server computes integers of up to 32 bits" in error.message
    assert error.field == "inputs['x']"


@pytest.mark.parametrize("text", [b"\0", b"a\0", b"a\0\0", b"\0a\0"])
def test_text_that_ends_in_a_zero_byte_is_refused_not_cut(echoes, text):
    x = np.empty((1, 2), object)
    x[:] = [[b"good", text]]
    assert "ends in a zero byte" in refusal(echoes["BYTES"], x=x).message
    x[:] = [[b"good", text + b"."]]
    assert ask(echoes["BYTES"], x=x)["y"][0, 1] == text + b"."


def test_many_short_texts_and_a_long_one_are_refused_before_they_take_the_room(echoes):
    x = np.full((1, 1 << 20), b"", object)
    x[0, 7] = b"a" * (MOST_ELEMENTS >> 20)
    assert ask(echoes["BYTES"], x=x[:, :8])["y"].shape == (1, 16)
    x[0, 7] += b"a"
    assert "1,048,576 texts, which at the length of the longest come to" in refusal(echoes["BYTES"], x=x).message


def bfloat16(values):
    """Gives the bits of numbers that bfloat16 has."""
    return (np.array(values, np.float32).view(np.uint32) >> 16).astype(np.uint16)


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("f16", np.array([[1.5, -2.0, 65504]], np.float16), np.array([[3.0, -4.0, np.inf]], np.float16)),
        ("bf16", bfloat16([[1.5, -2.0, 0.0078125]]), bfloat16([[3.0, -4.0, 0.015625]])),
        ("f64", np.array([[1.5, -2.0, 0.25]]), np.array([[3.0, -4.0, 0.5]])),
        ("i8", np.array([[1, -2, 60]], np.int8), np.array([[2, -4, 120]], np.int8)),
    ],
)
def test_a_model_computes_in_its_own_types(tmp_path, load, kind, values, expected):
    x = parameter("x", kind, [-1, 3])
    folder = save(tmp_path / "m" / "1", [x], y=ops.add(x, x))
    found = ask(load(folder, max_batch_size=4), x=values)["y"]
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_a_graph_that_hands_its_input_on(tmp_path, load):
    x, z = parameter("x", "f32", [-1, 2]), parameter("z", "i64", [-1, 1])
    folder = save(tmp_path / "m" / "1", [x, z], y=ops.add(x, x), z_too=z.output(0))
    model = load(folder, max_batch_size=4)
    outputs = ask(model, x=np.ones((2, 2), np.float32), z=np.array([[5], [6]]))
    handed_on = model.outputs[1].name
    np.testing.assert_array_equal(outputs["y"], 2 * np.ones((2, 2)))
    np.testing.assert_array_equal(outputs[handed_on], [[5], [6]])


def test_an_input_that_the_graph_does_not_read(tmp_path, load):
    x, unused = parameter("x", "f32", [-1, 2]), parameter("unused", "i64", [-1, 1])
    model = load(save(tmp_path / "m" / "1", [x, unused], y=ops.add(x, x)), max_batch_size=4)
    assert {spec.name for spec in model.inputs} == {"x", "unused"}
    outputs = ask(model, x=np.ones((1, 2), np.float32), unused=np.array([[7]]))
    np.testing.assert_array_equal(outputs["y"], [[2, 2]])


# What does not load.


@pytest.fixture
def doubling(tmp_path):
    """A version that doubles rows of two numbers."""
    x = parameter("x", "f32", [-1, 2])
    return save(tmp_path / "m" / "1", [x], y=ops.add(x, x))


def test_a_fixed_batch_is_told_where_requests_are_to_be_joined(tmp_path):
    x = parameter("x", "f32", [4, 2])
    folder = save(tmp_path / "m" / "1", [x], y=ops.add(x, x))
    with pytest.raises(LoadError, match=r"model\.xml: x has shape \[4, 2\], whose first dimension is not dynamic"):
        prepare(folder, max_batch_size=4)
    model, _ = prepare(folder)
    assert ask(model, x=np.ones((4, 2), np.float32))["y"].shape == (4, 2)
    model.close()


@pytest.mark.parametrize(
    ("config", "file", "told"),
    [
        ({"response_cache": True}, "config.pbtxt", "field `response_cache`: only answers of text models are kept"),
        ({"precisions": {None: Precision.INT8}}, "model.xml", "is not quantized"),
        ({"inputs": (TensorConfig("z"),)}, "config.pbtxt", "'z' is not in the model"),
        ({"outputs": (TensorConfig("y", "INT8"),)}, "config.pbtxt", "field `output`: 'y' is declared INT8"),
        ({"inputs": (TensorConfig("x", "", (3,)),), "max_batch_size": 4}, "config.pbtxt", r"dims \[3\]"),
        ({"outputs": (TensorConfig("y", label_filename="no.txt"),)}, "no.txt", "is missing"),
    ],
)
def test_a_config_at_odds_with_the_model_is_told(doubling, config, file, told):
    with pytest.raises(LoadError, match=told) as caught:
        prepare(doubling, **config)
    assert caught.value.file.name == file


def test_an_element_type_that_kserve_has_not_is_told(tmp_path):
    x = parameter("x", "u4", [-1, 2])
    folder = save(tmp_path / "m" / "1", [x], y=ops.convert(x, "u8"))
    with pytest.raises(LoadError, match="x has element type u4, which KServe v2 has not"):
        prepare(folder)


def test_bfloat16_needs_a_cpu_that_has_it(doubling, monkeypatch):
    monkeypatch.setattr(engine_module.Engine, "has_bf16", False)
    with pytest.raises(LoadError, match="precision` is bf16, which this CPU does not compute in"):
        prepare(doubling, precisions={None: Precision.BF16})


def test_memory_is_asked_for_before_anything_is_compiled(doubling, monkeypatch):
    asked = []

    def refuse(size):
        asked.append(size)
        raise LoadError(doubling, "no room")

    def compile_nothing(*_):
        raise AssertionError("it was compiled")

    monkeypatch.setattr(CompiledModel, "__init__", compile_nothing)
    with pytest.raises(LoadError, match="no room"):
        TensorPreparation(doubling, ModelConfig("m"), 1, ENGINE, refuse).run()
    assert asked == [0]


def test_a_version_that_fails_its_golden_values_is_freed(tmp_path, monkeypatch):
    folder = tmp_path / "m" / "1"
    shutil.copytree(MODELS / "two_inputs" / "1", folder)
    content = dict(np.load(folder / "golden.npz"))
    content["0/output/tanh_0.tmp_0"] += 1
    np.savez(folder / "golden.npz", **content)
    closed = []
    close = CompiledModel.close
    monkeypatch.setattr(CompiledModel, "close", lambda self: (closed.append(self), close(self)))
    with pytest.raises(LoadError, match="0/output/tanh"):
        prepare(folder, max_batch_size=8)
    assert len(closed) == 1


def test_labels_are_read_for_each_output_that_names_a_file(doubling):
    (doubling / "kinds.txt").write_text("cat\ndog\n")
    model, _ = prepare(doubling, outputs=(TensorConfig("y", label_filename="kinds.txt"),))
    assert model.labels == {"y": ("cat", "dog")}
    model.close()
