"""One project at a time: what row level security holds even where a statement forgets the project."""

from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from query_service.postgres import SCHEMA, Connection, Postgres
from query_service.testing_rows import FailureRow, LossRow, ProducerRow, RunRollupRow, RunRow, StepRollupRow, StepRow

pytestmark = pytest.mark.anyio
KINDS = (RunRow, StepRow, FailureRow, ProducerRow, LossRow, RunRollupRow, StepRollupRow)
RELATIONS = ("runs", "runs_now", "steps", "failures", "run_producers", "declared_losses", "run_rollups", "step_rollups")
Putting = Callable[..., Awaitable[None]]


async def projects(postgres: Postgres, project: str, relation: str) -> list[str]:
    """The projects that a statement without any condition sees."""

    async def work(connection: Connection) -> list[str]:
        return [row["project"] for row in await connection.fetch(f"SELECT project FROM {relation}")]

    return await postgres.read(project, work)


@pytest.mark.parametrize("relation", RELATIONS)
async def test_other_projects_are_invisible(put: Putting, postgres: Postgres, relation: str) -> None:
    """Each relation shows the named project's row alone to SQL that forgets the project, one project after the other."""
    await put(*(kind(project=project) for kind in KINDS for project in ("mine", "theirs")))
    for project in ("mine", "theirs", "mine"):
        assert await projects(postgres, project, relation) == [project]
    assert await projects(postgres, "nobody", relation) == []
    assert await projects(postgres, "", relation) == []


@pytest.mark.parametrize("relation", RELATIONS)
async def test_no_project_no_rows(migrated_dsn: dict[str, str], put: Putting, relation: str) -> None:
    """A connection that names no project sees nothing."""
    await put(*(kind(project="mine") for kind in KINDS))
    connection = await asyncpg.connect(migrated_dsn["query"], server_settings={"search_path": SCHEMA})
    try:
        assert await connection.fetch(f"SELECT FROM {relation}") == []
    finally:
        await connection.close()


async def test_project_ends_with_its_transaction(put: Putting, postgres: Postgres) -> None:
    """A pooled connection carries nothing of one request into the next."""
    await put(RunRow(project="mine"))

    async def setting(connection: Connection) -> tuple[int, str]:
        return await connection.fetchval("SELECT pg_backend_pid()"), await connection.fetchval(
            "SELECT current_setting('agenttracer.project')"
        )

    assert (await postgres.read("mine", setting))[1] == "mine"
    pool = postgres._pool
    assert pool is not None
    async with pool.acquire() as connection:
        assert await connection.fetchval("SELECT current_setting('agenttracer.project', true)") in {None, ""}
        assert await connection.fetch("SELECT FROM runs") == []


@pytest.mark.parametrize("relation", ["ingest_ledger", "dead_letters", "steps_default", "schema_migrations"])
async def test_other_tables_are_closed(migrated_dsn: dict[str, str], relation: str) -> None:
    """The role reads what answers are made of and nothing else; a partition would be a way around the policy of its parent."""
    connection = await asyncpg.connect(migrated_dsn["query"], server_settings={"search_path": SCHEMA})
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch(f"SELECT FROM {relation}")
    finally:
        await connection.close()
