"""A model in two forms gives the same numbers in both, and a failure in one costs the other nothing."""

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops
from sentinova_server.errors import LoadError
from sentinova_server.repository.config import Precision
from sentinova_server.runtime.compiled_model import CompiledModel
from sentinova_server.runtime.engine import Engine, Graph, count_cores
from sentinova_server.runtime.model_files import ModelFiles
from structlog.testing import capture_logs

CORE = ov.Core()
GOOD = np.arange(12, dtype=np.float32).reshape(3, 4)
BAD = np.zeros((1, 3, 4), np.float32)  # of an axis too many
LATENCY = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": "4"}


def make_model():
    data = ops.parameter([-1, -1], np.float32, name="data")
    data.output(0).set_names({"data"})
    matrix = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    return ov.Model([ops.matmul(data, ops.constant(matrix), False, False)], [data], "graph"), GOOD @ matrix


class Form:
    """A compiled model that tells of as many threads as a test says, however many cores there are."""

    def __init__(self, model, told):
        self.told, self.requests = told, 0
        self.compiled = CORE.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        self.inputs = self.compiled.inputs

    def get_property(self, name):
        return self.told[name]

    def create_infer_request(self):
        self.requests += 1
        return self.compiled.create_infer_request()


class Compiler:
    """Compiles forms: in general `streams` inferences on `threads`, and what comes alone on `lone` at most."""

    def __init__(self, streams=2, threads=4, lone=4):
        self.model, self.expected = make_model()
        self.streams, self.threads, self.lone = streams, threads, lone
        self.made, self.fails = [], False

    def __call__(self, **changes):
        if self.fails:
            raise RuntimeError("no memory")
        streams = int(changes.get("NUM_STREAMS", self.streams))
        threads = min(int(changes["INFERENCE_NUM_THREADS"]), self.lone) if changes else self.threads
        told = {"NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": threads, "OPTIMAL_NUMBER_OF_INFER_REQUESTS": streams}
        self.made.append((changes, Form(self.model, told)))
        return self.made[-1][1]

    @property
    def changes(self):
        return [changes for changes, _ in self.made]


@pytest.fixture
def compiler():
    return Compiler()


@pytest.fixture
def compiled(compiler):
    model = CompiledModel(compiler, ("one",), latency_threads=4)
    assert model.add_latency_form()
    yield model
    model.close()


def infer(model, value, *, alone):
    return model.submit(model.infer, {"data": value}, alone=alone).result()[0]


def test_both_forms_give_the_same(compiler, compiled):
    assert (compiled.parallelism, compiled.latency_threads, compiled.rewrites) == (2, 4, ("one",))
    assert compiler.changes == [{}, LATENCY]
    assert [form.requests for _, form in compiler.made] == [2, 1]
    for alone in (False, True):
        np.testing.assert_allclose(infer(compiled, GOOD, alone=alone), compiler.expected, rtol=1e-5)


def test_more_come_alone_than_the_form_runs_at_once(compiler, compiled):
    futures = [compiled.submit(compiled.infer, {"data": GOOD + i}, alone=True) for i in range(8)]
    for i, future in enumerate(futures):
        step = compiler.expected[1] - compiler.expected[0]  # of four more in each number
        np.testing.assert_allclose(future.result()[0], compiler.expected + i * step / 4, rtol=1e-4)


@pytest.mark.parametrize("alone", [False, True])
def test_a_failure_renews_the_form_that_it_came_in(compiler, compiled, alone):
    for number in range(1, 4):
        with capture_logs() as logs, pytest.raises(RuntimeError):
            infer(compiled, BAD, alone=alone)
        assert [entry["event"] for entry in logs] == ["model_compiled_anew"]
        assert compiler.changes == [{}, LATENCY] + [LATENCY if alone else {}] * number
        for other in (False, True):
            np.testing.assert_allclose(infer(compiled, GOOD, alone=other), compiler.expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("most", "compiler"),
    [
        (0, Compiler()),
        (1, Compiler()),
        (2, Compiler()),  # as many as an inference has anyway
        (4, Compiler(streams=1)),
        (4, Compiler(streams=1, threads=8)),
        (4, Compiler(streams=2, threads=9)),
    ],
)
def test_there_is_no_second_form_without_more_threads(most, compiler):
    model = CompiledModel(compiler, (), latency_threads=most)
    assert not model.add_latency_form()
    assert (model.latency_threads, compiler.changes) == (0, [{}])
    np.testing.assert_allclose(infer(model, GOOD, alone=True), compiler.expected, rtol=1e-5)
    model.close()


