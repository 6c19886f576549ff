"""Poll mode: a real server follows the folders of its repository, whatever is done to them."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import time

import grpc
import pytest
from model_watch import until
from rig import refusal
from tiny_models import ALL_VERSIONS, MODEL_FILES, parameter

# Seconds for which files must not change before they are read; more than a pause of these tests, but where they say so.
SETTLE = 0.4
# A machine that is too busy for a pause to be short gets another try, up to so many.
TRIES = 10


@pytest.fixture(scope="module")
def rig(new_models, start_rig):
    """A server in poll mode; each test has a model of its own."""
    models = new_models()
    models.add("always", 1)
    # Old when the tests move them into place: what is complete then is complete at once.
    models.prepare("good", 40)
    models.prepare("inverted", 3)
    models.prepare("wrong", 4)
    flags = ("--model-control-mode", "poll", "--repository-poll-secs", "0.5", "--settle-secs", str(SETTLE))
    with start_rig(models, *flags) as rig:
        yield rig


@pytest.fixture
def served(rig, name):
    """Adds a model of the test's own, and waits until its highest version is served; gives a watch of it."""
    watches = []

    def add(*versions, kind="good", config=""):
        watch = rig.watch(name)
        watches.append(watch)
        rig.models.add(name, *versions, kind=kind, config=config)
        watch.wait_for_state(max(versions), "AVAILABLE")
        return watch

    yield add
    for watch in watches:
        watch.__exit__()


def write_sums(folder):
    """Writes SHA256SUMS as `sha256sum` does."""
    lines = [f"{hashlib.sha256((folder / file).read_bytes()).hexdigest()}  {file}\n" for file in MODEL_FILES]
    (folder / "SHA256SUMS").write_text("".join(lines))


# Versions that come


def test_a_new_model_and_a_new_version_of_it_are_served(rig, name, served):
    watch = served(1)
    with rig.asking(name) as client:
        rig.models.add(name, 2)
        watch.wait_for_state(1, "END")
        client.wait_for_more(5)
    assert [event[2:] for event in watch.news if event[0] == "STATE"] == [
        (1, "LOADING"), (1, "AVAILABLE"), (2, "LOADING"), (2, "AVAILABLE"), (1, "UNLOADING"), (1, "END"),
    ]  # fmt: skip
    versions = [version for version, _ in client.answers]
    assert versions == sorted(versions)
    assert versions[-1] == 2


def test_a_version_that_is_copied_file_by_file_is_not_looked_at_before_it_is_whole(rig, name):
    for number in range(TRIES):
        model = f"{name}-{number}"
        with rig.watch(model) as watch:
            rig.models.add(model, 1)
            watch.wait_for_state(1, "AVAILABLE")
            if not copy_slowly(rig, model, 2):
                continue  # too busy a machine: a pause was so long that the server may well have looked
            assert watch.states(2) == []
            watch.wait_for_state(2, "AVAILABLE")
            assert watch.states(2) == ["LOADING", "AVAILABLE"]
        assert rig.asked(model) == 2
        assert until(lambda: rig.get(model).message, lambda message: not message) == ""  # noqa: B023 - called at once
        return
    pytest.fail("no copy was without a long pause: the machine is too busy to tell")


def copy_slowly(rig, model, version):
    """Copies a version in small parts; tells whether no pause between two of them was long enough to settle.

    Goes on for longer than that, and until the server says that it has seen it, and that it waits.
    """
    source, target = rig.models.aside(), rig.models.root / model / str(version)
    written = []

    def write(file, content, mode="wb"):
        with (target / file).open(mode) as stream:
            stream.write(content)
        written.append(time.monotonic())
        time.sleep(SETTLE / 10)  # what copying over a network does

    target.mkdir()
    graph = (source / "model.xml").read_bytes()
    write("model.xml", graph[:1000])
    for file in ("model.bin", "vocab.txt", "labels.txt", "tokenizer_config.json"):
        write(file, (source / file).read_bytes())
    until(
        lambda: write("MODEL_CARD.md", b"A line.\n", "ab") or rig.get(model).message,
        lambda message: (
            f"once their files no longer change: [{version}]" in message and written[-1] - written[0] > 2 * SETTLE
        ),
    )
    assert rig.available(model) == [1]
    write("golden.json", (source / "golden.json").read_bytes())
    write("model.xml", graph[1000:], "ab")
    return max(after - before for before, after in itertools.pairwise(written)) < SETTLE


