"""Trials go through the server's own queue, the numbers choose, and only a gain beyond the noise is recommended."""

import asyncio
import itertools
import json
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sentinova_server import cli, tune_command
from sentinova_server.errors import LoadError
from sentinova_server.repository.config import ModelConfig, Precision, read_config
from sentinova_server.repository.config_edit import RECIPE_MARKER, ConfigChange
from sentinova_server.runtime.golden import GoldenReport
from sentinova_server.runtime.preparation import Proof
from sentinova_server.runtime.tokenizer import TextTokenizer
from sentinova_server.serving import tuning, workload
from sentinova_server.serving.packing import BatchLimits
from sentinova_server.serving.scheduler import SchedulerLimits
from sentinova_server.serving.trial import Load, Measurement, TrialError, run_trial
from sentinova_server.serving.tuning import (
    BUDGETS,
    ROUNDS,
    Choice,
    Objective,
    Result,
    Setup,
    Tuner,
    choose_best,
    choose_streams,
    count_trials,
    find_change,
)
from sentinova_server.settings import TuneSettings

NOW = Setup(2, Precision.F32, 512)
WIDE = Setup(2, Precision.F32, 2048)
ONE = Setup(1, Precision.F32, 512)
LOW = Setup(2, Precision.BF16, 512)


def result(setup, *rounds, p99=0.1):
    p99s = p99 if isinstance(p99, tuple) else (p99,) * len(rounds)
    return Result(setup, tuple(Measurement(d, 10 * d, p / 2, p, 1 / d) for d, p in zip(rounds, p99s, strict=True)))


# --- The choice.


def test_the_most_documents_win_and_pay_beyond_the_noise():
    choice = choose_best([result(NOW, 98, 100, 102), result(WIDE, 109, 110, 111)], NOW, Objective.THROUGHPUT)
    assert (choice.best.setup, choice.present.setup, choice.pays) == (WIDE, NOW, True)
    assert (choice.gain, choice.spread) == (pytest.approx(0.1), pytest.approx(0.04))


@pytest.mark.parametrize(
    ("now", "best"), [((90, 100, 105), (109, 110, 111)), ((99, 100, 101), (100, 110, 115)), ((100, 100), (100, 100))]
)
def test_a_gain_within_the_noise_does_not_pay(now, best):
    choice = choose_best([result(NOW, *now), result(WIDE, *best)], NOW, Objective.THROUGHPUT)
    assert not choice.pays


def test_the_present_setup_may_be_the_best():
    choice = choose_best([result(NOW, 100, 101), result(WIDE, 90, 91)], NOW, Objective.THROUGHPUT)
    assert (choice.best.setup, choice.gain, choice.pays) == (NOW, 0, False)


def test_latency_wins_among_those_with_most_of_the_throughput():
    results = [
        result(NOW, 95, 95, p99=0.2),
        result(WIDE, 100, 100, p99=0.3),
        result(LOW, 91, 91, p99=0.1),
        result(ONE, 89, 89, p99=0.05),
    ]
    choice = choose_best(results, NOW, Objective.LATENCY)
    assert (choice.best.setup, choice.pays) == (LOW, True)
    assert choice.gain == pytest.approx(0.5)


def test_latency_within_the_noise_does_not_pay():
    results = [result(NOW, 100, 100, p99=(0.15, 0.3)), result(LOW, 100, 100, p99=(0.14, 0.16))]
    assert not choose_best(results, NOW, Objective.LATENCY).pays


rates = st.lists(st.floats(1, 1e4), min_size=1, max_size=4)
seconds = st.floats(1e-4, 10)


@given(
    st.dictionaries(st.sampled_from([WIDE, ONE, LOW]), st.tuples(rates, seconds)),
    rates,
    seconds,
    st.sampled_from(Objective),
)
def test_what_pays_is_better_in_every_case(others, now, p99, objective):
    results = [result(NOW, *now, p99=p99), *(result(setup, *d, p99=p) for setup, (d, p) in others.items())]
    choice = choose_best(results, NOW, objective)
    assert choice.best in results
    assert choice.present is results[0]
    best, most = choice.best.median, max(each.median.documents_per_second for each in results)
    if objective is Objective.THROUGHPUT:
        assert best.documents_per_second == most
    else:
        assert best.documents_per_second >= 0.9 * most
    if choice.pays:
        assert choice.best is not choice.present
        assert objective.score(best) > objective.score(choice.present.median)


