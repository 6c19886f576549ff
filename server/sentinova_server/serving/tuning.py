"""How a model version runs best on this host: forms of it are tried in turns, and the numbers choose.

Knows setups, trials and what counts as better; must not know where documents come from, config text or what is shown.

A setup is measured exactly as a server would run it with the settings that differ from the present ones changed in its
config, and no others. Trials go in turns over several rounds, so that a moment in which the host is busy with something
else meets them all; and what the rounds of one setup differ by is what a gain must be larger than.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from enum import StrEnum

from sentinova_server.errors import LoadError
from sentinova_server.repository.config import Precision
from sentinova_server.repository.config_edit import ConfigChange, change_config
from sentinova_server.runtime.preparation import Preparation
from sentinova_server.runtime.text_model import TextModel
from sentinova_server.serving.packing import BatchLimits
from sentinova_server.serving.scheduler import SchedulerLimits
from sentinova_server.serving.trial import Load, Measurement, run_trial

BUDGETS = (128, 256, 512, 1024, 2048)
ROUNDS = 3
# Where latency counts, setups that answer fewer documents than this share of the most are left out.
_LEAST_THROUGHPUT = 0.9


class Objective(StrEnum):
    """What the best setup is best at."""

    THROUGHPUT = "throughput"
    LATENCY = "latency"

    def score(self, measurement: Measurement) -> float:
        """Gives the number that decides; more is better."""
        return measurement.documents_per_second if self is Objective.THROUGHPUT else -measurement.p99


@dataclass(frozen=True, slots=True)
class Setup:
    """A way to run a version.

    Attributes:
        streams: inferences at once.
        precision: what it computes in.
        max_batch_tokens: most padded tokens in a batch.
    """

    streams: int
    precision: Precision
    max_batch_tokens: int


@dataclass(frozen=True, slots=True)
class Result:
    """What the trials of one setup gave.

    Attributes:
        setup: how the version ran.
        rounds: one measurement for each trial.
    """

    setup: Setup
    rounds: tuple[Measurement, ...]

    @property
    def median(self) -> Measurement:
        """The median of each number."""
        return Measurement(*map(statistics.median, zip(*map(astuple, self.rounds), strict=True)))

    def spread(self, objective: Objective) -> float:
        """Gives how far the rounds are from each other in what decides."""
        scores = [objective.score(measurement) for measurement in self.rounds]
        return max(scores) - min(scores)


@dataclass(frozen=True, slots=True)
class Choice:
    """The best setup, held against the present one.

    Attributes:
        best: what was best.
        present: what a server does now.
        gain: by how much the best is better, as a share of the present number.
        spread: what a gain must be larger than to be more than noise, as such a share too.
    """

    best: Result
    present: Result
    gain: float
    spread: float

    @property
    def pays(self) -> bool:
        """Whether the best is to be taken; otherwise the present setup is kept."""
        return self.best.setup != self.present.setup and self.gain > self.spread


def choose_best(results: Sequence[Result], present: Setup, objective: Objective) -> Choice:
    """Chooses among setups; the present one is among them. A pure function.

    For latency the lowest p99 wins among the setups that answer at least 90% of the most documents a second.
    """
    most = max(result.median.documents_per_second for result in results)
    least = 0.0 if objective is Objective.THROUGHPUT else _LEAST_THROUGHPUT * most
    able = [result for result in results if result.median.documents_per_second >= least]
    best = max(able, key=lambda result: objective.score(result.median))
    [now] = [result for result in results if result.setup == present]
    score = objective.score(now.median)
    return Choice(
        best=best,
        present=now,
        gain=(objective.score(best.median) - score) / abs(score),
        spread=max(best.spread(objective), now.spread(objective)) / abs(score),
    )


def find_change(present: Setup, setup: Setup, version: int) -> ConfigChange:
    """Gives what makes a server that runs a version in the present setup run it in another one."""
    return ConfigChange(
        instance_count=setup.streams if setup.streams != present.streams else None,
        max_batch_tokens=setup.max_batch_tokens if setup.max_batch_tokens != present.max_batch_tokens else None,
        precisions=((version, setup.precision),) if setup.precision is not present.precision else (),
    )


class Tuner:
    """A version, loaded in several forms, each once, and what the trials of it have given so far."""

    def __init__(self, preparation: Preparation, *, default_tokens: int) -> None:
        """Loads the version as a server does it now.

        Args:
            preparation: of the version, with its present config.
            default_tokens: most padded tokens in a batch where the config does not say.

        Raises:
            LoadError: the version cannot be served.
        """
        self._preparation = preparation
        self._default_tokens = default_tokens
        self._rounds: dict[Setup, list[Measurement]] = {}
        model, proof = preparation.run()
        self.model = model
        self.proven = proof.logits is not None or proof.scores is not None
        self.present = Setup(model.parallelism, model.precision, preparation.config.max_batch_tokens or default_tokens)
        self._models: dict[tuple[int, Precision], TextModel] = {(model.parallelism, model.precision): model}
        # One loop for all trials, closed after the models: their last batches still tell it that they are done.
        self._runner = asyncio.Runner()

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """What the version may compute in: a quantized one as now, any other in bfloat16 only where that is proved."""
        now = self.present.precision
        if now is Precision.INT8:
            return (now,)
        able = self._preparation.engine.has_bf16 and (self.proven or now is Precision.BF16)
        return (Precision.F32, Precision.BF16) if able else (Precision.F32,)

    @property
    def results(self) -> list[Result]:
        """What all trials gave, the most documents a second first."""
        results = [Result(setup, tuple(rounds)) for setup, rounds in self._rounds.items()]
        return sorted(results, key=lambda result: result.median.documents_per_second, reverse=True)

    def load(self, streams: Iterable[int]) -> list[str]:
        """Loads the version in every precision with each number of streams, the present one among them.

        Returns:
            Why precisions were refused.

        Raises:
            LoadError: the version cannot be loaded so.
        """
        wanted = [self.present.streams, *streams]
        refused = []
        for precision in self.precisions:
            try:
                for count in wanted:
                    self._load(count, precision)
            except LoadError as error:
                if precision is not Precision.BF16:
                    raise
                refused.append(f"{precision}: {error}")
        return refused

    def _load(self, streams: int, precision: Precision) -> None:
        if (streams, precision) in self._models:
            return
        before = self._preparation
        change = find_change(self.present, replace(self.present, streams=streams, precision=precision), before.version)
        model, _ = replace(before, config=change_config(before.config, change)).run()
        # OpenVINO may make fewer streams than it was asked for.
        if (model.parallelism, model.precision) in self._models:
            model.close()
        else:
            self._models[model.parallelism, model.precision] = model

    def forms(self) -> list[Setup]:
        """Gives the setups that differ in streams and precision, and the present one."""
        tokens = self._default_tokens
        return _distinct(self.present, [Setup(streams, precision, tokens) for streams, precision in self._models])

    def budgets(self, setup: Setup) -> list[Setup]:
        """Gives the setups that differ from one in the tokens of a batch, and the present one."""
        return _distinct(self.present, [setup, *(replace(setup, max_batch_tokens=tokens) for tokens in BUDGETS)])

    def measure(self, setups: Sequence[Setup], load: Load, done: Callable[[], object] = lambda: None) -> None:
        """Tries setups in turns, `ROUNDS` times each; before that once without counting, as new shapes take longer.

        Args:
            setups: which; their forms are loaded.
            load: what each trial asks.
            done: called after each trial, of which there are `count_trials`.

        Raises:
            TrialError: the model fails on a document.
        """
        for setup in setups:
            self._try(setup, load)
            done()
        for number in range(ROUNDS):
            # There and back: what slows the host down slowly meets the first and the last alike.
            for setup in setups if number % 2 == 0 else reversed(setups):
                self._rounds.setdefault(setup, []).append(self._try(setup, load))
                done()

    def close(self) -> None:
        """Frees the memory."""
        for model in self._models.values():
            model.close()
        self._runner.close()

    def _try(self, setup: Setup, load: Load) -> Measurement:
        config = self._preparation.config
        model = self._models[setup.streams, setup.precision]
        limits = SchedulerLimits(
            batch=BatchLimits(setup.max_batch_tokens, config.max_batch_size, packed=model.packs),
            queue_size=load.concurrency,
            max_delay=config.max_queue_delay,
        )
        return self._runner.run(run_trial(model, limits, load))


def choose_streams(cores: int) -> tuple[int, ...]:
    """Gives the numbers of streams to try: one with all cores, as many as half of the cores, and as many as cores."""
    return tuple(sorted({1, max(1, cores // 2), cores}))


def count_trials(setups: Sequence[Setup]) -> int:
    """Gives the number of trials that measuring these setups takes."""
    return len(setups) * (ROUNDS + 1)


def _distinct(present: Setup, setups: Iterable[Setup]) -> list[Setup]:
    return list(dict.fromkeys([present, *setups]))
