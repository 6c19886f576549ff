"""Watchers get every change once, in order, and end when they should."""

import asyncio

import pytest
from sentinova_server.errors import Reason, ServingError
from sentinova_server.serving import events
from sentinova_server.serving.events import EventKind, ModelEvent, ModelEvents


def event(number):
    return ModelEvent(EventKind.STATE, "m", number)


async def test_each_watcher_gets_every_change_in_order():
    hub = ModelEvents()
    hub.tell(event(0))  # before anybody watched
    with hub.watch() as one, hub.watch() as other:
        for number in (1, 2, 3):
            hub.tell(event(number))
        assert [(await one.next()).version for _ in range(3)] == [1, 2, 3]
        assert [(await other.next()).version for _ in range(3)] == [1, 2, 3]
    hub.tell(event(4))
    assert not hub._watches


async def test_a_watcher_waits_for_the_next_change():
    hub = ModelEvents()
    with hub.watch() as watch:
        waiting = asyncio.create_task(watch.next())
        await asyncio.sleep(0)
        assert not waiting.done()
        hub.tell(event(1))
        assert (await waiting).version == 1


async def test_a_closed_hub_ends_watches_after_what_waits_and_new_ones_at_once():
    hub = ModelEvents()
    with hub.watch() as watch:
        hub.tell(event(1))
        hub.close()
        assert (await watch.next()).version == 1
        assert await watch.next() is None
    with hub.watch() as late:
        assert await late.next() is None


async def test_a_watcher_that_does_not_read_is_cut_off_and_takes_no_more_memory(monkeypatch):
    monkeypatch.setattr(events, "_MAX_WAITING", 3)
    hub = ModelEvents()
    with hub.watch() as slow:
        for number in range(10):
            hub.tell(event(number))
        with pytest.raises(ServingError) as error:
            await slow.next()
    assert error.value.reason is Reason.WATCH_TOO_SLOW
    assert not slow._waiting
