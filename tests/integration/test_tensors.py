"""Models of tensors on a real server: exact, joined in batches, swapped under load, and never in a text model's place."""

from __future__ import annotations

import itertools
import random
import shutil
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families
from rig import Calls, refusal
from sentinova.v1 import sentiment_service_pb2 as pb
from sentinova.v1 import sentiment_service_pb2_grpc
from sentinova_server import cli
from tensor_models import (
    EXAMPLES,
    EXPORTED,
    Triton,
    add_exported,
    arrays_of,
    build_echo,
    build_lookup,
    build_scale,
    golden_cases,
    make_inputs,
    open_channel,
    spoil_golden,
)
from tritonclient.grpc import InferResult, service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

# Long enough for requests of several threads to meet.
BATCHED = "max_batch_size: 8 dynamic_batching { max_queue_delay_microseconds: 20000 }"
ALL_VERSIONS = "version_policy { all {} }\n"
ECHOES = {"f16": np.float16, "i64": np.int64, "u64": np.uint64, "string": np.object_, "bf16": np.uint16}


class House:
    """A server on models of tensors, and the clients to ask it."""

    def __init__(self, server, root, channel, triton):
        self.server, self.root, self.triton = server, root, triton
        self.calls = Calls(channel)
        self.stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        self.sentiment = sentiment_service_pb2_grpc.SentimentServiceStub(channel)
        self.infer = triton.infer

    def load(self, name):
        """Loads a model anew, as its folder is now."""
        self.triton.client.load_model(name)

    def states(self, name):
        """Gives the state of each version, and why it is in it."""
        index = self.triton.client.get_model_repository_index().models
        return {int(one.version): (one.state, one.reason) for one in index if one.name == name}

    def metric(self, name, **labels):
        with urllib.request.urlopen(f"{self.server.url}/metrics", timeout=60) as response:
            families = text_string_to_metric_families(response.read().decode())
        samples = (sample for family in families for sample in family.samples)
        return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())


@pytest.fixture(scope="module")
def house(tmp_path_factory, tiny_version, start_server):
    root = tmp_path_factory.mktemp("tensors") / "repository"
    for name, batched in EXPORTED.items():
        add_exported(root / name, name, 1, config=BATCHED if batched else "max_batch_size: 0")
    for kind in ECHOES:
        build_echo(root / f"echo_{kind}" / "1", kind)
        (root / f"echo_{kind}" / "config.pbtxt").write_text("max_batch_size: 8")
    tiny_version(root / "words" / "1")
    flags = ("--precision", "f32", "--model-control-mode", "explicit", "--load-model", "*", "--settle-secs", "0")
    with (
        start_server(root, *flags) as server,
        open_channel(server.address) as channel,
        Triton(server.address) as triton,
    ):
        yield House(server, root, channel, triton)


def refused(house, model, tensors, **options):
    """Asks for what must be refused; gives the code and what is told."""
    with pytest.raises(InferenceServerException) as caught:
        house.infer(model, tensors, **options)
    return caught.value.status().removeprefix("StatusCode."), caught.value.message()


def assert_close(found, expected):
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_allclose(found[name], values, atol=1e-3)


# What Paddle gave.


@pytest.mark.parametrize("name", EXPORTED)
def test_every_exported_model_gives_what_paddle_gave(house, name):
    cases = golden_cases(name)
    for inputs, outputs in cases:
        assert_close(house.infer(name, inputs), outputs)


TYPED = {"FP32": "fp32_contents", "INT64": "int64_contents", "INT32": "int_contents", "BOOL": "bool_contents"}


@pytest.mark.parametrize("name", EXPORTED)
def test_typed_fields_mean_what_raw_ones_do(house, name):
    inputs, outputs = golden_cases(name)[1]
    message = service_pb2.ModelInferRequest(model_name=name)
    for key, values in inputs.items():
        datatype = np_to_triton_dtype(values.dtype)
        tensor = message.inputs.add(name=key, datatype=datatype, shape=values.shape)
        getattr(tensor.contents, TYPED[datatype]).extend(values.ravel().tolist())
    assert_close(arrays_of(InferResult(house.stub.ModelInfer(message, timeout=60))), outputs)


