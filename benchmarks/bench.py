"""One run: starts the targets, keeps them for every part, and ends them however the run ends.

Knows targets, the load generator and results; must not know what a part measures or how it is shown.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.load import Load
from benchmarks.messages import Requests
from benchmarks.options import Options
from benchmarks.processes import ProcessError
from benchmarks.samples import Results
from benchmarks.targets.base import ROOT, Local, Model, Service, Target, Unavailable
from benchmarks.targets.kserve import KserveService
from benchmarks.targets.local import BareOpenvino, PaddleInference, Run
from benchmarks.targets.mlserver import MLServer
from benchmarks.targets.sentinova_server import SentinovaServer
from benchmarks.targets.triton import Triton
from benchmarks.texts import make_texts
from benchmarks.worker import Worker

# Every wait has an end: the generator's own calls end after a minute, whatever the server does.
_LOAD_SECONDS = 900.0
_CHECKED_TEXTS = 32
_WARM_UP_TEXTS = 128

_TITLES: dict[str, type[Target]] = {
    target.name: target for target in (BareOpenvino, SentinovaServer, Triton, MLServer, PaddleInference)
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of loading a service.

    Attributes:
        load: the generator's side.
        texts: texts answered.
        cpu_seconds: CPU time that the service's process tree used.
        others_cpu_seconds: CPU time that the other targets used meanwhile; they should be idle.
        padding: share of the tokens that its model read that were padding.
    """

    load: Load
    texts: int
    cpu_seconds: float
    others_cpu_seconds: float
    padding: float

    @property
    def texts_per_second(self) -> float:
        """Texts answered a second."""
        return self.texts / self.load.seconds

    def values(self) -> dict[str, float]:
        """Gives what every part records."""
        return {
            "texts_per_s": self.texts_per_second,
            "cpu_s_per_1000": 1000 * self.cpu_seconds / max(1, self.texts),
            "cores_used": self.cpu_seconds / self.load.seconds,
            "generator_cores": self.load.cpu_seconds / self.load.seconds,
            "others_cores": self.others_cpu_seconds / self.load.seconds,
            "padding": self.padding,
            "errors": float(sum(self.load.errors.values())),
        }


