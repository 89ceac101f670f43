"""One project at a time: what row level security holds even where a statement forgets the project."""

from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from query_service.store.pool import SCHEMA, Connection, PostgresPool
from query_service.testing_rows import (
    FailureSeed,
    LossSeed,
    ProducerSeed,
    RunRollupSeed,
    RunSeed,
    StepRollupSeed,
    StepSeed,
)

pytestmark = pytest.mark.anyio
KINDS = (RunSeed, StepSeed, FailureSeed, ProducerSeed, LossSeed, RunRollupSeed, StepRollupSeed)
STATISTICS = ("rollup_deltas", "rollup_totals", "rollups")
RELATIONS = (
    *("runs", "runs_now", "steps", "failures", "run_producers", "declared_losses"),
    *(f"{kind}_{table}" for kind in ("run", "step") for table in STATISTICS),
)
FROM_DELTAS = """
INSERT INTO run_rollup_totals SELECT project, 1, minute, agent, agent_version, status, failure_type, failure_code, runs,
    latency_us, histogram FROM run_rollup_deltas;
INSERT INTO step_rollup_totals SELECT project, 1, minute, agent, agent_version, kind, name, status, model, steps, latency_us,
    input_tokens, output_tokens, cost, histogram FROM step_rollup_deltas;
INSERT INTO run_rollups SELECT project, minute, agent, agent_version, status, failure_type, failure_code, 1, runs, latency_us
    FROM run_rollup_deltas;
INSERT INTO step_rollups SELECT project, minute, agent, agent_version, kind, name, status, 1, steps, latency_us
    FROM step_rollup_deltas;
"""
Putting = Callable[..., Awaitable[None]]


async def projects(postgres: PostgresPool, project: str, relation: str) -> list[str]:
    """The projects that a statement without any condition sees."""

    async def work(connection: Connection) -> list[str]:
        return [row["project"] for row in await connection.fetch(f"SELECT project FROM {relation}")]

    return await postgres.read(project, work)


@pytest.mark.parametrize("relation", RELATIONS)
async def test_other_projects_are_invisible(
    put: Putting, owner: asyncpg.Connection, postgres: PostgresPool, relation: str
) -> None:
    """Each relation shows the named project's row alone to SQL that forgets the project, one project after the other."""
    await put(*(kind(project=project) for kind in KINDS for project in ("mine", "theirs")))
    await owner.execute(FROM_DELTAS)
    for project in ("mine", "theirs", "mine"):
        assert await projects(postgres, project, relation) == [project]
    assert await projects(postgres, "nobody", relation) == []
    assert await projects(postgres, "", relation) == []


@pytest.mark.parametrize("relation", RELATIONS)
async def test_no_project_no_rows(migrated_dsn: dict[str, str], put: Putting, owner: asyncpg.Connection, relation: str) -> None:
    """A connection that names no project sees nothing."""
    await put(*(kind(project="mine") for kind in KINDS))
    await owner.execute(FROM_DELTAS)
    connection = await asyncpg.connect(migrated_dsn["query"], server_settings={"search_path": SCHEMA})
    try:
        assert await connection.fetch(f"SELECT FROM {relation}") == []
    finally:
        await connection.close()


async def test_project_ends_with_its_transaction(put: Putting, postgres: PostgresPool) -> None:
    """A pooled connection carries nothing of one request into the next."""
    await put(RunSeed(project="mine"))

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


@pytest.mark.parametrize("relation", ["ingest_ledger", "dead_letters", "steps_default", "schema_migrations", "detail_horizons"])
async def test_other_tables_are_closed(migrated_dsn: dict[str, str], relation: str) -> None:
    """The role reads what answers are made of and nothing else; a partition would be a way around the policy of its parent."""
    connection = await asyncpg.connect(migrated_dsn["query"], server_settings={"search_path": SCHEMA})
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch(f"SELECT FROM {relation}")
    finally:
        await connection.close()
