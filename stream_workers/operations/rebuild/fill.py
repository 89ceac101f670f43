"""One filling process: its partitions of the topic into the shadow, first in bulk up to the targets, later following the log.

It has two lanes, each with partitions, a log reader and a session of its own: while PostgreSQL works for one, the process reads
and assembles for the other. It goes on from the shadow's ledger, so it may be killed at any instant. It ends with its parent.
"""

import asyncio
import gc
import multiprocessing
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import asyncpg

from servicekit.logs import configure
from stream_workers.abort import end_process
from stream_workers.core.assemble import Assembly
from stream_workers.errors import StoreAccessError
from stream_workers.kafka.topic_log import LogChunk, LogRange, TopicLog, open_log
from stream_workers.metrics import WorkerMetrics
from stream_workers.operations.rebuild.bulk import BulkStore
from stream_workers.operations.rebuild.plan import Plan
from stream_workers.pipeline.dead_letter_limit import DeadLetterLimit
from stream_workers.pipeline.decode import RecordDecoder, canonical_json
from stream_workers.pipeline.writer import Writer
from stream_workers.store.batch import Coverage, Received, WriteBatch, batch_of
from stream_workers.store.postgres import PostgresStore

LANES: Final = 2  # one leaves the process idle for a third of the time; a third one has nothing left to fill
BULK_ROWS: Final = 16_000  # up to 48,000 cost PostgreSQL the same, and memory more
FOLLOW_ROWS: Final = 4_000  # small enough that the swap waits for tens of milliseconds
_TRANSACTION_S: Final = 300.0
_RETRY_MAX_S: Final = 2.0
_SLICE: Final = 50
_COLLECT_AFTER_OBJECTS: Final = 1_000_000  # more than the batches of all lanes: looking through them would find no cycle
EXIT_ORPHAN: Final = 75  # EX_TEMPFAIL


def run_filler(plan: Plan, number: int, targets: Mapping[int, int] | None) -> None:
    """The whole work of the process. `targets` None: follow the log until killed. An error that no retry mends ends it."""
    configure("WARNING")
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER_OBJECTS)
    try:
        asyncio.run(_fill(plan, number, targets))
    except Exception as error:  # noqa: BLE001 - Python's own traceback could show values of rows
        first = _first(error)
        if not _is_swapped(first):
            end_process(first)


def _is_swapped(error: BaseException) -> bool:
    """Whether the shadow is no more, because it is live now: there is nothing left to fill."""
    return isinstance(error, StoreAccessError) and error.code == asyncpg.UndefinedTableError.sqlstate


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def _fill(plan: Plan, number: int, targets: Mapping[int, int] | None) -> None:
    _end_with_parent()
    async with asyncio.TaskGroup() as lanes:
        for lane in range(LANES):
            # With these numbers every process has partitions before one has them for two lanes.
            lanes.create_task(_lane(plan, lane * plan.processes + number, targets))


async def _lane(plan: Plan, number: int, targets: Mapping[int, int] | None) -> None:
    """One of all lanes of all processes. A lane without a partition ends at once."""
    kind, rows = (PostgresStore, FOLLOW_ROWS) if targets is None else (BulkStore, BULK_ROWS)
    store = kind(plan.dsn, transaction_timeout_s=_TRANSACTION_S, schema=plan.shadow)
    writer = Writer(store, plan.topic, WorkerMetrics(), retry_max_s=_RETRY_MAX_S, limit=DeadLetterLimit.none())
    try:
        async with open_log(plan.bootstrap, plan.topic.name, plan.security) as log:
            reach = await log.reach()
            lanes = min(plan.processes * LANES, len(reach))
            ours = {partition: found for partition, found in reach.items() if partition % lanes == number}
            if ours:
                pieces = _pieces(log, await _starts(plan, ours, store), targets)
                await pump(pieces, writer, max_rows=rows, pace=Throttle(plan.max_events_per_s, lanes))
    finally:
        await store.close()


