"""Deletes rows of runs and marks the runs as deleted, in one transaction in which no worker writes; a project's rows go later.

A deletion on request also takes back what statistics count of the rows, so that no name stays; statistics keep what expires. The
same is done to a shadow that is being built, so that a rebuild brings nothing back, and to the schema that was live before the
last swap, which would keep it until that schema is dropped.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple, TypeVar

import asyncpg

from ddl import rollups
from ddl.audit import AuditAction
from ddl.migrate import SCHEMA
from stream_workers.errors import StoreLockedError
from stream_workers.operations.deletion.session import (
    LOCKED,
    QUERIES,
    audit,
    lock_out_writers,
    retry_while_locked,
    session,
    use_schema,
)
from stream_workers.rollups.compaction import Which, await_turn, compact_within

_REMOVALS: Final = ("remove_failures", "remove_losses", "remove_producers", "remove_runs")
_STATISTICS: Final = (
    "forget_names",  # what the project allowed: read with statistics, and gone with them
    "forget_run_rollup_deltas",
    "forget_step_rollup_deltas",
    "forget_run_rollup_totals",
    "forget_step_rollup_totals",
    "forget_run_rollups",
    "forget_step_rollups",
    "forget_horizon",
)
_Answer = TypeVar("_Answer")


class DeletionResult(NamedTuple):
    """How many rows of the live store were deleted, and how many live API keys were revoked."""

    rows: int
    keys: int = 0


class TimeRange(NamedTuple):
    """From `low` until before `high`; None: without bound."""

    low: datetime | None = None
    high: datetime | None = None


async def remove_run(dsn: str, project: str, run_id: str, *, schema: str = SCHEMA) -> DeletionResult:
    """Delete one run, also one of which nothing has arrived yet. Raises StoreLockedError, OldSchemaError, asyncpg's errors."""
    async with session(dsn, schema) as connection:

        async def work() -> DeletionResult:
            await audit(connection, AuditAction.RUN_DELETED, project, run_id=run_id)
            await connection.execute(*QUERIES["gone_run"].bind(project=project, run_id=run_id))
            return DeletionResult(await _remove_run(connection, schema, project))

        return await _removed(connection, work)


async def remove_project(dsn: str, project: str, *, schema: str = SCHEMA) -> DeletionResult:
    """Delete a project, with all that comes of it later, and revoke its API keys.

    First it ends: from that transaction on nothing of it is written, and no key of it is good. Then its rows go in batches, for
    which no writer waits. Called again after an interruption, it goes on. Raises StoreLockedError, OldSchemaError and asyncpg's
    errors.
    """
    async with session(dsn, schema) as connection:
        keys = await _removed(connection, partial(_end_project, connection, schema, project))
        rows = 0
        for choose in (_SOME, _THE_REST):
            while (batch := await _removed(connection, partial(_remove_some, connection, schema, project, choose))).runs:
                rows += batch.rows
        return DeletionResult(rows, keys)


_SOME: Final = "some_gone"
_THE_REST: Final = "gone_project"
"""Rows of runs that have no row of their own: there are hardly any."""
RUNS_A_BATCH: Final = 2_000


class _Batch(NamedTuple):
    """Of all schemas together, and rows of the live one."""

    runs: int
    rows: int


async def _end_project(connection: asyncpg.Connection, schema: str, project: str) -> int:
    """Mark the project as deleted, and end its statistics and keys. Returns how many keys were live."""
    await connection.execute(*QUERIES["one_key_maker"].bind(project=project))
    for one in await lock_out_writers(connection, schema):
        await use_schema(connection, one)
        await connection.execute(*QUERIES["mark_project_deleted"].bind(project=project))
        await await_turn(connection)
        for name in _STATISTICS:
            await connection.execute(*QUERIES[name].bind(project=project))
    await use_schema(connection, schema)
    await audit(connection, AuditAction.PROJECT_DELETED, project)
    await connection.execute(*QUERIES["audit_revoked"].bind(project=project))
    keys: int = await connection.fetchval(*QUERIES["revoke_keys"].bind(project=project))
    return keys