def test_what_is_no_version_is_not_served(rig, name, served):
    watch = served(1, config=ALL_VERSIONS)
    folder = rig.models.root / name
    for number in ("01", "abc", ".tmp", "-3", "3.tmp", "+4", "99999999999999999999"):
        rig.models.aside().rename(folder / number)
    (folder / "5").write_text("a file")
    rig.models.add(name, 2)
    watch.wait_for_state(2, "AVAILABLE")
    assert rig.states(name) == {1: "AVAILABLE", 2: "AVAILABLE"}
    assert {version for _, _, version, _ in watch.news if version} == {1, 2}


def test_a_new_model_with_folders_that_are_no_versions_is_warned_of(rig, name):
    folder = rig.models.add(name, 1)
    rig.models.take_away(name)
    made = rig.models.aside().parent / "made"
    shutil.copytree(rig.models.aside(), made / "1")
    shutil.copytree(made / "1", made / "01")
    made.rename(folder)
    until(lambda: rig.logged("folders_ignored", model=name), bool)
    assert rig.logged("folders_ignored", model=name)[0]["folders"] == ["01"]


def test_a_version_may_be_a_link_that_is_set_to_another_folder(rig, name, served):
    watch = served(1)
    targets = {kind: rig.models.aside(kind) for kind in ("good", "inverted")}
    link = rig.models.root / name / "2"
    link.symlink_to(targets["good"])
    watch.wait_for_state(2, "AVAILABLE")
    seen = len(watch.events)
    with rig.asking(name) as client:
        other = link.with_name(".2")
        other.symlink_to(targets["inverted"])
        other.replace(link)
        watch.wait_for_state(2, "AVAILABLE", after=seen)
        client.wait_for_more(5)
    assert client.answers[-1] == (2, "negative")


# Versions that are wrong


def test_a_file_that_does_not_fit_its_checksum_is_named_until_it_is_mended(rig, name, served):
    watch = served(1)
    made = rig.models.aside()
    write_sums(made)
    vocabulary = (made / "vocab.txt").read_text()
    (made / "vocab.txt").write_text(vocabulary.replace("good", "gold"))
    folder = made.rename(rig.models.root / name / "2")
    failed = watch.wait_for_state(2, "FAILED")
    assert str(folder / "vocab.txt") in failed.message
    assert "SHA256SUMS" in failed.message
    assert rig.asked(name) == 1
    (folder / "vocab.txt").write_text(vocabulary)
    watch.wait_for_state(2, "AVAILABLE")
    watch.wait_for_state(1, "END")
    assert rig.asked(name) == 2


def test_a_version_that_gives_other_logits_than_paddle_takes_no_request(rig, name, served):
    watch = served(1)
    with rig.asking(name) as client:
        rig.models.add(name, 2, kind="wrong")
        failed = watch.wait_for_state(2, "FAILED")
        client.wait_for_more(20)
    assert "golden.json: cases.0" in failed.message
    assert {*client.answers} == {(1, "positive")}
    assert rig.states(name) == {1: "AVAILABLE", 2: "FAILED"}
    assert rig.metric("sentinova_model_version_state", model=name, version="2", state="FAILED") == 1
    # It is tried once, and not with each look.
    rig.models.add(f"{name}-later", 1)
    until(lambda: names(rig), lambda found: f"{name}-later" in found)
    assert watch.states(2) == ["LOADING", "FAILED"]


