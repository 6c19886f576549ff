"""A case: what is asked of a server, and what it should answer. The same case runs against either server.

Knows how cases are made and named; must not know servers, or which cases there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tritonclient.grpc import service_pb2 as pb

from conforming.observations import Observation, answer, observe
from conforming.targets import CALL_SECONDS, Target

Mode = Literal["none", "poll", "explicit"]


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        name: its name, which the table of differences uses; unique.
        run: asks a server, and gives what was observed.
        expected: what Sentinova gives.
        mode: the server's model control mode.
        deadly: whether the request is known to kill or hang a Triton, so that it gets one of its own.
    """

    name: str
    run: Callable[[Target], Observation]
    expected: Observation
    mode: Mode = "none"
    deadly: bool = False


def infer(
    name: str, message: pb.ModelInferRequest, expected: Observation, *, digits: int = 0, deadly: bool = False
) -> Case:
    """Makes a case of one ModelInfer.

    Args:
        name: the case's name.
        message: the request.
        expected: what Sentinova gives; where that is an error, the words that its message has.
        digits: decimals that floats are rounded to.
        deadly: as in `Case`.
    """

    def run(target: Target) -> Observation:
        return observe(
            lambda: answer(target.stub.ModelInfer(message, timeout=CALL_SECONDS), digits), *expected.get("names", ())
        )

    return Case(name, run, expected, deadly=deadly)


def call(
    name: str,
    method: str,
    message: Any,
    expected: Observation,
    facts: Callable[[Any], Observation] = lambda _: {},
    *,
    mode: Mode = "none",
) -> Case:
    """Makes a case of one call.

    Args:
        name: the case's name.
        method: of the service.
        message: its request.
        expected: what Sentinova gives.
        facts: gives what matters of the response.
        mode: as in `Case`.
    """

    def run(target: Target) -> Observation:
        return observe(
            lambda: facts(getattr(target.stub, method)(message, timeout=CALL_SECONDS)), *expected.get("names", ())
        )

    return Case(name, run, expected, mode)
