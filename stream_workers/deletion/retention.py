"""Removes what projects no longer keep: whole days where nothing else lies on them, single runs where others keep the day."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final

import asyncpg

from ddl.migrate import SCHEMA
from stream_workers.deletion.day import Day, days, end_day
from stream_workers.deletion.removal import remove_gone
from stream_workers.deletion.session import BUSY, QUERIES, patiently, session

_RUNS_A_TRANSACTION: Final = 2_000  # workers wait for some tenths of a second
MARKS_DAYS: Final = 90
"""For how long an expired run's late events are known: far beyond what a topic keeps. Afterwards they would come as a run of
their own, and expire with a later call."""


@dataclass(slots=True)
class Applied:
    """What a call removed: runs by project, days as a whole; and days that somebody held, which are left for the next call."""

    runs: Counter[str] = field(default_factory=Counter)
    one_by_one: int = 0
    """Runs of those that were removed row by row, because others keep their days."""
    dropped: list[str] = field(default_factory=list)
    held: list[Day] = field(default_factory=list)
    interrupted: bool = False
    """Whether single runs are left, too."""

    @property
    def complete(self) -> bool:
        """Whether nothing is left for the next call."""
        return not self.held and not self.interrupted


async def set_retention(dsn: str, project: str, days_kept: int | None, *, schema: str = SCHEMA) -> None:
    """Keep a project's runs for so many days after their last event; None: for ever. Raises asyncpg's errors."""
    async with session(dsn, schema) as connection:
        await connection.execute(QUERIES["set_retention"], project, days_kept)


async def apply_retention(dsn: str, *, report: Callable[[str], None], schema: str = SCHEMA) -> Applied:
    """Remove what is over. Idempotent, safe beside workers, readers, rebuilds and itself. Raises OldStoreError, asyncpg's errors.

    A run goes when its day can go as a whole; where others keep the day, a day later than it could have.
    """
    applied = Applied()
    async with session(dsn, schema) as connection:
        await _end_days(connection, schema, applied)
        kept = await connection.fetch(QUERIES["retention"])
        for row in kept:
            await _expire(connection, row["project"], row["days"], schema, applied)
        await connection.execute(QUERIES["forget_expired"], MARKS_DAYS)
    for table in applied.dropped:
        report(f"dropped {table}")
    for row in kept:
        report(f"{row['project']}: {applied.runs[row['project']]} runs were older than {row['days']} days")
    return applied


async def _end_days(connection: asyncpg.Connection, schema: str, applied: Applied) -> None:
    waiting = await days(connection)
    while waiting:
        day = waiting[0]
        try:
            gone = await patiently(connection, partial(end_day, connection, day, schema))
        except BUSY:
            applied.held = waiting  # who holds one day most often holds them all
            return
        except asyncpg.UndefinedTableError:
            gone = None  # another call dropped it
        waiting = waiting[1:]
        if gone is not None:
            applied.runs += gone
            applied.dropped.append(day.table)


async def _expire(connection: asyncpg.Connection, project: str, kept_days: int, schema: str, applied: Applied) -> None:
    held = _ranges(applied.held)

    async def some() -> int:
        arguments = (project, kept_days, held, _RUNS_A_TRANSACTION)
        count = int((await connection.execute(QUERIES["gone_expired"], *arguments)).rpartition(" ")[2])
        if count:
            await remove_gone(connection, schema, expired=True)
        return count

    try:
        while count := await patiently(connection, some):
            applied.runs[project] += count
            applied.one_by_one += count
    except BUSY:
        applied.interrupted = True


def _ranges(held: Sequence[Day]) -> list[asyncpg.Range[datetime]]:
    return [asyncpg.Range(day.low, day.high) for day in held]
