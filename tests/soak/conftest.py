"""What the soak shares: its scale, its report, contents, and the scores of the shipped model.

`make soak` runs the long form and writes build/soak/report.md; `make test` runs the same in short.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # where the tests find `soaking`

from sentinova.v1 import sentiment_service_pb2 as pb
from soaking.contents import TEXTS, Shelf
from soaking.ledger import Scorer
from soaking.processes import ROOT, run_server
from soaking.report import Report
from soaking.scale import Scale, choose_scale
from soaking.watching import observe

SHIPPED = ROOT / "model_repository" / "sentiment_en"
REPORT_FOLDER = ROOT / "build" / "soak"
_SCALE = choose_scale()


def pytest_report_header() -> str:
    """Tells the seed at the start, for a run that does not come to its end."""
    return f"soak: {_SCALE.name} form, seed {_SCALE.seed}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives the tests of this folder the time that their form takes."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(_SCALE.test_seconds))


@pytest.fixture(scope="session")
def scale() -> Scale:
    """The form that is run."""
    return _SCALE


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest, scale: Scale) -> Iterator[Report]:
    """The report; the long form writes it, whether its tests pass or not."""
    report = Report(scale)
    yield report
    if scale.name == "long":
        report.write(REPORT_FOLDER, request.session.testsfailed)
        reporter = request.config.pluginmanager.get_plugin("terminalreporter")
        capture = request.config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled():
            reporter.write_line("")
            reporter.write_line(report.markdown(request.session.testsfailed))
            reporter.write_line(f"Written to {REPORT_FOLDER}")


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """Contents, each written once."""
    return Shelf(tmp_path_factory.mktemp("shelf"))


@pytest.fixture(scope="session")
def shipped() -> Path:
    """The shipped model's folder."""
    return SHIPPED


@pytest.fixture(scope="session")
def shipped_scorers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scorer]:
    """What the shipped model's two versions say of the made texts, asked of a server that does nothing else."""
    root = tmp_path_factory.mktemp("shipped")
    folder = root / "repository" / "shipped"
    folder.mkdir(parents=True)
    (folder / "config.pbtxt").write_text("version_policy { all {} }")
    for version in (1, 2):
        (folder / str(version)).symlink_to(SHIPPED / str(version))
    scorers: dict[str, Scorer] = {}
    with run_server(root / "repository", root / "log") as server, observe(server.address) as observer:
        for version in (1, 2):
            scores = {}
            for text in TEXTS:
                request = pb.AnalyzeSentimentRequest(
                    document=pb.Document(text=text), config=pb.AnalysisConfig(version=version)
                )
                result = observer.sentiment.AnalyzeSentiment(request, timeout=60).result
                scores[text] = next(entry.score for entry in result.scores if entry.label == "positive")
            scorers[f"shipped-{version}"] = scores.__getitem__
    return scorers