def test_streams_to_try():
    assert choose_streams(1) == (1,)
    assert choose_streams(2) == (1, 2)
    assert choose_streams(3) == (1, 3)
    assert choose_streams(16) == (1, 8, 16)


def test_a_change_has_only_what_differs():
    assert find_change(NOW, NOW, 2) == ConfigChange()
    change = find_change(NOW, Setup(1, Precision.BF16, 128), 2)
    assert (change.instance_count, change.max_batch_tokens, change.precisions) == (1, 128, ((2, Precision.BF16),))


# --- One trial.


class EchoModel:
    """A model that answers at once, or fails on long documents; it notes what it was given."""

    def __init__(self, streams=2, precision=Precision.F32, longest=1000):
        self.parallelism, self.precision, self.longest = streams, precision, longest
        self.packs = False
        self.batches = []
        self.closed = 0

    def padded_length(self, tokens):
        return tokens

    def batch_tokens(self, lengths):
        return len(lengths) * max(lengths)

    def submit(self, batch, *, alone=False):
        self.batches.append([len(ids) for ids in batch])
        future = Future()
        if max(self.batches[-1]) > self.longest:
            future.set_exception(RuntimeError("too long for me"))
        else:
            future.set_result(np.zeros((len(batch), 2), np.float32))
        return future

    def close(self):
        self.closed += 1


def limits(tokens=64, queue_size=100):
    return SchedulerLimits(BatchLimits(tokens), queue_size)


def try_once(model, documents, *, concurrency=4, seconds=0.02):
    return asyncio.run(run_trial(model, limits(), Load(documents, concurrency, seconds)))


def test_a_trial_goes_through_the_queue():
    model = EchoModel()
    documents = [[1] * 8, [1] * 8, [1] * 16]
    measurement = try_once(model, documents)
    assert all(sum(lengths) <= 64 and len(lengths) <= 4 for lengths in model.batches)
    assert any(len(lengths) > 1 for lengths in model.batches)
    # They come in turn, over and over.
    assert 8 <= measurement.tokens_per_second / measurement.documents_per_second <= 16
    assert 0 < measurement.p50 <= measurement.p99
    assert measurement.documents_per_second > 0
    assert measurement.cpu_seconds >= 0


def test_a_slow_trial_goes_on_until_there_is_something_to_measure():
    # Of so many documents in flight, few can be answered in so short a time.
    measurement = try_once(EchoModel(), [[1] * 8], concurrency=90, seconds=1e-6)
    assert measurement.p99 >= measurement.p50 > 0


def test_a_document_that_the_model_fails_on_ends_the_trial():
    with pytest.raises(TrialError, match="too long for me"):
        try_once(EchoModel(longest=10), [[1] * 8, [1] * 11], seconds=60)


# --- Documents.


@pytest.fixture
def tokenizer(tiny_repository):
    return TextTokenizer.load(tiny_repository / "tiny" / "1", None)


def test_drawn_documents_are_as_long_as_short_reviews(tokenizer):
    tokenizer.max_length = 512
    drawn = workload.draw_documents(tokenizer)
    assert drawn == workload.draw_documents(tokenizer)
    assert drawn.mean_tokens == pytest.approx(24, abs=1)
    assert drawn.p99_tokens == pytest.approx(95, abs=8)
    assert tokenizer.pad_id not in itertools.chain.from_iterable(drawn.documents)
    assert "short reviews" in drawn.origin


def test_drawn_documents_are_no_longer_than_the_model_reads(tokenizer):
    assert max(len(ids) for ids in workload.draw_documents(tokenizer).documents) == tokenizer.max_length == 64