def ask_from_threads(house, name, cases, threads, times):
    """Asks for some rows of some cases from many threads at once; gives how many requests and rows that were."""
    barrier, sent = threading.Barrier(threads), []

    def run(seed):
        draw = random.Random(seed)
        barrier.wait()
        for _ in range(times):
            inputs, outputs = draw.choice(cases)
            rows = len(next(iter(inputs.values())))
            pick = slice(None) if not EXPORTED[name] else draw.choices(range(rows), k=draw.randint(1, 3))
            found = house.infer(name, {key: values[pick] for key, values in inputs.items()})
            assert_close(found, {key: values[pick] for key, values in outputs.items()})
            sent.append(len(pick) if EXPORTED[name] else 1)

    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(run, seed) for seed in range(threads)]:
            future.result()
    return len(sent), sum(sent)


@pytest.mark.parametrize("name", EXPORTED)
def test_many_clients_at_once_get_their_own_rows_out_of_shared_batches(house, name):
    before = house.triton.statistics(name)
    requests, rows = ask_from_threads(house, name, golden_cases(name), threads=12, times=8)
    after = house.triton.statistics(name)
    executions = after.execution_count - before.execution_count
    assert after.inference_count - before.inference_count == rows
    assert after.inference_stats.success.count - before.inference_stats.success.count == requests == 96
    assert after.inference_stats.fail.count == before.inference_stats.fail.count
    if EXPORTED[name]:
        assert executions < requests, "no two requests ever shared a batch"
        assert max(one.batch_size for one in after.batch_stats) > 3
    else:
        assert executions == requests
        assert [one.batch_size for one in after.batch_stats] == [1]


def test_requests_that_fill_a_batch_are_one_batch(house):
    """Sent on one stream, so that all have come before the first batch is due."""
    inputs, outputs = golden_cases("two_inputs")[0]
    before = house.triton.statistics("two_inputs")
    pending = [house.triton.begin("two_inputs", inputs) for _ in range(64)]
    for one in pending:
        assert_close(one.result(), outputs)
    after = house.triton.statistics("two_inputs")
    # Each has one row, and eight fit: were each alone, it would be 64.
    assert 8 <= after.execution_count - before.execution_count < 40
    assert after.inference_count - before.inference_count == 64


@pytest.mark.parametrize("name", EXPORTED)
def test_statistics_add_up(house, name):
    for inputs, _ in golden_cases(name):
        house.infer(name, inputs)
    found = house.triton.statistics(name, "1")
    assert (found.name, found.version) == (name, "1")
    assert found.execution_count == sum(one.compute_infer.count for one in found.batch_stats)
    assert found.inference_count == sum(one.batch_size * one.compute_infer.count for one in found.batch_stats)
    parts = found.inference_stats
    for part in (parts.queue, parts.compute_input, parts.compute_infer, parts.compute_output):
        assert part.count == parts.success.count
    assert parts.success.ns >= parts.queue.ns + parts.compute_infer.ns
    assert parts.success.count <= found.inference_count
    assert found.last_inference > 1_700_000_000_000
    assert found.memory_usage[0].byte_size > 0


def test_requests_and_rows_are_counted_in_the_metrics(house):
    def counts(code):
        labels = {"model": "image_cnn", "version": "1", "method": "ModelInfer", "code": code}
        return [house.metric(f"sentinova_{name}_total", **labels) for name in ("requests", "documents")]

    good, bad = counts("OK"), counts("INVALID_ARGUMENT")
    house.infer("image_cnn", {"image": np.zeros((3, 3, 8, 8), np.float32)})
    refused(house, "image_cnn", {"image": np.zeros((3, 4, 8, 8), np.float32)})
    assert counts("OK") == [good[0] + 1, good[1] + 3]
    # How many rows a request has that is refused may not be known.
    assert counts("INVALID_ARGUMENT") == [bad[0] + 1, bad[1] + 1]
    assert house.metric("sentinova_queued_documents", model="image_cnn") == 0
    assert house.metric("sentinova_batch_documents_sum", model="image_cnn") >= 3
    assert house.metric("sentinova_batch_tokens_count", model="image_cnn") == 0


# What a model does not take.


