"""Removes rows of runs and says so for good, in one transaction in which no worker writes.

A shadow that is being built is treated alike, so that a rebuild brings nothing back.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import asyncpg

from ddl.migrate import SCHEMA
from servicekit import sql

QUERIES: Final = sql.load(Path(__file__).with_name("queries.sql"))
_REMOVALS: Final = ("remove_steps", "remove_failures", "remove_losses", "remove_producers", "remove_runs")


async def remove_run(dsn: str, project: str, run_id: str, *, schema: str = SCHEMA) -> int:
    """Remove one run, also one of which nothing has arrived yet. Answers how many rows it had. Raises asyncpg's errors."""
    connection = await asyncpg.connect(dsn, server_settings={"timezone": "UTC"})
    try:
        return await remove(connection, project, [run_id], expired=False, schema=schema)
    finally:
        await connection.close()


async def remove_project(dsn: str, project: str, *, schema: str = SCHEMA) -> int:
    """Remove a project, whatever comes of it later too. Answers how many rows it had. Raises asyncpg's errors."""
    connection = await asyncpg.connect(dsn, server_settings={"timezone": "UTC"})
    try:
        return await remove(connection, project, None, expired=False, schema=schema)
    finally:
        await connection.close()


async def remove(
    connection: asyncpg.Connection, project: str, runs: Sequence[str] | None, *, expired: bool, schema: str = SCHEMA
) -> int:
    """Remove these runs, or all of the project. Answers how many rows the live store had of them."""
    async with connection.transaction():
        found = 0
        for one in await _schemas(connection, schema):
            await connection.execute(f'SET LOCAL search_path = "{one}", pg_temp')
            # No worker's transaction is under way then, and the next one sees what is said here.
            await connection.execute("LOCK TABLE ingest_ledger, deletions IN SHARE ROW EXCLUSIVE MODE")
            removed = await _remove(connection, project, runs, expired=expired)
            found = removed if one == schema else found
    return found


async def _schemas(connection: asyncpg.Connection, schema: str) -> list[str]:
    # In the order in which a swap locks them. A rebuild that begins waits, so the shadow is there or it will copy what is said.
    for table in ("ingest_ledger", "deletions"):
        await connection.execute(f'LOCK TABLE "{schema}".{table} IN SHARE ROW EXCLUSIVE MODE')
    shadow = f"{schema}_shadow"
    there = await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", f'"{shadow}".deletions')
    return [schema, shadow] if there else [schema]


async def _remove(connection: asyncpg.Connection, project: str, runs: Sequence[str] | None, *, expired: bool) -> int:
    if runs is None:
        await connection.execute(QUERIES["say_project"], project)
    else:
        await connection.execute(QUERIES["say_run"], project, runs, expired)
    removed = [await connection.fetchval(QUERIES[name], project, runs) for name in _REMOVALS]
    for table in ("run_rollups", "step_rollups"):
        await connection.execute(QUERIES[f"sweep_{table}"], project)
    return sum(removed)
