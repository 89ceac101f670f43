"""Applies the migrations: forward only, each in a transaction, recorded with its checksum, safe to run from many processes.

An applied file must never change; a changed checksum stops the run before anything is touched. Whoever waits for a lock on a
table makes all who come after wait, readers too: so a migration gives up after seconds, lets them go first, and is tried again.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from ddl.errors import ChangedMigrationError, HeldTableError, NewerStoreError, OldPostgresError

SCHEMA: Final = "agenttracer"
POSTGRES_MIN: Final = 18
"""RETURNING old and new rows of an upsert came with PostgreSQL 18; the workers' counters rest on it."""
_FOLDER: Final = Path(__file__).parent / "migrations"
_LOCK_TIMEOUT_MS: Final = 2_000  # readers who come after us wait no longer because of us
_PAUSE_S: Final = 3.0  # longer than a page of the query service, or a transaction of a worker, most often takes
_TRIES: Final = 20  # a minute and a half
_LOCK: Final = 0x6167_656E_7474_7261  # one migrator at a time in a database; any fixed number of our own does
_MAKES_ROLE: Final = "EXECUTE format('CREATE ROLE %I LOGIN', role_name);"
_MAKES_MISSING_ROLE: Final = (
    f"IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN {_MAKES_ROLE} END IF;"
)
"""Who may not make roles is refused CREATE ROLE even for one that exists. The file that says so is applied in many stores and
cannot change, so what is executed looks first; its checksum stays that of the file."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `migrations/`: `0001_store.sql` has version 1 and name `store`. `sql` is what is executed."""

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
            await _apply_patiently(connection, migration, report)
            report(f"applied migration {migration.version:04d} {migration.name}")
    report(f"schema {schema} is at version {wanted[-1].version:04d}")


async def _apply_patiently(connection: asyncpg.Connection, migration: Migration, report: Callable[[str], None]) -> None:
    for left in reversed(range(_TRIES)):
        try:
            await _apply(connection, migration)
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
    text = path.read_text(encoding="utf-8")
    checksum = hashlib.sha256(text.encode()).hexdigest()
    return Migration(version=int(version), name=name, sql=text.replace(_MAKES_ROLE, _MAKES_MISSING_ROLE), checksum=checksum)
