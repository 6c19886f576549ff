"""What the end-to-end tests share: every language's runner, the servers, and the table at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # where the tests find `polyglot`

from polyglot.languages import BUILD_SECONDS, LANGUAGES, PRODUCTS, BuildError, Language
from polyglot.runner import Line, Runner
from polyglot.servers import ALL_VERSIONS, Certificates, add_model, delayed
from polyglot.table import FAILED, NOT_RUN, PASSED, Table

_HERE = Path(__file__).parent
_TABLE = pytest.StashKey[Table]()
REPORT = PRODUCTS / "report.md"


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker that names a row of the table."""
    config.addinivalue_line(
        "markers", "capability(name, language): where in the table a test's outcome belongs: its row, and its column"
    )
    config.stash[_TABLE] = Table()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives the first test of each language the time that a build takes."""
    built: set[str] = set()
    for item in items:
        language = _language_of(item)
        if _HERE in item.path.parents and language is not None and language not in built:
            built.add(language)
            item.add_marker(pytest.mark.timeout(BUILD_SECONDS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Notes each test's outcome in the table."""
    report = yield
    marker, language = item.get_closest_marker("capability"), _language_of(item)
    if marker is not None and (report.when == "call" or not report.passed):
        reason = ""
        if report.skipped:
            reason = str(report.longrepr[2]).removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""
        outcome = PASSED if report.passed else NOT_RUN if report.skipped else FAILED
        column = language or marker.kwargs.get("language", "")
        item.config.stash[_TABLE].add(marker.args[0], column, outcome, reason)
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Prints the table, and writes it."""
    table = config.stash[_TABLE]
    if table:
        table.write(REPORT)
        terminalreporter.section("clients")
        terminalreporter.write_line(table.markdown())
        terminalreporter.write_line(f"Written to {REPORT}")


def _language_of(item: pytest.Item) -> str | None:
    language = getattr(getattr(item, "callspec", None), "params", {}).get("language")
    return language.name if isinstance(language, Language) else None


class Builder:
    """Builds each language's runner once in a session."""

    def __init__(self) -> None:
        # Why there is no runner, by language; empty where there is one.
        self._lacking: dict[str, str] = {}

    def runner(self, language: Language) -> Runner:
        """Gives the runner; skips the test where the tool chain is missing, fails the first one where the build fails."""
        name = language.name
        if name not in self._lacking:
            self._lacking[name] = language.missing()
            if not self._lacking[name]:
                try:
                    language.build()
                except BuildError as error:
                    self._lacking[name] = "its build failed"
                    pytest.fail(str(error), pytrace=False)
        if self._lacking[name]:
            pytest.skip(f"{name}: {self._lacking[name]}")
        return Runner(name, language.command, _HERE)


@pytest.fixture(scope="session")
def builder() -> Builder:
    """The builder of runners."""
    return Builder()


@pytest.fixture(params=LANGUAGES, ids=lambda language: language.name)
def language(request: pytest.FixtureRequest) -> Language:
    """A language."""
    return request.param


@pytest.fixture
def client(language: Language, builder: Builder) -> Runner:
    """The language's runner."""
    return builder.runner(language)


@pytest.fixture(scope="session")
def all_clients(request: pytest.FixtureRequest, builder: Builder) -> list[Runner]:
    """The runners of all languages that this session tests and can build; the others tell of it in tests of their own."""
    tested = {_language_of(item) for item in request.session.items}
    runners = []
    for language in LANGUAGES:
        if language.name not in tested:
            continue
        try:
            runners.append(builder.runner(language))
        except (pytest.skip.Exception, pytest.fail.Exception):
            continue
    return runners


@pytest.fixture(scope="session")
def answers() -> dict[tuple[str, str], list[Line]]:
    """What each language (first) was told in each scenario (second), kept to be compared."""
    return {}


@pytest.fixture(scope="session")
def table(pytestconfig: pytest.Config) -> Table:
    """The table."""
    return pytestconfig.stash[_TABLE]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory) -> Certificates:
    """Certificates made on the spot."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, tiny_version) -> Path:
    """A repository with one tiny model."""
    repository = tmp_path_factory.mktemp("tiny") / "repository"
    add_model(repository, "tiny", tiny_version)
    return repository


@pytest.fixture(scope="session")
def waiting_server(tmp_path_factory, tiny_version, start_server) -> Iterator[Any]:
    """A server on which a document waits for good for others to fill its batch: model `waiting`; `narrow` has room for two."""
    repository = tmp_path_factory.mktemp("waiting") / "repository"
    add_model(repository, "waiting", tiny_version, delayed())
    add_model(repository, "narrow", tiny_version, delayed(queue=2))
    with start_server(repository) as server:
        yield server


@pytest.fixture(scope="session")
def tls_server(tiny, certificates, start_server) -> Iterator[Any]:
    """A server with TLS, whose certificate is for its address."""
    with start_server(tiny, *certificates.flags()) as server:
        yield server


@pytest.fixture(scope="session")
def mutual_server(tiny, certificates, start_server) -> Iterator[Any]:
    """A server with mutual TLS, whose certificate is for a name that its address is not."""
    with start_server(tiny, *certificates.flags("named-server", mutual=True)) as server:
        yield server


@pytest.fixture(scope="session")
def large_server(tmp_path_factory, tiny_version, start_server) -> Iterator[Any]:
    """A server whose model has classes with names of 2,000 characters: answers are large."""
    repository = tmp_path_factory.mktemp("large") / "repository"
    folder = add_model(repository, "large", tiny_version)
    (folder / "1" / "labels.txt").write_text("".join(f"{name}-{'x' * 2000}\n" for name in ("negative", "positive")))
    with start_server(repository) as server:
        yield server


@pytest.fixture(scope="session")
def changing_server(tmp_path_factory, tiny_version, start_server) -> Iterator[Any]:
    """A server in explicit mode, with a model `changing` of the versions 1 and 2; the first is loaded by default."""
    repository = tmp_path_factory.mktemp("changing") / "repository"
    add_model(repository, "changing", tiny_version, "version_policy { specific { versions: 1 } }\n")
    tiny_version(repository / "changing" / "2")
    with start_server(repository, "--model-control-mode", "explicit", "--load-model", "*") as server:
        yield server


@pytest.fixture(scope="session")
def unready_server(tmp_path_factory, tiny_version, start_server) -> Iterator[Any]:
    """A server that is not ready: its model `broken` gives other logits than its golden values; `whole` serves."""
    repository = tmp_path_factory.mktemp("unready") / "repository"
    add_model(repository, "whole", tiny_version, ALL_VERSIONS)
    folder = add_model(repository, "broken", tiny_version)
    (folder / "1" / "labels.txt").write_text("only-one\n")
    with start_server(repository, "--strict-readiness") as server:
        yield server


@pytest.fixture(scope="session")
def routed_server(tmp_path_factory, tiny_version, start_server) -> Iterator[Any]:
    """A server whose versions 1 and 2 have labels, and share what asks for neither."""
    repository = tmp_path_factory.mktemp("routed") / "repository"
    settings = {"label.stable": "1", "label.canary": "2", "weight.1": "50", "weight.2": "50"}
    lines = [f'parameters {{ key: "{key}" value {{ string_value: "{text}" }} }}\n' for key, text in settings.items()]
    add_model(repository, "routed", tiny_version, ALL_VERSIONS + "".join(lines))
    tiny_version(repository / "routed" / "2")
    with start_server(repository) as server:
        yield server
