"""Applies the migrations: forward only, each in a transaction, recorded with its checksum, safe to run from many processes.

An applied file must never change; a changed checksum stops the run before anything is touched.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from ddl.errors import ChangedMigrationError, NewerStoreError, OldPostgresError

SCHEMA: Final = "agenttracer"
POSTGRES_MIN: Final = 18
"""RETURNING old and new rows of an upsert came with PostgreSQL 18; the workers' counters rest on it."""
_FOLDER: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x6167_656E_7474_7261  # one migrator at a time in a database; any fixed number of our own does


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `migrations/`: `0001_store.sql` has version 1 and name `store`."""

    version: int
    name: str
    sql: str
    checksum: str


def migrations() -> Sequence[Migration]:
    """All migrations in order."""
    return [_load(path) for path in sorted(_FOLDER.glob("*.sql"))]


async def migrate(dsn: str, *, report: Callable[[str], None] = lambda _: None, schema: str = SCHEMA) -> None:
    """Bring `schema` to the newest version. Idempotent. Raises the errors of `ddl.errors` and asyncpg's."""
    connection = await asyncpg.connect(dsn)
    try:
        if connection.get_server_version().major < POSTGRES_MIN:
            raise OldPostgresError(found=connection.get_server_version().major, needed=POSTGRES_MIN)
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await _apply_missing(connection, schema, report)
    finally:
        await connection.close()  # ends the session, and with it the lock


async def _apply_missing(connection: asyncpg.Connection, schema: str, report: Callable[[str], None]) -> None:
    await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
    # pg_temp last: functions keep this path, and nobody's temporary table may stand in for one of ours
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
            await _apply(connection, migration)
            report(f"applied migration {migration.version:04d} {migration.name}")
    report(f"schema {schema} is at version {wanted[-1].version:04d}")


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(migration.sql)
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


def _load(path: Path) -> Migration:
    version, _, name = path.stem.partition("_")
    sql = path.read_text(encoding="utf-8")
    return Migration(version=int(version), name=name, sql=sql, checksum=hashlib.sha256(sql.encode()).hexdigest())
