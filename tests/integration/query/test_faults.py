"""What readers see when the store misbehaves: outages, swaps, slow and lost statements, and how the service heals by itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from ddl.migrate import migrate
from query_service.app import app_on_postgres
from query_service.errors import ProjectBusyError, QueryTimeoutError, StoreBusyError, StoreNotReadyError, StoreUnreachableError
from query_service.settings import QuerySettings
from query_service.store.pool import Connection, PostgresPool
from query_service.store.postgres import PostgresReader
from query_service.store.store import RunFilter
from query_service.testing_rows import DEFAULT_RUN, RunSeed
from tests.support.relay import Relay

pytestmark = pytest.mark.anyio
Putting = Callable[..., Awaitable[None]]
END_READERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'agenttracer_query' AND datname = current_database()
"""
SWAP = "ALTER SCHEMA agenttracer RENAME TO agenttracer_old; ALTER SCHEMA shadow RENAME TO agenttracer"
SWAP_BACK = "ALTER SCHEMA agenttracer RENAME TO shadow; ALTER SCHEMA agenttracer_old RENAME TO agenttracer"


@pytest.fixture
async def through_relay(settings: QuerySettings) -> AsyncIterator[Relay]:
    relay = Relay(settings.postgres_dsn.get_secret_value())
    await relay.open()
    yield relay
    await relay.close()


def changed(settings: QuerySettings, **more: object) -> QuerySettings:
    return settings.model_copy(update=more)


async def opened(settings: QuerySettings) -> PostgresPool:
    postgres = PostgresPool(settings)
    await postgres.open()
    return postgres


async def nap(connection: Connection) -> None:
    await connection.fetchval("SELECT pg_sleep(30)")


async def test_starts_without_postgres(unused_port: int) -> None:
    """Without PostgreSQL the service starts, is alive, is not ready, and answers 503 with Retry-After."""
    dsn = SecretStr(f"postgresql://agenttracer_query@127.0.0.1:{unused_port}/agenttracer")
    app = app_on_postgres(QuerySettings(postgres_dsn=dsn, anonymous_project="default"))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/health")).status_code == 200
        ready = await client.get("/ready")
        assert (ready.status_code, ready.json()["reason"]) == (503, "store_unreachable")
        answer = await client.get("/v1/runs")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert answer.json()["error"]["code"] == "store_unreachable"


async def test_lost_connections_do_not_show(owner: asyncpg.Connection, put: Putting, postgres: PostgresPool) -> None:
    """When the server ends every connection of the pool, as its restart does, the next question is answered all the same."""
    await put(RunSeed())
    store = PostgresReader(postgres)
    for _ in range(10):
        both = await asyncio.gather(store.run("default", DEFAULT_RUN), store.run("default", DEFAULT_RUN))
        assert [run.run_id for run in both] == [DEFAULT_RUN, DEFAULT_RUN]
        await owner.execute(END_READERS)


async def test_slow_statement_is_ended(settings: QuerySettings) -> None:
    """A statement beyond its time is ended by PostgreSQL and gives 503 query_timeout; the next question is answered."""
    postgres = await opened(changed(settings, statement_timeout_s=0.1))
    try:
        with pytest.raises(QueryTimeoutError):
            await postgres.read("default", nap)
        assert await PostgresReader(postgres).ready() is None
    finally:
        await postgres.close()


async def test_silent_server_is_given_up(settings: QuerySettings) -> None:
    """A server that does not end the statement itself is given up in time, with its connection; the next question is answered."""
    postgres = await opened(changed(settings, transaction_timeout_s=0.1, statement_timeout_s=60))
    try:
        with pytest.raises(QueryTimeoutError):
            await postgres.read("default", nap)
        assert await PostgresReader(postgres).ready() is None
    finally:
        await postgres.close()


async def test_dead_network_is_given_up(settings: QuerySettings, through_relay: Relay) -> None:
    """A network that carries nothing any more holds no request for ever, and costs none once it carries again."""
    postgres = await opened(
        changed(settings, postgres_dsn=SecretStr(through_relay.dsn), transaction_timeout_s=0.2, acquire_timeout_s=0.5)
    )
    store = PostgresReader(postgres)
    try:
        assert await store.ready() is None
        through_relay.carries.clear()
        async with asyncio.timeout(30):  # for ever, to a test
            for reason in ("query_timeout", "store_unreachable"):
                assert await store.ready() == reason
        through_relay.carries.set()
        assert await store.ready() is None
    finally:
        await postgres.close()


async def test_waiting_for_a_connection_is_bounded(settings: QuerySettings) -> None:
    """When every connection is in use, the next question is refused in time, and answered once one is free."""
    postgres = await opened(changed(settings, pool_max=1, acquire_timeout_s=0.2))
    taken, done = asyncio.Event(), asyncio.Event()

    async def hold(_connection: Connection) -> None:
        taken.set()
        await done.wait()

    try:
        holder = asyncio.create_task(postgres.read("default", hold))
        await taken.wait()
        with pytest.raises(StoreBusyError):
            await postgres.read("another", nap)
        done.set()
        await holder
        assert await PostgresReader(postgres).ready() is None
    finally:
        await postgres.close()