class Bench:
    """The targets of one run, and the generator that asks them.

    Attributes:
        options: what was asked for.
        model: what all targets run.
        results: what was measured so far.
        bare: the ceiling, or None where it is not wanted.
        paddle: Paddle Inference, or None where it is not wanted or not to be had.
        services: the servers, in the order of `options.targets`.
        budget: padded tokens in a batch with which bare OpenVINO was fastest.
    """

    def __init__(self, options: Options, model: Model, results: Results, say: Callable[[str], None]) -> None:
        """Use it as a context: that starts everything. `say` is told what happens."""
        self.options = options
        self.model = model
        self.results = results
        self.say = say
        self.bare: BareOpenvino | None = None
        self.paddle: PaddleInference | None = None
        self.services: list[Service] = []
        self.budget = BareOpenvino.BUDGETS[1]
        self._kept: set[str] = set()
        self._requests: dict[str, Requests] = {}
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        try:
            log = self.options.work / "generator.log"
            self._generator = Worker(
                "the load generator", [sys.executable, "-m", "benchmarks.load"], log, {"PYTHONPATH": str(ROOT)}
            )
            self._ends.callback(self._generator.stop)
            for name in self.options.targets:
                self._start(name)
            self._warm_up()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        """Ends every process. A second Ctrl-C must not leave one behind."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        self._ends.close()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    @property
    def sentinova(self) -> Service | None:
        """The server that all this is about, where it runs."""
        return next((service for service in self.services if service.name == SentinovaServer.name), None)

    def in_turn(self, number: int) -> list[Service]:
        """Gives the services for a round: each round another one is first, so that no place is better for one."""
        if not self.services:
            return []
        start = number % len(self.services)
        return [*self.services[start:], *self.services[:start]]

    def make_texts(self, mix: str) -> list[str]:
        """Makes the texts of a mix for one measurement; the same ones in every round."""
        return make_texts(mix, self.options.texts_of(mix))

    def keep(self, service: Service, key: str, requests: Requests) -> str:
        """Has the generator keep requests, unless it has them under this key; gives the key to send them by."""
        own_key = f"{service.name} {key}"
        known = self._requests.get(own_key)
        if known is None or known.bodies != requests.bodies:
            self._requests[own_key] = requests
            self._generator.call("keep", _LOAD_SECONDS, key=own_key, bodies=requests.bodies)
        return own_key

    def keep_mix(self, service: Service, mix: str) -> str:
        """Has the generator keep unary requests with the texts of a mix; gives the key to send them by."""
        return self.keep(service, f"{mix} unary", service.unary(self.make_texts(mix)))

    def keep_local(self, target: BareOpenvino | PaddleInference, key: str, texts: Sequence[str]) -> str:
        """Has a local target tokenize texts, once; gives the key to run them by."""
        own_key = f"{target.name} {key}"
        if own_key not in self._kept:
            target.keep(own_key, texts)
            self._kept.add(own_key)
        return own_key

    def run_closed(self, service: Service, key: str, clients: int, seconds: float = 0.0) -> Outcome:
        """Asks in a closed loop: each kept request once, or in turn for `seconds`."""
        requests = self._requests[key]
        return self._measure(service, "closed", requests, {"key": key, "clients": clients, "seconds": seconds})

    def run_stream(self, service: Service, key: str, window: int) -> Outcome:
        """Sends kept messages in one stream, so many of them unanswered at most."""
        requests = self._requests[key]
        return self._measure(service, "stream", requests, {"key": key, "first": requests.first, "window": window})

    def run_open(self, service: Service, plans: Sequence[tuple[str, Sequence[float]]]) -> Outcome:
        """Sends kept requests at planned times: keys with the times, in seconds since the start."""
        return self._measure(service, "open", self._requests[plans[0][0]], {"plans": plans})

    def run_local(self, target: Local, run: Callable[[], Run]) -> dict[str, float]:
        """Runs texts through a local target and gives what every part records."""
        before = target.cpu_seconds()
        done = run()
        cpu = target.cpu_seconds() - before
        return {
            "texts_per_s": done.texts / done.seconds,
            "cpu_s_per_1000": 1000 * cpu / done.texts,
            "cores_used": cpu / done.seconds,
            "padding": done.padding,
        }

    def _measure(self, service: Service, operation: str, requests: Requests, arguments: dict[str, object]) -> Outcome:
        others = [target for target in self._targets() if target is not service]
        padding, cpu, others_cpu = service.padding(), service.cpu_seconds(), _sum_cpu(others)
        load: Load = self._generator.call(
            operation, _LOAD_SECONDS, address=service.address, path=requests.path, **arguments
        )
        used, others_used = service.cpu_seconds() - cpu, _sum_cpu(others) - others_cpu
        texts = sum(map(len, load.latencies)) * requests.texts
        for reason, count in load.errors.items():
            self.results.notes.append(f"{service.title}: {count} calls failed: {reason}")
        if not texts:
            raise ProcessError(f"{service.title} answered no call: {load.errors}")
        return Outcome(load, texts, used, others_used, service.padding().since(padding))

    def _targets(self) -> Iterable[Target]:
        return [target for target in (self.bare, self.paddle, *self.services) if target is not None]

    def _start(self, name: str) -> None:
        title = _TITLES[name].title
        self.say(f"starting {title}")
        work = self.options.work / name
        try:
            target = self._make(name, work)
        except (Unavailable, ProcessError) as error:
            self.results.missing[title] = str(error)
            self.say(f"{title} is left out: {error}")
            return
        self._ends.callback(target.stop)
        self.results.titles[name] = title
        if isinstance(target, Service):
            self.services.append(target)

    def _make(self, name: str, work: Path) -> Target:
        if name == "bare":
            self.bare = BareOpenvino(self.model, work)
            return self.bare
        if name == "paddle":
            self.paddle = PaddleInference(self.model, work)
            self.results.facts["Paddle Inference"] = "{version}, {precision}".format(**self.paddle.about)
            return self.paddle
        if name == "sentinova":
            return self._make_sentinova(work)
        peer: type[KserveService] = Triton if name == "triton" else MLServer
        target = peer(self.model, work, self._ask)
        self.results.facts[target.title] = target.describe()
        return target

    def _make_sentinova(self, work: Path) -> SentinovaServer:
        server = SentinovaServer(self.model, work)
        self.results.facts[server.title] = server.describe()
        asked, found = self.model.precision, server.precision
        if found != asked:
            self.results.notes.append(
                f"Unequal precision: {server.title} computed in {found}, and {asked} was asked for."
            )
        return server

    def _ask(self, address: str, requests: Requests, timeout: float) -> list[bytes]:
        answers: list[bytes] = self._generator.call(
            "ask",
            timeout * (len(requests.bodies) + 1),
            address=address,
            path=requests.path,
            bodies=requests.bodies,
            timeout=timeout,
        )
        return answers

    def _warm_up(self) -> None:
        """Runs some texts on every target, and holds the services' answers against bare OpenVINO's."""
        self.say("warming up, and comparing answers")
        texts = make_texts("mixed", _WARM_UP_TEXTS, seed=2)
        expected: list[int] = []
        if self.bare is not None:
            key = self.keep_local(self.bare, "warm-up", texts[:_CHECKED_TEXTS])
            expected = self.bare.labels(key)
            self._choose_budget(self.bare)
        if self.paddle is not None:
            self.paddle.run_arrived(self.keep_local(self.paddle, "warm-up", texts), 16)
        for service in self.services:
            own = service.labels(self._ask(service.address, service.unary(texts[:_CHECKED_TEXTS]), 30.0))
            if expected:
                equal = sum(a == b for a, b in zip(own, expected, strict=True))
                self.results.add("agreement", "labels", service.name, 1, equal=equal, of=len(own))
            self.run_closed(service, self.keep(service, "warm-up", service.unary(texts)), self.options.clients)

    def _choose_budget(self, bare: BareOpenvino) -> None:
        key = self.keep_local(bare, "budget", self.make_texts(self.options.mix))
        seconds = {budget: bare.run_sorted(key, budget).seconds for budget in BareOpenvino.BUDGETS}
        self.budget = min(seconds, key=lambda budget: seconds[budget])
        speeds = ", ".join(f"{budget}: {self.options.texts / time:.0f} texts/s" for budget, time in seconds.items())
        self.results.facts["bare OpenVINO's batches"] = (
            f"sorted by length, at most {self.budget} padded tokens each, the fastest of {speeds}"
        )


def _sum_cpu(targets: Sequence[Target]) -> float:
    return sum(target.cpu_seconds() for target in targets)
