"""A process of ours that does what it is told, one operation after the other.

The parent's side starts it and calls its operations, with a timeout on each; the child's side answers. Both speak
pickles over a socket of their own, so that what libraries print disturbs nobody. Standard library only: the child may
run in any environment. Knows no operation.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.processes import ManagedProcess, ProcessError


class Worker:
    """The parent's side."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        """Starts the process; the socket's number is added to its command."""
        self._name = name
        self._connection, other = Pipe()
        try:
            self.process = ManagedProcess(
                name, [*command, str(other.fileno())], log, environment=environment, pass_fds=(other.fileno(),)
            )
        finally:
            other.close()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self.process.pid

    def call(self, operation: str, limit: float, /, **arguments: Any) -> Any:
        """Has an operation done and gives what it gives.

        Raises:
            ProcessError: it failed, or took longer than `limit` seconds; the process cannot be used after that.
        """
        try:
            self._connection.send((operation, arguments))
            if not self._connection.poll(limit):
                raise ProcessError(f"{self._name}: {operation} took more than {limit:.0f} s")
            good, value = self._connection.recv()
        except (EOFError, OSError, pickle.PickleError) as error:
            raise ProcessError(f"{self._name} ended: {self.process.log_tail()}") from error
        if not good:
            raise ProcessError(f"{self._name}: {operation}: {value}")
        return value

    def stop(self) -> None:
        """Ends the process."""
        self._connection.close()
        self.process.stop()


def serve(operations: Mapping[str, Callable[..., Any]]) -> None:
    """The child's side: answers until the parent hangs up. The socket's number is the last argument."""
    connection: Connection[Any, Any] = Connection(int(sys.argv[-1]))
    with contextlib.suppress(EOFError, ConnectionError, KeyboardInterrupt):
        while True:
            operation, arguments = connection.recv()
            try:
                answer = (True, operations[operation](**arguments))
            except Exception as error:  # the parent decides what becomes of it
                traceback.print_exc()
                answer = (False, f"{type(error).__name__}: {error}")
            connection.send(answer)
    sys.stderr.flush()
    # Without interpreter shutdown: threads of inference libraries may hold it up.
    os._exit(0)