def test_ids_outside_the_table_of_an_lstm_are_refused_by_the_tensors_name(house):
    inputs, outputs = golden_cases("text_lstm")[2]
    for wrong in (200, -1, 2**31 - 1, 2**32 + 5, -(2**63)):
        ids = inputs["token_ids"].copy()
        ids[1, 3] = wrong
        code, told = refused(house, "text_lstm", {"token_ids": ids})
        assert (code, told) == ("INVALID_ARGUMENT", f"input 'token_ids' holds {wrong}; the model takes 0 to 199")
    assert_close(house.infer("text_lstm", inputs), outputs)


BAD_SHAPES = {
    "image_cnn": [{"image": (2, 4, 8, 8)}, {"image": (1, 1, 32, 32)}, {"image": (1, 3, 0, 8)}],
    "page_detector": [{"image": (1, 3, 0, 5)}, {"image": (2, 2, 16, 16)}],
    "two_inputs": [{"user_features": (1, 8), "item_ids": (2, 4)}, {"user_features": (2, 7), "item_ids": (2, 4)}],
    "similarity_matrix": [{"queries": (2, 15), "documents": (2, 16)}, {"queries": (2, 16), "documents": (3, 17)}],
    "event_sequence": [
        {"values": (2, 5, 6), "kinds": (2, 4), "present": (2, 5)},
        {"values": (2, 5, 6), "kinds": (1, 5), "present": (2, 5)},
    ],
}


@pytest.mark.parametrize("name", BAD_SHAPES)
def test_bad_shapes_beside_good_ones_are_refused_and_harm_nobody(house, name):
    cases = golden_cases(name)
    kinds = {key: values.dtype for key, values in cases[0][0].items()}

    def run(seed):
        draw = random.Random(seed)
        for _ in range(12):
            shapes = draw.choice(BAD_SHAPES[name])
            code, told = refused(house, name, {key: np.zeros(shape, kinds[key]) for key, shape in shapes.items()})
            assert code == "INVALID_ARGUMENT"
            assert any(key in told for key in shapes)
            inputs, outputs = draw.choice(cases)
            assert_close(house.infer(name, inputs), outputs)

    with ThreadPoolExecutor(6) as pool:
        for future in [pool.submit(run, seed) for seed in range(6)]:
            future.result()
    assert not [entry for entry in house.server.logs if entry["event"] == "model_compiled_anew"]


def test_more_numbers_than_memory_has_are_refused_by_what_the_graph_makes_of_them(house):
    rows = np.zeros((1 << 15, 16), np.float32)
    code, told = refused(house, "similarity_matrix", {"queries": rows, "documents": rows})
    assert code == "INVALID_ARGUMENT"
    assert "a tensor of 1,073,741,824 numbers" in told


def test_shapes_beyond_what_an_array_may_have_are_refused(house):
    message = service_pb2.ModelInferRequest(model_name="page_detector", raw_input_contents=[b""])
    message.inputs.add(name="image", datatype="FP32", shape=[1, 3, 0, 2**62])
    with pytest.raises(grpc.RpcError, match="input 'image' has shape") as caught:
        house.stub.ModelInfer(message, timeout=60)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


# Element types.


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("f16", np.array([[1.5, -65504.0, 6e-8]], np.float16)),
        ("i64", np.array([[2**31 - 1, -(2**31), 0]])),
        ("u64", np.array([[2**31 - 1, 0, 1]], np.uint64)),
        ("string", np.array([[b"caf\xc3\xa9", b"", b"a\0b", b"\xff\xfe"]], object)),
        ("string", np.array([[b"", b""], [b"", b""]], object)),
    ],
    ids=["FP16", "INT64", "UINT64", "BYTES", "BYTES that are empty"],
)
def test_elements_come_back_as_they_were_sent(house, kind, values):
    found = house.infer(f"echo_{kind}", {"x": values})["y"]
    assert found.tolist() == np.concatenate([values, values], 1).tolist()


def test_no_texts_are_answered_with_none(house):
    assert house.infer("echo_string", {"x": np.empty((1, 0), object)})["y"].shape == (1, 0)
    assert house.infer("echo_string", {"x": np.array([[b"on"]], object)})["y"].tolist() == [[b"on", b"on"]]


