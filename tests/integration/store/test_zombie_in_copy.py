"""A worker that was stopped while it sent rows: the server waits for them without end, whatever limits the session has."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator

import asyncpg

from stream_workers.store.batch import Topic
from stream_workers.store.postgres import PostgresStore

LIMIT_S = 2.0
_TOPIC = Topic("t", uuid.UUID(int=7))


async def _hold_in_copy(dsn: str, holding: asyncio.Event) -> None:
    """A transaction that locks something and then stays in the middle of a COPY."""
    limit_ms = str(int(LIMIT_S * 1_000))
    settings = {"application_name": "agenttracer-worker", "search_path": "agenttracer", "transaction_timeout": limit_ms}
    connection = await asyncpg.connect(dsn, server_settings=settings)
    await connection.execute("CREATE TEMP TABLE stage (number integer)")

    async def rows() -> AsyncIterator[bytes]:
        yield b"1\n"
        holding.set()
        await asyncio.Event().wait()

    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(4711)")
        await connection.copy_to_table("stage", source=rows())


def test_whoever_connects_next_ends_it(migrated_dsn: dict[str, str]) -> None:
    """The server's own limit passes and changes nothing; a worker that connects ends the session, and its locks are free."""

    async def story() -> None:
        holding = asyncio.Event()
        zombie = asyncio.create_task(_hold_in_copy(migrated_dsn["worker"], holding))
        await holding.wait()
        other = await asyncpg.connect(migrated_dsn["worker"])
        while not await other.fetchval(  # noqa: ASYNC110 - the server is asked, which rings no bell
            "SELECT bool_or(xact_start < now() - make_interval(secs => $1)) FROM pg_stat_activity"
            " WHERE application_name = 'agenttracer-worker' AND state = 'active' AND datname = current_database()",
            LIMIT_S + 0.5,
        ):
            await asyncio.sleep(0.1)
        assert not await other.fetchval("SELECT pg_try_advisory_lock(4711)")
        store = PostgresStore(migrated_dsn["worker"], transaction_timeout_s=LIMIT_S)
        await store.frontiers(_TOPIC, [0])
        await asyncio.wait_for(other.execute("SELECT pg_advisory_lock(4711)"), timeout=30)
        await store.close()
        await other.close()
        zombie.cancel()
        with contextlib.suppress(BaseException):
            await zombie

    asyncio.run(story())
