"""Versions that share a model's requests: a rollback, a canary that is caught, and a shadow that counts right."""

import random
import time

import numpy as np
import pytest
from sentinova.v1 import model_service_pb2 as model_pb
from sentinova.v1 import sentiment_service_pb2 as pb
from soaking.contents import CONTENTS, LABELS, TEXTS, WORDS, Content, content_of
from soaking.generator import Plan
from soaking.ledger import Ledger
from soaking.load import run_load
from soaking.processes import run_server
from soaking.report import milliseconds
from soaking.watching import AVAILABLE, END, UNLOADING, observe

MODEL = "shared"
FLAGS = ("--model-control-mode", "poll", "--repository-poll-secs", "0.1", "--settle-secs", "0.1")
CLIENTS = [
    *[Plan("unary", MODEL, 20.0)] * 8, *[Plan("stream", MODEL, 20.0)] * 6, *[Plan("batch", MODEL, 40.0, size=8)] * 2,
]  # fmt: skip
TOLERANCE = 1e-4
SCORERS = {content.name: content.positive for content in CONTENTS}
CALL_SECONDS = 60.0
DOCUMENTS_IN_CALL = 500


def parameters(**values):
    """Gives parameters of a config; `__` stands for a dot."""
    pairs = ((key.replace("__", "."), value) for key, value in values.items())
    return "".join(f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}\n' for key, value in pairs)


def is_rollback(seen):
    """Tells whether an event is of a rollback."""
    return seen.event.kind == model_pb.MODEL_EVENT_KIND_ROLLBACK


def link_shipped(shipped, number, folder):
    """Makes a version of the shipped model's files, as links."""
    folder.mkdir()
    for file in (shipped / str(number)).iterdir():
        (folder / file.name).symlink_to(file)


def rolls_of(scale, report, title, put, count, scorers, repository, tmp_path):
    """Rolls one new version after the other back to version 1, under load; `put` publishes one and names its content."""
    ledger, seconds, moments = Ledger(), [], []
    folder = repository / MODEL
    folder.mkdir(parents=True)
    (folder / "config.pbtxt").write_text(parameters(keep_previous="true"))
    ledger.open(MODEL, 1, put(folder, 1))
    with (
        run_server(repository, tmp_path / "log", *FLAGS) as server,
        observe(server.address, server.check_alive) as observer,
        run_load(server.address, tmp_path / "records", CLIENTS) as load,
    ):
        for version in range(2, count + 2):
            after = observer.count
            ledger.open(MODEL, version, put(folder, version))
            observer.wait_for_state(MODEL, version, AVAILABLE, after=after)
            assert observer.model(MODEL).default_version == version
            assert observer.version(MODEL, 1).state == AVAILABLE
            time.sleep(0.1)  # for the new one to answer something
            began = time.monotonic()
            rolled = observer.models.RollbackModel(model_pb.RollbackModelRequest(name=MODEL), timeout=CALL_SECONDS)
            ended = time.monotonic()
            ledger.close(MODEL, version, ended)
            seconds.append(ended - began)
            moments.append(began)
            assert (rolled.from_version, rolled.to_version, rolled.model.default_version) == (version, 1, 1)
            told = observer.wait_for("a ROLLBACK", is_rollback, after=after)
            assert (told.event.version, told.event.default_version) == (version, 1)
            assert "rolled back by request" in told.event.message
            observer.wait_for_state(MODEL, version, END, after=after)
            load.check()
        # What was taken out stays out, however often the server looks.
        listed = observer.models.ReloadRepository(model_pb.ReloadRepositoryRequest(), timeout=CALL_SECONDS).models
        assert [one.default_version for one in listed] == [1]
        outcome = load.stop()
    outcome.check_complete()
    assert not ledger.find_wrong(outcome.records, MODEL, TEXTS, scorers, TOLERANCE)
    records = outcome.records
    assert set(records["version"]) == set(range(1, count + 2))
    back = [
        records["received"][(records["version"] == 1) & (records["sent"] > began)].min() - began for began in moments
    ]

    section = report.section(title)
    section.row("rollbacks", count)
    section.row("RollbackModel, from the call to its answer (aim: under 50 ms)", milliseconds(seconds, 50, 99))
    section.row("from the call to the first answer of the earlier version", milliseconds(back, 50, 99))
    section.row("documents sent / answered", f"{outcome.sent:,} / {outcome.answered:,}")
    section.row("problems", outcome.bad)
    section.data["rollback_seconds"] = seconds


