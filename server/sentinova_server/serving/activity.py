"""How busy live work keeps the machine, over all models: whether there is room for work that nobody waits for.

Knows numbers of batches and documents; must not know models or what the other work is. Used on the event loop only. It
is told of every batch and every change of a queue, and so does next to nothing then.
"""

from __future__ import annotations

import asyncio


class Activity:
    """The live batches that run and the live documents that wait, of all versions of all models."""

    def __init__(self, cores: int) -> None:
        """Makes it: nothing is under way.

        Args:
            cores: processor cores that inference may use.
        """
        self._cores = cores
        self._busy = 0
        self._waiting = 0
        self._awaited: asyncio.Event | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no live document waits for its batch and at least one core has none to run."""
        return not self._waiting and self._busy < self._cores

    def cores_of(self, parallelism: int) -> int:
        """Gives the cores that a batch takes of a model that runs `parallelism` of them at once."""
        return max(1, self._cores // parallelism)

    def batch_started(self, cores: int) -> None:
        """Told when a live batch starts, and how many cores it takes."""
        self._busy += cores

    def batch_ended(self, cores: int) -> None:
        """Told when it has ended, well or not."""
        self._busy -= cores
        self._tell()

    def waiting_changed(self, documents: int) -> None:
        """Told when live documents begin to wait, or, below 0, when they no longer do."""
        self._waiting += documents
        self._tell()

    async def wait_until_idle(self) -> None:
        """Returns once it is idle: at once where it is."""
        while not self.is_idle:
            if self._awaited is None:
                self._awaited = asyncio.Event()
            await self._awaited.wait()

    def _tell(self) -> None:
        if self._awaited is not None and self.is_idle:
            self._awaited.set()
            self._awaited = None
