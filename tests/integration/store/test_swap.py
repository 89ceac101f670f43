"""The swap: what is carried over, what is refused, and that every table of the schema is accounted for."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from ddl.migrate import SCHEMA, migrate
from stream_workers.errors import FencedError
from stream_workers.operations.rebuild.plan import OWN_TABLES, ROLLUP_TABLES, TABLES_FROM_TOPIC, Plan
from stream_workers.operations.rebuild.swap import swap
from stream_workers.pipeline.decode import canonical_json
from stream_workers.store.batch import Received, Topic, make_batch
from stream_workers.store.postgres import PostgresStore
from tests.support.traffic import Traffic

TOPIC = Topic("t", uuid.UUID(int=9))
_OPERATORS_TABLES = """
CREATE TABLE {0}.door (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
CREATE TABLE {0}.a_key (door bigint NOT NULL REFERENCES {0}.door, digest text PRIMARY KEY, short text
    GENERATED ALWAYS AS (left(digest, 2)) STORED);
"""


def _with_shadow(dsn: dict[str, str], work: Callable[[asyncpg.Connection, Plan], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        plan = Plan(dsn["owner"], "nowhere:1", TOPIC)
        await migrate(dsn["owner"], schema=plan.shadow)
        connection = await asyncpg.connect(dsn["owner"])
        await connection.execute(plan.statement("make_state").text)
        try:
            return await work(connection, plan)
        finally:
            await connection.close()

    return asyncio.run(run())


def test_what_operators_wrote_is_taken_over(migrated_dsn: dict[str, str]) -> None:
    """Tables that no topic fills, with identities, references and generated columns; rows that are written afterwards fit in."""

    async def work(connection: asyncpg.Connection, plan: Plan) -> list[tuple[Any, ...]]:
        for schema in (plan.live, plan.shadow):
            await connection.execute(_OPERATORS_TABLES.format(schema))
        await connection.execute(f"INSERT INTO {plan.live}.door (name) VALUES ('front'), ('back')")
        await connection.execute(f"INSERT INTO {plan.live}.a_key (door, digest) VALUES (2, 'abc')")
        assert await swap(connection, plan) is not None
        await connection.execute(f"INSERT INTO {plan.live}.door (name) VALUES ('new')")
        rows = await connection.fetch(f"SELECT id, name, short FROM {plan.live}.door LEFT JOIN {plan.live}.a_key ON door = id")
        return sorted((tuple(row) for row in rows), key=repr)

    assert _with_shadow(migrated_dsn, work) == [(1, "front", None), (2, "back", "ab"), (3, "new", None)]


def test_who_owns_a_partition_owns_it_after_the_swap(migrated_dsn: dict[str, str]) -> None:
    """A worker that was fenced off from the live store is fenced off from the new one; the owner goes on without a pause."""
    traffic = Traffic(9)
    received = [Received(0, at, 100, None, record, None) for at, record in enumerate(traffic.records(traffic.runs(2)))]
    batch = make_batch(received, canonical_json)

    async def work(connection: asyncpg.Connection, plan: Plan) -> None:
        zombie, owner = (PostgresStore(migrated_dsn["worker"], transaction_timeout_s=30) for _ in range(2))
        shadow = PostgresStore(migrated_dsn["worker"], transaction_timeout_s=30, schema=plan.shadow)
        late = await zombie.take(TOPIC, [0, 1], owner="zombie")
        held = await owner.take(TOPIC, [0, 1], owner="owner")
        await shadow.save(TOPIC, batch)  # a rebuild's own writes need no epoch
        assert await swap(connection, plan) is not None
        with pytest.raises(FencedError):
            await zombie.save(TOPIC, batch, epochs={0: late[0].epoch})
        await owner.save(TOPIC, batch, epochs={0: held[0].epoch})
        rows = await connection.fetch(f"SELECT partition, epoch, owner FROM {plan.live}.ingest_ledger ORDER BY partition")
        assert [tuple(row) for row in rows] == [(0, 2, "owner"), (1, 2, "owner")]
        for store in (zombie, owner, shadow):
            await store.close()

    _with_shadow(migrated_dsn, work)


def test_a_shadow_that_lags_is_never_swapped_in(migrated_dsn: dict[str, str], monkeypatch: Any) -> None:
    """The live ledger covers an offset more: every try is given up, both schemas stay, the live one can be written."""
    monkeypatch.setattr("stream_workers.operations.rebuild.swap._TRIES", 2)

    async def work(connection: asyncpg.Connection, plan: Plan) -> tuple[float | None, int]:
        await connection.execute(
            f"INSERT INTO {plan.live}.ingest_ledger VALUES ($1, 0, 't', '{{[0,5)}}', '{{}}', now())", TOPIC.id
        )
        await connection.execute(
            f"INSERT INTO {plan.shadow}.ingest_ledger VALUES ($1, 0, 't', '{{[0,4)}}', '{{}}', now())", TOPIC.id
        )
        pause_s = await swap(connection, plan)
        await connection.execute(f"UPDATE {plan.live}.ingest_ledger SET updated_at = now()")
        count = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE $1"
        return pause_s, await connection.fetchval(count, f"{SCHEMA}%")

    assert _with_shadow(migrated_dsn, work) == (None, 2)


def test_whatever_the_workers_write_is_rebuilt(migrated_dsn: dict[str, str]) -> None:
    """A table that workers fill comes from the topic. One that the rebuild took for the operators' would be copied instead.

    But for what they say of the topic's offsets: it is as true of the shadow, which covers all that the live store covers.
    """

    async def run() -> set[str]:
        connection = await asyncpg.connect(migrated_dsn["owner"])
        rows = await connection.fetch(
            "SELECT table_name FROM information_schema.role_table_grants WHERE table_schema = $1 "
            "AND grantee = 'agenttracer_worker' AND privilege_type = 'INSERT'",
            SCHEMA,
        )
        await connection.close()
        return {row["table_name"] for row in rows}

    assert asyncio.run(run()) <= {*TABLES_FROM_TOPIC, *ROLLUP_TABLES, *OWN_TABLES, "stored_partitions"}
