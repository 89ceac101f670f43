"""A session that deletes: the list of runs to delete, the schemas to delete from, and retries while a lock is held."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

import asyncpg

from ddl.audit import AuditAction
from servicekit import sql
from servicekit.postgres import open_connection
from stream_workers.errors import OldSchemaError

QUERIES: Final = sql.load(Path(__file__).with_name("queries.sql"))
LOCK_TIMEOUT_MS: Final = 2_000
"""Sessions behind ours in the queue for a lock wait no longer than this because of us."""
_APPLICATION: Final = "agenttracer-deletion"
_TRIES: Final = 5
_PAUSE_S: Final = 0.5  # longer than a worker's transaction, so that workers go first
LOCKED: Final = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)
_Answer = TypeVar("_Answer")


@asynccontextmanager
async def session(dsn: str, schema: str) -> AsyncIterator[asyncpg.Connection]:
    """As the schema's owner. Days are days of UTC."""
    settings = {
        "lock_timeout": str(LOCK_TIMEOUT_MS),
        "plan_cache_mode": "force_custom_plan",  # else the bounds of time would leave no partition out
    }
    path = f'"{schema}", pg_temp'
    async with open_connection(dsn, application_name=_APPLICATION, search_path=path, settings=settings) as connection:
        await connection.execute(*QUERIES["make_gone_runs"].bind())
        yield connection


async def retry_while_locked(connection: asyncpg.Connection, work: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Do `work` in a transaction, and again while another one holds a lock. Raises asyncpg's error after some tries."""
    for _ in range(_TRIES - 1):
        try:
            async with connection.transaction():
                return await work()
        except LOCKED:
            await asyncio.sleep(_PAUSE_S)
    async with connection.transaction():
        return await work()


async def audit(
    connection: asyncpg.Connection, action: AuditAction, project: str, *, run_id: str | None = None, number: int = 1
) -> None:
    """Say in the audit log what this transaction does."""
    await connection.execute(*QUERIES["audit"].bind(action=action, project=project, run_id=run_id, number=number))


async def lock_out_writers(connection: asyncpg.Connection, schema: str) -> list[str]:
    """Keep workers from writing until the end of the transaction; the next one sees what ours wrote.

    Returns the live schema, then the shadow and the schema before the last swap, where these exist. The live ledger is locked
    first, as by a swap, so none of them gets another name. A rebuild that begins waits, so either the shadow exists or it will
    copy our marks. Raises OldSchemaError where the schema before the last swap has another version.
    """
    await wait_for_lock(connection, f'"{schema}".deletions IN SHARE ROW EXCLUSIVE MODE')  # a rebuild may hold it for minutes
    await _lock(connection, schema)
    old = f"{schema}_old"
    schemas = [schema] + [one for one in (f"{schema}_shadow", old) if await _lock_if_there(connection, one)]
    if old in schemas and await _version(connection, old) != await _version(connection, schema):
        raise OldSchemaError(old)
    return schemas


async def wait_for_lock(connection: asyncpg.Connection, lock: str) -> None:
    """Get a lock and release it again, so that no session waits for us while we wait for another one."""
    probe = connection.transaction()
    await probe.start()
    await connection.execute(f"LOCK TABLE {lock}")
    await probe.rollback()


async def _lock(connection: asyncpg.Connection, schema: str) -> None:
    for table in ("ingest_ledger", "deletions"):
        await connection.execute(f'LOCK TABLE "{schema}".{table} IN SHARE ROW EXCLUSIVE MODE')


async def _lock_if_there(connection: asyncpg.Connection, schema: str) -> bool:
    """Lock the schema's tables if it exists. False if not, or if it is dropped while we wait."""
    try:
        async with connection.transaction():
            await _lock(connection, schema)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return False
    return True


async def _version(connection: asyncpg.Connection, schema: str) -> object:
    """Its newest migration."""
    return await connection.fetchval(f'SELECT max(version) FROM "{schema}".schema_migrations')  # noqa: S608 - a name of ours


async def use_schema(connection: asyncpg.Connection, schema: str) -> None:
    """Resolve names in this schema until the transaction ends."""
    await connection.execute(f'SET LOCAL search_path = "{schema}", pg_temp')