async def test_one_project_leaves_room(settings: QuerySettings) -> None:
    """A project whose slow questions take all that it may is refused with a code of its own; others are answered."""
    postgres = await opened(changed(settings, pool_max=3, acquire_timeout_s=0.3))
    store, done = PostgresReader(postgres), asyncio.Event()

    async def hold(_connection: Connection) -> None:
        await done.wait()

    try:
        greedy = [asyncio.create_task(postgres.read("greedy", hold)) for _ in range(6)]
        refused, _ = await asyncio.wait(greedy, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        assert [type(task.exception()) for task in refused] == [ProjectBusyError] * len(refused)
        assert await store.list_runs("default", RunFilter(), after=None, limit=1) == []
        assert await store.ready() is None
        done.set()
        await asyncio.wait(greedy)
        await postgres.read("greedy", hold)
        assert not postgres._limit._projects
    finally:
        await postgres.close()


async def test_a_busy_pool_is_ready(settings: QuerySettings) -> None:
    """Readiness has a connection of its own, one however many ask: that every other is in use does not make a service unready."""
    postgres = await opened(changed(settings, pool_max=2, acquire_timeout_s=0.3))
    store, done = PostgresReader(postgres), asyncio.Event()

    async def hold(_connection: Connection) -> None:
        await done.wait()

    try:
        holders = [asyncio.create_task(postgres.read(project, hold)) for project in ("one", "two")]
        await asyncio.sleep(0)
        with pytest.raises(StoreBusyError):
            await postgres.read("three", hold)
        assert await asyncio.gather(*(store.ready() for _ in range(50))) == [None] * 50
        done.set()
        await asyncio.gather(*holders)
    finally:
        await postgres.close()


async def test_unmigrated_store(settings: QuerySettings, owner: asyncpg.Connection) -> None:
    """A store without its schema is named so, and is ready as soon as it is there."""
    postgres = await opened(settings)
    await owner.execute("ALTER SCHEMA agenttracer RENAME TO elsewhere")
    try:
        with pytest.raises(StoreNotReadyError):
            await PostgresReader(postgres).run("default", DEFAULT_RUN)
        assert await PostgresReader(postgres).ready() == "store_not_ready"
    finally:
        await owner.execute("ALTER SCHEMA elsewhere RENAME TO agenttracer")
    assert await PostgresReader(postgres).ready() is None
    await postgres.close()


@pytest.mark.parametrize("change", ["SELECT", "ALTER TABLE shadow.steps ALTER COLUMN attempt TYPE integer"])
async def test_schema_swap_under_readers(
    migrated_dsn: dict[str, str], owner: asyncpg.Connection, put: Putting, postgres: PostgresPool, change: str
) -> None:
    """A rebuild swaps the schema under prepared statements: readers see the new rows and no error, even when types changed."""
    await put(RunSeed(agent="before"))
    await migrate(migrated_dsn["owner"], schema="shadow")
    await owner.execute(change)
    store = PostgresReader(postgres)
    assert (await store.run("default", DEFAULT_RUN)).agent == "before"
    assert (await store.list_steps("default", DEFAULT_RUN, after=None, limit=1)).steps == []
    await owner.execute("SET search_path = shadow")
    await put(RunSeed(agent="after"))
    await owner.execute(SWAP)
    try:
        for _ in range(3):
            assert (await store.run("default", DEFAULT_RUN)).agent == "after"
            assert (await store.list_steps("default", DEFAULT_RUN, after=None, limit=1)).steps == []
    finally:
        await owner.execute(SWAP_BACK)
        await owner.execute("DROP SCHEMA shadow CASCADE")


async def test_stale_statement_is_tried_once_more(postgres: PostgresPool) -> None:
    """A prepared statement that went stale runs again in a new transaction; one that is stale again is an error of ours."""
    calls = 0

    async def stale(connection: Connection) -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise asyncpg.InvalidCachedStatementError
        project: str = await connection.fetchval("SELECT current_setting('agenttracer.project')")
        return project

    assert await postgres.read("mine", stale) == "mine"
    assert calls == 2


async def test_closed_store_is_unreachable(settings: QuerySettings) -> None:
    """After it was closed, and before it was opened, the store is unreachable rather than broken."""
    postgres = PostgresPool(settings)
    for prepare in (postgres.close, postgres.open, postgres.close):
        await prepare()
        if prepare == postgres.close:
            with pytest.raises(StoreUnreachableError):
                await postgres.read("default", nap)


async def test_mistake_of_ours_is_not_disguised(postgres: PostgresPool) -> None:
    """A statement that is wrong is an error to look at, not an outage to wait for; the pool survives it."""

    async def wrong(connection: Connection) -> None:
        await connection.fetchval("SELECT 1 / 0")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await postgres.read("default", wrong)
    assert await PostgresReader(postgres).ready() is None