async def _remove_some(connection: asyncpg.Connection, schema: str, project: str, choose: str) -> _Batch:
    """Delete some runs of an ended project in every schema: a rebuild may give them other names between two calls."""
    runs, found = 0, {schema: 0}
    names = [schema, f"{schema}_shadow", f"{schema}_old"]
    for row in await connection.fetch(*QUERIES["filled_schemas"].bind(names=names)):
        await use_schema(connection, row["name"])
        values = {"project": project} | ({"runs_max": RUNS_A_BATCH} if choose == _SOME else {})
        chosen = int((await connection.execute(*QUERIES[choose].bind(**values))).rpartition(" ")[2])
        if chosen:
            span = await time_range_of_gone(connection, project) if choose == _SOME else TimeRange()
            found[row["name"]] = await delete_rows(connection, project, steps=[span])
            await connection.execute(*QUERIES["leave_none"].bind())
        runs += chosen
    return _Batch(runs, found[schema])


async def _removed(connection: asyncpg.Connection, work: Callable[[], Awaitable[_Answer]]) -> _Answer:
    try:
        return await retry_while_locked(connection, work)
    except LOCKED:
        raise StoreLockedError from None


async def _remove_run(connection: asyncpg.Connection, schema: str, project: str) -> int:
    """Delete the run in `gone_runs`, and what statistics count of it. Returns how many rows the live store had of it."""
    found = {}
    for one in await lock_out_writers(connection, schema):
        await use_schema(connection, one)
        await connection.execute(*QUERIES["mark_runs_deleted"].bind(expired=False))
        within = await time_range_of_gone(connection, project)
        await connection.execute(*QUERIES["take_back_steps"].bind(project=project, **within._asdict(), ahead=None))
        await connection.execute(*QUERIES["take_back_runs"].bind(project=project, ahead=None))
        found[one] = await delete_rows(connection, project, steps=[within])
        if within.low is not None and within.high is not None:
            which = Which(since=rollups.minute_of(within.low), until=rollups.minute_of(within.high) + 1)
            await compact_within(connection, project, now=int(time.time()) // 60, which=which)
    return found[schema]


async def expire_gone(connection: asyncpg.Connection, schema: str, project: str) -> None:
    """Delete the project's runs in `gone_runs`, row by row, and mark them as expired. Statistics keep what they count of them."""
    schemas = await lock_out_writers(connection, schema)
    await connection.execute(*QUERIES["raise_horizons"].bind())
    for one in schemas:
        await use_schema(connection, one)
        await connection.execute(*QUERIES["mark_runs_deleted"].bind(expired=True))
        await settle_statistics(connection, project)
        await delete_rows(connection, project, steps=[await time_range_of_gone(connection, project)])


async def settle_statistics(connection: asyncpg.Connection, project: str) -> None:
    """Leave in the statistics what they are to keep of the project's `gone_runs`, which expire.

    A run that is gone by its receipt can say times ahead of those that are kept: nothing explains these once the run is gone.
    """
    ahead = await connection.fetchval(*QUERIES["kept_since"].bind(project=project))
    if ahead is not None:
        nowhere = TimeRange()._asdict()
        await connection.execute(*QUERIES["take_back_steps"].bind(project=project, **nowhere, ahead=ahead))
        await connection.execute(*QUERIES["take_back_runs"].bind(project=project, ahead=ahead))
    await connection.execute(*QUERIES["count_as_abandoned"].bind(project=project, ahead=ahead))


async def time_range_of_gone(connection: asyncpg.Connection, project: str) -> TimeRange:
    """The time range of the rows of the project's `gone_runs`, in the current schema."""
    row = await connection.fetchrow(*QUERIES["time_range_of_gone"].bind(project=project))
    assert row is not None
    return TimeRange(row["low"], row["high"])


async def delete_rows(connection: asyncpg.Connection, project: str, *, steps: Sequence[TimeRange]) -> int:
    """Delete the rows of the project's `gone_runs`; of steps only those in the time ranges `steps`. Returns how many rows."""
    removed = [await connection.fetchval(*QUERIES["remove_steps"].bind(project=project, **span._asdict())) for span in steps]
    removed += [await connection.fetchval(*QUERIES[name].bind(project=project)) for name in _REMOVALS]
    return sum(removed)
