"""Writes received records to the store: tries again, writes less at a time, or makes a record a dead letter.

Content that the store refuses is found by halving, project by project, down to one record, which becomes a dead letter. Rows are
written first then, in parts that cover no offset; the letters and the offsets come last, in one transaction. A process that dies
in between has covered nothing, so all of it is read and written again. A project with too much of it is parked
(`dead_letter_limit`), and the others go on. A batch that only takes too long is halved as well, so that a store far slower than
the measured one makes progress; its records never become dead letters.

Raises OffsetGapError (the caller reads again), FencedError (the caller drops what other workers own now),
DeadLetterLimitError (the worker parks) and StoreAccessError (the process ends). Any other error is unexpected and ends the
process too. Nothing here knows of Faust.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from servicekit.logs import Log
from stream_workers.core.assemble import NO_ROWS
from stream_workers.errors import FencedError, PermanentStoreError, SlowStoreError, TransientStoreError
from stream_workers.metrics import WorkerMetrics
from stream_workers.pipeline.dead_letter_limit import DeadLetterLimit
from stream_workers.pipeline.decode import canonical_json, refuse
from stream_workers.store.batch import PARKED, Coverage, Received, Topic, WriteBatch, batch_of, make_batch
from stream_workers.store.lease import Leases
from stream_workers.store.store import RunStore, Saved

_RETRY_FIRST_S: Final = 0.1
_TIMEOUTS_MAX: Final = 2  # in a row, before less is written at a time: one may be an accident
_Place = tuple[int, int]
_log = Log("worker.write")


class Writer:
    """Writes for one topic. One call at a time. Without `leases` it is never fenced: for a store with one writer."""

    def __init__(
        self,
        store: RunStore,
        topic: Topic,
        metrics: WorkerMetrics,
        *,
        retry_max_s: float,
        limit: DeadLetterLimit,
        leases: Leases | None = None,
    ) -> None:
        self._store = store
        self._topic = topic
        self._metrics = metrics
        self._retry_max_s = retry_max_s
        self._limit = limit
        self._leases = leases
        self._timeouts = 0  # in a row
        self.progress = 0
        """Grows with every transaction that was committed or met its time limit: it stands still for a writer that hangs, not for
        a store that is slow."""
        metrics.projects_parked.set_function(lambda: len(limit.parked()))

    def hold_back(self, received: Sequence[Received]) -> Sequence[Received]:
        """The same records, with dead letters in place of those whose project is parked. Themselves where none is."""
        parked = set(self._limit.parked())
        if not parked or not any(item.record is not None and item.project in parked for item in received):
            return received
        return [refuse(item, reason=PARKED) if item.record is not None and item.project in parked else item for item in received]

    async def write(self, received: Sequence[Received], *, batch: WriteBatch | None = None) -> None:
        """Return once all of it is durable, as rows or as dead letters. Waits for ever while the store is away.

        `batch` is the batch of `received` where the caller has it.
        """
        held = self.hold_back(received)
        if batch is None or held is not received:
            batch = self._assembled(held, None if batch is None else batch.coverage)
        try:
            await self._save(batch, divisible=len(held) > 1)
        except PermanentStoreError as error:
            _log.warning("batch_refused", sqlstate=error.sqlstate, records=len(held))
            await self._write_apart(held, batch.coverage)
        except SlowStoreError as error:
            _log.warning("batch_halved", reason=error.reason, records=len(held))
            middle = len(held) // 2
            await self.write(held[:middle])
            await self.write(held[middle:])
        else:
            self._count_dead_letters(held)

    async def _write_apart(self, received: Sequence[Received], coverage: Sequence[Coverage]) -> None:
        """Write what the store takes, then the letters of the rest and the offsets of all."""
        readable = [item for item in received if item.record is not None]
        search = _Search(self, [Coverage(one.partition, one.start, one.start) for one in coverage], self._limit.refusals_max)
        await search.write(sorted(readable, key=lambda item: item.project))
        final = [search.refused.get((item.partition, item.offset), item) for item in received]
        letters = [item.letter for item in final if item.letter is not None]
        await self._save(WriteBatch(NO_ROWS, letters, coverage), divisible=False)
        self._count_dead_letters(final)
        for project in search.burnt:
            self._limit.park(project)
            self._say_parked(project)

    async def write_part(self, part: Sequence[Received], coverage: Sequence[Coverage]) -> None:
        """Write the rows of some records. Raises PermanentStoreError, and SlowStoreError for more than one."""
        await self._save(self._assembled(part, coverage), divisible=len(part) > 1)

    def _assembled(self, received: Sequence[Received], coverage: Sequence[Coverage] | None) -> WriteBatch:
        with self._metrics.cpu("assemble"):
            batch = make_batch(received, canonical_json)
        return batch if coverage is None else batch_of(received, batch.rows, coverage)

    async def _save(self, batch: WriteBatch, *, divisible: bool) -> Saved:
        """Try until it is saved. Raises SlowStoreError where the batch is too much for one transaction and divisible."""
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

    async def _fenced_save(self, batch: WriteBatch) -> Saved:
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
        self._metrics.runs_time_shifted.inc(saved.time_shifted)
        return saved

    def _count_dead_letters(self, received: Sequence[Received]) -> None:
        for item in received:
            if item.letter is None:
                self._limit.stored(item.project)
                continue
            self._metrics.dead_letters.labels(item.letter.reason).inc()
            if item.letter.reason != PARKED and self._limit.dead_lettered(item.project):
                self._say_parked(item.project)

    def _say_parked(self, project: str) -> None:
        self._metrics.projects_parked_total.inc()
        _log.error("project_parked", project=project or None)


class _Search:
    """Finds the records of one batch that the store refuses, and writes the others."""

    def __init__(self, writer: Writer, coverage: Sequence[Coverage], refusals_max: float) -> None:
        self._writer = writer
        self._coverage = coverage
        self._refusals_max = refusals_max
        self._refusals: Counter[str] = Counter()
        self.refused: dict[_Place, Received] = {}
        self.burnt: list[str] = []
        """Projects of which so much was refused that the rest was not tried."""

    async def write(self, part: Sequence[Received]) -> None:
        """Write records that are sorted by project, all but those that are refused."""
        part = self._hold_back(part)
        if not part:
            return
        try:
            await self._writer.write_part(part, self._coverage)
        except PermanentStoreError as error:
            if part[0].project == part[-1].project:
                self._refusals[part[0].project] += 1
            if len(part) == 1:
                self._refuse(part[0], reason=f"sqlstate_{error.sqlstate.lower()}")
                _log.error("record_refused", sqlstate=error.sqlstate, partition=part[0].partition, offset=part[0].offset)
                return
        except SlowStoreError as error:
            _log.warning("batch_halved", reason=error.reason, records=len(part))
        else:
            return
        middle = len(part) // 2
        await self.write(part[:middle])
        await self.write(part[middle:])

    def _hold_back(self, part: Sequence[Received]) -> Sequence[Received]:
        kept = []
        for item in part:
            if self._refusals[item.project] < self._refusals_max:
                kept.append(item)
                continue
            if item.project not in self.burnt:
                self.burnt.append(item.project)
            self._refuse(item, reason=PARKED)
        return kept

    def _refuse(self, item: Received, *, reason: str) -> None:
        self.refused[item.partition, item.offset] = refuse(item, reason=reason)
