"""A migrated database with the connections that tests of the query service need: as its owner and through the service's pool."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest
from pydantic import SecretStr

from query_service.settings import QuerySettings
from query_service.store.pool import SCHEMA, PostgresPool
from query_service.testing_rows import Row, insertion

Putting = Callable[..., Awaitable[None]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings(migrated_dsn: dict[str, str]) -> QuerySettings:
    return QuerySettings(postgres_dsn=SecretStr(migrated_dsn["query"]), pool_max=2, acquire_timeout_s=5)


@pytest.fixture
async def owner(migrated_dsn: dict[str, str]) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(migrated_dsn["owner"], server_settings={"search_path": SCHEMA})
    await connection.execute("TRUNCATE runs, steps, failures, run_producers, declared_losses, run_rollups, step_rollups")
    await connection.execute("TRUNCATE run_rollup_deltas, step_rollup_deltas, run_rollup_totals, step_rollup_totals")
    yield connection
    await connection.close()


@pytest.fixture
async def put(owner: asyncpg.Connection) -> Putting:
    async def put_rows(*rows: Row) -> None:
        for row in rows:
            statement, values = insertion(row)
            await owner.execute(statement, *values)

    return put_rows


@pytest.fixture
async def postgres(settings: QuerySettings) -> AsyncIterator[PostgresPool]:
    opened = PostgresPool(settings)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def unused_port() -> int:
    """Nobody listens there: it was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