def test_texts_become_documents(tokenizer):
    made = workload.tokenize_documents(tokenizer, ["good film", "bad " * 100, "\u200b", "the"], "reviews.txt")
    assert sorted(len(ids) for ids in made.documents) == [3, 4, 64]
    assert made.origin.startswith("3 of the 4 texts of reviews.txt, 1 cut to what the model reads (")


def test_of_very_many_texts_a_part_is_drawn(tokenizer, monkeypatch):
    monkeypatch.setattr(workload, "MAX_DOCUMENTS", 10)
    made = workload.tokenize_documents(tokenizer, ["good"] * 5 + ["good film"] * 15, "f.csv")
    assert made == workload.tokenize_documents(tokenizer, ["good"] * 5 + ["good film"] * 15, "f.csv")
    assert len(made.documents) == 10
    assert {len(ids) for ids in made.documents} == {3, 4}


def test_texts_without_a_token_are_refused(tokenizer):
    with pytest.raises(workload.WorkloadError, match="no text of which a token is left"):
        workload.tokenize_documents(tokenizer, ["\u200b"], "f.txt")


# --- The forms of a version.

REPORT = GoldenReport(cases=1, max_difference=0.0)


@dataclass
class FakeEngine:
    has_bf16: bool = True


@dataclass
class FakePreparation:
    """Loads a model that tells how it was asked for: by default in two streams, in float32."""

    config: ModelConfig
    version: int = 2
    engine: FakeEngine = field(default_factory=FakeEngine)
    proof: Proof = field(default_factory=lambda: Proof(Precision.F32, REPORT))
    refused: tuple[Precision, ...] = ()
    most_streams: int = 100
    loaded: list[EchoModel] = field(default_factory=list)
    asked: list[ModelConfig] = field(default_factory=list)

    def run(self):
        self.asked.append(self.config)
        precision = self.config.precision(self.version) or self.proof.precision
        if precision in self.refused:
            raise LoadError("folder", f"no {precision} here")
        self.loaded.append(EchoModel(min(self.config.instance_count or 2, self.most_streams), precision))
        return self.loaded[-1], self.proof


@pytest.fixture
def tuner():
    made = []

    def make(config=None, **options):
        made.append(Tuner(FakePreparation(config or ModelConfig("tiny"), **options), default_tokens=512))
        return made[-1]

    yield make
    for one in made:
        one.close()


def forms(tuner):
    return {(setup.streams, setup.precision.value) for setup in tuner.forms()}


def test_every_form_is_loaded_once(tuner):
    made = tuner()
    assert made.present == NOW
    assert made.load((1, 2)) == []
    assert forms(made) == {(1, "f32"), (1, "bf16"), (2, "f32"), (2, "bf16")}
    loaded = made._preparation.loaded
    assert len(loaded) == 4
    made.close()
    assert all(model.closed for model in loaded)


def test_without_golden_values_or_bf16_there_is_no_bf16(tuner):
    for options in ({"proof": Proof(Precision.F32)}, {"engine": FakeEngine(has_bf16=False)}):
        made = tuner(**options)
        made.load((1,))
        assert forms(made) == {(1, "f32"), (2, "f32")}


def test_a_refused_precision_is_told(tuner):
    made = tuner(refused=(Precision.BF16,))
    assert made.load((1, 2)) == ["bf16: folder: no bf16 here"]
    assert forms(made) == {(1, "f32"), (2, "f32")}


def test_a_quantized_version_stays_in_int8(tuner):
    made = tuner(proof=Proof(Precision.INT8, None, REPORT))
    made.load((1, 2))
    assert forms(made) == {(1, "int8"), (2, "int8")}
    assert not any(config.precisions for config in made._preparation.asked)


def test_streams_that_are_not_to_be_had_are_tried_as_they_come(tuner):
    made = tuner(most_streams=3)
    made.load((1, 8, 16))
    assert {setup.streams for setup in made.forms()} == {1, 2, 3}
    assert sum(model.closed for model in made._preparation.loaded) == 2  # 16 streams made 3 again, in both precisions


