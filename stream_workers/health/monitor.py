"""A worker's view of itself while it runs: lag for the metrics, the margin to retention, and whether it must end.

A worker that has records waiting, makes no progress and gets answers from its store is stuck for a reason that a fresh process
does not have: it prints its stacks and ends. A worker also ends when another one took its partitions and Kafka still assigns them
to it. Silence alone is not stuck, a store that is away is waited for, and a parked worker stays as it is.
"""

import asyncio
import faulthandler
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final

from faust.types.tuples import TP

from servicekit.logs import Log, error_class
from stream_workers.health.stall_detector import StallDetector
from stream_workers.kafka.app_consumer import AppConsumer
from stream_workers.kafka.topic_retention import RetentionGuard
from stream_workers.metrics import WorkerMetrics
from stream_workers.store.lease import Leases

EXIT_STUCK: Final = 71  # EX_OSERR
EXIT_FENCED: Final = 76  # EX_PROTOCOL
_EVERY_S: Final = 1.0
_log = Log("worker.monitor")


class Monitor:
    """Looks once a second until cancelled. `fenced_max_s`: how long a fenced worker waits for Kafka's rebalance."""

    def __init__(
        self,
        consumer: AppConsumer,
        metrics: WorkerMetrics,
        *,
        stalls: StallDetector,
        leases: Leases,
        retention: RetentionGuard,
        fenced_max_s: float,
        is_parked: Callable[[], bool] = lambda: False,
    ) -> None:
        self._consumer = consumer
        self._metrics = metrics
        self._stalls = stalls
        self._leases = leases
        self._retention = retention
        self._fenced_max_s = fenced_max_s
        self._is_parked = is_parked
        self._positions: dict[int, int | None] = {}
        self._lag = 0

    async def run(self) -> None:
        """Never returns. Metrics are updated whatever the store does: only the judgement asks it."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_repeat(self._look))
            tasks.create_task(_repeat(self._judge))

    async def _look(self) -> None:
        lag = self._lag = unread = 0  # a look that fails leaves nothing to judge
        positions: dict[int, int | None] = {}
        waiting_since: dict[int, float | None] = {}
        self._metrics.lag_records.clear()
        self._metrics.lag_seconds.clear()
        for tp in self._consumer.assigned():
            highwater, stored = self._consumer.highwater(tp), self._consumer.stored_offset(tp)
            positions[tp.partition] = stored
            if highwater is None or stored is None:
                unread += 1  # nothing was fetched yet
                continue
            behind = max(0, highwater - stored)
            lag += behind
            self._show(tp, behind)
            if not behind:
                waiting_since[tp.partition] = None
            elif reached_s := self._consumer.reached_s(tp):
                waiting_since[tp.partition] = reached_s
            else:
                unread += 1
        self._metrics.unread_partitions.set(unread)
        self._retention.look(waiting_since)
        self._positions, self._lag = positions, lag

    def _show(self, tp: TP, behind: int) -> None:
        oldest_s = self._consumer.oldest_s(tp)
        self._metrics.lag_records.labels(tp.partition).set(behind)
        self._metrics.lag_seconds.labels(tp.partition).set(max(0.0, time.time() - oldest_s) if oldest_s else 0.0)

    async def _judge(self) -> None:
        if self._is_parked():
            return
        fenced_s = self._leases.fenced_for_s()
        if fenced_s > self._fenced_max_s:
            _log.error("fenced_without_rebalance", fenced_s=round(fenced_s))
            os._exit(EXIT_FENCED)
        if fenced_s:
            return  # it is not stuck: it waits for Kafka's rebalance
        if await self._stalls.is_stalled(self._positions, lag=self._lag):
            _log.error("stuck", lag_records=self._lag)
            faulthandler.dump_traceback(file=sys.stderr)
            os._exit(EXIT_STUCK)


async def _repeat(look: Callable[[], Awaitable[None]]) -> None:
    """Call `look` once a second. An error is logged, and the next call is tried."""
    while True:
        await asyncio.sleep(_EVERY_S)
        try:
            await look()
        except Exception as error:  # noqa: BLE001 - a look that failed must not end a worker that works
            _log.warning("monitor_failed", error_class=error_class(error))
