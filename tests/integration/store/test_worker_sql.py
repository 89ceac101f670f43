"""The workers' SQL against the migrated schema, as the workers' own role."""

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from ddl.migrate import SCHEMA
from stream_workers.rollups import compaction
from stream_workers.store.statements import QUERIES


def test_every_statement_can_be_prepared(migrated_dsn: dict[str, str]) -> None:
    """No statement names a column, table or function that the schema, or the role's rights, do not give."""

    async def prepare() -> None:
        connection = await asyncpg.connect(migrated_dsn["worker"], server_settings={"search_path": SCHEMA})
        await connection.execute(QUERIES["create_stages"].text)
        for name, statement in {**QUERIES, **compaction.QUERIES}.items():
            if name != "create_stages":
                await connection.prepare(statement.text)
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


FILL = """
INSERT INTO runs (project, run_id, identity_rank, agent, agent_version, first_event_at, last_event_at, last_received_at,
                  silent_after, step_count, error_step_count, failure_count, recorded_failure_count)
SELECT 'default', gen_random_uuid(), 0, 'a', '1', now(), now(), now(), now(), 0, 0, 0, 0 FROM generate_series(1, 20000)
"""


@pytest.mark.parametrize("steps", [(FILL,), ("ANALYZE runs", FILL), (FILL, "ANALYZE runs")], ids=["none", "stale", "new"])
def test_known_runs_are_found_by_their_keys_alone(migrated_dsn: dict[str, str], steps: tuple[str, ...]) -> None:
    """Whatever the planner knows of the table: a join read every run for each asked for, by statistics of an empty table."""

    async def plan() -> list[dict[str, Any]]:
        owner = await asyncpg.connect(migrated_dsn["owner"], server_settings={"search_path": SCHEMA})
        for step in steps:
            await owner.execute(step)
        run_ids = await owner.fetchval("SELECT array_agg(run_id) FROM (SELECT run_id FROM runs LIMIT 500) AS some_runs")
        text, *values = QUERIES["known_runs"].bind(project="default", run_ids=run_ids)
        nodes = [json.loads(await owner.fetchval(f"EXPLAIN (ANALYZE, TIMING off, FORMAT json) {text}", *values))[0]["Plan"]]
        await owner.close()
        for node in nodes:
            nodes += node.get("Plans", [])
        return nodes

    for node in asyncio.run(plan()):
        if "Relation Name" in node or "Index Name" in node:
            assert node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) <= 500, node
