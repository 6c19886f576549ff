"""A version runs in the fastest form that its golden values prove, and in no form that they do not."""

import json

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops
from sentinova_server.errors import LoadError
from sentinova_server.repository.config import ModelConfig, Precision
from sentinova_server.runtime import engine as engine_module
from sentinova_server.runtime.arithmetic import bf16_pays
from sentinova_server.runtime.engine import Engine
from sentinova_server.runtime.preparation import Preparation
from structlog.testing import capture_logs

IDS = [2, 5, 3]


def multiply_logits(model, factor):
    """Puts a multiplication behind a model's output."""
    result = model.get_results()[0]
    scaled = ops.multiply(result.input_value(0), ops.constant(np.float32(factor)))
    result.input(0).replace_source_output(scaled.output(0))


@pytest.fixture
def rewrites(monkeypatch):
    """Puts a rewrite in place of the real one that multiplies the logits; gives the factor to set, and its calls."""
    state = {"factor": 1.0, "calls": 0}

    def rewrite(model):
        state["calls"] += 1
        multiply_logits(model, state["factor"])
        return 1

    monkeypatch.setattr(engine_module, "REWRITES", {"multiply": rewrite})
    return state


def save(model, folder):
    """Puts another graph in place of a version's own."""
    for name in ("model.xml", "model.bin"):
        (folder / name).unlink()
    ov.save_model(model, folder / "model.xml", compress_to_fp16=False)


class LowPrecision(Engine):
    """A CPU that has bfloat16 and computes it wrong: logits come out `factor` times as large."""

    factor = 1.0
    has_bf16 = True
    prefers_bf16 = True

    def compile(self, graph, *, precision, streams=0):
        if precision is Precision.BF16:
            graph = engine_module.replace(graph, model=graph.model.clone())
            multiply_logits(graph.model, self.factor)
        # What the machine's own CPU makes of bfloat16 plays no part.
        return super().compile(graph, precision=Precision.F32, streams=streams)


class TwoForms:
    """A CPU that runs what comes alone on more threads than the rest, and may do it wrong or not at all.

    `latency_factor` is what the second form multiplies the logits by; `compiled` tells which forms were compiled, in
    order: their precision, and whether they are second ones.
    """

    latency_factor = 1.0
    latency_fails = False

    def __init__(self, **options):
        # One thread, as every machine has; what the second form has is told, and not so.
        super().__init__(streams=1, threads=1, **options)
        self.compiled = []

    def compile(self, graph, *, precision, streams=0):
        compiled = super().compile(graph, precision=precision, streams=streams)
        compile_model = compiled._compile
        self.compiled.append((precision, False))

        def compile_second(**changes):
            assert changes["NUM_STREAMS"] == "1"
            if self.latency_fails:
                raise RuntimeError("no memory")
            self.compiled.append((precision, True))
            return ManyThreads(compile_model(), self.latency_factor)

        compiled._compile, compiled._most_threads = compile_second, 4
        return compiled


class ManyThreads:
    """A compiled model that tells of four threads, and whose logits come out `factor` times as large."""

    def __init__(self, compiled, factor):
        self.compiled, self.factor, self.inputs = compiled, factor, compiled.inputs

    def get_property(self, name):
        return 4 if name == "INFERENCE_NUM_THREADS" else self.compiled.get_property(name)

    def create_infer_request(self):
        return ScaledRequest(self.compiled.create_infer_request(), self.factor)


class ScaledRequest:
    """An infer request whose output is multiplied."""

    def __init__(self, request, factor):
        self.request, self.factor = request, factor

    def start_async(self, inputs, share_inputs):
        self.request.start_async(inputs, share_inputs=share_inputs)

    def wait(self):
        self.request.wait()

    @property
    def output_tensors(self):
        return [ov.Tensor(tensor.data * np.float32(self.factor)) for tensor in self.request.output_tensors]


class NoLowPrecision(Engine):
    """A CPU without bfloat16."""

    has_bf16 = False
    prefers_bf16 = False


class SlowLowPrecision(LowPrecision):
    """A CPU that has bfloat16, and is slower in it."""

    prefers_bf16 = False


def prepare(folder, engine, config=None):
    model, proof = Preparation(folder, config or ModelConfig("tiny"), 1, engine).run()
    try:
        return model, proof, model.submit([IDS]).result().tolist()
    finally:
        model.close()


@pytest.fixture
def folder(tiny_version, tmp_path):
    return tiny_version(tmp_path / "tiny" / "1")


