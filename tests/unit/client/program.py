"""The `sentinova` command, as tests run it: as a process of its own, or (the fixture `run`) in this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time


def start(address, *arguments, **pipes):
    """Starts the command as a process with pipes for its output."""
    environment = {**os.environ, "SENTINOVA_ADDRESS": address, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", "from sentinova.cli import main; main()", *arguments]
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | pipes
    return subprocess.Popen(command, env=environment, **piped)


def json_lines(result):
    """Gives the JSON objects that a run wrote."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def wait_for_size(path, size):
    """Waits until a file has so many bytes; a program that hangs must not hold the tests for ever."""
    end = time.monotonic() + 60
    while not path.exists() or path.stat().st_size < size:
        assert time.monotonic() < end, f"{path} stays small"
        time.sleep(0.005)
