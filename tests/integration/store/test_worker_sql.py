"""The workers' SQL against the migrated schema, as the workers' own role."""

import asyncio

import asyncpg
import pytest

from ddl.migrate import SCHEMA
from stream_workers.statements import QUERIES


def test_every_statement_can_be_prepared(migrated_dsn: dict[str, str]) -> None:
    """No statement names a column, table or function that the schema, or the role's rights, do not give."""

    async def prepare() -> None:
        connection = await asyncpg.connect(migrated_dsn["worker"], server_settings={"search_path": SCHEMA})
        await connection.execute(QUERIES["create_stages"])
        for name, statement in QUERIES.items():
            if name != "create_stages":
                await connection.prepare(statement)
        await connection.close()

    asyncio.run(prepare())


@pytest.mark.parametrize("statement", ["DROP TABLE runs", "TRUNCATE steps", "DELETE FROM dead_letters", "CREATE TABLE x (y int)"])
def test_the_worker_may_not_do_more_than_it_must(migrated_dsn: dict[str, str], statement: str) -> None:
    """Least privilege: it cannot drop, truncate, forget dead letters or make tables."""

    async def attempt() -> None:
        connection = await asyncpg.connect(migrated_dsn["worker"], server_settings={"search_path": SCHEMA})
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        asyncio.run(attempt())