def test_a_rewrite_that_changes_nothing_is_used(rewrites, folder):
    model, proof, logits = prepare(folder, NoLowPrecision())
    assert (model.rewrites, proof.logits.cases, proof.logits.max_difference) == (("multiply",), 4, 0.0)
    assert logits == [[-1, 2]]


def test_a_rewrite_that_changes_logits_is_refused(rewrites, folder):
    rewrites["factor"] = 1.5
    model, proof, logits = prepare(folder, NoLowPrecision())
    assert (model.rewrites, proof.logits.max_difference, logits) == ((), 0.0, [[-1, 2]])
    assert rewrites["calls"] == 1


def test_without_golden_values_or_by_choice_nothing_is_rewritten(rewrites, folder):
    assert prepare(folder, NoLowPrecision(rewrites=False))[0].rewrites == ()
    (folder / "golden.json").unlink()
    model, proof, _ = prepare(folder, NoLowPrecision())
    assert (model.rewrites, proof.logits, proof.scores) == ((), None, None)
    assert "not checked" in str(proof)
    assert rewrites["calls"] == 0


def test_of_two_rewrites_the_one_that_changes_logits_is_refused(monkeypatch, folder):
    tried = {
        "same": lambda model: multiply_logits(model, 1.0) or 1,
        "wrong": lambda model: multiply_logits(model, 2.0) or 1,
    }
    monkeypatch.setattr(engine_module, "REWRITES", tried)
    model, _, logits = prepare(folder, NoLowPrecision())
    assert (model.rewrites, logits) == (("same",), [[-1, 2]])


def test_tokens_are_not_packed_where_padding_counts(folder):
    """The tiny model sums over all places of a row; with a matrix in it, packing has a hold, and would be wrong."""
    core = ov.Core()
    model = core.read_model(folder / "model.xml").clone()
    [total] = [node for node in model.get_ordered_ops() if node.get_type_name() == "ReduceSum"]
    product = ops.matmul(total.input_value(0), ops.constant(np.eye(2, dtype=np.float32)), False, False)
    total.input(0).replace_source_output(product.output(0))
    save(model, folder)
    assert engine_module.pack_tokens(model.clone()) == 1
    model, proof, logits = prepare(folder, NoLowPrecision())
    # Of the weights' place nothing depends: that rewrite is kept.
    assert (model.rewrites, model.packs) == (("transposed_weights",), False)
    assert (proof.logits.max_difference, logits) == (0.0, [[-1, 2]])


def test_wrong_weights_fail_with_and_without_the_rewrite(rewrites, tiny_version, tmp_path):
    with pytest.raises(LoadError, match=r"golden\.json: cases\.\d: the model gives logits"):
        prepare(tiny_version(tmp_path / "1", scale=1.01), Engine())


def test_auto_takes_bf16_where_the_scores_stay_near(folder):
    engine = LowPrecision()
    engine.factor = 1.02
    model, proof, logits = prepare(folder, engine)
    assert (model.precision, proof.precision) == (Precision.BF16, Precision.BF16)
    assert proof.logits.max_difference == 0.0
    assert 0 < proof.scores.max_difference < 0.05
    assert logits == [[pytest.approx(-1.02), pytest.approx(2.04)]]
    assert "bf16 scores within" in str(proof)


def test_auto_stays_with_f32_where_bf16_scores_move_too_far(folder):
    engine = LowPrecision()
    engine.factor = -1.0
    model, proof, logits = prepare(folder, engine)
    assert (model.precision, proof.scores, logits) == (Precision.F32, None, [[-1, 2]])


def test_bf16_asked_for_fails_where_scores_move_too_far(folder):
    engine = LowPrecision(precision=Precision.BF16)
    engine.factor = 0.5
    with pytest.raises(LoadError, match=r"golden\.json: cases\.\d: a score differs from Paddle's by 0\.\d+"):
        prepare(folder, engine)


def test_the_golden_file_may_allow_scores_more(folder):
    file = folder / "golden.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "score_tolerance": 0.4}))
    engine = LowPrecision()
    engine.factor = 0.5
    assert prepare(folder, engine)[1].precision is Precision.BF16


@pytest.mark.parametrize(
    ("engine", "golden"), [(NoLowPrecision, True), (SlowLowPrecision, True), (LowPrecision, False)]
)
def test_auto_is_f32_without_gain_or_without_proof(engine, golden, folder):
    if not golden:
        (folder / "golden.json").unlink()
    assert prepare(folder, engine())[1].precision is Precision.F32


