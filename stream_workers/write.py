"""Gets a list of received records into the store, whatever it takes: the same again, smaller pieces, or a dead letter.

Content that the store refuses is looked for by halving, down to one record, which is buried. What only takes too long is halved
as well, so that a store far slower than the measured one gets on, and never buried.

Raises HoleError (the caller reads anew), FencedError (the caller gives up what others own now) and PoisonBrakeError (the
process ends); any other error is unexpected and ends the process too. Nothing here knows of Faust.
"""

import asyncio
import random
import time
from collections.abc import Sequence

from servicekit.logs import Log
from stream_workers.batch import Batch, Received, Topic, make_batch
from stream_workers.brake import PoisonBrake
from stream_workers.decode import canonical_json, refuse
from stream_workers.errors import FencedError, PermanentStoreError, SlowStoreError, TransientStoreError
from stream_workers.lease import Leases
from stream_workers.metrics import Metrics
from stream_workers.store import RunStore, Saved

_RETRY_FIRST_S = 0.1
_TIMEOUTS_MAX = 2  # in a row, before less is written at a time: one may be an accident
_log = Log("worker.write")


class Writer:
    """Writes for one topic. One call at a time. Without `leases` nobody fences it: for a store that nobody else writes."""

    def __init__(
        self,
        store: RunStore,
        topic: Topic,
        metrics: Metrics,
        *,
        retry_max_s: float,
        brake: PoisonBrake,
        leases: Leases | None = None,
    ) -> None:
        self._store = store
        self._topic = topic
        self._metrics = metrics
        self._retry_max_s = retry_max_s
        self._brake = brake
        self._leases = leases
        self._timeouts = 0  # in a row
        self.progress = 0
        """Grows with every transaction that was committed or ran into its time limit: whoever waits for it to grow sees a writer
        that hangs, not a store that is slow."""

    async def write(self, received: Sequence[Received], *, batch: Batch | None = None) -> None:
        """Return once all of it is durable, as rows or as dead letters. Waits for ever while the store is away.

        `batch` is what `received` amounts to, if that is known already. Where too many of it would be dead letters, none of it is
        written.
        """
        if any(item.letter is not None for item in received):
            self._brake.foresee(item.letter is not None for item in received)
        try:
            await self._save(batch or self._assembled(received), divisible=len(received) > 1)
        except PermanentStoreError as error:
            await self._bisect(received, error)
        except SlowStoreError as error:
            _log.warning("batch_halved", reason=error.reason, records=len(received))
            await self._write_halves(received)
        else:
            self._judge(received)

    async def _bisect(self, received: Sequence[Received], error: PermanentStoreError) -> None:
        if len(received) == 1:
            _log.error("record_refused", sqlstate=error.sqlstate, partition=received[0].partition, offset=received[0].offset)
            await self.write([refuse(received[0], reason=f"sqlstate_{error.sqlstate.lower()}")])
            return
        await self._write_halves(received)

    async def _write_halves(self, received: Sequence[Received]) -> None:
        middle = len(received) // 2
        await self.write(received[:middle])
        await self.write(received[middle:])

    def _assembled(self, received: Sequence[Received]) -> Batch:
        with self._metrics.cpu("assemble"):
            return make_batch(received, canonical_json)

    async def _save(self, batch: Batch, *, divisible: bool) -> Saved:
        """Try until it is saved. Raises SlowStoreError where it should be less at a time, and can."""
        pause_s = _RETRY_FIRST_S
        while True:
            began = time.monotonic()
            try:
                saved = await self._fenced_save(batch)
            except TransientStoreError as error:
                self._metrics.retries.labels(error.reason).inc()
                if self._is_too_much(error) and divisible:
                    raise
                _log.warning("store_away", reason=error.reason, retry_in_s=round(pause_s, 2))
                await asyncio.sleep(random.uniform(0.5, 1.0) * pause_s)  # noqa: S311 - jitter, not a secret
                pause_s = min(2 * pause_s, self._retry_max_s)
            else:
                self._metrics.transaction_seconds.observe(time.monotonic() - began)
                self._timeouts = 0
                self.progress += 1
                return self._count(saved)

    def _is_too_much(self, error: TransientStoreError) -> bool:
        if not isinstance(error, SlowStoreError):
            return False
        self._timeouts += 1
        self.progress += 1
        return self._timeouts >= _TIMEOUTS_MAX

    async def _fenced_save(self, batch: Batch) -> Saved:
        if self._leases is None:
            return await self._store.save(self._topic, batch)
        epochs = await self._leases.epochs([coverage.partition for coverage in batch.coverage])
        try:
            return await self._store.save(self._topic, batch, epochs=epochs)
        except FencedError as error:
            self._leases.refused(error)
            raise

    def _count(self, saved: Saved) -> Saved:
        self._metrics.steps_stored.inc(saved.new_steps)
        self._metrics.failures_stored.inc(saved.new_failures)
        self._metrics.rows_repeated.inc(saved.repeated)
        self._metrics.rows_deleted.inc(saved.deleted)
        return saved

    def _judge(self, received: Sequence[Received]) -> None:
        for item in received:
            if item.letter is None:
                self._brake.stored()
            else:
                self._metrics.dead_letters.labels(item.letter.reason).inc()
                self._brake.died()