def test_bfloat16_comes_back_bit_for_bit(house):
    # As a message: what tritonclient takes for it differs from release to release.
    values = np.array([[1.5, -2.0, 3.0e38]], np.float32)
    bits = (values.view(np.uint32) >> 16).astype("<u2")
    message = service_pb2.ModelInferRequest(model_name="echo_bf16", raw_input_contents=[bits.tobytes()])
    message.inputs.add(name="x", datatype="BF16", shape=values.shape)
    response = house.stub.ModelInfer(message, timeout=60)
    assert [(output.datatype, list(output.shape)) for output in response.outputs] == [("BF16", [1, 6])]
    assert response.raw_output_contents[0] == np.concatenate([bits, bits], 1).tobytes()


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        ("i64", 2**31, "input 'x' holds 2147483648; this server computes integers of up to 32 bits"),
        ("i64", -(2**40), "input 'x' holds -1099511627776; this server computes integers of up to 32 bits"),
        ("u64", 2**63, "input 'x' holds 9223372036854775808; this server computes integers of up to 32 bits"),
        ("string", b"a\0", "input 'x' holds text that ends in a zero byte, which OpenVINO would cut off"),
    ],
)
def test_what_openvino_would_change_without_a_word_is_refused(house, kind, value, told):
    assert refused(house, f"echo_{kind}", {"x": np.array([[value]], ECHOES[kind])}) == ("INVALID_ARGUMENT", told)


# Versions.

SPOILED = {
    "wrong value": (lambda arrays: {**arrays, "1/output/tanh_0.tmp_0": arrays["1/output/tanh_0.tmp_0"] + 0.01}, "1/output/tanh_0.tmp_0: a number differs from Paddle's by 0.01"),
    "no number": (lambda arrays: {**arrays, "2/output/sigmoid_0.tmp_0": arrays["2/output/sigmoid_0.tmp_0"] * np.nan}, "2/output/sigmoid_0.tmp_0: a number differs"),
    "another shape": (lambda arrays: {**arrays, "0/output/tanh_0.tmp_0": arrays["0/output/tanh_0.tmp_0"][:, :5]}, "0/output/tanh_0.tmp_0: the model gives shape"),
    "missing array": (lambda arrays: {key: value for key, value in arrays.items() if key != "1/output/tanh_0.tmp_0"}, "1/output has ['sigmoid_0.tmp_0']"),
    "missing input": (lambda arrays: {key: value for key, value in arrays.items() if key != "1/input/item_ids"}, "1/input has ['user_features']"),
    "wrong name": (lambda arrays: {**arrays, "0/output/tanh": arrays["0/output/tanh_0.tmp_0"]}, "0/output has ['sigmoid_0.tmp_0', 'tanh', 'tanh_0.tmp_0']"),
    "tolerance": (lambda arrays: {**arrays, "tolerance": np.float32(1e-9)}, "more than the tolerance 1e-09"),
    "no zip": (None, "cannot be read as numpy's npz"),
}  # fmt: skip


def test_a_version_that_fails_its_golden_values_is_not_served_and_the_earlier_one_serves_on(house):
    folder = add_exported(house.root / "proved", "two_inputs", 1, config=ALL_VERSIONS + BATCHED)
    house.load("proved")
    for number, (change, _) in enumerate(SPOILED.values(), 2):
        add_exported(folder, "two_inputs", number)
        if change is None:
            (folder / str(number) / "golden.npz").write_bytes(b"no zip at all")
        else:
            spoil_golden(folder / str(number), change)
    inputs, outputs = golden_cases("two_inputs")[1]
    with pytest.raises(InferenceServerException):
        house.load("proved")
    states = house.states("proved")
    assert states.pop(1) == ("READY", "")
    assert [state for state, _ in states.values()] == ["UNAVAILABLE"] * len(SPOILED)
    for (kind, (_, told)), (version, (_, reason)) in zip(SPOILED.items(), sorted(states.items()), strict=True):
        assert f"{folder / str(version) / 'golden.npz'}: " in reason, kind
        assert told in reason, kind
        assert house.metric("sentinova_model_version_state", model="proved", version=str(version), state="FAILED") == 1
    assert_close(house.infer("proved", inputs), outputs)
    assert house.triton.client.is_model_ready("proved")
    assert not house.triton.client.is_model_ready("proved", "2")


