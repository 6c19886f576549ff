"""Triton: its own server with its Python backend, which runs OpenVINO.

Knows the package that carries the server, its command and its model repository; must not know the backend's code,
which is `triton_model`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from benchmarks import messages
from benchmarks.environments import installed_version, site_packages
from benchmarks.messages import Requests
from benchmarks.processes import ManagedProcess, free_port
from benchmarks.targets.base import ROOT, Model, Unavailable
from benchmarks.targets.kserve import MODEL, KserveService
from benchmarks.targets.peer_contract import MAX_BATCH, SCORES_OUTPUT, TEXT_INPUT

_CONFIG = """\
name: "{name}"
backend: "python"
max_batch_size: {batch}
dynamic_batching {{ }}
instance_group [{{ count: {instances} kind: KIND_CPU }}]
input [{{ name: "{text}" data_type: TYPE_STRING dims: [1] }}]
output [{{ name: "{scores}" data_type: TYPE_FP32 dims: [-1] }}]
parameters {{ key: "arguments" value {{ string_value: {arguments} }} }}
"""

# The backend's interpreter is isolated: it reads no environment variable, and has no packages of its own.
_BOOTSTRAP = """\
import sys

sys.path[:0] = {paths}

from benchmarks.targets.triton_model import TritonPythonModel
"""


class Triton(KserveService):
    """A Triton server on a free port, with dynamic batching and one instance a core."""

    name = "triton"
    title = "Triton"
    # The package's Python wrapper is not used, and what it needs is not installed: numpy below 2 among it.
    install = ("--no-deps",)

    def describe(self) -> str:
        """Tells its version and how it is set up."""
        package = installed_version(self.environment, "nvidia-pytriton")
        return (
            f"{_read_version(self.process.log)} (of nvidia-pytriton {package}), Python backend with OpenVINO, "
            f"one instance a core, dynamic batching, at most {MAX_BATCH} texts a batch"
        )

    def _start(self, model: Model, work: Path) -> ManagedProcess:
        packages = site_packages(self.environment)
        server = packages / "pytriton" / "tritonserver"
        backends = work / "backends"
        _copy_backend(server, backends / "python")
        self._lay_out(model, work / "models")
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        command = [str(server / "bin" / "tritonserver"), f"--model-repository={work / 'models'}"]
        command += [f"--backend-directory={backends}", f"--grpc-port={port}", "--grpc-address=127.0.0.1"]
        command += ["--allow-http=false", "--allow-metrics=false", "--exit-timeout-secs=5"]
        libraries = (packages / "nvidia_pytriton.libs", server / "lib", Path(str(sysconfig.get_config_var("LIBDIR"))))
        environment = {
            "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)),
            "PYTHONHOME": sys.base_prefix,
        }
        return ManagedProcess(self.title, command, work / "server.log", environment=environment)

    def _lay_out(self, model: Model, repository: Path) -> None:
        shutil.rmtree(repository, ignore_errors=True)
        version = repository / MODEL / "1"
        version.mkdir(parents=True)
        paths = list(map(str, (ROOT, ROOT / "server", site_packages(self.environment))))
        (version / "model.py").write_text(_BOOTSTRAP.format(paths=paths))
        arguments = {"folder": str(model.folder.resolve()), "hint": model.hint, "counts": str(self._counts)}
        config = _CONFIG.format(
            name=MODEL, batch=MAX_BATCH, instances=model.cores, text=TEXT_INPUT, scores=SCORES_OUTPUT,
            # Twice: a JSON object, as a string of protobuf's text format.
            arguments=json.dumps(json.dumps(arguments)),
        )  # fmt: skip
        (repository / MODEL / "config.pbtxt").write_text(config)

    def stream(self, texts: Sequence[str]) -> Requests:
        """Makes the messages of one stream, which Triton batches as it does calls."""
        return messages.kserve_requests(texts, 1, MODEL, "ModelStreamInfer")


def _read_version(log: Path) -> str:
    """Finds the server's version in the table that it writes when it starts."""
    cells = (line.split("|") for line in log.read_text(errors="replace").splitlines() if "| server_version " in line)
    return next((cell[2].strip() for cell in cells), "?")


def _copy_backend(server: Path, backend: Path) -> None:
    """Puts the Python backend together with its stub for this Python, beside each other as it wants them."""
    name = "triton_python_backend_stub"
    stub = server / "python_backend_stubs" / f"{sys.version_info.major}.{sys.version_info.minor}" / name
    if not stub.exists():
        raise Unavailable(
            f"its package has no Python backend for Python {sys.version_info.major}.{sys.version_info.minor}"
        )
    shutil.rmtree(backend, ignore_errors=True)
    shutil.copytree(server / "backends" / "python", backend)
    shutil.copy(stub, backend)
