"""A connection that removes: the list of what goes, the schemas it goes from, and patience with whoever holds a lock."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

import asyncpg

from servicekit import sql
from stream_workers.errors import OldStoreError

QUERIES: Final = sql.load(Path(__file__).with_name("queries.sql"))
LOCK_TIMEOUT_MS: Final = 2_000
"""Whoever comes after us in the queue for a lock waits no longer than this because of us."""
_TRIES: Final = 5
_PAUSE_S: Final = 0.5  # longer than a worker's transaction, so that the others go first
BUSY: Final = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)
_Answer = TypeVar("_Answer")


@asynccontextmanager
async def session(dsn: str, schema: str) -> AsyncIterator[asyncpg.Connection]:
    """As the schema's owner. Days are days of UTC."""
    settings = {
        "search_path": f'"{schema}", pg_temp',
        "timezone": "UTC",
        "jit": "off",
        "lock_timeout": str(LOCK_TIMEOUT_MS),
        "plan_cache_mode": "force_custom_plan",  # else the bounds of time would leave no partition out
    }
    connection = await asyncpg.connect(dsn, server_settings=settings)
    try:
        await connection.execute(QUERIES["make_gone_runs"])
        yield connection
    finally:
        await connection.close()


async def patiently(connection: asyncpg.Connection, work: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """`work` in a transaction; again where somebody holds a lock. Raises asyncpg's error once that has lasted for long."""
    for _ in range(_TRIES - 1):
        try:
            async with connection.transaction():
                return await work()
        except BUSY:
            await asyncio.sleep(_PAUSE_S)
    async with connection.transaction():
        return await work()


async def stop_writers(connection: asyncpg.Connection, schema: str) -> list[str]:
    """No worker's transaction is under way then, and the next one sees what is said here.

    Answers the live schema, then the shadow and what was live before the last swap, where these are there. The live ledger is
    locked first, as by a swap, so none of them gets another name. A rebuild that begins waits, so the shadow is there or it will
    copy what is said. Raises OldStoreError where what was live is of another version.
    """
    await ask_for(connection, f'"{schema}".deletions IN SHARE ROW EXCLUSIVE MODE')  # a rebuild may hold it for minutes
    await _lock(connection, schema)
    old = f"{schema}_old"
    schemas = [schema] + [one for one in (f"{schema}_shadow", old) if await _lock_if_there(connection, one)]
    if old in schemas and await _version(connection, old) != await _version(connection, schema):
        raise OldStoreError(old)
    return schemas


async def ask_for(connection: asyncpg.Connection, lock: str) -> None:
    """Get a lock and let go of it again, so that nobody waits for us while we wait for somebody else."""
    probe = connection.transaction()
    await probe.start()
    await connection.execute(f"LOCK TABLE {lock}")
    await probe.rollback()


async def _lock(connection: asyncpg.Connection, schema: str) -> None:
    for table in ("ingest_ledger", "deletions"):
        await connection.execute(f'LOCK TABLE "{schema}".{table} IN SHARE ROW EXCLUSIVE MODE')


async def _lock_if_there(connection: asyncpg.Connection, schema: str) -> bool:
    """Whether it is there, also where somebody drops it while we wait."""
    try:
        async with connection.transaction():
            await _lock(connection, schema)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return False
    return True


async def _version(connection: asyncpg.Connection, schema: str) -> object:
    """Its newest migration."""
    return await connection.fetchval(f'SELECT max(version) FROM "{schema}".schema_migrations')  # noqa: S608 - a name of ours


async def enter(connection: asyncpg.Connection, schema: str) -> None:
    """Names are this schema's until the transaction ends."""
    await connection.execute(f'SET LOCAL search_path = "{schema}", pg_temp')