def test_a_failed_version_whose_folder_is_gone_is_not_told_of_any_more(rig, name, served):
    watch = served(1)
    rig.models.add(name, 2, kind="wrong")
    watch.wait_for_state(2, "FAILED")
    rig.models.take_away(name, 2)
    rig.models.add(name, 3)
    watch.wait_for_state(1, "END")
    until(lambda: rig.states(name).get(2), lambda state: state != "FAILED")
    assert rig.metric("sentinova_model_version_state", model=name, version="2", state="FAILED") == 0


def test_a_version_that_failed_is_no_reason_to_lose_the_one_that_serves(rig, name, served):
    watch = served(1)
    rig.models.add(name, 2, kind="wrong")
    watch.wait_for_state(2, "FAILED")
    with rig.asking(name) as client:
        rig.models.take_away(name, 1)
        rig.models.add(name, 3, kind="wrong")
        watch.wait_for_state(3, "FAILED")
        client.wait_for_more(20)
    assert {*client.answers} == {(1, "positive")}


# Versions and models that go


def test_a_version_whose_folder_is_gone_is_unloaded_once_another_serves(rig, name, served):
    watch = served(1, 2)
    assert rig.available(name) == [2]
    with rig.asking(name) as client:
        rig.models.take_away(name, 2)
        watch.wait_for_state(2, "END")
        client.wait_for_more(5)
    assert [event[2:] for event in watch.news if event[0] == "STATE"][-4:] == [
        (1, "LOADING"), (1, "AVAILABLE"), (2, "UNLOADING"), (2, "END"),
    ]  # fmt: skip
    assert client.answers[-1][0] == 1
    assert refusal(rig.ask, name, version=2).reason == "VERSION_NOT_FOUND"


def test_a_model_whose_folder_is_gone_is_gone(rig, name, served):
    watch = served(1)
    assert (rig.asked(name), rig.health(name)) == (1, "SERVING")
    shutil.rmtree(rig.models.root / name)
    watch.wait_for_state(1, "END")
    until(lambda: names(rig), lambda found: name not in found)
    assert refusal(rig.calls.GetModel, name=name).reason == "MODEL_NOT_FOUND"
    assert refusal(rig.ask, name).reason == "MODEL_NOT_FOUND"
    assert health_or_code(rig, name) in ("NOT_SERVING", "NOT_FOUND")
    # It may come back, and the same watch tells of it.
    seen = len(watch.events)
    rig.models.add(name, 7)
    watch.wait_for_state(7, "AVAILABLE", after=seen)
    assert rig.asked(name) == 7


def health_or_code(rig, name):
    try:
        return rig.health(name)
    except grpc.RpcError as error:
        return error.code().name


def test_a_folder_that_is_away_for_a_moment_is_not_unloaded(rig, name):
    for number in range(TRIES):
        model = f"{name}-{number}"
        with rig.watch(model) as watch:
            rig.models.add(model, 1, 2, config=ALL_VERSIONS)
            watch.wait_for_state(1, "AVAILABLE")
            watch.wait_for_state(2, "AVAILABLE")
            started = time.monotonic()
            away = rig.models.take_away(model, 1)
            look_once(rig, f"{model}-away")
            away.rename(rig.models.root / model / "1")
            look_once(rig, f"{model}-back")
            if time.monotonic() - started >= SETTLE:
                continue  # too busy a machine: it was away for so long that it may well have been unloaded
            rig.models.add(model, 3)
            watch.wait_for_state(3, "AVAILABLE")
            assert watch.states(1) == ["LOADING", "AVAILABLE"]
            assert rig.available(model) == [1, 2, 3]
        return
    pytest.fail("it was always away for long: the machine is too busy to tell")


def look_once(rig, probe):
    """Waits until the server has looked at the repository: it tells of an empty folder at once."""
    with rig.watch(probe) as watch:
        (rig.models.root / probe).mkdir()
        watch.wait_for_kind("WARNING")


# The config


