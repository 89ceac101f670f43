"""Drops a day of steps as a whole, at no cost a step, when no run that stays has a step on it.

The other rows of the day's runs are deleted in the same transaction: their own rows, and steps on the days beside it. Statistics
keep what they count of them. A killed process leaves nothing half done.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from ddl.audit import AuditAction
from stream_workers.operations.deletion.removal import TimeRange, delete_rows, settle_statistics, time_range_of_gone
from stream_workers.operations.deletion.session import QUERIES, audit, lock_out_writers, use_schema, wait_for_lock


@dataclass(frozen=True, slots=True)
class Day:
    """A day of UTC, and the partition of its steps."""

    table: str
    low: datetime
    high: datetime

    @classmethod
    def of(cls, table: str) -> "Day":
        """From the partition's name, `steps_20260131`."""
        low = datetime.strptime(table, "steps_%Y%m%d").replace(tzinfo=UTC)
        return cls(table, low, low + timedelta(days=1))


async def days(connection: asyncpg.Connection) -> list[Day]:
    """Days that are over, oldest first."""
    return [Day.of(row["relname"]) for row in await connection.fetch(*QUERIES["day_partitions"].bind())]


async def end_day(connection: asyncpg.Connection, day: Day, schema: str) -> Counter[str] | None:
    """Drop the day with all its runs. Returns how many these were by project; None if any run of the day is kept.

    Called in a transaction. Raises asyncpg's LockNotAvailableError where a reader or a worker goes first, and OldStoreError.
    """
    for row in await connection.fetch(*QUERIES["retention"].bind()):
        await connection.execute(*QUERIES["gone_on_day"].bind(**row, low=day.low, high=day.high))
    if await _kept(connection, day):
        return None
    await connection.execute("ANALYZE gone_runs")
    await connection.execute(*QUERIES["one_partitioner"].bind())
    await wait_for_lock(connection, _partition_lock(day))
    schemas = await lock_out_writers(connection, schema)
    if await _kept(connection, day):  # a worker wrote until a moment ago
        return None
    await connection.execute(*QUERIES["raise_horizons"].bind())
    gone = Counter({row["project"]: row["runs"] for row in await connection.fetch(*QUERIES["count_gone"].bind())})
    for project, runs in gone.items():
        await audit(connection, AuditAction.RUNS_EXPIRED, project, number=runs)
    ended = [one for one in schemas if await _end(connection, day, one, list(gone))]
    for one in ended:
        await use_schema(connection, one)
        await connection.execute(*QUERIES["one_partitioner"].bind())
        await connection.execute(f"LOCK TABLE {_partition_lock(day)}")
        await connection.execute(f"DROP TABLE {day.table}")
    return gone


async def _kept(connection: asyncpg.Connection, day: Day) -> bool:
    """Whether a run that stays has a step on the day, whatever its project."""
    span = {"low": day.low, "high": day.high}
    project: str | None = ""
    while (project := await connection.fetchval(*QUERIES["project_on_day"].bind(after=project, **span))) is not None:
        if await connection.fetchval(*QUERIES["others_on_day"].bind(project=project, **span)):
            return True
    return False


async def _end(connection: asyncpg.Connection, day: Day, schema: str, projects: Sequence[str]) -> bool:
    """Delete the runs that go, all but the day's own steps. False where the steps were deleted too: a shadow may differ."""
    await use_schema(connection, schema)
    await connection.execute(*QUERIES["mark_runs_deleted"].bind(expired=True))
    exists = await connection.fetchval(*QUERIES["partition_exists"].bind(table_name=day.table))
    whole = bool(exists) and not await _kept(connection, day)  # before any run is deleted: they say which steps stay
    for project in projects:
        await settle_statistics(connection, project)
        within = await time_range_of_gone(connection, project)
        await delete_rows(connection, project, steps=list(_beside(day, within)) if whole else [within])
    return whole


def _beside(day: Day, within: TimeRange) -> list[TimeRange]:
    """The parts of `within` before the day and after it."""
    before = [TimeRange(within.low, day.low)] if within.low and within.low < day.low else []
    after = [TimeRange(day.high, within.high)] if within.high and within.high > day.high else []
    return before + after


def _partition_lock(day: Day) -> str:
    # The default partition too: to drop a day changes what may lie there.
    return f"ONLY steps, steps_default, {day.table} IN ACCESS EXCLUSIVE MODE"
