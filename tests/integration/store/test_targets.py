"""How far a rebuild fills in bulk: to where the live store is, again as long as much came meanwhile, and never beyond."""

import asyncio
import uuid

import asyncpg

from ddl.migrate import SCHEMA
from stream_workers.kafka.topic_log import LogRange
from stream_workers.operations.rebuild.plan import Plan
from stream_workers.operations.rebuild.shadow_schema import RebuildState, move_targets, prepare, read_state
from stream_workers.store.batch import Topic

TOPIC = Topic("t", uuid.UUID(int=12))
_COVER = f"""
INSERT INTO {SCHEMA}.ingest_ledger (topic_id, partition, topic, covered, updated_at)
VALUES ($1, $2, 't', int8multirange(int8range(0, $3)), now())
ON CONFLICT (topic_id, partition) DO UPDATE SET covered = excluded.covered
"""


def test_targets_follow_the_live_store_as_long_as_that_is_worth_it(migrated_dsn: dict[str, str]) -> None:
    """They are remembered, so that a rebuild which was killed meanwhile fills up to them; what the log lacks is no target."""

    async def work() -> None:
        plan = Plan(migrated_dsn["owner"], "nowhere:1", TOPIC)
        connection = await asyncpg.connect(plan.dsn)

        async def remembered() -> RebuildState | None:
            return await read_state(connection, plan)

        try:
            await connection.execute(_COVER, TOPIC.id, 0, 100)
            begun = await prepare(connection, plan, {0: LogRange(0, 150), 1: LogRange(0, 20)})
            assert begun.targets == {0: 100, 1: 0}
            await connection.execute(_COVER, TOPIC.id, 0, 140)
            await connection.execute(_COVER, TOPIC.id, 1, 30)
            reach = {0: LogRange(0, 150), 1: LogRange(0, 20)}
            assert await move_targets(connection, plan, begun, reach, least_records=61) is None
            assert await remembered() == begun
            moved = await move_targets(connection, plan, begun, reach, least_records=60)
            assert moved == RebuildState({0: 140, 1: 20}, finished=False, runs_taken_over=0)
            assert await remembered() == moved == await prepare(connection, plan, reach)
        finally:
            await connection.close()

    asyncio.run(work())
