"""What a server tells of its versions: a WatchModels stream kept from start to end, and GetModel."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
from sentinova.v1 import model_service_pb2 as pb
from sentinova.v1 import model_service_pb2_grpc, sentiment_service_pb2_grpc

LOADING = pb.MODEL_VERSION_STATE_LOADING
AVAILABLE = pb.MODEL_VERSION_STATE_AVAILABLE
UNLOADING = pb.MODEL_VERSION_STATE_UNLOADING
END = pb.MODEL_VERSION_STATE_END
FAILED = pb.MODEL_VERSION_STATE_FAILED
# A bound, not a measure: what has not come by then does not come.
WAIT_SECONDS = 60.0
_LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Seen:
    """An event, and when it was received on the monotonic clock."""

    event: pb.WatchModelsResponse
    received: float

    def is_state(self, model: str, version: int, *states: int) -> bool:
        """Tells whether it says that a version entered one of some states."""
        event = self.event
        return (
            (event.model, event.version) == (model, version)
            and event.kind in (pb.MODEL_EVENT_KIND_STATE, pb.MODEL_EVENT_KIND_INITIAL)
            and event.state in states
        )


class Observer:
    """Services of one server, and all that its WatchModels stream has told."""

    def __init__(self, channel: grpc.Channel, alive: Callable[[], None]) -> None:
        """Makes it; `alive` raises where the server is not."""
        self.models = model_service_pb2_grpc.ModelServiceStub(channel)
        self.sentiment = sentiment_service_pb2_grpc.SentimentServiceStub(channel)
        self.events: list[Seen] = []
        self._alive = alive
        self._changed = threading.Condition()
        self._over = ""
        self._call = self.models.WatchModels(pb.WatchModelsRequest())
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Ends the stream."""
        self._call.cancel()
        self._reader.join()

    @property
    def count(self) -> int:
        """Events so far: what comes after has at least this number."""
        with self._changed:
            return len(self.events)

    def wait_for(self, what: str, found: Callable[[Seen], bool], *, after: int = 0) -> Seen:
        """Waits for the first event from number `after` on that is the one."""
        checked = after
        deadline = time.monotonic() + WAIT_SECONDS
        with self._changed:
            while True:
                while checked < len(self.events):
                    if found(self.events[checked]):
                        return self.events[checked]
                    checked += 1
                self._alive()
                assert not self._over, f"the watch ended ({self._over}) before: {what}"
                left = deadline - time.monotonic()
                assert left > 0, f"did not happen: {what}; the last events: {self._describe()}"
                self._changed.wait(min(left, 1.0))

    def wait_for_state(self, model: str, version: int, *states: int, after: int = 0) -> Seen:
        """Waits until a version enters one of some states."""
        names = " or ".join(pb.ModelVersionState.Name(state) for state in states)
        return self.wait_for(
            f"{model}/{version} {names}", lambda seen: seen.is_state(model, version, *states), after=after
        )

    def model(self, name: str) -> pb.Model:
        """Gives a model as it is now."""
        return self.models.GetModel(pb.GetModelRequest(name=name), timeout=WAIT_SECONDS).model

    def version(self, name: str, number: int) -> pb.ModelVersion | None:
        """Gives a version as it is now; None: the server has none."""
        return next((one for one in self.model(name).versions if one.version == number), None)

    def until(self, what: str, name: str, found: Callable[[pb.Model], object]) -> pb.Model:
        """Looks at a model until it is as it should be."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            self._alive()
            model = self.model(name)
            if found(model):
                return model
            assert time.monotonic() < deadline, f"did not come to be: {what}; now: {model}; {self._describe()}"
            time.sleep(_LOOK_SECONDS)  # between two looks, which are bounded by the deadline

    def until_version(
        self, what: str, name: str, number: int, found: Callable[[pb.ModelVersion | None], object]
    ) -> pb.ModelVersion | None:
        """Looks at a version until it is as it should be."""

        def check(model: pb.Model) -> bool:
            return bool(found(next((one for one in model.versions if one.version == number), None)))

        model = self.until(f"{name}/{number}: {what}", name, check)
        return next((one for one in model.versions if one.version == number), None)

    def _read(self) -> None:
        try:
            for event in self._call:
                seen = Seen(event, time.monotonic())
                with self._changed:
                    self.events.append(seen)
                    self._changed.notify_all()
            over = "OK"
        except grpc.RpcError as error:
            over = f"{error.code().name}: {error.details()}"
        with self._changed:
            self._over = over
            self._changed.notify_all()

    def _describe(self) -> list[str]:
        return [f"{one.received:.3f} {' '.join(str(one.event).split())}" for one in self.events[-20:]]


@contextmanager
def observe(address: str, alive: Callable[[], None] = lambda: None) -> Iterator[Observer]:
    """Watches a server; gives the observer when all that was so has been told."""
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        observer = Observer(channel, alive)
        try:
            observer.wait_for("SYNCED", lambda seen: seen.event.kind == pb.MODEL_EVENT_KIND_SYNCED)
            yield observer
        finally:
            observer.close()
