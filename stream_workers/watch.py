"""What a worker knows of itself while it runs: lag for the metrics, readiness, and whether it is stuck.

A worker that has work, makes no progress and whose store answers is stuck for a reason that a fresh process does not have;
it shows its stacks and ends. Silence alone is not stuck, and a store that is away is waited for.
"""

import asyncio
import faulthandler
import os
import sys
import time
from typing import Any, Final

from servicekit.logs import Log, error_class
from stream_workers.app import assigned
from stream_workers.batch import Topic
from stream_workers.metrics import Metrics
from stream_workers.store import RunStore

EXIT_STUCK: Final = 71  # EX_OSERR
_EVERY_S: Final = 1.0
_log = Log("worker.watch")


class Watch:
    """Looks once a second until cancelled."""

    def __init__(self, app: Any, store: RunStore, topic: Topic, metrics: Metrics, *, stuck_after_s: float) -> None:  # noqa: ANN401 - faust.App
        self._app = app
        self._store = store
        self._topic = topic
        self._metrics = metrics
        self._stuck_after_s = stuck_after_s
        self._positions: dict[int, int | None] = {}
        self._moved_at = time.monotonic()

    async def run(self) -> None:
        """Never returns; an error of its own is logged and the next look is tried."""
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 - a look that failed must not end a worker that works
                _log.warning("watch_failed", error_class=error_class(error))

    async def _look(self) -> None:
        consumer, lag = self._app.consumer, 0
        positions: dict[int, int | None] = {}
        self._metrics.lag_records.clear()
        self._metrics.lag_seconds.clear()
        for tp in assigned(self._app):
            highwater, stored = consumer.highwater(tp), consumer.stored_offset(tp)
            positions[tp.partition] = stored
            if highwater is None or stored is None:
                continue  # nothing was fetched yet
            behind = max(0, highwater - stored)
            lag += behind
            oldest_s = consumer.oldest_s(tp)
            self._metrics.lag_records.labels(tp.partition).set(behind)
            self._metrics.lag_seconds.labels(tp.partition).set(max(0.0, time.time() - oldest_s) if oldest_s else 0.0)
        await self._judge(lag, positions)

    async def _judge(self, lag: int, positions: dict[int, int | None]) -> None:
        if positions != self._positions or not lag:
            self._positions, self._moved_at = positions, time.monotonic()
        if time.monotonic() - self._moved_at < self._stuck_after_s:
            return
        await self._store.frontiers(self._topic, [])  # raises while the store is away: then waiting is right
        _log.error("stuck", lag_records=lag, stuck_after_s=self._stuck_after_s)
        faulthandler.dump_traceback(file=sys.stderr)
        os._exit(EXIT_STUCK)
