"""A file in the making that survives interruptions: what is written of it, and the checkpoint from which it goes on.

While OUT is made, `OUT.part` holds what is written, and `OUT.part.json` what is known of it: for which work it is, and
how far that is. A checkpoint is taken after the bytes that it counts are on the disk, and takes the earlier one's place
at once; bytes after it are cut off when the work goes on. So nothing is written twice and nothing is missing, also
where the process was killed. OUT itself appears when it is complete.

Knows files. Must not know what is in them.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

if sys.platform != "win32":
    import fcntl

SAVE_SECONDS = 0.5  # between checkpoints
VERSION = 1


class CheckpointError(Exception):
    """What is there of a file cannot be gone on with."""


class BusyError(CheckpointError):
    """Another process makes the same file."""


class OtherWorkError(CheckpointError):
    """What is there was begun for other work.

    Attributes:
        differences: What was other then, by name: how it was.
    """

    def __init__(self, message: str, differences: dict[str, Any]) -> None:
        super().__init__(message)
        self.differences = differences


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the work is.

    Attributes:
        rows: Rows done.
        offset: Bytes of the input before the next row.
        line: Lines of the input before the next row.
        written: Bytes of the output.
        labels: Number of rows by label.
        failures: Number of rows without a label, by reason.
        versions: Number of rows by the model version that answered.
    """

    rows: int = 0
    offset: int = 0
    line: int = 0
    written: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)


class Part:
    """A file in the making. Only one process can have it open.

    Args:
        out: The file to make; its folder must exist.
        work: What makes the work this work, by name: going on with another one is refused.
        start: Where the work begins.
        clock: Gives the time in seconds, never running backwards.
    """

    def __init__(self, out: Path, work: dict[str, Any], start: Progress, clock: Callable[[], float]) -> None:
        self.out = out
        self.path, self.state = self.paths(out)
        self.progress = start
        self._work = work
        self._clock = clock
        self._saved = clock()
        self._file: io.FileIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @staticmethod
    def paths(out: Path) -> tuple[Path, Path]:
        """Gives the files beside OUT: what is written of it, and the checkpoint."""
        return out.with_name(f"{out.name}.part"), out.with_name(f"{out.name}.part.json")

    def open(self, head: bytes, *, restart: bool) -> None:
        """Opens what there is and goes on with it, or begins.

        Args:
            head: What stands before the first row.
            restart: Begin anew, whatever there is.

        Raises:
            CheckpointError: What is there is other work's, or damaged, or another process has it open.
            OSError: It cannot be opened or written.
        """
        existed = self.path.exists()
        self._file = io.FileIO(os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+")
        try:
            self._lock(self._file)
            found = self._found(self._file) if existed and not restart else None
        except (CheckpointError, OSError):
            self._file.close()
            self._file = None
            raise
        if found is None:
            # The checkpoint comes first: whatever is in the part from now on is known to be this work's.
            self._file.truncate(0)
            self._save(self._file)
            self._write(self._file, head)
            self.progress = replace(self.progress, written=len(head))
        else:
            self.progress = found
            self._file.truncate(found.written)
        self._file.seek(self.progress.written)
        self._save(self._file)

    def append(self, data: bytes, progress: Progress) -> None:
        """Writes rows.

        Args:
            data: The rows.
            progress: How far the work is with them; `written` is counted here.

        Raises:
            OSError: They cannot be written; what was written before can be gone on with.
        """
        file = self._opened()
        self._write(file, data)
        self.progress = replace(progress, written=self.progress.written + len(data))
        if self._clock() - self._saved >= SAVE_SECONDS:
            self._save(file)

    def finish(self) -> None:
        """Has the complete file take its name, and that of a file which was there before."""
        file = self._opened()
        self._save(file)
        if sys.platform == "win32":
            file.close()
        self.path.replace(self.out)
        self.state.unlink(missing_ok=True)
        file.close()
        self._file = None

    def close(self) -> None:
        """Keeps what was done so far, where something was; may be called twice."""
        if self._file is None:
            return
        file, self._file = self._file, None
        with file:
            if self.progress.rows:
                self._save(file)
            else:
                self.path.unlink(missing_ok=True)
                self.state.unlink(missing_ok=True)

    def _opened(self) -> io.FileIO:
        if self._file is None:
            raise ValueError("the file is not open")
        return self._file

    def _lock(self, file: io.FileIO) -> None:
        taken = BusyError(f"Another process is writing {self.path}")
        if sys.platform != "win32":
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise taken from None
            except OSError:  # (a file system without locks)
                return
            # The other process may have been done between the opening and the locking.
            try:
                named = self.path.stat()
            except FileNotFoundError:
                raise taken from None
            if not os.path.samestat(named, os.fstat(file.fileno())):
                raise taken

    def _found(self, file: io.FileIO) -> Progress | None:
        """Gives how far the work is; None: it has not begun.

        Raises:
            CheckpointError: It cannot be gone on with.
        """
        size = os.fstat(file.fileno()).st_size
        if not size:
            return None
        try:
            state = json.loads(self.state.read_text("utf-8"))
            version, work, progress = state["version"], state["work"], Progress(**state["progress"])
        except FileNotFoundError:
            missing = f"{self.path} is there, but not {self.state.name}, which tells how far it is"
            raise CheckpointError(missing) from None
        except (ValueError, TypeError, KeyError):
            raise CheckpointError(f"{self.state} is damaged") from None
        if version != VERSION:
            raise CheckpointError(f"{self.state} is of another version of this program")
        if not progress.rows:
            return None
        self._check_work(work)
        if size < progress.written:
            raise CheckpointError(f"{self.path} has {size:,} bytes, but had {progress.written:,}")
        return progress

    def _check_work(self, work: dict[str, Any]) -> None:
        differences = {name: work.get(name) for name, value in self._work.items() if work.get(name) != value}
        if differences:
            raise OtherWorkError(f"{self.path} was begun for other work", differences)

    def _save(self, file: io.FileIO) -> None:
        """Takes a checkpoint, and none before the bytes that it counts are safe."""
        os.fsync(file.fileno())
        state = {"version": VERSION, "work": self._work, "progress": asdict(self.progress)}
        new = self.state.with_name(f"{self.state.name}.new")
        with new.open("w", encoding="utf-8") as out:
            json.dump(state, out, ensure_ascii=False, indent=1)
            out.flush()
            os.fsync(out.fileno())
        new.replace(self.state)
        self._saved = self._clock()

    @staticmethod
    def _write(file: io.FileIO, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) or 0 :]