def _end_with_parent() -> None:
    """Exit when the parent ends: a command that was killed must leave no filling process behind."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        asyncio.get_running_loop().add_reader(parent.sentinel, os._exit, EXIT_ORPHAN)


async def _starts(plan: Plan, reach: Mapping[int, LogRange], store: PostgresStore) -> dict[int, int]:
    starts = dict(await store.frontiers(plan.topic, sorted(reach)))
    for partition, (begin, _) in reach.items():
        if starts[partition] < begin:  # retention was faster than this rebuild; the comparison shows the effect
            await store.record_lost(plan.topic, partition, start=starts[partition], end=begin)
            starts[partition] = begin
    return starts


def _pieces(log: TopicLog, starts: Mapping[int, int], targets: Mapping[int, int] | None) -> AsyncIterator[LogChunk]:
    if targets is None:
        return _follow(log, starts)
    return log.read({one: (start, targets[one]) for one, start in starts.items() if one in targets})


async def _follow(log: TopicLog, starts: Mapping[int, int]) -> AsyncIterator[LogChunk]:
    log.seek(starts)
    while True:
        for piece in await log.poll(max_records=FOLLOW_ROWS):
            yield piece
        yield _FLUSH


_FLUSH: Final = LogChunk(-1, 0, 0, ())
"""The log has nothing more now: the gathered records are written."""


class Throttle:
    """Limits one of so many lanes to its share of `max_events_per_s`; without a limit it never waits."""

    def __init__(self, max_events_per_s: float | None, lanes: int) -> None:
        self._per_s = None if max_events_per_s is None else max_events_per_s / lanes
        self._began_s = time.monotonic()
        self._events = 0

    async def after(self, events: int) -> None:
        """Wait until so many more events may have been read."""
        self._events += events
        if self._per_s is not None:
            await asyncio.sleep(max(0.0, self._began_s + self._events / self._per_s - time.monotonic()))


async def pump(pieces: AsyncIterator[LogChunk], writer: Writer, *, max_rows: int, pace: Throttle) -> None:
    """Write all pieces in batches of about `max_rows` events; the next is read and assembled while one is written."""
    ready: asyncio.Queue[tuple[list[Received], WriteBatch] | None] = asyncio.Queue(maxsize=1)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_gather(pieces, ready, max_rows, pace))
        tasks.create_task(_write(ready, writer))


async def _gather(
    pieces: AsyncIterator[LogChunk], ready: asyncio.Queue[tuple[list[Received], WriteBatch] | None], max_rows: int, pace: Throttle
) -> None:
    gathering = _Gathering()
    async for piece in pieces:
        if piece is _FLUSH:
            if gathering.spans:
                await ready.put(gathering.batch())
                gathering = _Gathering()
            continue
        for start, records in _slices(piece):
            before = gathering.events
            gathering.add(piece.partition, start, records)
            await pace.after(gathering.events - before)
            await asyncio.sleep(0)  # the transaction under way gets its turn
            if gathering.events >= max_rows:
                gathering.pass_by(piece.partition, records[-1].offset + 1)
                await ready.put(gathering.batch())
                gathering = _Gathering()
        gathering.pass_by(piece.partition, piece.end)
    if gathering.spans:
        await ready.put(gathering.batch())
    await ready.put(None)


async def _write(ready: asyncio.Queue[tuple[list[Received], WriteBatch] | None], writer: Writer) -> None:
    while (one := await ready.get()) is not None:
        received, batch = one
        await writer.write(received, batch=batch)


class _Gathering:
    """Records on their way to becoming a batch, and the offsets that they are all of."""

    def __init__(self) -> None:
        self._decoder = RecordDecoder(None)
        self._assembly = Assembly(canonical_json)
        self._received: list[Received] = []
        self.spans: dict[int, tuple[int, int]] = {}
        self.events = 0

    def add(self, partition: int, start: int, records: Sequence[Any]) -> None:
        received = self._decoder.decode(partition, records)
        for item in received:
            if item.record is None:
                self.events += 1  # a dead letter takes its place in memory and in the transaction, too
            else:
                self._assembly.add(item.record)
                self.events += len(item.record.events)
        self._received += received
        self.spans.setdefault(partition, (start, start))
        if received:
            self.pass_by(partition, received[-1].offset + 1)

    def pass_by(self, partition: int, end: int) -> None:
        """Cover the offsets up to `end`, also those that hold no records."""
        start, before = self.spans.get(partition, (end, end))
        self.spans[partition] = (start, max(before, end))

    def batch(self) -> tuple[list[Received], WriteBatch]:
        batch = batch_of(self._received, self._assembly.rows())
        coverage = [Coverage(one, *self.spans[one]) for one in sorted(self.spans)]
        return self._received, replace(batch, coverage=coverage)


def _slices(piece: LogChunk) -> list[tuple[int, Sequence[Any]]]:
    """Pieces of a piece, each with the offset where it begins: where the one before ended."""
    found = []
    start = piece.start
    for first in range(0, len(piece.records), _SLICE):
        records = piece.records[first : first + _SLICE]
        found.append((start, records))
        start = records[-1].offset + 1
    return found or [(piece.start, ())]
