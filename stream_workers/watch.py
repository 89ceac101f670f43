"""What a worker knows of itself while it runs: lag for the metrics, how near retention is, and whether it must end.

A worker that has work, makes no progress and whose store answers is stuck for a reason that a fresh process does not have;
it shows its stacks and ends. So does one whose partitions were taken by another worker while Kafka says that they are its own.
Silence alone is not stuck, and a store that is away is waited for.
"""

import asyncio
import faulthandler
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from faust.types.tuples import TP

from servicekit.logs import Log, error_class
from stream_workers.app import assigned
from stream_workers.lease import Leases
from stream_workers.metrics import Metrics
from stream_workers.stuck import StuckDetector
from stream_workers.topic_retention import RetentionGuard

EXIT_STUCK: Final = 71  # EX_OSERR
EXIT_FENCED: Final = 76  # EX_PROTOCOL
_EVERY_S: Final = 1.0
_log = Log("worker.watch")


class Watch:
    """Looks once a second until cancelled. `fenced_max_s`: how long a rebalance may take that a refused worker waits for."""

    def __init__(
        self,
        app: Any,  # noqa: ANN401 - faust.App
        metrics: Metrics,
        *,
        stuck: StuckDetector,
        leases: Leases,
        retention: RetentionGuard,
        fenced_max_s: float,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._stuck = stuck
        self._leases = leases
        self._retention = retention
        self._fenced_max_s = fenced_max_s
        self._positions: dict[int, int | None] = {}
        self._lag = 0

    async def run(self) -> None:
        """Never returns. What is seen is shown whatever the store does: only the judgement asks it."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_again_and_again(self._look))
            tasks.create_task(_again_and_again(self._judge))

    async def _look(self) -> None:
        lag = self._lag = unread = 0  # a look that fails leaves nothing to judge
        positions: dict[int, int | None] = {}
        waiting_since: dict[int, float | None] = {}
        self._metrics.lag_records.clear()
        self._metrics.lag_seconds.clear()
        for tp in assigned(self._app):
            highwater, stored = self._app.consumer.highwater(tp), self._app.consumer.stored_offset(tp)
            positions[tp.partition] = stored
            if highwater is None or stored is None:
                unread += 1  # nothing was fetched yet
                continue
            behind = max(0, highwater - stored)
            lag += behind
            self._show(tp, behind)
            if not behind:
                waiting_since[tp.partition] = None
            elif reached_s := self._app.consumer.reached_s(tp):
                waiting_since[tp.partition] = reached_s
            else:
                unread += 1
        self._metrics.unread_partitions.set(unread)
        self._retention.look(waiting_since)
        self._positions, self._lag = positions, lag

    def _show(self, tp: TP, behind: int) -> None:
        oldest_s = self._app.consumer.oldest_s(tp)
        self._metrics.lag_records.labels(tp.partition).set(behind)
        self._metrics.lag_seconds.labels(tp.partition).set(max(0.0, time.time() - oldest_s) if oldest_s else 0.0)

    async def _judge(self) -> None:
        fenced_s = self._leases.fenced_for_s()
        if fenced_s > self._fenced_max_s:
            _log.error("fenced_without_rebalance", fenced_s=round(fenced_s))
            os._exit(EXIT_FENCED)
        if fenced_s:
            return  # what looks stuck is waiting for Kafka's word
        if await self._stuck.is_stuck(self._positions, lag=self._lag):
            _log.error("stuck", lag_records=self._lag)
            faulthandler.dump_traceback(file=sys.stderr)
            os._exit(EXIT_STUCK)


async def _again_and_again(look: Callable[[], Awaitable[None]]) -> None:
    """An error of a look is logged, and the next one is tried."""
    while True:
        await asyncio.sleep(_EVERY_S)
        try:
            await look()
        except Exception as error:  # noqa: BLE001 - a look that failed must not end a worker that works
            _log.warning("watch_failed", error_class=error_class(error))