def test_a_second_form_that_got_no_more_threads_is_not_kept():
    compiler = Compiler(lone=2)
    model = CompiledModel(compiler, (), latency_threads=4)
    assert not model.add_latency_form()
    assert (model.latency_threads, compiler.changes) == (0, [{}, LATENCY])
    model.close()


def test_a_second_form_that_cannot_be_compiled_leaves_the_first(compiler):
    model = CompiledModel(compiler, (), latency_threads=4)
    compiler.fails = True
    with pytest.raises(RuntimeError, match="no memory"):
        model.add_latency_form()
    assert model.latency_threads == 0
    np.testing.assert_allclose(infer(model, GOOD, alone=True), compiler.expected, rtol=1e-5)
    model.close()


def test_what_comes_alone_runs_in_the_first_form_once_the_second_is_dropped(compiler, compiled):
    compiled.drop_latency_form()
    assert compiled.latency_threads == 0
    with pytest.raises(RuntimeError):
        infer(compiled, BAD, alone=True)
    assert compiler.changes == [{}, LATENCY, {}]


def test_closing_waits_for_both_forms_and_frees_them(compiler):
    model = CompiledModel(compiler, (), latency_threads=4)
    model.add_latency_form()
    running = [model.submit(model.infer, {"data": GOOD}, alone=alone) for alone in (False, True, False, True)]
    model.close()
    for future in running:
        np.testing.assert_allclose(future.result(timeout=0)[0], compiler.expected, rtol=1e-5)
    assert model.latency_threads == 0
    assert model._pool._idle.empty()
    with pytest.raises(RuntimeError, match="shutdown"):
        model.submit(model.infer, {"data": GOOD})


def compile_on(tmp_path, **options):
    model, _ = make_model()
    graph = Graph(
        model, ModelFiles("openvino", tmp_path / "model.xml", tmp_path / "model.bin"), (), (), quantized=False
    )
    return Engine(**options).compile(graph, precision=Precision.F32)


@pytest.mark.skipif(count_cores() < 2, reason="one core: nothing to spread an inference over")
def test_the_engine_spreads_an_inference_over_two_cores(tmp_path):
    model = compile_on(tmp_path, streams=2, threads=2, latency_threads=4)
    assert model.add_latency_form()
    assert (model.parallelism, model.latency_threads) == (2, 2)
    request = model._latency_pool._idle.get()
    properties = request.get_compiled_model()
    assert {name: properties.get_property(name) for name in ("NUM_STREAMS", "INFERENCE_NUM_THREADS")} == {
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": 2,
    }
    assert properties.get_property("INFERENCE_PRECISION_HINT") == ov.Type.f32
    assert properties.get_property("ENABLE_CPU_PINNING") is False
    model._latency_pool._idle.put(request)
    model.close()


@pytest.mark.parametrize("options", [{}, {"latency_threads": 1}, {"latency_threads": 4, "streams": 1}])
def test_the_engine_makes_no_second_form_that_gains_nothing(tmp_path, options):
    model = compile_on(tmp_path, **options)
    assert not model.add_latency_form()
    model.close()


def test_the_engine_names_the_file_that_cannot_be_compiled(tmp_path, monkeypatch):
    engine = Engine()

    class Core:
        def compile_model(self, *_):
            raise RuntimeError("no memory")

    monkeypatch.setattr(engine, "_core", Core())
    model, _ = make_model()
    graph = Graph(
        model, ModelFiles("openvino", tmp_path / "model.xml", tmp_path / "model.bin"), (), (), quantized=False
    )
    with pytest.raises(LoadError, match=r"model\.xml: OpenVINO cannot compile it for the CPU: no memory"):
        engine.compile(graph, precision=Precision.F32)
