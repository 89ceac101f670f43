"""Deletes runs that projects no longer keep: whole days where no other run has steps, single runs where others keep the day.

Statistics are kept apart from detail: they end by a time of their own.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final

import asyncpg

from ddl.audit import AuditAction
from ddl.migrate import SCHEMA
from stream_workers.operations.deletion.day import Day, days, end_day
from stream_workers.operations.deletion.removal import expire_gone
from stream_workers.operations.deletion.session import LOCKED, QUERIES, audit, retry_while_locked, session
from stream_workers.rollups.compaction import await_turn, expire_short_spans_of_all

_RUNS_A_TRANSACTION: Final = 2_000  # workers wait for some tenths of a second
_STATISTICS: Final = (
    "run_rollup_totals",
    "step_rollup_totals",
    "run_rollup_deltas",
    "step_rollup_deltas",
    "run_rollups",
    "step_rollups",
)
MARKS_DAYS: Final = 90
"""For how long an expired run's late events are known: far beyond what a topic keeps. Afterwards they would come as a run of
their own, and expire with a later call."""


@dataclass(slots=True)
class RetentionResult:
    """One call's result: runs by project, whole days, and days that another transaction held, which the next call deletes."""

    runs: Counter[str] = field(default_factory=Counter)
    one_by_one: int = 0
    """Runs of those that were removed row by row, because others keep their days."""
    statistics: Counter[str] = field(default_factory=Counter)
    """Rows of statistics that were removed, by project."""
    dropped: list[str] = field(default_factory=list)
    held: list[Day] = field(default_factory=list)
    interrupted: bool = False
    """Whether single runs or statistics are left, too."""

    @property
    def complete(self) -> bool:
        """Whether nothing is left for the next call."""
        return not self.held and not self.interrupted


async def set_retention(
    dsn: str, project: str, days_kept: int | None, *, statistics_days: int | None = None, schema: str = SCHEMA
) -> None:
    """Keep a project's runs for so many days after their last event, and statistics of so many days; None: for ever.

    Statistics are kept at least as long as runs. Raises asyncpg's errors.
    """
    bound = QUERIES["set_retention"].bind(project=project, days=days_kept, statistics_days=statistics_days)
    async with session(dsn, schema) as connection, connection.transaction():
        await connection.execute(*bound)
        await audit(connection, AuditAction.RETENTION_SET, project)


async def apply_retention(dsn: str, *, report: Callable[[str], None], schema: str = SCHEMA) -> RetentionResult:
    """Delete expired runs. Idempotent; safe beside workers, readers, rebuilds, itself. Raises OldSchemaError, asyncpg's errors.

    A run is deleted with its whole day; where other runs keep the day, it is deleted alone, one day later.
    """
    applied = RetentionResult()
    async with session(dsn, schema) as connection:
        await _end_days(connection, schema, applied)
        kept = await connection.fetch(*QUERIES["retention"].bind())
        for row in kept:
            await _expire(connection, row["project"], row["days"], schema, applied)
        for row in await connection.fetch(*QUERIES["expired_statistics"].bind()):
            await _expire_statistics(connection, row["project"], row["before"], applied)
        await expire_short_spans_of_all(connection, now=int(time.time()) // 60)
        await connection.execute(*QUERIES["forget_expired"].bind(days=MARKS_DAYS))
    for table in applied.dropped:
        report(f"dropped {table}")
    for row in kept:
        report(f"{row['project']}: {applied.runs[row['project']]} runs were older than {row['days']} days")
    for project, rows in sorted(applied.statistics.items()):
        report(f"{project}: {rows} rows of statistics were of days that are kept no longer")
    return applied


async def _end_days(connection: asyncpg.Connection, schema: str, applied: RetentionResult) -> None:
    waiting = await days(connection)
    while waiting:
        day = waiting[0]
        try:
            gone = await retry_while_locked(connection, partial(end_day, connection, day, schema))
        except LOCKED:
            applied.held = waiting  # a transaction that holds one day most often holds them all
            return
        except asyncpg.UndefinedTableError:
            gone = None  # another call dropped it
        waiting = waiting[1:]
        if gone is not None:
            applied.runs += gone
            applied.dropped.append(day.table)


async def _expire(connection: asyncpg.Connection, project: str, kept_days: int, schema: str, applied: RetentionResult) -> None:
    choose = QUERIES["gone_expired"].bind(
        project=project, days=kept_days, held=_ranges(applied.held), runs_max=_RUNS_A_TRANSACTION
    )

    async def some() -> int:
        count = int((await connection.execute(*choose)).rpartition(" ")[2])
        if count:
            await audit(connection, AuditAction.RUNS_EXPIRED, project, number=count)
            await expire_gone(connection, schema, project)
        return count

    try:
        while count := await retry_while_locked(connection, some):
            applied.runs[project] += count
            applied.one_by_one += count
    except LOCKED:
        applied.interrupted = True


async def _expire_statistics(connection: asyncpg.Connection, project: str, before: datetime, applied: RetentionResult) -> None:
    """All of it in one transaction, and no compaction meanwhile."""

    async def work() -> int:
        await await_turn(connection)
        await connection.execute(*QUERIES["raise_horizon_to"].bind(project=project, before=before))
        removed = [
            await connection.fetchval(*QUERIES[f"expire_{table}"].bind(project=project, before=before)) for table in _STATISTICS
        ]
        return sum(removed)

    try:
        applied.statistics[project] += await retry_while_locked(connection, work)
    except LOCKED:
        applied.interrupted = True


def _ranges(held: Sequence[Day]) -> list[asyncpg.Range[datetime]]:
    return [asyncpg.Range(day.low, day.high) for day in held]
