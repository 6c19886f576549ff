"""A real Triton: its binary out of a package, with the Python backend, on a free port.

Knows the package's folders and the server's command; must not know models or cases.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from benchmarks.environments import ensure_environment, installed_version, site_packages
from benchmarks.processes import ManagedProcess, ProcessError, free_port

_ROOT = Path(__file__).resolve().parents[3]
# Where the benchmarks have it too.
_ENVIRONMENT = _ROOT / "build" / "bench" / "triton" / "venv"
_START_SECONDS = 180.0


def install_triton() -> Path:
    """Installs the server unless that is done; gives the folder of its packages.

    Raises:
        benchmarks.targets.base.Unavailable: it cannot be installed; says why.
    """
    # The package's Python wrapper is not used, and what it needs is not installed.
    return site_packages(ensure_environment("triton", _ENVIRONMENT, "--no-deps"))


def package_version() -> str:
    """Gives the version of the package that the server comes in."""
    return installed_version(_ENVIRONMENT, "nvidia-pytriton")


@contextmanager
def run_triton(packages: Path, repository: Path, work: Path, *flags: str) -> Iterator[tuple[str, ManagedProcess]]:
    """Starts a server and waits until it is ready; ends it in the end.

    Args:
        packages: the folder of its packages.
        repository: the model repository.
        work: a folder of its own, for its log and backend.
        flags: more of its flags.

    Yields:
        Its address, and its process.
    """
    server = packages / "pytriton" / "tritonserver"
    _lay_out_backend(server, work / "backends" / "python")
    address = f"127.0.0.1:{free_port()}"
    command = [str(server / "bin" / "tritonserver"), f"--model-repository={repository}"]
    command += [f"--backend-directory={work / 'backends'}", f"--grpc-port={address.rpartition(':')[2]}"]
    command += ["--grpc-address=127.0.0.1", "--allow-http=false", "--allow-metrics=false", "--exit-timeout-secs=5"]
    libraries = (packages / "nvidia_pytriton.libs", server / "lib", Path(str(sysconfig.get_config_var("LIBDIR"))))
    environment = {"LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)), "PYTHONHOME": sys.base_prefix}
    process = ManagedProcess("Triton", [*command, *flags], work / "server.log", environment=environment)
    try:
        _wait_until_ready(address, process)
        yield address, process
    finally:
        process.stop()


def _lay_out_backend(server: Path, folder: Path) -> None:
    """Puts the backend and its stub for this Python side by side, as it wants them."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copytree(server / "backends" / "python", folder)
    shutil.copy(server / "python_backend_stubs" / version / "triton_python_backend_stub", folder)


def _wait_until_ready(address: str, process: ManagedProcess) -> None:
    deadline = time.monotonic() + _START_SECONDS
    with grpc.insecure_channel(address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        while True:
            process.check()
            try:
                if stub.ServerReady(service_pb2.ServerReadyRequest(), timeout=5).ready:
                    return
            except grpc.RpcError:
                pass  # not listening yet
            if time.monotonic() > deadline:
                raise ProcessError(f"Triton is not ready within {_START_SECONDS:.0f} s: {process.log_tail()}")
            time.sleep(0.2)
