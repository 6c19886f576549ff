"""Tensors to tensors: a model version that is served by its own inputs and outputs, and its queue.

Knows the model and the queue; must not know messages or gRPC.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from sentinova_server.observability.metrics import Metrics
from sentinova_server.repository.config import ModelConfig
from sentinova_server.runtime.tensor_model import TensorModel
from sentinova_server.runtime.tensors import Tensor, TensorRows
from sentinova_server.serving.activity import Activity
from sentinova_server.serving.scheduler import Inference, Scheduler, SchedulerLimits
from sentinova_server.serving.statistics import VersionStatistics
from sentinova_server.serving.version_meter import VersionMeter


class TensorRunner:
    """A model version that answers requests of tensors."""

    def __init__(
        self,
        name: str,
        version: int,
        model: TensorModel,
        limits: SchedulerLimits,
        *,
        config: ModelConfig,
        metrics: Metrics,
        activity: Activity | None = None,
    ) -> None:
        """Makes it, on the event loop that serves.

        Args:
            name: the model's name.
            version: the version's number.
            model: what runs; closed by `close`.
            limits: bounds of its queue.
            config: what it was loaded by.
            metrics: where it measures.
            activity: told of its live work; None: nobody asks.
        """
        self.name = name
        self.version = version
        self.model = model
        self.config = config
        self.statistics = VersionStatistics(time.time)
        self._meter = VersionMeter(metrics, name, str(version), self.statistics, counts_tokens=False)
        if activity is not None:
            self._meter.report_to(activity, activity.cores_of(model.parallelism))
        self._scheduler: Scheduler[TensorRows, Mapping[str, Tensor]] = Scheduler(
            model, limits, self._meter, time.monotonic
        )

    @property
    def recent_batches(self) -> list[tuple[int, ...]]:
        """Nothing that another version could be warmed up with: its golden inputs do that."""
        return []

    async def run(self, rows: TensorRows, deadline: float | None, priority: int) -> Inference[Mapping[str, Tensor]]:
        """Computes the outputs of one request's tensors.

        Args:
            rows: its tensors, as the model takes them.
            deadline: when the answer is of no more use, on the monotonic clock.
            priority: its level, 1 the highest; 0: the model's default.

        Raises:
            ServingError: INVALID_FIELD, QUEUE_FULL, DEADLINE_EXCEEDED or INFERENCE_FAILED.
        """
        if self.model.is_checked_quickly(rows):
            self.model.check(rows)
        else:
            await asyncio.to_thread(self.model.check, rows)
        inference = await self._scheduler.infer(rows, deadline, priority)
        self._meter.waited(inference.queue_seconds)
        return inference

    def close(self) -> None:
        """Waits for running batches and frees the model. Blocks: call it off the event loop."""
        self.model.close()