def test_a_config_that_is_broken_leaves_the_earlier_one_in_force(rig, name, served):
    watch = served(1, 2, config=ALL_VERSIONS + parameter("label.stable", "1"))
    with rig.asking(name):
        rig.models.configure(name, "version_policy { all {} }\nversion_polisy { all {} }\n")
        warning = watch.wait_for(lambda event: "config.pbtxt" in event.message)
        assert "line 2, column 1" in watch.events[warning].message
        assert "earlier config" in watch.events[warning].message
        assert rig.get(name).message == watch.events[warning].message
        rig.models.add(name, 3)
        watch.wait_for_state(3, "AVAILABLE")
        assert rig.available(name) == [1, 2, 3]
        assert rig.asked(name, label="stable") == 1
        rig.models.configure(name, ALL_VERSIONS + parameter("label.stable", "2"))
        until(lambda: rig.get(name), lambda model: not model.message and list(model.versions[1].version_labels))
    assert rig.asked(name, label="stable") == 2


def test_a_config_by_which_a_version_cannot_be_loaded_is_told_until_it_is_mended(rig, name, served):
    watch = served(1)
    with rig.asking(name):
        rig.models.configure(name, 'output { label_filename: "no_such.txt" }')
        assert "no_such.txt" in watch.wait_for_kind("WARNING").message
        rig.models.configure(name, "")
        until(lambda: rig.message(name, 1), lambda message: "no_such.txt" not in message)
    assert "UNLOADING" not in watch.states(1)


def test_a_policy_that_leaves_versions_out_unloads_them(rig, name, served):
    watch = served(1, 2, 3, config=ALL_VERSIONS)
    assert rig.available(name) == [1, 2, 3]
    with rig.asking(name):
        rig.models.configure(name, "version_policy { latest { num_versions: 1 } }")
        watch.wait_for_state(1, "END")
        watch.wait_for_state(2, "END")
        assert rig.available(name) == [3]
        rig.models.configure(name, "version_policy { specific { versions: [1, 4] } }")
        watch.wait_for_state(3, "END")
        assert rig.available(name) == [1]
        assert "versions that are not there: [4]" in rig.get(name).message
        rig.models.configure(name, ALL_VERSIONS)
        until(lambda: rig.available(name), lambda versions: versions == [1, 2, 3])
    assert rig.get(name).message == ""


def test_labels_weights_and_shadow_are_those_of_the_config(rig, name, served):
    traffic = [
        parameter("label.stable", "1"), parameter("label.canary", "2"), parameter("weight.stable", "60"),
        parameter("weight.canary", "40"), parameter("shadow", "3"),
    ]  # fmt: skip
    served(1, 2, 3, config=ALL_VERSIONS + "".join(traffic))
    model = until(lambda: rig.get(name), lambda model: model.shadow_version and len(rig.available(name)) == 3)
    assert [(one.weight, [*one.version_labels]) for one in model.versions] == [
        (60, ["stable"]),
        (40, ["canary"]),
        (0, []),
    ]
    assert [(share.version, share.percent) for share in model.weights] == [(1, 60), (2, 40)]
    assert model.shadow_version == 3
    assert {rig.asked(name, routing_key=str(key)) for key in range(50)} == {1, 2}
    assert (rig.asked(name, label="stable"), rig.asked(name, label="canary")) == (1, 2)
    # What a call changed holds until the config changes in the same respect.
    rig.calls.SetModelLabel(name=name, label="tried", version=3)
    rig.models.configure(name, ALL_VERSIONS + "".join(traffic[:4]))
    model = until(lambda: rig.get(name), lambda model: not model.shadow_version)
    assert list(model.versions[2].version_labels) == ["tried"]
    rig.models.configure(name, ALL_VERSIONS + parameter("label.stable", "3"))
    model = until(lambda: rig.get(name), lambda model: not model.weights)
    assert [[*one.version_labels] for one in model.versions] == [[], [], ["stable"]]
    assert {rig.asked(name) for _ in range(20)} == {3}


# Files that change