def test_a_graph_in_which_a_request_could_reach_outside_does_not_load(house):
    build_lookup(house.root / "outside" / "1")
    with pytest.raises(InferenceServerException, match="input 'places' says where operation GatherND reads"):
        house.load("outside")
    [(state, reason)] = house.states("outside").values()
    assert state == "UNAVAILABLE"
    assert "model.xml: input 'places'" in reason
    # What failed may be of either kind, so there is no default model while it is to be loaded.
    house.triton.client.unload_model("outside")


@pytest.mark.parametrize("text_is_there", ["before", "at the same time"])
def test_tensors_never_take_the_place_of_a_text_model(house, tiny_version, text_is_there):
    name = f"mixed-{text_is_there.split()[0]}"
    folder = house.root / name
    tiny_version(folder / "1")
    (folder / "config.pbtxt").write_text(ALL_VERSIONS)
    if text_is_there == "before":
        house.load(name)
    build_scale(folder / "2", 2.0)
    with pytest.raises(InferenceServerException, match="holds no tokenizer, and this model serves text"):
        house.load(name)
    state, reason = house.states(name)[2]
    assert state == "UNAVAILABLE"
    assert f"{folder / '2'}: holds no tokenizer" in reason
    if text_is_there == "before":
        assert ask_text(house, name).label == "positive"
    # The policy's own choice, too, is no way round.
    (folder / "config.pbtxt").write_text("version_policy { latest { num_versions: 1 } }")
    with pytest.raises(InferenceServerException, match="holds no tokenizer"):
        house.load(name)
    shutil.rmtree(folder / "2")
    house.load(name)
    assert ask_text(house, name).label == "positive"
    house.triton.client.unload_model(name)


def ask_text(house, model=""):
    request = pb.AnalyzeSentimentRequest(document=pb.Document(text="good"), config=pb.AnalysisConfig(model=model))
    return house.sentiment.AnalyzeSentiment(request, timeout=60).result


def test_text_calls_to_a_model_of_tensors_are_refused_in_every_form(house):
    config, document = pb.AnalysisConfig(model="image_cnn"), pb.Document(text="good")
    calls = {
        "unary": (house.sentiment.AnalyzeSentiment, pb.AnalyzeSentimentRequest(document=document, config=config)),
        "batch": (
            house.sentiment.BatchAnalyzeSentiment,
            pb.BatchAnalyzeSentimentRequest(documents=[document], config=config),
        ),
    }
    for call, request in calls.values():
        given = refusal(call, request, timeout=60)
        assert (given.code, given.reason, given.fields) == ("INVALID_ARGUMENT", "NOT_A_TEXT_MODEL", ("config.model",))
        assert given.metadata == {"model": "image_cnn", "version": "1"}
        assert "ModelInfer" in given.message
    messages = [pb.StreamAnalyzeSentimentRequest(config=config), pb.StreamAnalyzeSentimentRequest(document=document)]
    given = refusal(lambda: list(house.sentiment.StreamAnalyzeSentiment(iter(messages), timeout=60)))
    assert given.reason == "NOT_A_TEXT_MODEL"


def test_the_only_text_model_is_the_default_beside_models_of_tensors(house, tiny_version):
    assert ask_text(house).model.name == "words"
    tiny_version(house.root / "other_words" / "1")
    house.load("other_words")
    with pytest.raises(grpc.RpcError, match=r"config\.model is empty"):
        ask_text(house)
    house.triton.client.unload_model("other_words")
    assert ask_text(house).model.name == "words"


def test_versions_are_swapped_under_load_and_no_request_is_lost(house):
    folder = house.root / "swapped"
    for version in (1, 2, 3):
        build_scale(folder / str(version), float(version))

    def choose(version):
        config = f"max_batch_size: 8 dynamic_batching {{ }} version_policy {{ specific {{ versions: [{version}] }} }}"
        (folder / "config.pbtxt").write_text(config)
        house.load("swapped")

    choose(1)
    stop, seen, wrong = threading.Event(), [], []

    def run(seed):
        draw = np.random.default_rng(seed)
        while not stop.is_set():
            x = draw.integers(-9, 9, (draw.integers(1, 4), draw.integers(1, 3))).astype(np.float32)
            try:
                result = house.triton.client.infer("swapped", make_inputs({"x": x}), client_timeout=60)
            except InferenceServerException as error:
                wrong.append(str(error))
                return
            version = int(result.get_response().model_version)
            seen.append(version)
            if not np.array_equal(result.as_numpy("y"), x * version):
                wrong.append((version, x, result.as_numpy("y")))

    with ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(run, seed) for seed in range(6)]
        try:
            for version in (2, 3, 1, 3, 2, 1):
                choose(version)
                count = len(seen)
                while len(seen) < count + 20 and not wrong:
                    stop.wait(0.005)
                assert [number for number, (state, _) in house.states("swapped").items() if state == "READY"] == [
                    version
                ]
        finally:
            stop.set()
        for future in futures:
            future.result()
    assert wrong == []
    # Each was answered by the version that was asked for last, or the one before while it was loaded.
    runs = [version for version, _ in itertools.groupby(seen)]
    assert {1, 2, 3} <= set(runs)