def test_the_present_setup_is_tried_with_every_other(tuner):
    made = tuner(ModelConfig("tiny", instance_count=5, max_batch_tokens=64))
    made.load((1,))
    now = Setup(5, Precision.F32, 64)
    assert made.forms()[0] == made.present == now
    assert made.budgets(ONE) == [now, ONE, *(replace(ONE, max_batch_tokens=n) for n in BUDGETS if n != 512)]


def test_setups_are_measured_in_turns(tuner, monkeypatch):
    made = tuner()
    made.load((1,))
    tried, order = [], []
    monkeypatch.setattr(made, "_try", lambda setup, load: tried.append(setup) or Measurement(len(tried), 1, 1, 1, 1))
    made.measure([NOW, ONE], Load([[1]], 1, 0.01), lambda: order.append(1))
    assert len(order) == len(tried) == count_trials([NOW, ONE])
    assert tried == [NOW, ONE, NOW, ONE, ONE, NOW, NOW, ONE]
    assert {each.setup: len(each.rounds) for each in made.results} == {NOW: ROUNDS, ONE: ROUNDS}


def test_a_setup_is_tried_with_its_own_model_and_budget(tuner):
    made = tuner()
    made.load((1,))
    one, two = (made._models[streams, Precision.F32] for streams in (1, 2))
    made.measure([replace(ONE, max_batch_tokens=16)], Load([[1] * 8], 8, 1e-3))
    assert one.batches
    assert not two.batches
    assert all(len(lengths) <= 2 for lengths in one.batches)


# --- The command.


@pytest.fixture
def model(tiny_repository):
    return tiny_repository / "tiny"


@pytest.fixture
def run(model, monkeypatch):
    # One round, and short: what the trials give is of no matter here.
    monkeypatch.setattr(tuning, "ROUNDS", 1)

    def run(*arguments, name="tiny"):
        words = ["tune", name, "--model-repository", str(model.parent), "--seconds", "0.002", "--concurrency", "4"]
        done = CliRunner().invoke(cli.main, [*words, *arguments], env={"COLUMNS": "120"})
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    return run


FLAGS = ["--inference-streams", "2", "--inference-threads", "2", "--precision", "f32"]


@pytest.fixture
def best(monkeypatch):
    """Makes one stream and batches of 2,048 tokens the best, whatever the trials give; to be run with `FLAGS`."""

    def choose(results, present, objective):
        [now] = [result for result in results if result.setup == present]
        return Choice(replace(now, setup=Setup(1, Precision.F32, 2048)), now, 0.5, 0.1)

    monkeypatch.setattr(tune_command, "choose_best", choose)


def test_a_version_is_tried_and_the_config_left_alone(run, model):
    done = run()
    assert done.exit_code == 0, done.output
    assert "documents as long as short reviews, as there is no --data" in done.stderr
    for word in ("streams", "precision", "docs/s", "p50 ms", "p99 ms", "2048", "128"):
        assert word in done.stdout
    assert "now" in done.stdout or "best" in done.stdout
    assert not (model / "config.pbtxt").exists()


def test_machines_get_one_object(run, tmp_path):
    (tmp_path / "reviews.csv").write_text("text,label\ngood film,whatever\nbad,\n")
    done = run("--json", "--version", "1", "--data", str(tmp_path / "reviews.csv"), "--objective", "latency")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["model"], told["version"], told["objective"]) == ("tiny", 1, "latency")
    assert told["texts"]["count"] == 2
    assert "2 texts of reviews.csv" in told["texts"]["origin"]
    assert {trial["max_batch_tokens"] for trial in told["trials"]} == {128, 256, 512, 1024, 2048}
    assert sum(trial["present"] for trial in told["trials"]) == 1
    assert bool(told["lines"]) is not told["keep"]
    assert told["written"] is False
    rates = [trial["documents_per_second"] for trial in told["trials"]]
    assert rates == sorted(rates, reverse=True)


def test_the_best_is_shown(run, model, best):
    done = run(*FLAGS)
    assert done.exit_code == 0, done.output
    assert (
        f"Put this into {model / 'config.pbtxt'}, or let --write do it:\n  instance_group [{{ count: 1 " in done.stdout
    )
    assert "better by 50.0% in documents a second; trials of one setup differ by 10.0%" in done.stdout
    assert not (model / "config.pbtxt").exists()


