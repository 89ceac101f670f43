"""Ends a day of steps as a whole: once no run that stays has a step on it, its partition is dropped, at no cost a step.

Runs that go with the day lose what they have elsewhere in the same transaction: their own rows, and steps on the days beside it.
So the store is at every moment what the fold says, and whoever is killed leaves nothing half done.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from stream_workers.deletion.removal import Span, span_of_gone, take_out
from stream_workers.deletion.session import QUERIES, ask_for, enter, stop_writers


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
    return [Day.of(row["relname"]) for row in await connection.fetch(QUERIES["day_partitions"])]


async def end_day(connection: asyncpg.Connection, day: Day, schema: str) -> Counter[str] | None:
    """Drop the day with all its runs, and answer how many these were by project; None if anything of it is kept.

    Called in a transaction. Raises asyncpg's LockNotAvailableError where a reader or a worker goes first, and OldStoreError.
    """
    await connection.execute(QUERIES["gone_on_day"], day.low, day.high)
    if await _kept(connection, day):
        return None
    await connection.execute("ANALYZE gone_runs")
    await connection.execute(QUERIES["one_partitioner"])
    await ask_for(connection, _partition_lock(day))
    schemas = await stop_writers(connection, schema)
    if await _kept(connection, day):  # somebody wrote until a moment ago
        return None
    ended = [one for one in schemas if await _end(connection, day, one)]
    for one in ended:
        await enter(connection, one)
        await connection.execute(QUERIES["one_partitioner"])
        await connection.execute(f"LOCK TABLE {_partition_lock(day)}")
        await connection.execute(f"DROP TABLE {day.table}")
    return Counter({row["project"]: row["runs"] for row in await connection.fetch(QUERIES["count_gone"])})


async def _kept(connection: asyncpg.Connection, day: Day) -> bool:
    return bool(await connection.fetchval(QUERIES["others_on_day"], day.low, day.high))


async def _end(connection: asyncpg.Connection, day: Day, schema: str) -> bool:
    """Remove what goes, all but the day's own steps. False where those went one by one: a shadow may be ahead of us."""
    await enter(connection, schema)
    await connection.execute(QUERIES["say_runs"], True)  # noqa: FBT003 - a parameter of the statement
    within = await span_of_gone(connection)
    there = await connection.fetchval(QUERIES["partition_there"], day.table)
    if not there or await _kept(connection, day):
        await take_out(connection, steps=[within], within=within)
        return False
    await connection.execute(QUERIES["clear_step_rollups"], day.low, day.high)
    await take_out(connection, steps=list(_beside(day, within)), within=within)
    return True


def _beside(day: Day, within: Span) -> list[Span]:
    """The parts of `within` before the day and after it."""
    before = [Span(within.low, day.low)] if within.low and within.low < day.low else []
    after = [Span(day.high, within.high)] if within.high and within.high > day.high else []
    return before + after


def _partition_lock(day: Day) -> str:
    # The default partition too: to drop a day changes what may lie there.
    return f"ONLY steps, steps_default, {day.table} IN ACCESS EXCLUSIVE MODE"