def test_a_model_loaded_anew_answers_by_its_new_files(house):
    folder = house.root / "renewed"
    build_scale(folder / "1", 2.0)
    house.load("renewed")
    x = np.ones((1, 2), np.float32)
    assert house.infer("renewed", {"x": x})["y"].tolist() == [[2, 2]]
    shutil.rmtree(folder / "1")
    build_scale(folder / "1", 5.0)
    house.load("renewed")
    assert house.infer("renewed", {"x": x})["y"].tolist() == [[5, 5]]
    assert house.triton.statistics("renewed").inference_count == 1  # of this model, not of the one before


# The commands.


@pytest.fixture
def run(tmp_path):
    """Runs a command on a repository of its own; gives the exit code and what it said."""
    root = tmp_path / "repository"
    root.mkdir()

    def run(*words):
        result = CliRunner(env={"COLUMNS": "300"}).invoke(cli.main, [*map(str, words), "--model-repository", str(root)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.output

    run.root = root
    return run


def test_tensors_are_published_once_they_are_proved(run, tmp_path):
    source = tmp_path / "exported"
    shutil.copytree(EXAMPLES / "two_inputs" / "1", source)
    code, told = run("publish", source, "pairs")
    assert code == 0, told
    assert "Loaded as a server would: 3 golden cases, outputs within" in told
    assert {path.name for path in (run.root / "pairs" / "1").iterdir()} >= {"model.pdmodel", "golden.npz", "SHA256SUMS"}
    spoil_golden(source, SPOILED["wrong value"][0])
    code, told = run("publish", source, "pairs")
    assert code == 1
    assert f"{source / 'golden.npz'}: 1/output/tanh_0.tmp_0: a number differs" in told
    assert "nothing was published" in told
    assert [path.name for path in (run.root / "pairs").iterdir()] == ["1"]
    code, told = run("check")
    assert (code, "AVAILABLE" in told) == (0, True), told


def test_tensors_are_not_published_as_a_version_of_a_text_model(run, tiny_version, tmp_path):
    tiny_version(run.root / "words" / "1")
    code, told = run("publish", build_scale(tmp_path / "scale", 2.0), "words")
    assert code == 1
    assert f"{tmp_path / 'scale'}: holds no tokenizer" in told
    assert [path.name for path in (run.root / "words").iterdir()] == ["1"]
    # Nor does a server load it that was put there by hand.
    build_scale(run.root / "words" / "2", 2.0)
    code, told = run("check")
    assert code == 1
    assert "holds no tokenizer, and this model serves text" in told


@pytest.mark.parametrize("command", [("tune", "pairs"), ("quantize", "pairs", "1")])
def test_commands_for_texts_say_that_a_model_has_none(run, command):
    add_exported(run.root / "pairs", "two_inputs", 1)
    before = sorted(run.root.rglob("*"))
    code, told = run(*command)
    assert code == 1
    assert "holds no tokenizer, so it is no text model" in told
    assert sorted(run.root.rglob("*")) == before


def test_check_says_what_is_wrong_with_a_model_of_tensors(run):
    folder = add_exported(run.root / "pairs", "two_inputs", 1)
    spoil_golden(folder / "1", SPOILED["wrong value"][0])
    add_exported(run.root / "image", "image_cnn", 1, config='input [{ name: "image" dims: [3, 8, 8] optional: true }]')
    code, told = run("check")
    assert code == 1
    assert "golden.npz: 1/output/tanh_0.tmp_0" in told
    assert "input.optional" in told
