"""What verify finds in statistics, compacted or not: nothing where they are right, and each figure that is off by one."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from ddl.migrate import SCHEMA
from stream_workers.operations.verify.statistics import wrong_statistics
from stream_workers.pipeline.decode import canonical_json
from stream_workers.rollups import name_cap
from stream_workers.rollups.compaction import compact, projects
from stream_workers.store.batch import Received, Topic, make_batch
from stream_workers.store.postgres import PostgresStore
from tests.support.traffic import Traffic

DAMAGE = {
    "count of a delta": "UPDATE step_rollup_deltas SET steps = steps + 1 WHERE ctid = (SELECT min(ctid) FROM step_rollup_deltas)",
    "latency of a delta": "UPDATE run_rollup_deltas SET latency_us = -1 WHERE ctid = (SELECT min(ctid) FROM run_rollup_deltas)",
    "bucket of a delta": "UPDATE step_rollup_deltas SET histogram = set_byte(histogram, 1, 255) "
    "WHERE ctid = (SELECT min(ctid) FROM step_rollup_deltas)",
    "model of a delta": "UPDATE step_rollup_deltas SET model = 'another' "
    "WHERE ctid = (SELECT min(ctid) FROM step_rollup_deltas WHERE model <> '')",
    "input tokens of a delta": "UPDATE step_rollup_deltas SET input_tokens = input_tokens + 1 "
    "WHERE ctid = (SELECT min(ctid) FROM step_rollup_deltas)",
    "output tokens of a delta": "UPDATE step_rollup_deltas SET output_tokens = output_tokens - 1 "
    "WHERE ctid = (SELECT min(ctid) FROM step_rollup_deltas)",
    "cost of a delta": "UPDATE step_rollup_deltas SET cost = 0 "
    "WHERE ctid = (SELECT min(ctid) FROM step_rollup_deltas WHERE cost > 0)",
    "currency of a cost": "UPDATE steps SET cost_currency = 'USD' "
    "WHERE step_id = (SELECT min(step_id) FROM steps WHERE cost_currency = 'EUR' AND cost_nano > 0)",
    "a delta twice": "INSERT INTO run_rollup_deltas SELECT * FROM run_rollup_deltas LIMIT 1",
    "a delta less": "DELETE FROM step_rollup_deltas WHERE ctid = (SELECT min(ctid) FROM step_rollup_deltas)",
    "rollups of the release before": "INSERT INTO step_rollups SELECT project, minute, agent, agent_version, kind, name, status, "
    "1, 1, 1 FROM step_rollup_deltas LIMIT 1",
}
DAMAGE_TO_TOTALS = {
    "a day": "UPDATE step_rollup_totals SET steps = steps + 1 "
    "WHERE ctid = (SELECT min(ctid) FROM step_rollup_totals WHERE span_minutes = 1440)",
    "an hour": "UPDATE run_rollup_totals SET latency_us = latency_us + 1 "
    "WHERE ctid = (SELECT min(ctid) FROM run_rollup_totals WHERE span_minutes = 60)",
    "tokens of a quarter": "UPDATE step_rollup_totals SET output_tokens = output_tokens + 1 "
    "WHERE ctid = (SELECT min(ctid) FROM step_rollup_totals WHERE span_minutes = 15)",
    "cost of an hour": "UPDATE step_rollup_totals SET cost = cost + 1 "
    "WHERE ctid = (SELECT min(ctid) FROM step_rollup_totals WHERE span_minutes = 60)",
    "a minute": "DELETE FROM step_rollup_totals WHERE ctid = (SELECT min(ctid) FROM step_rollup_totals WHERE span_minutes = 1)",
}
Work = Callable[[asyncpg.Connection], Awaitable[None]]


def _with_filled(dsn: dict[str, str], work: Work) -> None:
    """`work` on a store with some runs of the last minutes."""

    async def whole() -> None:
        now_us = time.time_ns() // 1000
        traffic = Traffic(91, base_us=now_us - 600_000_000)
        records = traffic.mischief(traffic.records(traffic.runs(40)))
        received = [Received(0, offset, 100, None, record, None) for offset, record in enumerate(records)]
        worker = PostgresStore(dsn["worker"], transaction_timeout_s=30)
        await worker.save(Topic("t", uuid.uuid4()), make_batch(received, canonical_json))
        await worker.close()
        owner = await asyncpg.connect(dsn["owner"], server_settings={"search_path": SCHEMA, "timezone": "UTC"})
        try:
            await work(owner)
        finally:
            await owner.close()

    asyncio.run(whole())


async def _compacted(owner: asyncpg.Connection) -> None:
    for project in await projects(owner):
        await compact(owner, project, now=int(time.time()) // 60)


async def _found(owner: asyncpg.Connection) -> list[str]:
    return [line async for line in wrong_statistics(owner)]


async def _found_after(owner: asyncpg.Connection, damage: str) -> list[str]:
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute(damage)
    found = await _found(owner)
    await transaction.rollback()
    return found


def test_right_statistics_and_each_damage_to_them(migrated_dsn: dict[str, str]) -> None:
    """Before compaction and after it."""

    async def work(owner: asyncpg.Connection) -> None:
        assert await _found(owner) == []
        for what, damage in DAMAGE.items():
            assert len(await _found_after(owner, damage)) == 1, what
        await _compacted(owner)
        assert await owner.fetchval("SELECT count(*) FROM step_rollup_deltas") == 0
        assert await _found(owner) == []
        for what, damage in DAMAGE_TO_TOTALS.items():
            assert await _found_after(owner, damage), what

    _with_filled(migrated_dsn, work)


def test_days_with_too_many_names_are_compared_by_their_sums(
    migrated_dsn: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was renamed is no difference, and a count that is off by one still is."""
    monkeypatch.setattr(name_cap, "NAMES_MAX", 2)

    async def work(owner: asyncpg.Connection) -> None:
        await _compacted(owner)
        assert await owner.fetchval("SELECT count(*) FROM step_rollup_totals WHERE name = '__other__'") > 0
        assert await _found(owner) == []
        assert await _found_after(owner, DAMAGE_TO_TOTALS["a day"])

    _with_filled(migrated_dsn, work)


def test_days_before_the_horizon_are_left_out(migrated_dsn: dict[str, str]) -> None:
    """Their runs may have expired, and statistics still count them."""

    async def work(owner: asyncpg.Connection) -> None:
        await _compacted(owner)
        await owner.execute("DELETE FROM steps")
        assert len(await _found(owner)) == 1
        await owner.execute("INSERT INTO detail_horizons SELECT DISTINCT project, now() FROM runs")
        assert await _found(owner) == []

    _with_filled(migrated_dsn, work)
