"""Whatever is done to the files: nothing wrong ever answers, what is right goes on answering, and mending is enough."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from soaking.confinement import confine
from soaking.contents import CONTENTS, TEXTS
from soaking.faults import KINDS
from soaking.generator import Plan
from soaking.lane import CONFIG, Lane
from soaking.ledger import Ledger
from soaking.load import run_load
from soaking.processes import run_server
from soaking.report import milliseconds
from soaking.watching import observe

SETTLE = 0.25
FLAGS = ("--model-control-mode", "poll", "--repository-poll-secs", "0.05", "--settle-secs", str(SETTLE))
TOLERANCE = 1e-6
# What the log says of defects, of which there must be none.
DEFECTS = ("life_failed", "look_failed", "unexpected_error", "call_failed", "document_failed", "background_failed")


def deal(scale, kinds):
    """Gives each lane its faults: all kinds equally often, in an order of chance."""
    rng = random.Random(scale.seed)
    deck = []
    while len(deck) < scale.fault_rounds:
        deck += rng.sample(kinds, len(kinds))
    return [deck[: scale.fault_rounds][lane :: scale.lanes] for lane in range(scale.lanes)]


def run_lane(lane, kinds, load, halt, done):
    """Runs the rounds of one lane; one that fails ends the others."""
    try:
        for kind in kinds:
            if halt.is_set():
                return
            lane.begin()
            lane.note("")
            began = time.monotonic()
            KINDS[kind](lane)
            lane.until_alone()
            load.check()
            done.append((kind, lane.model, time.monotonic() - began, lane.message))
    except BaseException as error:
        error.add_note(
            f"in fault {kind!r} of {lane.model}, version {lane.version}; so far: {[one[:2] for one in done]}"
        )
        halt.set()
        raise


@pytest.fixture
def folders(scale, shelf, tmp_path):
    """The models' folders, each with version 1."""
    folders = [tmp_path / "repository" / f"lane{number}" for number in range(scale.lanes)]
    for folder in folders:
        shelf.copy(CONTENTS[1], folder / "1")
        (folder / "config.pbtxt").write_text(CONFIG)
    return folders


def plan_clients(folders):
    """Gives the clients: 200 documents a second for each model."""
    return [
        client
        for folder in folders
        for client in (
            *[Plan("unary", folder.name, 25.0)] * 4, *[Plan("stream", folder.name, 25.0)] * 2,
            Plan("batch", folder.name, 50.0, size=8),
        )
    ]  # fmt: skip


def inject(lanes, hands, load):
    """Runs all lanes at the same time; gives each round's kind, model, seconds, and what was told."""
    halt, done = Event(), []
    with ThreadPoolExecutor(len(lanes)) as pool:
        runs = [pool.submit(run_lane, lane, hand, load, halt, done) for lane, hand in zip(lanes, hands, strict=True)]
        for run in runs:
            run.result()
    return done


def write_section(report, confinement, lanes, done, outcome, figures):
    """Reports what was done, and what was told of it."""
    section = report.section("Faults under load")
    section.row("faults", f"{len(done)}, {len(lanes)} models at a time")
    section.row("documents sent / answered", f"{outcome.sent:,} / {outcome.answered:,}")
    section.row("problems", outcome.bad)
    section.row("full disk", "a file system of 24 MB" if confinement.small_disk else "RLIMIT_FSIZE")
    section.row("rounds in which the test was too slow to tell", sum(lane.excused for lane in lanes))
    section.row("resident in the end, MB", f"{figures.resident / 1e6:.1f}")
    section.row("latency", milliseconds(outcome.records["received"] - outcome.records["sent"], 50, 99, 99.9))
    for kind in KINDS:
        own = [one for one in done if one[0] == kind]
        told = next((one[3] for one in own if one[3]), "nothing: the files were not complete yet, or all was well")
        if own:
            section.row(kind, f"{len(own)} rounds, {max(one[2] for one in own):.1f} s at most; told: {told[-160:]}")
    section.notes += confinement.notes
    section.data["rounds"] = done


def test_nothing_wrong_answers_and_what_is_right_goes_on(scale, report, shelf, folders, tmp_path):
    print(f"seed: {scale.seed}")
    confinement = confine(folders)
    print(*confinement.notes, sep="\n")
    kinds = [kind for kind in KINDS if confinement.unreadable or kind != "unreadable_file"]
    ledger, outside = Ledger(), tmp_path / "outside"
    outside.mkdir()
    for folder in folders:
        ledger.open(folder.name, 1, CONTENTS[1].name)
    with (
        run_server(folders[0].parent, tmp_path / "log", *FLAGS, wrapper=confinement.wrapper) as server,
        observe(server.address, server.check_alive) as observer,
        run_load(server.address, tmp_path / "records", plan_clients(folders)) as load,
    ):
        server.enter = confinement.enter(server.pid)
        lanes = [
            Lane(
                model=folder.name, outside=outside, folder=confinement.seen(server.pid, folder), seen_folder=folder,
                server=server, observer=observer, ledger=ledger, shelf=shelf, settle=SETTLE,
                rng=random.Random(f"{scale.seed}-{number}"), small_disk=confinement.small_disk,
            )
            for number, folder in enumerate(folders)
        ]  # fmt: skip
        done = inject(lanes, deal(scale, kinds), load)
        outcome = load.stop()
        defects, figures = server.logged(*DEFECTS), server.figures()
    write_section(report, confinement, lanes, done, outcome, figures)

    outcome.check_complete()
    scorers = {content.name: content.positive for content in CONTENTS}
    for lane in lanes:
        records = outcome.of_model(lane.model)
        assert len(records)
        assert not ledger.find_wrong(records, lane.model, TEXTS, scorers, TOLERANCE)
    assert len(done) == scale.fault_rounds
    assert not [(one["event"], one.get("exception")) for one in defects]
