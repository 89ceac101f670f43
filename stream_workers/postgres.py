"""The store in Postgres: one connection, one transaction a batch, written with COPY into stages and merged set by set.

Nothing here retries or decides what to do about an error; it only says, in the worker's terms, what happened.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

import asyncpg

from ddl.migrate import SCHEMA
from stream_workers.batch import Batch, Topic
from stream_workers.bounded import within
from stream_workers.copying import copy_rows
from stream_workers.core.deletions import Deletions
from stream_workers.core.diagnosis import HEALTHY, NOT_JUDGED, Diagnosis, Known, RunKey, diagnoses, grouped
from stream_workers.core.rows import FailureRow, StepRow, prefer
from stream_workers.core.run import ABANDON_AFTER_S, RunState
from stream_workers.diagnosing import Judged, StoredRun, diagnose_stored, failures_in_reach, judge_failures, known_runs
from stream_workers.errors import FencedError, HoleError
from stream_workers.lease import refuse_zombie
from stream_workers.partitions import Partitions
from stream_workers.sqlstate import understood
from stream_workers.stages import (
    FAILURE_COLUMNS,
    PRODUCER_COLUMNS,
    RUN_COLUMNS,
    STEP_COLUMNS,
    producer_values,
    run_values,
    stored_failure,
    stored_step,
)
from stream_workers.statements import QUERIES
from stream_workers.store import Epochs, Saved, Taken

_IDLE_MAX_MS: Final = 5_000  # between two statements of a transaction a worker thinks for milliseconds
_APPLICATION: Final = "agenttracer-worker"
_T = TypeVar("_T")


class PostgresStore:
    """A `RunStore`. Not for use by two tasks at once: a worker writes one transaction at a time."""

    server_settings: ClassVar[Mapping[str, str]] = {}
    """What a kind of store adds to its session."""

    def __init__(self, dsn: str, *, transaction_timeout_s: float, schema: str = SCHEMA) -> None:
        self._dsn = dsn
        self._timeout_s = transaction_timeout_s
        self._schema = schema
        self._connection: asyncpg.Connection | None = None
        self._partitions = Partitions()
        self._turn = asyncio.Lock()

    async def save(self, topic: Topic, batch: Batch, *, epochs: Epochs | None = None) -> Saved:
        """See `RunStore.save`."""
        return await self._with_connection(lambda connection: self._save(connection, topic, batch, epochs))

    async def frontiers(self, topic: Topic, partitions: Sequence[int]) -> Mapping[int, int]:
        """See `RunStore.frontiers`."""
        rows = await self._with_connection(lambda one: one.fetch(QUERIES["frontiers"], topic.id, list(partitions)))
        return dict.fromkeys(partitions, 0) | {row["partition"]: row["frontier"] for row in rows}

    async def take(self, topic: Topic, partitions: Sequence[int], *, owner: str) -> Mapping[int, Taken]:
        """See `RunStore.take`."""
        arguments = (topic.id, topic.name, list(partitions), owner)
        rows = await self._with_connection(lambda one: one.fetch(QUERIES["take"], *arguments))
        return {row["partition"]: Taken(row["epoch"], row["frontier"]) for row in rows}

    async def record_lost(self, topic: Topic, partition: int, *, start: int, end: int, epoch: int | None = None) -> None:
        """See `RunStore.record_lost`."""
        arguments = (topic.id, partition, topic.name, start, end, epoch)
        if await self._with_connection(lambda one: one.fetchrow(QUERIES["record_lost"], *arguments)) is None:
            raise FencedError([partition])

    async def close(self) -> None:
        """See `RunStore.close`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it is going away either way
                await asyncio.wait_for(connection.close(), timeout=2)

    async def _with_connection(self, work: Callable[[asyncpg.Connection], Awaitable[_T]]) -> _T:
        async with self._turn:
            try:
                return await within(self._timeout_s, self._connected(work), break_off=self._terminate)
            except BaseException as error:
                if not isinstance(error, FencedError | HoleError):
                    self._terminate()  # after anything unexpected the connection's state is unknown
                told = understood(error)
                if told is None:
                    raise
                raise told from None  # asyncpg's own text may hold row values

    async def _connected(self, work: Callable[[asyncpg.Connection], Awaitable[_T]]) -> _T:
        if self._connection is None or self._connection.is_closed():
            self._partitions.forget()
            self._connection = await _connect(self._dsn, self._schema, self.server_settings, timeout_s=self._timeout_s)
            await self._connection.execute(QUERIES["end_overdue"], _APPLICATION, self._timeout_s)
            await self._prepare(self._connection)
        return await work(self._connection)

    async def _prepare(self, connection: asyncpg.Connection) -> None:
        await connection.execute(QUERIES["create_stages"])

    def _terminate(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _save(self, connection: asyncpg.Connection, topic: Topic, batch: Batch, epochs: Epochs | None) -> Saved:
        await self._ensure_partitions(connection, batch.rows.steps)
        async with connection.transaction():
            await _lock_ledger(connection, topic, batch, epochs)
            left = await _without_deleted(connection, batch)
            saved = (await self._write(connection, left))._replace(deleted=len(batch.rows) - len(left.rows))
            for letter in batch.letters:
                place = (topic.id, letter.partition, letter.offset, topic.name)
                await connection.execute(
                    QUERIES["bury"], *place, letter.reason, letter.field, letter.size_bytes, letter.keyed_hash
                )
            covered = [(topic.id, *coverage) for coverage in batch.coverage]
            await connection.executemany(QUERIES["cover"], covered)
        return saved

    async def _write(self, connection: asyncpg.Connection, batch: Batch) -> Saved:
        return await write_rows(connection, batch)

    async def _ensure_partitions(self, connection: asyncpg.Connection, steps: Sequence[StepRow]) -> None:
        await self._partitions.ensure(connection, steps)


async def _connect(dsn: str, schema: str, more: Mapping[str, str], *, timeout_s: float) -> asyncpg.Connection:
    limit_ms = str(int(timeout_s * 1000))
    settings = {
        "search_path": schema,
        "application_name": _APPLICATION,
        "timezone": "UTC",
        # A worker that was stopped in mid-transaction holds its partitions' rows: the server ends it, so that the next owner
        # can go on. Our own limit cannot, since it is stopped as well.
        "transaction_timeout": limit_ms,
        "idle_in_transaction_session_timeout": str(min(_IDLE_MAX_MS, int(limit_ms))),
        "jit": "off",
        # The stages have no statistics; the joins against them are few rows against an index, always.
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        # A plan made while the tables were small would read them whole for every run, and stay that way as they grow.
        "enable_seqscan": "off",
        "plan_cache_mode": "force_custom_plan",
        **more,
    }
    return await asyncpg.connect(dsn, server_settings=settings, timeout=5)


async def _lock_ledger(connection: asyncpg.Connection, topic: Topic, batch: Batch, epochs: Epochs | None) -> None:
    """Every writing transaction's first word: it alone writes these partitions until its end, and only if they are its own."""
    partitions = [coverage.partition for coverage in batch.coverage]
    held = [(epochs or {}).get(partition, 0) for partition in partitions]
    rows = await connection.fetch(QUERIES["lock_ledger"], topic.id, topic.name, partitions, held)
    if epochs is not None:
        refuse_zombie(epochs, {row["partition"]: row["epoch"] for row in rows})
    frontiers = {row["partition"]: row["frontier"] for row in rows}
    holes = {part: frontiers[part] for part, start, _ in batch.coverage if start > frontiers[part]}
    if holes:
        raise HoleError(holes)


async def _without_deleted(connection: asyncpg.Connection, batch: Batch) -> Batch:
    if not batch.rows.runs or not await connection.fetchval(QUERIES["any_deletions"]):
        return batch
    projects, run_ids = zip(*(state.key for state in batch.rows.runs), strict=True)
    rows = await connection.fetch(QUERIES["deletions"], sorted(set(projects)), run_ids)
    return replace(batch, rows=Deletions.of((row["project"], row["run_id"]) for row in rows).left_of(batch.rows))


StepsByRun = Mapping[RunKey, Sequence[StepRow]]
WriteSteps = Callable[[asyncpg.Connection, Sequence[StepRow], StepsByRun], Awaitable[tuple[int, frozenset[RunKey]]]]


async def write_rows(connection: asyncpg.Connection, batch: Batch, *, write_steps: WriteSteps | None = None) -> Saved:
    """All rows of a batch, in the one order that all writers keep. `write_steps` does those in another way than the workers'."""
    rows = batch.rows
    steps, failures = grouped(rows.steps), grouped(rows.failures)
    stored = await known_runs(connection, rows.runs) if rows.runs else {}
    found = diagnoses([run for run in rows.runs if run.key not in stored], steps, failures)
    new_steps, lost_steps = await (write_steps or _write_steps)(connection, rows.steps, steps) if rows.steps else (0, frozenset())
    judged = _judged(rows.failures, found)
    new_failures, lost_failures = await _write_failures(connection, judged) if judged else (0, frozenset())
    replaced, reached = lost_steps | lost_failures, await failures_in_reach(connection, failures, stored)
    outdated = [
        run
        for run in rows.runs
        if run.key in stored
        and (run.key in replaced or stored[run.key].known.outdated_by(run, steps.get(run.key, ()), reached.get(run.key, ())))
    ]
    if outdated:
        found |= await _diagnose_anew(connection, outdated, stored, failures)
    await _write_runs(connection, rows.runs, found, stored)
    if rows.producers:
        producers = [producer_values(row) for row in rows.producers]
        await copy_rows(connection, "stage_producers", producers, columns=PRODUCER_COLUMNS)
        await connection.execute(QUERIES["write_producers"])
    if rows.losses:
        await connection.execute(QUERIES["write_losses"], *(list(column) for column in zip(*rows.losses, strict=True)))
    return Saved(new_steps, new_failures, len(rows.steps) + len(judged) - new_steps - new_failures)


def _judged(failures: Sequence[FailureRow], found: Mapping[RunKey, Diagnosis]) -> list[Judged]:
    """What is inserted: failures of runs that are diagnosed already with what is said of them, and derived ones."""
    said = [(row, found.get(row.key[:2], HEALTHY).verdicts.get(row.failure_id, NOT_JUDGED)) for row in failures]
    derived = [(row, one.verdicts[row.failure_id]) for one in found.values() for row in one.loops]
    return said + derived


async def _diagnose_anew(
    connection: asyncpg.Connection,
    runs: Sequence[RunState],
    stored: Mapping[RunKey, StoredRun],
    written: Mapping[RunKey, Sequence[FailureRow]],
) -> dict[RunKey, Diagnosis]:
    found = await diagnose_stored(connection, runs, stored, written)
    for row in (row for _, news in found.values() for row in news.gone):
        await connection.execute(QUERIES["remove_failure"], *row.key)
    derived = [judged for _, news in found.values() for judged in news.new]
    if derived:
        await connection.execute(QUERIES["empty_failure_stage"])
        await _write_failures(connection, derived)
    await judge_failures(connection, (judged for _, news in found.values() for judged in news.verdicts))
    return {key: diagnosis for key, (diagnosis, _) in found.items()}


async def _write_runs(
    connection: asyncpg.Connection,
    runs: Sequence[RunState],
    found: Mapping[RunKey, Diagnosis],
    stored: Mapping[RunKey, StoredRun],
) -> None:
    values = []
    for run in runs:
        said: Diagnosis | Known = found.get(run.key) or (stored[run.key].known if run.key in stored else HEALTHY)
        values.append(run_values(run, said.standing, said.watch))
    if values:
        await copy_rows(connection, "stage_runs", values, columns=RUN_COLUMNS)
        await connection.execute(QUERIES["write_runs"], ABANDON_AFTER_S)


async def _write_steps(connection: asyncpg.Connection, rows: Sequence[StepRow], _: StepsByRun) -> tuple[int, frozenset[RunKey]]:
    """How many were new, and the runs of which a stored step was replaced by one that it lost against."""
    await copy_rows(connection, "stage_steps", rows, columns=STEP_COLUMNS)
    new: int = await connection.fetchval(QUERIES["write_steps"])
    losers = await _remove_losers(connection, _STEPS, rows) if new < len(rows) else []
    if losers:
        await connection.fetchval(QUERIES["write_steps"])
    return new, frozenset(key[:2] for key in losers)


async def _write_failures(connection: asyncpg.Connection, judged: Sequence[Judged]) -> tuple[int, frozenset[RunKey]]:
    """As `_write_steps`."""
    records = [(*row, *verdict) for row, verdict in judged]
    await copy_rows(connection, "stage_failures", records, columns=FAILURE_COLUMNS)
    new: int = await connection.fetchval(QUERIES["write_failures"])
    losers = await _remove_losers(connection, _FAILURES, [row for row, _ in judged]) if new < len(judged) else []
    if losers:
        await connection.fetchval(QUERIES["write_failures"])
    return new, frozenset(key[:2] for key in losers)


class _Conflicts(NamedTuple):
    """How one table finds rows that were said before with other content, reads them, and takes the losers back."""

    differing: str
    remove: str
    stored: Callable[[Mapping[str, Any]], Any]


_STEPS: Final = _Conflicts("differing_steps", "remove_step", stored_step)
_FAILURES: Final = _Conflicts("differing_failures", "remove_failure", stored_failure)


async def _remove_losers(connection: asyncpg.Connection, table: _Conflicts, rows: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
    """Take back stored rows that lose against the batch's; writing again then inserts the winners. Answers their keys."""
    staged = {row.key: row for row in rows}
    found = [table.stored(dict(row)) for row in await connection.fetch(QUERIES[table.differing])]
    losers = [row.key for row in found if prefer(row, staged[row.key]) != row]
    for key in losers:
        await connection.execute(QUERIES[table.remove], *key)
    return losers
