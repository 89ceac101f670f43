"""Store readers over rows of a test's choice: the shipped fake and real PostgreSQL."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from pydantic import SecretStr

from ddl.rollups import minute_of
from query_service.settings import QuerySettings
from query_service.store.pool import SCHEMA, PostgresPool
from query_service.store.postgres import PostgresReader
from query_service.store.store import StoreReader
from query_service.testing import FakeStore
from query_service.testing_rows import NOON, Row, insertion
from stream_workers.rollups.compaction import compact, projects
from tests.contract.run_readers import Reading


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["fake", "postgres"])
def dsns(request: pytest.FixtureRequest) -> dict[str, str] | None:
    """Of a real store, or None for the fake; apart from `reading`, because it may run an event loop of its own."""
    return None if request.param == "fake" else request.getfixturevalue("migrated_dsn")


@pytest.fixture
def compacting() -> bool:
    """Whether the real store's statistics are compacted before they are read. Parametrize it where that matters."""
    return False


@pytest.fixture
async def reading(dsns: dict[str, str] | None, *, compacting: bool) -> AsyncIterator[Reading]:
    """Gives a reader over exactly the rows that it is called with."""
    if dsns is None:

        async def fake(*rows: Row) -> StoreReader:
            return FakeStore(*rows)

        yield fake
        return
    owner = await asyncpg.connect(dsns["owner"], server_settings={"search_path": SCHEMA})
    postgres = PostgresPool(QuerySettings(postgres_dsn=SecretStr(dsns["query"]), pool_max=2))
    await postgres.open()

    async def real(*rows: Row) -> StoreReader:
        await owner.execute("TRUNCATE runs, steps, failures, run_producers, declared_losses, run_rollups, step_rollups")
        await owner.execute("TRUNCATE run_rollup_deltas, step_rollup_deltas, run_rollup_totals, step_rollup_totals")
        for row in rows:
            statement, values = insertion(row)
            await owner.execute(statement, *values)
        for project in await projects(owner) if compacting else ():
            await compact(owner, project, now=minute_of(NOON))
        return PostgresReader(postgres)

    yield real
    await postgres.close()
    await owner.close()
