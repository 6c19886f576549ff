"""MLServer with a runtime of ours that runs OpenVINO, and its adaptive batching.

Knows MLServer's settings and command; must not know the runtime's code, which is `mlserver_runtime`.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from benchmarks.environments import installed_version
from benchmarks.processes import ManagedProcess, free_port
from benchmarks.targets.base import ROOT, Model
from benchmarks.targets.kserve import MODEL, KserveService
from benchmarks.targets.peer_contract import MAX_BATCH

# Seconds that a batch waits for more requests. MLServer does not batch at all without.
_MAX_BATCH_SECONDS = 0.005


class MLServer(KserveService):
    """An MLServer on free ports. Inference runs in threads of the server's own process, one a core."""

    name = "mlserver"
    title = "MLServer"

    def describe(self) -> str:
        """Tells its version and how it is set up."""
        return (
            f"{installed_version(self.environment, 'mlserver')}, a custom runtime with OpenVINO in a thread a core, "
            f"adaptive batching: max_batch_size {MAX_BATCH}, max_batch_time {_MAX_BATCH_SECONDS * 1000:.0f} ms"
        )

    def _start(self, model: Model, work: Path) -> ManagedProcess:
        folder = work / "models"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        settings = {
            "host": "127.0.0.1",
            "grpc_port": port,
            "http_port": free_port(),
            "metrics_endpoint": None,
            "debug": False,
            # A process of workers costs a copy of every request; OpenVINO runs without the GIL anyway.
            "parallel_workers": 0,
        }
        extra = {"folder": str(model.folder.resolve()), "hint": model.hint, "cores": model.cores}
        model_settings = {
            "name": MODEL,
            "implementation": "benchmarks.targets.mlserver_runtime.OpenvinoRuntime",
            "max_batch_size": MAX_BATCH,
            "max_batch_time": _MAX_BATCH_SECONDS,
            "parameters": {"extra": {**extra, "counts": str(self._counts)}},
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        (folder / "model-settings.json").write_text(json.dumps(model_settings))
        environment = {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "server")))}
        command = [str(self.environment / "bin" / "mlserver"), "start", str(folder)]
        return ManagedProcess(self.title, command, work / "server.log", environment=environment, folder=folder)