def test_bf16_asked_for_is_taken_where_it_is_slower_too(folder):
    assert prepare(folder, SlowLowPrecision(precision=Precision.BF16))[1].precision is Precision.BF16


def test_the_config_wins_over_the_server(folder):
    config = ModelConfig("tiny", precisions={1: Precision.F32})
    assert prepare(folder, LowPrecision(precision=Precision.BF16), config)[1].precision is Precision.F32


def test_a_precision_that_the_cpu_lacks_is_named(folder):
    with pytest.raises(LoadError, match="--precision is bf16, which this CPU does not compute in: take auto, f32"):
        prepare(folder, NoLowPrecision(precision=Precision.BF16))
    config = ModelConfig("tiny", precisions={None: Precision.BF16})
    with pytest.raises(LoadError, match="parameter `precision` is bf16") as error:
        prepare(folder, NoLowPrecision(), config)
    assert error.value.file == folder.parent / "config.pbtxt"


def test_int8_of_a_version_that_is_not_quantized_is_refused(folder):
    with pytest.raises(LoadError, match=r"model\.xml: is not quantized, and --precision is int8"):
        prepare(folder, Engine(precision=Precision.INT8))


def quantize_roughly(folder, levels):
    """Puts the logits of a version through a quantization to so many levels."""
    core = ov.Core()
    model = core.read_model(folder / "model.xml").clone()
    result = model.get_results()[0]
    low, high = (ops.constant(np.float32(bound)) for bound in (-4, 4))
    rounded = ops.fake_quantize(result.input_value(0), low, high, low, high, levels)
    result.input(0).replace_source_output(rounded.output(0))
    save(model, folder)


def test_a_quantized_version_is_held_to_scores_and_says_int8(folder):
    quantize_roughly(folder, 256)
    model, proof, _ = prepare(folder, NoLowPrecision())
    assert (model.precision, proof.precision, proof.logits) == (Precision.INT8, Precision.INT8, None)
    assert 0 < proof.scores.max_difference < 0.05
    assert str(proof).startswith("4 golden texts, int8 scores within")


def test_a_quantized_version_that_lost_too_much_does_not_serve(folder):
    quantize_roughly(folder, 2)
    with pytest.raises(LoadError, match=r"score differs from Paddle's"):
        prepare(folder, NoLowPrecision())


def test_the_arithmetic_is_measured_once(monkeypatch):
    measured = []
    monkeypatch.setattr(engine_module, "bf16_pays", lambda core: measured.append(core) or True)
    engine = Engine()
    assert [engine.prefers_bf16, engine.prefers_bf16] == [True, True]
    assert len(measured) == 1


def test_a_cpu_without_bf16_does_not_run_it():
    class Core:
        def get_property(self, device, name):
            return ["FP32", "INT8"]

    assert bf16_pays(Core()) is False


def test_parts_that_do_not_belong_together_fail_before_anything_is_rewritten_or_compiled(rewrites, folder):
    (folder / "labels.txt").write_text("negative\nneutral\npositive\n")
    with pytest.raises(LoadError, match=r"labels\.txt: has 3 names, and the model has 2 classes"):
        prepare(folder, NoLowPrecision())
    assert rewrites["calls"] == 0


class TwoFormsF32(TwoForms, NoLowPrecision):
    """Serves float32 in two forms."""


class TwoFormsBf16(TwoForms, LowPrecision):
    """Serves bfloat16 in two forms."""


def prepare_two_forms(folder, engine, pace=None):
    """Gives what is told of a version, its logits in batches and alone, and what was logged."""
    with capture_logs() as logs:
        model, proof = Preparation(folder, ModelConfig("tiny"), 1, engine, pace=pace).run()
    try:
        told = {"threads": model.latency_threads, "precision": proof.precision, "logs": logs}
        return told, *(model.submit([IDS], alone=alone).result().tolist() for alone in (False, True))
    finally:
        model.close()


def refusals(told):
    return [entry["reason"] for entry in told["logs"] if entry["event"] == "latency_form_refused"]


def test_what_comes_alone_has_a_second_form(folder):
    engine = TwoFormsF32()
    engine.latency_factor = 1.0001  # within the golden values' tolerance, and told from the first form
    told, together, alone = prepare_two_forms(folder, engine)
    assert (told["threads"], refusals(told)) == (4, [])
    assert together == [[-1, 2]]
    assert alone == [[pytest.approx(-1.0001), pytest.approx(2.0002)]]
    assert alone != together
    assert engine.compiled == [(Precision.F32, False), (Precision.F32, True)]


