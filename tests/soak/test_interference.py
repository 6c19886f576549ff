"""How much one thing disturbs another: loads the requests beside them, and one model's flood another model.

Times are reported, never judged: every answer must be there and right, whatever it took.
"""

import itertools
import time

import numpy as np
import pytest
from sentinova.v1 import sentiment_service_pb2 as pb
from soaking.generator import Plan
from soaking.load import run_load
from soaking.processes import run_server
from soaking.report import milliseconds
from soaking.watching import AVAILABLE, END, observe

FLAGS = ("--model-control-mode", "poll", "--repository-poll-secs", "0.1", "--settle-secs", "0.1")
SHARE_OF_CAPACITY = 0.3
CALL_SECONDS = 60.0
MOST_TOKENS = 64
# In float32, but beside whatever else is in the batch.
TOLERANCE = 1e-4


def link_version(source, folder):
    """Makes a version of another one's files, as links, and publishes it at once."""
    staged = folder.parent / f".{folder.name}"
    staged.mkdir(parents=True)
    for file in source.iterdir():
        (staged / file.name).symlink_to(file)
    staged.rename(folder)


def ask_scores(observer, model, version, texts):
    """Gives a version's score of "positive" for each text."""
    documents = [pb.Document(text=text) for text in texts]
    config = pb.AnalysisConfig(model=model, version=version)
    request = pb.BatchAnalyzeSentimentRequest(documents=documents, config=config)
    results = observer.sentiment.BatchAnalyzeSentiment(request, timeout=CALL_SECONDS).results
    return [next(entry.score for entry in one.result.scores if entry.label == "positive") for one in results]


def check_answers(outcome, scores, version):
    """Checks that every answer is there, and is the version's own."""
    outcome.check_complete()
    assert set(outcome.records["version"]) == {version}
    for record in outcome.records:
        assert abs(record["score"] - scores[record["text"]]) <= TOLERANCE


def measure(server, tmp_path, plan, texts, seconds):
    """Runs a load for a while; gives the documents a second, and what it came to."""
    file = tmp_path / f"records-{time.monotonic_ns()}"
    with run_load(server.address, file, plan, texts) as load:
        began = time.monotonic()
        time.sleep(seconds)
        ended = time.monotonic()
        outcome = load.stop()
    return ((outcome.records["received"] > began) & (outcome.records["received"] <= ended)).sum() / (
        ended - began
    ), outcome


@pytest.fixture
def texts(golden_cases):
    """Texts of the shipped model, without the long ones: a percentile would tell of their length alone."""
    return [case["text"] for case in golden_cases if len(case["input_ids"]) <= MOST_TOKENS]


def load_again_and_again(observer, shipped, folder, model, seconds):
    """Loads and removes one version after the other; gives when each load began and ended."""
    loads = []
    end = time.monotonic() + seconds
    versions = itertools.count(3)
    while time.monotonic() < end:
        version = next(versions)
        after = observer.count
        began = time.monotonic()
        link_version(shipped / str(1 + version % 2), folder / str(version))
        available = observer.wait_for_state(model, version, AVAILABLE, after=after)
        loads.append((began, available.received))
        for file in (folder / str(version)).iterdir():
            file.unlink()
        (folder / str(version)).rmdir()
        observer.wait_for_state(model, version, END, after=after)
    return loads


def test_requests_beside_loads(scale, report, shipped, texts, tmp_path):
    model = "loaded"
    folder = tmp_path / "repository" / model
    folder.mkdir(parents=True)
    link_version(shipped / "2", folder / "2")
    # Whatever is loaded: version 2 has all the traffic.
    weight = 'parameters { key: "weight.2" value { string_value: "100" } }'
    (folder / "config.pbtxt").write_text(f"version_policy {{ all {{}} }}\n{weight}\n")
    seconds = scale.load_seconds
    with (
        run_server(folder.parent, tmp_path / "log", *FLAGS) as server,
        observe(server.address, server.check_alive) as observer,
    ):
        scores = ask_scores(observer, model, 2, texts)
        capacity, full = measure(server, tmp_path, [Plan("unary", model)] * 16, texts, min(seconds, 10.0))
        check_answers(full, scores, 2)
        rate = capacity * SHARE_OF_CAPACITY
        with run_load(server.address, tmp_path / "records", [Plan("open", model, rate / 4)] * 4, texts) as load:
            time.sleep(0.5)
            quiet = (time.monotonic(), time.monotonic() + seconds)
            time.sleep(seconds)
            loads = load_again_and_again(observer, shipped, folder, model, seconds)
            after = time.monotonic()
            time.sleep(seconds)
            outcome = load.stop()
    section = report.section("Requests beside loads, shipped model")
    section.row("capacity, 16 clients", f"{capacity:.0f} documents/s")
    section.row("sent", f"{rate:.0f} documents/s, in an open loop; latency counts from the planned time")
    write_latencies(section, outcome, quiet, loads, after)
    check_answers(outcome, scores, 2)
    assert loads


