"""The languages: what each needs, how its runner is built, and what runs it.

Knows tool chains and folders; must not know what is asked of a runner.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PRODUCTS = ROOT / "build" / "e2e"
# The first build fetches packages and compiles them.
BUILD_SECONDS = 900.0
_LOG_LINES = 40
# What builds leave beside sources.
_NO_SOURCES = {"node_modules", "dist", "target", "build", "__pycache__"}

Command = tuple[str, ...]


class BuildError(AssertionError):
    """A build failed; the message has the end of its log."""


@dataclass(frozen=True)
class Step:
    """One command of a build, and where it runs."""

    command: Command
    folder: Path = ROOT


@dataclass(frozen=True)
class Language:
    """A client's language.

    Attributes:
        name: as the table has it.
        missing: gives what the tool chain lacks; empty where it is complete.
        steps: what builds the runner.
        sources: files and folders that the build reads.
        product: a file that is there once it is built.
        command: what runs the runner.
    """

    name: str
    missing: Callable[[], str]
    steps: tuple[Step, ...]
    sources: tuple[Path, ...]
    product: Path
    command: Command

    @property
    def log(self) -> Path:
        """The log of the last build."""
        return PRODUCTS / self.name / "build.log"

    def build(self) -> str:
        """Builds the runner, unless it was built of the same sources; gives what was done.

        Raises:
            BuildError: a command failed, or did not end in time.
        """
        if not self.steps:
            return "nothing to build"
        mark, digest = PRODUCTS / self.name / "built", self._digest()
        if self.product.exists() and mark.exists() and mark.read_text() == digest:
            return "built before, of the same sources"
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.unlink(missing_ok=True)
        with self.log.open("w") as log:
            for step in self.steps:
                self._run(step, log.fileno())
        if not self.product.exists():
            raise BuildError(f"{self.name}: the build left no {self.product.relative_to(ROOT)}; see {self.log}")
        mark.write_text(digest)
        return "built"

    def _run(self, step: Step, log: int) -> None:
        os.write(log, f"$ {' '.join(step.command)}\n".encode())
        try:
            code = subprocess.run(
                step.command,
                cwd=step.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=BUILD_SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            raise BuildError(f"{self.name}: {' '.join(step.command)} took over {BUILD_SECONDS:.0f} s") from None
        if code:
            end = "\n".join(self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
            raise BuildError(f"{self.name}: {' '.join(step.command)} ended with {code}; {self.log} ends:\n{end}")

    def _digest(self) -> str:
        content = hashlib.sha256(repr((self.steps, self.command)).encode())
        for file in sorted(file for source in self.sources for file in _files(source)):
            content.update(f"{file.relative_to(ROOT)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
        return content.hexdigest()


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
        return
    for folder, folders, files in os.walk(source):
        folders[:] = [each for each in folders if each not in _NO_SOURCES]
        yield from (Path(folder, each) for each in files)


def _programs(*names: str) -> Callable[[], str]:
    """Makes the check of a tool chain that is programs alone."""
    return lambda: ", ".join(f"no `{name}`" for name in names if shutil.which(name) is None)


def _cpp_missing() -> str:
    """Says what C++ lacks: the programs, or the development files of gRPC."""
    lacking = _programs("cmake", "c++", "protoc", "grpc_cpp_plugin", "pkg-config")()
    if lacking:
        return lacking
    packages = {"grpc++": "gRPC", "protobuf": "Protocol Buffers", "nlohmann_json": "nlohmann-json"}
    absent = [
        title
        for name, title in packages.items()
        if subprocess.run(("pkg-config", "--exists", name), check=False).returncode
    ]
    return f"no development files of {', '.join(absent)}" if absent else ""


_CLIENT = ROOT / "client"
_PROTOS = ROOT / "protos"
_JAR = _CLIENT / "java" / "e2e" / "target" / "sentinova-e2e.jar"
_SCRIPT = _CLIENT / "node" / "build" / "e2e" / "runner.js"
_RUNNERS = Path(__file__).parents[1] / "runners"


def _python(name: str, runner: str) -> Language:
    file = _RUNNERS / runner
    return Language(name, lambda: "", (), (), file, (sys.executable, str(file)))


LANGUAGES = (
    _python("python", "python_runner.py"),
    _python("python-async", "python_async_runner.py"),
    Language(
        "go",
        _programs("go"),
        (Step(("go", "build", "-o", str(PRODUCTS / "go" / "runner"), "./internal/e2e"), _CLIENT / "go"),),
        (_CLIENT / "go",),
        PRODUCTS / "go" / "runner",
        (str(PRODUCTS / "go" / "runner"),),
    ),
    Language(
        "java",
        _programs("java", "mvn"),
        (
            Step(
                ("mvn", "--batch-mode", "--no-transfer-progress", "-DskipTests", "-pl", "e2e", "-am", "package"),
                _CLIENT / "java",
            ),
        ),
        (_CLIENT / "java", _PROTOS),
        _JAR,
        # Short runs: no time for the second compiler.
        ("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-jar", str(_JAR)),
    ),
    Language(
        "node",
        _programs("node", "npm"),
        tuple(Step(("npm", *words), _CLIENT / "node") for words in (("ci",), ("run", "build"), ("run", "build:e2e"))),
        (_CLIENT / "node", _PROTOS),
        _SCRIPT,
        ("node", str(_SCRIPT)),
    ),
    Language(
        "cpp",
        _cpp_missing,
        (
            Step(("cmake", "-S", str(_CLIENT / "cpp"), "-B", str(PRODUCTS / "cpp"), "-DCMAKE_BUILD_TYPE=Release")),
            Step(("cmake", "--build", str(PRODUCTS / "cpp"), "--target", "sentinova_e2e", "--parallel", "2")),
        ),
        (_CLIENT / "cpp", _PROTOS),
        PRODUCTS / "cpp" / "sentinova_e2e",
        (str(PRODUCTS / "cpp" / "sentinova_e2e"),),
    ),
)
