"""Applies the migrations: forward only, recorded with their checksums, safe to run from many processes.

An applied file must never change; a changed checksum stops the run before anything is touched. A session that waits for a lock on
a table makes all later sessions wait, readers too: so a migration gives up after seconds, lets them go first, and tries again.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import asyncpg

from ddl.errors import ChangedMigrationError, HeldTableError, NewerStoreError, OldPostgresError
from ddl.migration import Migration, migrations
from servicekit.postgres import open_connection

SCHEMA: Final = "agenttracer"
POSTGRES_MIN: Final = 18
"""RETURNING old and new rows of an upsert came with PostgreSQL 18; the workers' counters rest on it."""
_LOCK_TIMEOUT_MS: Final = 2_000  # readers that come after us wait no longer because of us
_PAUSE_S: Final = 3.0  # longer than a page of the query service, or a transaction of a worker, most often takes
_TRIES: Final = 20  # a minute and a half
_LOCK: Final = 0x6167_656E_7474_7261  # one migrator at a time in a database; any fixed number of our own does
_TURN_S: Final = 0.1
_INDEX: Final = re.compile(
    r"^(?:CREATE (?:UNIQUE )?INDEX CONCURRENTLY IF NOT EXISTS|DROP INDEX CONCURRENTLY IF EXISTS) (\w+)", re.MULTILINE
)


async def migrate(dsn: str, *, report: Callable[[str], None] = lambda _: None, schema: str = SCHEMA) -> None:
    """Bring `schema` to the newest version. Idempotent. Raises the errors of `ddl.errors` and asyncpg's."""
    async with open_connection(dsn, application_name="agenttracer-migrate") as connection:  # its end is also the lock's
        if connection.get_server_version().major < POSTGRES_MIN:
            raise OldPostgresError(found=connection.get_server_version().major, needed=POSTGRES_MIN)
        # Asked again and again, since a statement that waits for the lock would be waited for by CREATE INDEX CONCURRENTLY.
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(_TURN_S)
        await _apply_missing(connection, schema, report)


async def _apply_missing(connection: asyncpg.Connection, schema: str, report: Callable[[str], None]) -> None:
    await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
    # pg_temp last: functions keep this path, and no temporary table may stand in for one of ours
    await connection.execute(f'SET search_path = "{schema}", pg_temp')
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations "
        "(version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    rows = await connection.fetch("SELECT version, checksum FROM schema_migrations")
    applied = {row["version"]: row["checksum"] for row in rows}
    wanted = migrations()
    _refuse_surprises(applied, wanted)
    for migration in wanted:
        if migration.version not in applied:
            # Nobody reads or writes a schema that is being made: its indexes need no care, and no wait for old snapshots.
            apply = _apply_online if migration.online and applied else _apply
            await _apply_with_retries(connection, migration, report, apply)
            report(f"applied migration {migration.version:04d} {migration.name}")
    report(f"schema {schema} is at version {wanted[-1].version:04d}")


async def _apply_with_retries(
    connection: asyncpg.Connection,
    migration: Migration,
    report: Callable[[str], None],
    apply: Callable[[asyncpg.Connection, Migration], Awaitable[None]],
) -> None:
    for left in reversed(range(_TRIES)):
        try:
            await apply(connection, migration)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            if left == _TRIES - 1:
                report(f"migration {migration.version:04d} {migration.name} waits: another transaction holds its tables")
            if left:
                await asyncio.sleep(_PAUSE_S)
        else:
            return
    raise HeldTableError(version=migration.version, name=migration.name)


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
        for statement in migration.statements:
            await connection.execute(statement.replace(" CONCURRENTLY", "") if migration.online else statement)
        await _record(connection, migration)


async def _apply_online(connection: asyncpg.Connection, migration: Migration) -> None:
    """Make or drop its indexes one by one. Those that an earlier call made stay; one that it left half made is made anew.

    Each waits until transactions that began before have ended, and nobody waits for it.
    """
    for statement in migration.statements:
        match = _INDEX.search(statement)
        assert match is not None, f"migration {migration.version:04d} is online and does more than make and drop indexes"
        if await _is_invalid(connection, match[1]):
            await connection.execute(f"DROP INDEX CONCURRENTLY {match[1]}")
        await connection.execute(statement)
    await _record(connection, migration)


async def _is_invalid(connection: asyncpg.Connection, index: str) -> bool:
    query = "SELECT EXISTS (SELECT 1 FROM pg_index WHERE indexrelid = to_regclass($1) AND NOT indisvalid)"
    return bool(await connection.fetchval(query, index))


async def _record(connection: asyncpg.Connection, migration: Migration) -> None:
    await connection.execute(
        "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
        migration.version,
        migration.name,
        migration.checksum,
    )


def _refuse_surprises(applied: dict[int, str], wanted: Sequence[Migration]) -> None:
    known = {migration.version: migration for migration in wanted}
    for version, checksum in sorted(applied.items()):
        if version not in known:
            raise NewerStoreError(version=version)
        if known[version].checksum != checksum:
            raise ChangedMigrationError(version=version, name=known[version].name)
