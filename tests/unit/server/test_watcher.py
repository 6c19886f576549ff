"""A change below the root wakes the one that waits, and where that cannot be known, the interval does.

Where a test waits for a change, it would wait for longer than tests may take, were it not told.
"""

import asyncio
import shutil
import threading

import pytest
from sentinova_server.repository import watcher as watcher_module
from sentinova_server.repository.watcher import RepositoryWatcher
from structlog.testing import capture_logs

NEVER = 3600.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    for name, value in (("_STEP_MS", 20), ("_ROOT_CHECK_MS", 50), ("_ROOT_CHECK_SECONDS", 0.02)):
        monkeypatch.setattr(watcher_module, name, value)


@pytest.fixture
async def watch():
    """Gives a watcher of a folder that watches it already; closes it at the end."""
    made = []

    async def watch(root, interval=NEVER):
        watcher = RepositoryWatcher(root, interval)
        made.append(watcher)
        # It tells of the time before the watch was in place, and so that it is.
        await watcher.changed()
        return watcher

    yield watch
    for watcher in made:
        await watcher.close()
    assert not threads()


def threads():
    return [thread.name for thread in threading.enumerate() if thread.name == "watch"]


CHANGES = {
    "model": lambda root: (root / "n").mkdir(),
    "version": lambda root: (root / "m" / "2").mkdir(),
    "file": lambda root: (root / "m" / "1" / "model.bin").write_text("weights"),
    "content": lambda root: (root / "m" / "1" / "model.xml").write_text("other"),
    "mode": lambda root: (root / "m" / "1" / "model.xml").chmod(0o600),
    "name": lambda root: (root / "m" / "1").rename(root / "m" / "2"),
    "less": lambda root: (root / "m" / "1" / "model.xml").unlink(),
    "link": lambda root: (root / "m" / "2").symlink_to("1"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_a_change_at_any_depth_wakes(watch, tmp_path, change):
    (tmp_path / "m" / "1").mkdir(parents=True)
    (tmp_path / "m" / "1" / "model.xml").write_text("graph")
    watcher = await watch(tmp_path)
    change(tmp_path)
    await watcher.changed(NEVER)


async def test_what_comes_to_be_after_the_watch_began_is_watched_too(watch, tmp_path):
    watcher = await watch(tmp_path)
    (tmp_path / "m").mkdir()
    await watcher.changed(NEVER)
    (tmp_path / "m" / "1").mkdir()
    await watcher.changed(NEVER)


async def test_a_change_that_came_before_the_wait_is_told_once(watch, tmp_path):
    watcher = await watch(tmp_path)
    (tmp_path / "m").mkdir()
    await watcher._changed.wait()
    await watcher.changed(NEVER)
    assert not watcher._changed.is_set()


async def test_a_cancelled_wait_loses_no_change(watch, tmp_path):
    watcher = await watch(tmp_path)
    waiting = asyncio.create_task(watcher.changed(NEVER))
    await asyncio.sleep(0)
    waiting.cancel()
    watcher._changed.set()
    await asyncio.gather(waiting, return_exceptions=True)
    await watcher.changed(NEVER)


async def test_the_interval_and_the_timeout_end_a_wait(watch, tmp_path):
    watcher = await watch(tmp_path, interval=0.01)
    await watcher.changed()
    await watcher.changed(NEVER)
    patient = await watch(tmp_path)
    await patient.changed(0.01)


async def test_a_root_that_is_deleted_and_made_anew_is_watched_again(watch, tmp_path):
    root = tmp_path / "repository"
    (root / "m").mkdir(parents=True)
    watcher = await watch(root)
    for name in ("n", "o"):
        shutil.rmtree(root)
        await watcher.changed(NEVER)
        root.mkdir()
        await watcher.changed(NEVER)  # the watch is in place again
        (root / name).mkdir()
        await watcher.changed(NEVER)


async def test_a_root_that_leads_elsewhere_now_is_watched_there(watch, tmp_path):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("old")
    watcher = await watch(tmp_path / "link")
    (tmp_path / "next").symlink_to("new")
    (tmp_path / "next").rename(tmp_path / "link")
    await watcher.changed(NEVER)
    (tmp_path / "new" / "m").mkdir()
    await watcher.changed(NEVER)


async def test_a_root_that_comes_later_is_watched(tmp_path):
    watcher = RepositoryWatcher(tmp_path / "later", NEVER)
    with capture_logs() as logs:
        await watcher.changed(0.01)
        (tmp_path / "later").mkdir()
        await watcher.changed(NEVER)
        await watcher.close()
    assert logs == []


async def test_where_the_kernel_gives_no_watch_the_interval_goes_on_and_the_log_says_so_once(tmp_path, monkeypatch):
    failed = threading.Semaphore(0)

    def refuse(*_, **__):
        failed.release()
        raise OSError(28, "OS file watch limit reached")
        yield

    monkeypatch.setattr(watcher_module.watchfiles, "watch", refuse)
    watcher = RepositoryWatcher(tmp_path, 0.01)
    with capture_logs() as logs:
        await watcher.changed()
        for _ in range(3):
            await asyncio.to_thread(failed.acquire)
        await watcher.changed()
        await watcher.close()
    assert [entry["event"] for entry in logs] == ["watch_failed"]
    assert "watch limit" in logs[0]["reason"]
    assert not threads()


async def test_a_watch_that_breaks_is_made_anew(tmp_path, monkeypatch):
    original = watcher_module.watchfiles.watch
    broken, again = [], threading.Event()

    def break_once(*paths, **options):
        if not broken:
            broken.append(True)
            raise RuntimeError("internal error")
        again.set()
        yield from original(*paths, **options)

    monkeypatch.setattr(watcher_module.watchfiles, "watch", break_once)
    watcher = RepositoryWatcher(tmp_path, 0.01)
    await watcher.changed()
    await asyncio.to_thread(again.wait)
    watcher._interval = NEVER
    await watcher.changed()  # the watch is in place
    (tmp_path / "m").mkdir()
    await watcher.changed()
    await watcher.close()


async def test_closing_twice_and_unused_is_fine(tmp_path):
    unused = RepositoryWatcher(tmp_path, NEVER)
    await unused.close()
    await unused.changed(0)
    watcher = RepositoryWatcher(tmp_path, NEVER)
    await watcher.changed(0)
    assert threads() == ["watch"]
    await watcher.close()
    await watcher.close()
    assert not threads()


def test_a_loop_that_ends_without_closing_ends_the_thread(tmp_path):
    made = []

    async def forget():
        made.append(RepositoryWatcher(tmp_path, NEVER))
        await made[0].changed()

    asyncio.run(forget())
    (tmp_path / "m").mkdir()
    made[0]._thread.join()
    assert not threads()
