"""The store in PostgreSQL: one connection, and one transaction a batch. The rows themselves are written by `write_rows`.

Nothing here retries or decides what to do about an error: errors leave as the worker's own (`store_errors`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar, Final, TypeVar

import asyncpg

from ddl.migrate import SCHEMA
from servicekit import postgres
from stream_workers.core.assemble import Rows
from stream_workers.core.deletions import Deletions
from stream_workers.errors import FencedError, OffsetGapError
from stream_workers.store.batch import DeadLetter, Topic, WriteBatch, undecided
from stream_workers.store.day_partitions import DayPartitions
from stream_workers.store.lease import refuse_zombie
from stream_workers.store.statements import QUERIES
from stream_workers.store.store import Epochs, Saved, Taken
from stream_workers.store.store_errors import worker_error
from stream_workers.store.time_limit import within
from stream_workers.store.write_rows import write_rows

_IDLE_MAX_MS: Final = 5_000  # between two statements of a transaction a worker computes for milliseconds
_CONNECT_TIMEOUT_S: Final = 5.0
_APPLICATION: Final = "agenttracer-worker"
_T = TypeVar("_T")


class PostgresStore:
    """A `RunStore`. Not for use by two tasks at once: a worker writes one transaction at a time."""

    application: ClassVar[str] = _APPLICATION
    server_settings: ClassVar[Mapping[str, str]] = {}
    """Settings that a subclass adds to its session."""

    def __init__(self, dsn: str, *, transaction_timeout_s: float, schema: str = SCHEMA) -> None:
        self._dsn = dsn
        self._timeout_s = transaction_timeout_s
        self._schema = schema
        self._connection: asyncpg.Connection | None = None
        self._partitions = DayPartitions()
        self._in_use = asyncio.Lock()

    async def save(self, topic: Topic, batch: WriteBatch, *, epochs: Epochs | None = None) -> Saved:
        """See `RunStore.save`."""
        return await self._with_connection(lambda connection: self._save(connection, topic, batch, epochs))

    async def frontiers(self, topic: Topic, partitions: Sequence[int]) -> Mapping[int, int]:
        """See `RunStore.frontiers`."""
        statement = QUERIES["frontiers"].bind(topic_id=topic.id, partitions=list(partitions))
        rows = await self._with_connection(lambda connection: connection.fetch(*statement))
        return dict.fromkeys(partitions, 0) | {row["partition"]: row["frontier"] for row in rows}

    async def take(self, topic: Topic, partitions: Sequence[int], *, owner: str) -> Mapping[int, Taken]:
        """See `RunStore.take`."""
        statement = QUERIES["take_partitions"].bind(topic_id=topic.id, topic=topic.name, partitions=list(partitions), owner=owner)
        rows = await self._with_connection(lambda connection: connection.fetch(*statement))
        return {row["partition"]: Taken(row["epoch"], row["frontier"]) for row in rows}

    async def record_lost(self, topic: Topic, partition: int, *, start: int, end: int, epoch: int | None = None) -> None:
        """See `RunStore.record_lost`."""
        statement = QUERIES["record_lost"].bind(
            topic_id=topic.id, topic=topic.name, partition=partition, first_lost=start, end_lost=end, epoch=epoch
        )
        if await self._with_connection(lambda connection: connection.fetchrow(*statement)) is None:
            raise FencedError([partition])

    async def close(self) -> None:
        """See `RunStore.close`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it is given up either way
                await asyncio.wait_for(connection.close(), timeout=2)

    async def _with_connection(self, work: Callable[[asyncpg.Connection], Awaitable[_T]]) -> _T:
        async with self._in_use:
            try:
                return await within(self._timeout_s, self._connected(work), break_off=self._terminate)
            except BaseException as error:
                if not isinstance(error, FencedError | OffsetGapError):
                    self._terminate()  # after anything unexpected the connection's state is unknown
                ours = worker_error(error)
                if ours is None:
                    raise
                raise ours from None  # asyncpg's own text may hold values of rows

    async def _connected(self, work: Callable[[asyncpg.Connection], Awaitable[_T]]) -> _T:
        if self._connection is None or self._connection.is_closed():
            self._partitions.forget()
            self._connection = await self._connect()
            await self._connection.execute(*QUERIES["end_overdue"].bind(application=_APPLICATION, limit_s=self._timeout_s))
            await self._prepare(self._connection)
        return await work(self._connection)

    async def _connect(self) -> asyncpg.Connection:
        limit_ms = int(self._timeout_s * 1000)
        settings = {
            # A worker that was stopped in mid-transaction holds its partitions' rows: the server ends it, so that the next
            # owner can go on. Our own limit cannot, since it is stopped as well.
            "transaction_timeout": str(limit_ms),
            "idle_in_transaction_session_timeout": str(min(_IDLE_MAX_MS, limit_ms)),
            # The stages have no statistics; the joins against them are few rows against an index, always.
            "enable_hashjoin": "off",
            "enable_mergejoin": "off",
            # A plan made while the tables were small would read them whole for every run, and stay that way as they grow.
            "enable_seqscan": "off",
            "plan_cache_mode": "force_custom_plan",
            **self.server_settings,
        }
        return await postgres.connect(
            self._dsn,
            application_name=self.application,
            search_path=self._schema,
            settings=settings,
            timeout_s=_CONNECT_TIMEOUT_S,
        )

    async def _prepare(self, connection: asyncpg.Connection) -> None:
        await connection.execute(*QUERIES["create_stages"].bind())

    def _terminate(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _save(self, connection: asyncpg.Connection, topic: Topic, batch: WriteBatch, epochs: Epochs | None) -> Saved:
        await self._ensure_partitions(connection, batch.rows)
        async with connection.transaction():
            frontiers = await _lock_ledger(connection, topic, batch, epochs)
            left = await _without_deleted(connection, batch)
            saved = (await self._write(connection, left))._replace(deleted=len(batch.rows) - len(left.rows))
            await _release_parked(connection, topic, batch, frontiers)
            await _write_dead_letters(connection, topic, undecided(batch.letters, frontiers))
            await _cover_offsets(connection, topic, batch)
        return saved

    async def _write(self, connection: asyncpg.Connection, batch: WriteBatch) -> Saved:
        return await write_rows(connection, batch.rows)

    async def _ensure_partitions(self, connection: asyncpg.Connection, rows: Rows) -> None:
        await self._partitions.ensure(connection, rows)


async def _lock_ledger(
    connection: asyncpg.Connection, topic: Topic, batch: WriteBatch, epochs: Epochs | None
) -> Mapping[int, int]:
    """The first statement of every transaction that writes: no other one writes these partitions until its end.

    Returns how far each of them is covered without a gap.
    """
    partitions = [coverage.partition for coverage in batch.coverage]
    held = [(epochs or {}).get(partition, 0) for partition in partitions]
    rows = await connection.fetch(
        *QUERIES["lock_ledger"].bind(topic_id=topic.id, topic=topic.name, partitions=partitions, epochs=held)
    )
    if epochs is not None:
        refuse_zombie(epochs, {row["partition"]: row["epoch"] for row in rows})
    frontiers = {row["partition"]: row["frontier"] for row in rows}
    gaps = {part: frontiers[part] for part, start, _ in batch.coverage if start > frontiers[part]}
    if gaps:
        raise OffsetGapError(gaps)
    return frontiers


async def _without_deleted(connection: asyncpg.Connection, batch: WriteBatch) -> WriteBatch:
    if not batch.rows.runs or not await connection.fetchval(*QUERIES["any_deletions"].bind()):
        return batch
    projects, run_ids = zip(*(state.key for state in batch.rows.runs), strict=True)
    rows = await connection.fetch(*QUERIES["deletions"].bind(projects=sorted(set(projects)), run_ids=run_ids))
    return replace(batch, rows=Deletions.of((row["project"], row["run_id"]) for row in rows).left_of(batch.rows))


async def _release_parked(connection: asyncpg.Connection, topic: Topic, batch: WriteBatch, frontiers: Mapping[int, int]) -> None:
    """Records that were held back by a parked project and are delivered again may be stored now: their letters are done with."""
    for partition, start, end in batch.coverage:
        if start < min(end, frontiers[partition]):
            kept = [letter.offset for letter in batch.letters if letter.partition == partition]
            bounds = {"partition": partition, "first_offset": start, "end_offset": end, "kept": kept}
            await connection.execute(*QUERIES["release_parked"].bind(topic_id=topic.id, **bounds))


async def _write_dead_letters(connection: asyncpg.Connection, topic: Topic, letters: Sequence[DeadLetter]) -> None:
    if letters:
        names = ("partitions", "record_offsets", "reasons", "fields", "sizes_bytes", "keyed_hashes", "projects")
        columns = dict(zip(names, map(list, zip(*letters, strict=True)), strict=True))
        await connection.execute(*QUERIES["dead_letter"].bind(topic_id=topic.id, topic=topic.name, **columns))


async def _cover_offsets(connection: asyncpg.Connection, topic: Topic, batch: WriteBatch) -> None:
    covered = [
        {"topic_id": topic.id, "partition": partition, "first_offset": start, "end_offset": end}
        for partition, start, end in batch.coverage
    ]
    await connection.executemany(*QUERIES["cover_offsets"].bind_many(covered))
