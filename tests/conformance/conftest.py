"""What the conformance suite shares: its scale, and the servers that cases run against.

`make test` runs every case against Sentinova and holds it to what is expected; `make conformance` runs them against a
real Triton too, and writes build/conformance/report.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent.parent))  # where the tests find `benchmarks`, and
sys.path.insert(0, str(Path(__file__).parent))  # `conforming`

from conforming.observations import Observation
from conforming.report import Report
from conforming.scale import FULL_VARIABLE, Scale, choose_scale
from conforming.servers import SentinovaServers, TritonServers
from conforming.triton_server import install_triton

HERE = Path(__file__).parent
REPORT_FOLDER = HERE.parent.parent / "build" / "conformance"
# One case, or the start of a server; the long fuzzing has its own.
_TEST_SECONDS = 300
_SCALE = choose_scale()
# Installing a Triton and starting it is not for every run of the tests.
collect_ignore = [] if _SCALE.full else ["test_triton.py"]


def pytest_report_header() -> str:
    """Tells the form and the seed."""
    form = (
        "against Sentinova and Triton" if _SCALE.full else f"against Sentinova; {FULL_VARIABLE}=1: against Triton too"
    )
    return f"conformance: {form}; {_SCALE.fuzz_messages} messages to fuzz, seed {_SCALE.seed}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives the tests of this folder the time that they take."""
    for item in items:
        if HERE in item.path.parents and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_TEST_SECONDS))


@pytest.fixture(scope="session")
def scale() -> Scale:
    """The form that is run."""
    return _SCALE


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest, scale: Scale) -> Iterator[Report]:
    """The report; the full form writes it, whether its tests pass or not."""
    report = Report(scale)
    yield report
    if scale.full:
        path = report.write(REPORT_FOLDER, request.session.testsfailed)
        reporter = request.config.pluginmanager.get_plugin("terminalreporter")
        capture = request.config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled():
            reporter.write_line(f"\n{report.summary()}\nWritten to {path}")


@pytest.fixture(scope="session")
def sentinova(tmp_path_factory, start_server, tiny_version) -> Iterator[SentinovaServers]:
    """Sentinova in each control mode."""
    servers = SentinovaServers(tmp_path_factory.mktemp("sentinova"), start_server, tiny_version)
    yield servers
    servers.close()


@pytest.fixture(scope="session")
def triton(tmp_path_factory) -> Iterator[TritonServers]:
    """A real Triton in each control mode."""
    servers = TritonServers(tmp_path_factory.mktemp("triton"), install_triton())
    yield servers
    servers.close()


@pytest.fixture(scope="session")
def observed() -> dict[str, Observation]:
    """What Sentinova gave in each case, by the case's name."""
    return {}
