"""Processes that are started, measured and ended, and the workers among them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.processes import ManagedProcess, ProcessError, tree_cpu_seconds, tree_memory_mb, wait_for_line
from benchmarks.targets.counts import TokenCounts, read_counts
from benchmarks.worker import Worker

ROOT = Path(__file__).resolve().parent.parent.parent

# A child of the process that is started burns a little CPU time, holds some memory and then waits.
FAMILY = """
import subprocess, sys
code = "x = bytearray(b'1') * 50_000_000\\nfor _ in range(3_000_000): pass\\nprint('done', flush=True)\\nimport time; time.sleep(60)"
subprocess.run([sys.executable, "-c", code])
"""
WORKER = """
import os, time
from benchmarks.worker import serve
serve({"add": lambda a, b: a + b, "fail": lambda: 1 / 0, "hang": lambda: time.sleep(60), "die": lambda: os._exit(3),
       "pid": os.getpid})
"""


def start_worker(tmp_path: Path) -> Worker:
    command = [sys.executable, "-c", WORKER]
    return Worker("worker", command, tmp_path / "worker.log", {"PYTHONPATH": str(ROOT)})


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_cpu_time_and_memory_are_those_of_the_whole_tree_and_all_of_it_ends(tmp_path: Path):
    process = ManagedProcess("family", [sys.executable, "-c", FAMILY], tmp_path / "log")
    try:
        wait_for_line(process, "done", 60)
        assert tree_cpu_seconds(process.pid) > 0.02
        assert tree_memory_mb(process.pid) > 50
        children = subprocess.run(
            ["ps", "-o", "pid=", "-g", str(process.pid)], capture_output=True, text=True, check=True
        )
        members = [int(pid) for pid in children.stdout.split()]
        assert len(members) == 2
    finally:
        process.stop()
    deadline = time.monotonic() + 10
    while any(map(is_running, members)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, members))


def test_a_process_that_ends_early_is_told_with_its_last_words(tmp_path: Path):
    process = ManagedProcess("short", [sys.executable, "-c", "print('sorry')"], tmp_path / "log")
    try:
        with pytest.raises(ProcessError, match=r"short ended with 0: sorry"):
            wait_for_line(process, "ready", 30)
    finally:
        process.stop()


def test_a_worker_does_what_it_is_told(tmp_path: Path):
    worker = start_worker(tmp_path)
    try:
        assert worker.call("add", 30, a=1, b=2) == 3
        with pytest.raises(ProcessError, match="ZeroDivisionError"):
            worker.call("fail", 30)
        assert worker.call("pid", 30) == worker.pid != os.getpid()
    finally:
        worker.stop()


@pytest.mark.parametrize(("operation", "message"), [("hang", "more than 1 s"), ("die", "worker ended")])
def test_a_worker_that_hangs_or_dies_holds_nobody(tmp_path: Path, operation: str, message: str):
    worker = start_worker(tmp_path)
    try:
        worker.call("pid", 30)
        with pytest.raises(ProcessError, match=message):
            worker.call(operation, 1)
    finally:
        worker.stop()


def test_tokens_are_counted_over_all_processes_of_a_peer(tmp_path: Path):
    for name in ("1.counts", "2.counts"):
        counts = TokenCounts(tmp_path / name)
        counts.add(100, 30)
        counts.add(10, 1)
    assert read_counts(tmp_path) == (220, 62)