@pytest.mark.parametrize("how", ["files", "folder"])
def test_what_is_replaced_in_place_is_served_without_a_gap(rig, name, served, how):
    watch = served(1)
    seen = len(watch.events)
    with rig.asking(name) as client:
        if how == "files":
            rig.models.refill(name, 1, "inverted")
        else:
            new = rig.models.aside("inverted")
            rig.models.take_away(name, 1)
            new.rename(rig.models.root / name / "1")
        watch.wait_for_state(1, "AVAILABLE", after=seen)
        client.wait_for_more(5)
    labels = [label for _, label in client.answers]
    assert labels == sorted(labels, reverse=True)  # all positive, and then all negative
    assert {*labels} == {"positive", "negative"}
    assert watch.states(1) == ["LOADING", "AVAILABLE", "AVAILABLE"]
    assert rig.metric("sentinova_model_compilations_total", model=name, version="1") == 2


def test_files_that_are_overwritten_while_they_serve_do_no_harm(rig, name, served):
    """As `cp` does it: the same files are emptied and filled, and the weights are shorter for a moment."""
    watch = served(1)
    folder = rig.models.root / name / "1"
    with rig.asking(name) as client:
        for file in ("model.bin", "golden.json"):
            (folder / file).write_bytes(b"")
            client.wait_for_more(5)
            (folder / file).write_bytes((rig.models.aside("inverted") / file).read_bytes())
        until(lambda: rig.ask(name).label, lambda label: label == "negative")
        client.wait_for_more(5)
    labels = [label for _, label in client.answers]
    assert labels == sorted(labels, reverse=True)
    assert "UNLOADING" not in watch.states(1)


def test_a_change_that_cannot_be_loaded_leaves_what_was_loaded(rig, name, served):
    watch = served(1)
    with rig.asking(name) as client:
        golden = rig.models.root / name / "1" / "golden.json"
        right = golden.read_text()
        golden.write_text(json.dumps({**json.loads(right), "tolerance": "wide"}))
        warning = watch.wait_for_kind("WARNING")
        assert (warning.version, "golden.json" in warning.message) == (1, True)
        assert rig.message(name, 1) == warning.message
        golden.write_text(right)
        watch.wait_for_state(1, "AVAILABLE", after=len(watch.events))
        client.wait_for_more(5)
    assert {*client.answers} == {(1, "positive")}
    assert "golden texts" in rig.message(name, 1)


# The repository


def test_a_repository_that_is_away_for_a_while_changes_nothing(new_models, start_rig):
    models = new_models()
    models.add("tiny", 1)
    models.add("other", 1)
    flags = ("--model-control-mode", "poll", "--repository-poll-secs", "0.1", "--settle-secs", "0.1")
    with start_rig(models, *flags) as rig, rig.watch() as watch, rig.asking("tiny") as client:
        away = models.root.with_name("away")
        models.root.rename(away)
        rig.server.wait_for("repository_unreadable")
        client.wait_for_more(200)  # some looks long
        assert rig.asked("other") == 1
        assert refusal(rig.calls.ReloadRepository).code in ("UNAVAILABLE", "FAILED_PRECONDITION")
        away.rename(models.root)
        rig.server.wait_for("repository_readable")
        models.add("tiny", 2)
        watch.wait_for_state(1, "END", model="tiny")
        client.wait_for_more(5)
        assert client.answers[-1][0] == 2
        assert len(rig.logged("repository_unreadable")) == 1
        assert {event[1:] for event in watch.news if event[0] == "STATE"} == {
            ("tiny", 2, "LOADING"), ("tiny", 2, "AVAILABLE"), ("tiny", 1, "UNLOADING"), ("tiny", 1, "END"),
        }  # fmt: skip
        assert rig.page("/readyz") == (200, "ready\n")


def test_the_model_of_nobody_else_was_ever_touched(rig):
    """Last: with all that was done beside it, a model that nothing was done to was loaded once."""
    assert rig.states("always") == {1: "AVAILABLE"}
    assert rig.metric("sentinova_model_compilations_total", model="always", version="1") == 1
    assert not rig.logged("life_failed")
    assert not rig.logged("look_failed")
    assert rig.server.process.poll() is None


def names(rig):
    return [model.name for model in rig.calls.ListModels().models]
