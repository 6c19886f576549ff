"""The `sentinova` command, as tests run it: as a process of its own, or (the fixture `run`) in this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys


def start(address, *arguments, **pipes):
    """Starts the command as a process with pipes for its output."""
    environment = {**os.environ, "SENTINOVA_ADDRESS": address, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", "from sentinova.cli import main; main()", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **pipes)


def json_lines(result):
    """Gives the JSON objects that a run wrote."""
    return [json.loads(line) for line in result.stdout.splitlines()]