def test_the_best_is_written(run, model, best):
    file = model / "config.pbtxt"
    file.write_text(
        f'{RECIPE_MARKER}\n# mine\nparameters {{ key: "max_batch_tokens" value {{ string_value: "64" }} }}\n'
    )
    file.chmod(0o640)
    done = run("--write", *FLAGS)
    assert done.exit_code == 0, done.output
    assert "The recipe's line is taken out of it" in done.stdout
    text = file.read_text()
    assert text.startswith(
        '# mine\nparameters { key: "max_batch_tokens" value { string_value: "2048" } }\ninstance_group'
    )
    config = read_config(model)
    assert (config.max_batch_tokens, config.instance_count) == (2048, 1)
    assert not config.precisions
    assert file.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in model.iterdir()) == ["1", "config.pbtxt"]


def test_a_config_is_made_where_there_is_none(run, model, best):
    assert run("--write", *FLAGS).exit_code == 0
    assert read_config(model).max_batch_tokens == 2048


def test_nothing_is_written_where_nothing_pays(run, model, monkeypatch):
    def keep(results, present, objective):
        return replace(choose_best(results, present, objective), gain=0.0, spread=1.0)

    monkeypatch.setattr(tune_command, "choose_best", keep)
    done = run("--write")
    assert (done.exit_code, "Keep what you have" in done.stdout) == (0, True)
    assert not (model / "config.pbtxt").exists()


def test_a_link_is_left_alone_and_the_lines_are_shown(run, model, best, tmp_path):
    real = tmp_path / "shared.pbtxt"
    real.write_text("# shared\n")
    (model / "config.pbtxt").symlink_to(real)
    done = run("--write", *FLAGS)
    assert done.exit_code == 1
    assert "instance_group [{ count:" in done.stdout
    assert "it is a symbolic link" in done.stderr
    assert "Nothing was changed" in done.stderr
    assert (model / "config.pbtxt").is_symlink()
    assert real.read_text() == "# shared\n"


def test_the_highest_version_served_is_tried(run, model, tiny_version):
    tiny_version(model / "2")
    tiny_version(model / "3")
    (model / "config.pbtxt").write_text("version_policy { specific { versions: [1, 2] } }")
    assert "Trying tiny version 2 with" in run().stderr
    assert "Trying tiny version 3 with" in run("--version", "3").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--version", "7"], 1, "has no version 7, only [1]"),
        (["--version", "0"], 2, "--version"),
        (["--seconds", "0"], 2, "--seconds: Input should be greater than 0"),
        (["--concurrency", "0"], 2, "--concurrency: Input should be greater than or equal to 1"),
        (["--objective", "price"], 2, "--objective"),
        (["--data", "none.csv"], 1, "none.csv: cannot be read"),
        (["--data", "none.doc"], 1, "none.doc: is of no known kind"),
    ],
)
def test_wrong_words_are_named(run, arguments, code, told):
    done = run(*arguments)
    assert (done.exit_code, told in " ".join(done.output.split())) == (code, True), done.output


def test_an_unknown_model_is_named(run):
    done = run(name="huge")
    assert (done.exit_code, "has no model 'huge', only ['tiny']" in done.output) == (1, True)


def test_a_file_without_a_token_is_named(run, tmp_path):
    (tmp_path / "empty.txt").write_text("\u200b\n")
    done = run("--data", str(tmp_path / "empty.txt"))
    assert (done.exit_code, "empty.txt: has no text of which a token is left" in done.output) == (1, True)


def test_a_version_that_does_not_load_gives_its_reason(run, model, tiny_version):
    tiny_version(model / "2", scale=2.0)
    done = run()
    assert (done.exit_code, "golden.json" in done.output) == (1, True), done.output


def test_every_setting_has_a_flag_and_a_description():
    options = {option.name for option in cli.main.commands["tune"].params}
    assert set(TuneSettings.model_fields) <= options
    assert all(each.description for each in TuneSettings.model_fields.values())
