"""What a server tells of its models: a WatchModels stream read on a thread, and waiting that is bounded.

Knows the stream's messages; must not know what brings a change about.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import grpc
from sentinova.v1 import model_service_pb2 as pb

# A bound, not a measure: what has not come by then does not come.
WAIT_SECONDS = 30.0
_LOOK_SECONDS = 0.02

_T = TypeVar("_T")


def until(look: Callable[[], _T], found: Callable[[_T], object]) -> _T:
    """Looks again and again until what is seen is as it should be; gives that."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not found(seen := look()):
        assert time.monotonic() < deadline, f"did not come to be; now: {seen}"
        time.sleep(_LOOK_SECONDS)  # between two looks
    return seen


def state_name(state: int) -> str:
    """Gives `AVAILABLE` for MODEL_VERSION_STATE_AVAILABLE, and so on."""
    return pb.ModelVersionState.Name(state).removeprefix("MODEL_VERSION_STATE_")


def describe(event: pb.WatchModelsResponse) -> tuple[str, str, int, str]:
    """Gives the kind, model, version and state of an event; the state is empty where it has none."""
    state = state_name(event.state) if event.state else ""
    return pb.ModelEventKind.Name(event.kind).removeprefix("MODEL_EVENT_KIND_"), event.model, event.version, state


class ModelWatch:
    """One WatchModels stream, from its SYNCED on."""

    def __init__(self, watch: Callable[..., grpc.Call], *names: str) -> None:
        """Begins the stream, and waits until all that is so has been told.

        Args:
            watch: the stub's method.
            names: models to watch; none: all.
        """
        self.events: list[pb.WatchModelsResponse] = []
        self._changed = threading.Condition()
        self._code: grpc.StatusCode | None = None
        self._call = watch(pb.WatchModelsRequest(names=names))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.synced = self.wait_for(lambda event: event.kind == pb.MODEL_EVENT_KIND_SYNCED)

    def __enter__(self) -> ModelWatch:
        return self

    def __exit__(self, *_: object) -> None:
        self._call.cancel()
        self._reader.join()

    @property
    def told(self) -> list[tuple[str, str, int, str]]:
        """All events so far."""
        return list(map(describe, self.events))

    @property
    def news(self) -> list[tuple[str, str, int, str]]:
        """The events since SYNCED."""
        return self.told[self.synced + 1 :]

    def states(self, version: int) -> list[str]:
        """Gives the states that a version has entered since SYNCED; of a watch of one model."""
        return [state for kind, _, number, state in self.news if (kind, number) == ("STATE", version)]

    def wait_for(self, found: Callable[[pb.WatchModelsResponse], object], *, after: int = 0) -> int:
        """Waits for the first event, from number `after` on, that is the one; gives its number."""

        def look() -> int | None:
            return next((index for index in range(after, len(self.events)) if found(self.events[index])), None)

        with self._changed:
            self._changed.wait_for(lambda: look() is not None or self._code, WAIT_SECONDS)
            index = look()
            assert index is not None, f"did not come ({self._code}); came: {[*map(str, self.events)]}"
        return index

    def wait_for_state(self, version: int, state: str, *, model: str = "", after: int = 0) -> pb.WatchModelsResponse:
        """Waits until a version enters a state; gives the event."""

        def found(event: pb.WatchModelsResponse) -> bool:
            kind, name, number, entered = describe(event)
            return (kind, number, entered) == ("STATE", version, state) and model in ("", name)

        return self.events[self.wait_for(found, after=after)]

    def wait_for_kind(self, kind: str, *, after: int = 0) -> pb.WatchModelsResponse:
        """Waits for an event of a kind; gives it."""
        return self.events[self.wait_for(lambda event: describe(event)[0] == kind, after=after)]

    def wait_for_end(self) -> grpc.StatusCode:
        """Waits until the server ends the stream; gives how."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._code is not None, WAIT_SECONDS), "the watch did not end"
        assert self._code is not None
        return self._code

    def _read(self) -> None:
        try:
            for event in self._call:
                with self._changed:
                    self.events.append(event)
                    self._changed.notify_all()
            code = grpc.StatusCode.OK
        except grpc.RpcError as error:
            code = error.code()
        with self._changed:
            self._code = code
            self._changed.notify_all()
