"""Looks at a repository: what comes must settle, and what goes must have been gone for as long."""

import asyncio
import shutil
import time

import pytest
from sentinova_server.errors import LoadError
from sentinova_server.serving.look import RepositoryLook

SETTLE = 5.0


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def root(tmp_path):
    return tmp_path / "repository"


@pytest.fixture
def looker(root, clock):
    return RepositoryLook(root, SETTLE, clock)


def write_version(root, model, version):
    """Writes what passes for a version."""
    folder = root / model / str(version)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.bin").write_text("weights")
    return folder


def settled(sightings):
    return {name: sorted(sighting.settled) for name, sighting in sightings.items()}


def found(sightings):
    return {name: sorted(sighting.folder.found) for name, sighting in sightings.items()}


async def test_what_comes_settles_once_it_has_not_changed_for_a_while(root, looker, clock):
    folder = write_version(root, "m", 1)
    assert settled(await looker.look()) == {"m": []}
    clock.now += SETTLE - 0.1
    assert settled(await looker.look()) == {"m": []}
    (folder / "labels.txt").write_text("a\n")
    clock.now += 0.2
    assert settled(await looker.look()) == {"m": []}
    assert looker.pause(60) == pytest.approx(SETTLE)
    clock.now += SETTLE
    sightings = await looker.look()
    assert settled(sightings) == {"m": [1]}
    assert sightings["m"].is_settled
    assert looker.pause(60) == 60


async def test_a_version_that_is_renamed_away_is_there_until_the_settle_time_is_over(root, looker, clock):
    write_version(root, "m", 1)
    write_version(root, "m", 2)
    await looker.look()
    clock.now += SETTLE
    assert settled(await looker.look()) == {"m": [1, 2]}
    (root / "m" / "2").rename(root / "aside")
    sightings = await looker.look()
    assert (found(sightings)["m"], settled(sightings)["m"]) == ([1, 2], [1])
    assert looker.pause(60) == pytest.approx(SETTLE)
    clock.now += SETTLE - 0.1
    assert found(await looker.look())["m"] == [1, 2]
    (root / "aside").rename(root / "m" / "2")
    assert found(await looker.look())["m"] == [1, 2]
    shutil.rmtree(root / "m" / "2")  # the time begins anew
    assert found(await looker.look())["m"] == [1, 2]
    clock.now += SETTLE
    assert found(await looker.look())["m"] == [1]
    assert looker.pause(60) == 60


async def test_a_model_that_is_renamed_away_is_there_until_the_settle_time_is_over(root, looker, clock):
    write_version(root, "a", 1)
    write_version(root, "b", 1)
    await looker.look()
    clock.now += SETTLE
    await looker.look()
    shutil.rmtree(root / "a")
    sightings = await looker.look()
    assert (found(sightings), settled(sightings)) == ({"a": [1], "b": [1]}, {"a": [], "b": [1]})
    assert not sightings["a"].is_settled
    clock.now += SETTLE
    assert found(await looker.look()) == {"b": [1]}


@pytest.mark.parametrize("level", ["version", "model"])
async def test_what_is_away_at_every_look_but_came_back_between_is_not_gone(root, looker, clock, level):
    write_version(root, "m", 1)
    write_version(root, "n", 1)
    await looker.look()
    clock.now += SETTLE
    await looker.look()
    folder = root / "m" / "1" if level == "version" else root / "m"
    away = folder.with_name(".away")
    for _ in range(3):
        folder.rename(away)
        assert found(await looker.look())["m"] == [1]
        clock.now += SETTLE
        away.rename(folder)
    for _ in range(100):  # a folder that changes for ever does not keep what is gone
        if folder.exists():
            folder.rename(away)
        (away.parent / ".other").mkdir()
        (away.parent / ".other").rmdir()
        if not found(await looker.look()).get("m"):
            break
        clock.now += SETTLE * 0.9
    else:
        pytest.fail("it is still there")


async def test_the_config_settles_too(root, looker, clock):
    write_version(root, "m", 1)
    (root / "m" / "config.pbtxt").write_text("version_policy { all {} }")
    assert not (await looker.look())["m"].config_settled
    clock.now += SETTLE
    assert (await looker.look())["m"].config_settled
    (root / "m" / "config.pbtxt").write_text("version_pol")
    assert not (await looker.look())["m"].config_settled


async def test_without_a_settle_time_what_is_there_is_settled_and_what_goes_is_gone(root, clock):
    looker = RepositoryLook(root, 0.0, clock)
    write_version(root, "m", 1)
    assert settled(await looker.look()) == {"m": [1]}
    shutil.rmtree(root / "m")
    assert found(await looker.look()) == {}


async def test_what_the_file_system_says_is_old_needs_no_waiting_at_first_sight(root):
    folder = write_version(root, "m", 1)
    looker = RepositoryLook(root, 0.05)
    newest = max(path.stat().st_ctime for path in (folder, folder / "model.bin"))
    await asyncio.sleep(max(0.0, newest + 0.06 - time.time()))  # the kernel's own time cannot be set back
    assert settled(await looker.look()) == {"m": [1]}


async def test_a_repository_that_cannot_be_read_is_told_and_forgets_nothing(root, looker, clock):
    write_version(root, "m", 1)
    await looker.look()
    clock.now += SETTLE
    await looker.look()
    root.rename(root.with_name("elsewhere"))
    with pytest.raises(LoadError):
        await looker.look()
    clock.now += 100 * SETTLE
    root.with_name("elsewhere").rename(root)
    assert settled(await looker.look()) == {"m": [1]}


async def test_looking_until_all_has_settled_ends_where_files_change_for_ever(root, looker, clock, monkeypatch):
    folder = write_version(root, "m", 1)
    looks = []

    async def sleep(seconds):
        looks.append(seconds)
        clock.now += 1.0
        (folder / "model.bin").write_text(str(len(looks)))

    monkeypatch.setattr("sentinova_server.serving.look.asyncio.sleep", sleep)
    assert settled(await looker.look_settled()) == {"m": []}
    assert 10 * SETTLE <= len(looks) <= 10 * SETTLE + 2
    assert settled(await looker.look_settled("other")) == {"m": []}  # of no concern to who asks for another