def test_a_rollback_loses_nothing(scale, report, shelf, tmp_path):
    def put(folder, version):
        staged = shelf.copy(content_of(version), folder / f".{version}")
        staged.rename(folder / str(version))
        return content_of(version).name

    rolls_of(scale, report, "Rollback, small model", put, scale.rollbacks, SCORERS, tmp_path / "repository", tmp_path)


def test_a_rollback_of_the_shipped_model_loses_nothing(scale, report, request, shipped, tmp_path):
    if not scale.shipped_rollbacks:
        pytest.skip("in the long form only")

    def put(folder, version):
        number = 2 - version % 2
        link_shipped(shipped, number, folder / f".{version}")
        (folder / f".{version}").rename(folder / str(version))
        return f"shipped-{number}"

    scorers = request.getfixturevalue("shipped_scorers")
    title = "Rollback, shipped model"
    rolls_of(scale, report, title, put, scale.shipped_rollbacks, scorers, tmp_path / "repository", tmp_path)


def test_a_canary_that_disagrees_is_rolled_back_by_itself(report, shelf, tmp_path):
    good, bad, mended = CONTENTS[1], CONTENTS[0], CONTENTS[3]
    ledger = Ledger()
    folder = tmp_path / "repository" / MODEL
    shelf.copy(good, folder / "1")
    ledger.open(MODEL, 1, good.name)
    shares = {"weight__1": 90, "weight__2": 10, "canary__max_disagreement": 0.1, "canary__min_documents": 50}
    (folder / "config.pbtxt").write_text("version_policy { all {} }\n" + parameters(**shares))
    with (
        run_server(folder.parent, tmp_path / "log", *FLAGS) as server,
        observe(server.address, server.check_alive) as observer,
        run_load(server.address, tmp_path / "records", CLIENTS) as load,
    ):
        staged = shelf.copy(bad, folder / ".2")
        ledger.open(MODEL, 2, bad.name)
        staged.rename(folder / "2")
        available = observer.wait_for_state(MODEL, 2, AVAILABLE)
        rolled = observer.wait_for("a ROLLBACK", is_rollback)
        unloading = observer.wait_for_state(MODEL, 2, UNLOADING)
        ledger.close(MODEL, 2, unloading.received)
        observer.wait_for_state(MODEL, 2, END)
        listed = observer.models.ReloadRepository(model_pb.ReloadRepositoryRequest(), timeout=CALL_SECONDS).models[0]
        logged = server.logged("rolled_back")
        load.check()
        # It comes back when its files are others, and not before.
        again = observer.count
        ledger.open(MODEL, 2, mended.name)
        for file in shelf.folder(mended).iterdir():
            (folder / "2" / file.name).write_bytes(file.read_bytes())
        observer.wait_for_state(MODEL, 2, AVAILABLE, after=again)
        outcome = load.stop()

    outcome.check_complete()
    assert not ledger.find_wrong(outcome.records, MODEL, TEXTS, SCORERS, TOLERANCE)
    for reason in (rolled.event.message, listed.versions[1].state_message, logged[0]["reason"]):
        assert "rolled back by itself" in reason
        assert "got another label than from version 1, more than the limit of 10%" in reason
    assert [version.state for version in listed.versions] == [AVAILABLE, END]
    assert listed.default_version == 1
    assert [(one.version, one.percent) for one in listed.weights] == [(1, 100)]
    served = outcome.records[
        (outcome.records["sent"] > available.received) & (outcome.records["received"] < rolled.received)
    ]
    canary = int((outcome.records["version"] == 2).sum())
    assert canary > 0

    section = report.section("A canary with bad weights, at 10%")
    section.row("told", rolled.event.message)
    section.row("from AVAILABLE to the rollback", f"{(rolled.received - available.received) * 1000:.0f} ms")
    section.row("documents answered meanwhile / by it", f"{len(served):,} / {canary:,}")
    section.row("documents sent / answered in all", f"{outcome.sent:,} / {outcome.answered:,}")
    section.row("problems", outcome.bad)


def ask_version(observer, version, texts):
    """Gives what a version says of texts: labels, and the scores of all classes, `[text, class]`."""
    labels, scores = [], []
    for start in range(0, len(texts), DOCUMENTS_IN_CALL):
        documents = [pb.Document(text=text) for text in texts[start : start + DOCUMENTS_IN_CALL]]
        request = pb.BatchAnalyzeSentimentRequest(documents=documents, config=pb.AnalysisConfig(version=version))
        for one in observer.sentiment.BatchAnalyzeSentiment(request, timeout=CALL_SECONDS).results:
            assert [entry.label for entry in one.result.scores] == list(LABELS)
            labels.append(one.result.label)
            scores.append([entry.score for entry in one.result.scores])
    return np.array(labels), np.array(scores)