def test_a_second_form_with_other_logits_is_refused_and_the_version_serves(folder):
    engine = TwoFormsF32()
    engine.latency_factor = 1.02
    told, together, alone = prepare_two_forms(folder, engine)
    assert told["threads"] == 0
    assert together == alone == [[-1, 2]]
    [reason] = refusals(told)
    assert "golden.json" in reason
    assert "the model gives logits" in reason


def test_a_second_form_that_cannot_be_compiled_is_refused_and_the_version_serves(folder):
    engine = TwoFormsF32()
    engine.latency_fails = True
    told, together, alone = prepare_two_forms(folder, engine)
    assert (told["threads"], together, alone) == (0, [[-1, 2]], [[-1, 2]])
    [reason] = refusals(told)
    assert reason.endswith("model.xml: OpenVINO cannot compile it for texts that come alone: no memory")


def test_only_what_is_served_gets_a_second_form_and_bf16_is_held_to_scores(folder):
    engine = TwoFormsBf16()
    engine.latency_factor = 1.02  # too much for logits in float32, and little in scores
    told, together, alone = prepare_two_forms(folder, engine)
    assert (told["threads"], told["precision"], refusals(told)) == (4, Precision.BF16, [])
    assert engine.compiled == [(Precision.F32, False), (Precision.BF16, False), (Precision.BF16, True)]
    assert (together, alone) == ([[-1, 2]], [[pytest.approx(-1.02), pytest.approx(2.04)]])
    engine = TwoFormsBf16()
    engine.latency_factor = 0.3
    told, together, alone = prepare_two_forms(folder, engine)
    assert (told["threads"], told["precision"]) == (0, Precision.BF16)
    [reason] = refusals(told)
    assert "a score differs from Paddle's" in reason
    assert alone == together


def test_without_golden_values_the_second_form_is_taken_as_it_is(folder):
    (folder / "golden.json").unlink()
    engine = TwoFormsF32()
    engine.latency_factor = 2.0
    told, together, alone = prepare_two_forms(folder, engine)
    assert (told["threads"], refusals(told)) == (4, [])
    assert (together, alone) == ([[-1, 2]], [[-2, 4]])


def test_the_second_form_is_proved_and_warmed_up_as_gently_as_the_first(folder):
    waited, runs = [], []

    class EngineOfRuns(TwoFormsF32):
        def compile(self, *args, **kwargs):
            compiled = super().compile(*args, **kwargs)
            infer = compiled.infer

            def watched(tensors, *, alone=False):
                runs.append((alone, len(waited)))
                return infer(tensors, alone=alone)

            compiled.infer = watched
            return compiled

    prepare_two_forms(folder, EngineOfRuns(), pace=lambda: waited.append(1))
    prepared = runs[:-2]  # the last two are the test's own
    # The golden texts in both forms, then four lengths to warm up with; before each a wait of its own.
    forms = [alone for alone, _ in prepared]
    assert forms == sorted(forms)
    assert forms.count(True) == forms.count(False) >= 5
    assert [waits for _, waits in prepared] == list(range(1, len(prepared) + 1))


def test_the_graph_that_was_not_compiled_is_not_kept(monkeypatch, folder):
    """Its weights would stay in memory beside those of the graph that runs."""
    monkeypatch.setattr(engine_module, "REWRITES", {"transposed_weights": engine_module.transpose_weights})
    core = ov.Core()
    model = core.read_model(folder / "model.xml").clone()
    [total] = [node for node in model.get_ordered_ops() if node.get_type_name() == "ReduceSum"]
    matrix = ops.convert(ops.constant(np.eye(2, dtype=np.float16)), "f32")
    total.input(0).replace_source_output(ops.matmul(total.input_value(0), matrix, False, False).output(0))
    save(model, folder)
    model, _, logits = prepare(folder, NoLowPrecision())
    assert (model.rewrites, logits) == (("transposed_weights",), [[-1, 2]])
    kept = model._parts.graph
    assert kept.rewrites == model.rewrites
    assert not [node for node in kept.model.get_ops() if node.get_element_type() == ov.Type.f16]
    # What the file told is still known: the table that token ids are looked up in.
    assert model._parts.tables == {"input_ids": 10}
