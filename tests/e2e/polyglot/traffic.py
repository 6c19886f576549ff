"""All clients at work at the same time, each on a tiny model of its own: the server's counts tell who was answered.

Knows the tiny model's texts and the runners; must not know what happens to the servers meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from polyglot.judging import check_each_once, check_result_line
from polyglot.runner import Line, Run, Runner, RunnerError
from polyglot.servers import add_model, until

# Texts, which are their own ids, and the labels that the tiny model gives them.
TEXTS = {"good": "positive", "bad film": "negative", "the film": "negative", "good good": "positive", "bad": "negative"}
DOCUMENTS = [{"id": text, "text": text} for text in TEXTS]
CONCURRENCY = 4
CALL_SECONDS = 60
# Calls of a client that must have been answered before something happens to a server.
ENOUGH = 20


def add_models(clients: Iterable[Runner], repository: Path, build: Callable[..., Path], config: str) -> None:
    """Adds a model for each client."""
    for client in clients:
        add_model(repository, client.name, build, config)


def check_right(lines: Sequence[Line], times: int = 1) -> None:
    """Checks that each document was answered so many times, each time right."""
    check_each_once(lines, TEXTS, times)
    for line in lines:
        check_right_line(line)


def check_right_line(line: Line) -> None:
    """Checks that an outcome is a result, with the label that the text has."""
    check_result_line(line)
    assert line["label"] == TEXTS[line["id"]], line


class Outcomes:
    """What came of runs, by client and scenario."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], list[Line]] = {}
        self._failures: dict[tuple[str, str], RunnerError] = {}

    def collect(self, key: tuple[str, str], run: Run, before: str) -> None:
        """Waits for a run; `before` says what was wrong with it earlier, where something was."""
        try:
            self._lines[key] = run.finish(2 * CALL_SECONDS)
            if before:
                raise RunnerError(f"{before}; then wrote {self._lines[key][-3:]}")
        except RunnerError as failure:
            self._failures[key] = failure

    def of(self, client: str, scenario: str = "unary") -> list[Line]:
        """Gives what a client's caller was told."""
        if (client, scenario) in self._failures:
            raise self._failures[client, scenario]
        return self._lines[client, scenario]


class Traffic:
    """Runs of all clients; leaving the context ends them. What is wrong with one of them is that one's failure alone."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._runs: dict[tuple[str, str], Run] = {}
        self._wrong: dict[tuple[str, str], str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def begin(self, client: Runner, address: str, scenario: str = "unary", **fields: Any) -> None:
        """Has a client begin; `fields` are other keys of the request."""
        request = {"documents": DOCUMENTS, "config": {"model": client.name}, "timeout_seconds": CALL_SECONDS, **fields}
        run = client.start(scenario, address, **request)
        self._runs[client.name, scenario] = self._stack.enter_context(run)

    def wait_for(self, enough: Callable[[str], bool]) -> None:
        """Waits until enough has become of each client's calls; none of its runs may have ended before."""
        for key, run in self._runs.items():
            if key in self._wrong:
                continue
            try:
                until(lambda name=key[0], run=run: enough(name) or not run.running, bool)
            except AssertionError:
                self._wrong[key] = f"of {key} not enough had come when its time was up"
            if not run.running:
                self._wrong[key] = f"{key} had ended before anything happened to a server"

    def finish(self) -> Outcomes:
        """Waits for all of them; gives what came of them."""
        outcomes = Outcomes()
        for key, run in self._runs.items():
            outcomes.collect(key, run, self._wrong.get(key, ""))
        return outcomes