def write_latencies(section, outcome, quiet, loads, after):
    """Reports the latencies of what was due in a quiet time, during loads, and after them."""
    due, latency = outcome.records["due"], outcome.records["received"] - outcome.records["due"]
    before = due_in(due, latency, *quiet)
    during = np.concatenate([due_in(due, latency, began, ended) for began, ended in loads])
    later = latency[due >= after]
    seconds = [ended - began for began, ended in loads]
    section.row("loads", f"{len(loads)}, {milliseconds(seconds, 50)}")
    for name, values in (("before", before), ("during loads", during), ("after", later)):
        section.row(f"latency {name}", milliseconds(values, 50, 99))
    for quantile in (50, 99):
        if before.size and during.size:
            ratio = np.percentile(during, quantile) / np.percentile(before, quantile)
            section.row(f"p{quantile} during loads over p{quantile} before", f"{ratio:.2f}")
    section.row("documents sent / answered", f"{outcome.sent:,} / {outcome.answered:,}")
    section.data |= {
        "before_ms": in_milliseconds(before), "during_ms": in_milliseconds(during), "after_ms": in_milliseconds(later),
        "load_seconds": seconds,
    }  # fmt: skip


def due_in(due, latency, began, ended):
    """Gives the latencies of what was due in a time."""
    return latency[(due >= began) & (due < ended)]


def in_milliseconds(values):
    """Gives times in milliseconds, short enough for a file."""
    return [round(float(value) * 1000, 2) for value in values]


def unary_latency(outcome):
    """Gives the latencies of calls of one document."""
    clients = [number for number, kind in enumerate(outcome.kinds) if kind == "unary"]
    records = outcome.records[np.isin(outcome.records["client"], clients)]
    return records["received"] - records["sent"]


def test_one_models_flood_beside_another_model(scale, report, shipped, texts, tmp_path):
    repository = tmp_path / "repository"
    for model in ("calm", "flooded"):
        (repository / model).mkdir(parents=True)
        link_version(shipped / "2", repository / model / "1")
    calm = [*[Plan("unary", "calm")] * 3, Plan("stream", "calm", 20.0)]
    flood = [
        *[Plan("unary", "flooded", refusals=True)] * 32, *[Plan("batch", "flooded", size=64, refusals=True)] * 4,
    ]  # fmt: skip
    with (
        run_server(repository, tmp_path / "log", *FLAGS) as server,
        observe(server.address, server.check_alive) as observer,
    ):
        scores = ask_scores(observer, "calm", 1, texts)
        alone, quiet = measure(server, tmp_path, calm, texts, scale.flood_seconds)
        with run_load(server.address, tmp_path / "flood", flood, texts) as load:
            beside, disturbed = measure(server, tmp_path, calm, texts, scale.flood_seconds)
            load.check()
            flooded = load.stop()
    for outcome in (quiet, disturbed, flooded):
        check_answers(outcome, scores, 1)

    section = report.section("One model's flood beside another model, shipped model twice")
    section.row("flood", "32 clients one by one, 4 of batches of 64, without a pause")
    section.row("flood answered / refused", f"{flooded.answered:,} / {flooded.refused:,}")
    section.row("the other: 3 clients one by one and a stream of 20/s, alone", f"{alone:.0f} documents/s")
    section.row("the other, beside the flood", f"{beside:.0f} documents/s, {beside / alone:.2f} of alone")
    quiet_latency, latency = unary_latency(quiet), unary_latency(disturbed)
    section.row("its unary latency alone", milliseconds(quiet_latency, 50, 99))
    section.row("its unary latency beside the flood", milliseconds(latency, 50, 99))
    ratio = np.percentile(latency, 99) / np.percentile(quiet_latency, 99)
    section.row("p99 beside the flood over p99 alone", f"{ratio:.2f}")
    section.row("its documents sent / answered", f"{disturbed.sent:,} / {disturbed.answered:,}")
    section.data |= {"alone_ms": in_milliseconds(quiet_latency), "beside_ms": in_milliseconds(latency)}
