"""Removes rows of runs and says so for good, in one transaction in which no worker writes.

A shadow that is being built is treated alike, so that a rebuild brings nothing back; so is what was live before the last swap,
where it would stay until that is dropped.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import asyncpg

from ddl.migrate import SCHEMA
from stream_workers.deletion.session import BUSY, QUERIES, enter, patiently, session, stop_writers
from stream_workers.errors import HeldStoreError

_REMOVALS: Final = ("remove_failures", "remove_losses", "remove_producers", "remove_runs")


class Removed(NamedTuple):
    """What a deletion came to: rows that the live store had, and live API keys that were revoked."""

    rows: int
    keys: int = 0


class Span(NamedTuple):
    """From `low` until before `high`; None: without bound."""

    low: datetime | None = None
    high: datetime | None = None


async def remove_run(dsn: str, project: str, run_id: str, *, schema: str = SCHEMA) -> Removed:
    """Remove one run, also one of which nothing has arrived yet. Raises HeldStoreError, OldStoreError, asyncpg's errors."""
    async with session(dsn, schema) as connection:

        async def work() -> Removed:
            await connection.execute(QUERIES["gone_run"], project, run_id)
            return Removed(await remove_gone(connection, schema, expired=False))

        return await _removed(connection, work)


async def remove_project(dsn: str, project: str, *, schema: str = SCHEMA) -> Removed:
    """Remove a project, whatever comes of it later too, and revoke its API keys.

    Raises HeldStoreError, OldStoreError and asyncpg's errors.
    """
    async with session(dsn, schema) as connection:

        async def work() -> Removed:
            await connection.execute(QUERIES["one_key_maker"], project)
            found = {}
            for one in await stop_writers(connection, schema):
                await enter(connection, one)
                await connection.execute(QUERIES["say_project"], project)
                await connection.execute(QUERIES["gone_project"], project)
                found[one] = await take_out(connection, steps=[Span()], within=Span())
            await enter(connection, schema)
            return Removed(found[schema], await connection.fetchval(QUERIES["revoke_keys"], project))

        return await _removed(connection, work)


async def _removed(connection: asyncpg.Connection, work: Callable[[], Awaitable[Removed]]) -> Removed:
    try:
        return await patiently(connection, work)
    except BUSY:
        raise HeldStoreError from None


async def remove_gone(connection: asyncpg.Connection, schema: str, *, expired: bool) -> int:
    """Remove the runs in `gone_runs`, row by row, and say so. Answers how many rows the live store had of them."""
    found = {}
    for one in await stop_writers(connection, schema):
        await enter(connection, one)
        await connection.execute(QUERIES["say_runs"], expired)
        within = await span_of_gone(connection)
        found[one] = await take_out(connection, steps=[within], within=within)
    return found[schema]


async def span_of_gone(connection: asyncpg.Connection) -> Span:
    """When the rows of what goes lie, in the schema that was entered."""
    row = await connection.fetchrow(QUERIES["span_of_gone"])
    assert row is not None
    return Span(row["low"], row["high"])


async def take_out(connection: asyncpg.Connection, *, steps: Sequence[Span], within: Span) -> int:
    """Remove the rows of what goes, all of which lie `within`; of steps only those in `steps`. Answers how many rows."""
    removed = [await connection.fetchval(QUERIES["remove_steps"], *span) for span in steps]
    removed += [await connection.fetchval(QUERIES[name]) for name in _REMOVALS]
    for table in ("run_rollups", "step_rollups"):
        await connection.execute(QUERIES[f"sweep_{table}"], *within)
    return sum(removed)