def compare_shadow(report, title, folder, texts, rate, tmp_path):
    """Has version 2 compute what version 1 answers, and holds what the server counts against what both say when asked."""
    plan = [Plan("stream", MODEL, rate, count=len(texts))]
    with (
        run_server(folder.parent, tmp_path / "log", *FLAGS) as server,
        observe(server.address, server.check_alive) as observer,
    ):
        (labels, scores), (own_labels, own_scores) = (ask_version(observer, version, texts) for version in (1, 2))
        distances = np.abs(scores - own_scores).max(axis=1)
        weights = [model_pb.VersionWeight(version=1, percent=100)]
        observer.models.SetModelWeights(
            model_pb.SetModelWeightsRequest(name=MODEL, weights=weights), timeout=CALL_SECONDS
        )
        request = model_pb.SetModelShadowRequest(name=MODEL, version=2, percent=100)
        observer.models.SetModelShadow(request, timeout=CALL_SECONDS)
        with run_load(server.address, tmp_path / "records", plan, texts) as load:
            outcome = load.finish(300.0)
        model = observer.until(
            "all compared", MODEL,
            lambda one: sum(each.documents + each.dropped + each.failed for each in one.comparisons) >= len(texts),
        )  # fmt: skip
    outcome.check_complete()
    assert set(outcome.records["version"]) == {1}
    assert (np.abs(outcome.records["score"] - scores[outcome.records["text"], 1]) < TOLERANCE).all()
    [comparison] = model.comparisons
    agreed = int((labels == own_labels).sum())
    assert (comparison.version, comparison.baseline, comparison.live) == (2, 1, False)
    assert (comparison.documents, comparison.dropped, comparison.failed) == (len(texts), 0, 0)
    assert comparison.agreed == agreed
    assert 0 < agreed < len(texts)
    assert comparison.mean_distance == pytest.approx(distances.mean(), abs=1e-6)
    assert comparison.max_distance == pytest.approx(distances.max(), abs=1e-6)

    section = report.section(title)
    section.row(
        "documents compared, dropped, failed", f"{comparison.documents:,}, {comparison.dropped}, {comparison.failed}"
    )
    section.row("label agreement, counted / asked", f"{comparison.agreed:,} / {agreed:,}")
    section.row("mean distance, counted / asked", f"{comparison.mean_distance:.9f} / {distances.mean():.9f}")
    section.row("largest distance, counted / asked", f"{comparison.max_distance:.9f} / {distances.max():.9f}")
    section.row("latency ratio", f"{comparison.latency_ratio:.3f}")


def test_a_shadow_counts_what_both_versions_say(scale, report, tmp_path):
    rng = random.Random(scale.seed)
    words = [word for word in WORDS if not word.startswith("[")]
    texts = [" ".join(rng.choices(words, k=rng.randrange(1, 30))) for _ in range(scale.compared_texts)]
    folder = tmp_path / "repository" / MODEL
    other = Content("other", 0.4, {**WORDS, "not": (1.5, -0.75), "film": (0.5, -0.25)})
    for version, content in ((1, Content("one", 0.3)), (2, other)):
        content.build(folder / str(version))
    (folder / "config.pbtxt").write_text("version_policy { all {} }")
    compare_shadow(report, "A shadow, small model", folder, texts, 200.0, tmp_path)


def test_a_shadow_of_the_shipped_model_counts_what_both_versions_say(scale, report, shipped, golden_cases, tmp_path):
    if not scale.shipped_rollbacks:
        pytest.skip("in the long form only")
    rng = random.Random(scale.seed)
    words = [word for case in golden_cases for word in case["text"].split()]
    texts = [" ".join(rng.choices(words, k=rng.randrange(3, 40))) for _ in range(scale.compared_texts // 10)]
    folder = tmp_path / "repository" / MODEL
    folder.mkdir(parents=True)
    for version in (1, 2):
        link_shipped(shipped, version, folder / str(version))
    (folder / "config.pbtxt").write_text("version_policy { all {} }")
    compare_shadow(report, "A shadow, shipped model", folder, texts, 20.0, tmp_path)
