"""Removes what a project no longer keeps: whole runs, by the time of their last event, and days of which nothing is left."""

from collections.abc import Callable
from typing import Final

import asyncpg

from ddl.migrate import SCHEMA
from stream_workers.deletion.removal import QUERIES, remove

_RUNS_A_TRANSACTION: Final = 2_000  # workers wait for some tenths of a second
_LOCK_TIMEOUT_MS: Final = 2_000
MARKS_DAYS: Final = 90
"""For how long an expired run's late events are known: far beyond what a topic keeps. Afterwards they would come as a run of
their own, and expire with the next call."""


async def set_retention(dsn: str, project: str, days: int | None, *, schema: str = SCHEMA) -> None:
    """Keep a project's runs for so many days after their last event; None: for ever. Raises asyncpg's errors."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": schema})
    try:
        await connection.execute(QUERIES["set_retention"], project, days)
    finally:
        await connection.close()


async def apply_retention(dsn: str, *, report: Callable[[str], None], schema: str = SCHEMA) -> int:
    """Remove what is over. Answers how many runs. Idempotent, safe to run beside workers. Raises asyncpg's errors."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": schema, "timezone": "UTC"})
    try:
        total = 0
        for row in await connection.fetch(QUERIES["retention"]):
            removed = await _expire(connection, row["project"], row["days"], schema)
            report(f"{row['project']}: {removed} runs were older than {row['days']} days")
            total += removed
        await connection.execute(QUERIES["forget_expired"], MARKS_DAYS)
        for table in await _drop_empty_days(connection):
            report(f"dropped {table}")
        return total
    finally:
        await connection.close()


async def _expire(connection: asyncpg.Connection, project: str, days: int, schema: str) -> int:
    total = 0
    while rows := await connection.fetch(QUERIES["expired_runs"], project, days, _RUNS_A_TRANSACTION):
        await remove(connection, project, [str(row["run_id"]) for row in rows], expired=True, schema=schema)
        total += len(rows)
    return total


async def _drop_empty_days(connection: asyncpg.Connection) -> list[str]:
    dropped = []
    for row in await connection.fetch(QUERIES["day_partitions"]):
        table = row["relname"]
        if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {table})"):  # noqa: S608 - a name that our own pattern allows
            continue
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
                await connection.execute(f"LOCK TABLE ONLY steps, {table} IN ACCESS EXCLUSIVE MODE")
                if not await connection.fetchval(f"SELECT EXISTS (SELECT FROM {table})"):  # noqa: S608 - as above
                    await connection.execute(f"DROP TABLE {table}")
                    dropped.append(table)
        except asyncpg.LockNotAvailableError:
            continue  # readers go first; the next call drops it
    return dropped
