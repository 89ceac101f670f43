"""What is deleted is gone from rows and rollups, and stays away, whoever writes its events again."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import pytest

from agenttracer.wire.envelope import Record
from ddl.migrate import SCHEMA, migrate
from stream_workers.core.deletions import Deletions
from stream_workers.core.fold import Tables, fold
from stream_workers.errors import OldSchemaError, StoreLockedError
from stream_workers.kafka.topic_log import LogRange
from stream_workers.operations.deletion import apply_retention, removal, remove_project, remove_run, session, set_retention
from stream_workers.operations.rebuild.bulk import BulkStore
from stream_workers.operations.rebuild.plan import Plan
from stream_workers.operations.rebuild.shadow_schema import LogCutoff, drop_old, finish, prepare
from stream_workers.operations.rebuild.swap import swap
from stream_workers.pipeline.decode import canonical_json
from stream_workers.store.batch import Received, Topic, WriteBatch, make_batch
from stream_workers.store.postgres import PostgresStore
from stream_workers.store.read_tables import differences, read_tables
from tests.support.detail import detail_of
from tests.support.traffic import Traffic

TOPIC = Topic("t", uuid.UUID(int=3))
DAY_US = 86_400_000_000
_BLOCKED = "SELECT count(*) > 0 FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))"


def _batch(records: Sequence[Record]) -> WriteBatch:
    return make_batch([Received(0, offset, 100, None, record, None) for offset, record in enumerate(records)], canonical_json)


async def _tables(dsn: str, schema: str = SCHEMA) -> Tables:
    connection = await asyncpg.connect(dsn, server_settings={"search_path": schema, "timezone": "UTC"})
    try:
        return await read_tables(connection)
    finally:
        await connection.close()


def test_a_deleted_run_stays_away_from_worker_replay_and_rebuild(migrated_dsn: dict[str, str]) -> None:
    """Gone with its part of the rollups; written again, live and into a shadow, it is left out and counted; the fold agrees."""
    traffic = Traffic(81)
    records = traffic.mischief(traffic.records(traffic.runs(30)))
    gone = records[0].events[0].run_id
    deletions = Deletions.of([("default", gone)])

    async def work() -> None:
        worker = PostgresStore(migrated_dsn["worker"], transaction_timeout_s=30)
        await worker.save(TOPIC, _batch(records))
        await migrate(migrated_dsn["owner"], schema=f"{SCHEMA}_shadow")
        assert (await remove_run(migrated_dsn["owner"], "default", gone)).rows > 0
        wanted = fold(records, canonical_json, deletions)
        assert all(state.run_id != gone for state, *_ in wanted.runs.values())
        assert differences(wanted, await _tables(migrated_dsn["owner"])) == []
        assert (await worker.save(TOPIC, _batch(records))).deleted > 0
        assert differences(wanted, await _tables(migrated_dsn["owner"])) == []
        shadow = BulkStore(migrated_dsn["owner"], transaction_timeout_s=30, schema=f"{SCHEMA}_shadow")
        await shadow.save(TOPIC, _batch(records))
        found = await _tables(migrated_dsn["owner"], f"{SCHEMA}_shadow")
        assert found.runs == wanted.runs
        assert (await remove_run(migrated_dsn["owner"], "default", gone)).rows == 0
        await worker.close()
        await shadow.close()

    asyncio.run(work())


def test_a_deleted_project_takes_no_other_with_it(migrated_dsn: dict[str, str]) -> None:
    """All rows and rollups of the one, none of the other."""
    traffic = Traffic(82)
    records = traffic.records(traffic.runs(10))
    ours, theirs = records[::2], [Record(**{**_fields(record), "project": "other"}) for record in records[1::2]]

    async def work() -> None:
        worker = PostgresStore(migrated_dsn["worker"], transaction_timeout_s=30)
        await worker.save(TOPIC, _batch([*ours, *theirs]))
        await remove_project(migrated_dsn["owner"], "default")
        await worker.save(TOPIC, _batch([*ours, *theirs]))
        assert differences(fold(theirs, canonical_json), await _tables(migrated_dsn["owner"])) == []
        await worker.close()

    asyncio.run(work())


@pytest.mark.parametrize("ends_at", [None, 2], ids=["at once", "interrupted"])
def test_a_project_goes_in_batches_while_others_are_written(
    migrated_dsn: dict[str, str], monkeypatch: pytest.MonkeyPatch, ends_at: int | None
) -> None:
    """Between two batches, and within one, a worker stores runs of others; killed half way, the next call deletes the rest."""
    ours, theirs = (Traffic(seed) for seed in (85, 86))
    gone, kept = (
        ours.records(ours.runs(12)),
        [Record(**{**_fields(one), "project": "other"}) for one in theirs.records(theirs.runs(6))],
    )
    monkeypatch.setattr(removal, "RUNS_A_BATCH", 5)
    delete_rows, batches = removal.delete_rows, 0

    async def work() -> None:
        nonlocal batches
        owner, worker = migrated_dsn["owner"], PostgresStore(migrated_dsn["worker"], transaction_timeout_s=30)
        await worker.save(TOPIC, _batch(gone))

        async def delete(*arguments: Any, **more: Any) -> int:
            nonlocal batches
            batches += 1
            if batches == ends_at:
                raise InterruptedError
            rows = await delete_rows(*arguments, **more)
            await worker.save(TOPIC, _batch([*gone, *kept]))
            return rows

        monkeypatch.setattr(removal, "delete_rows", delete)
        if ends_at:
            with pytest.raises(InterruptedError):
                await remove_project(owner, "default")
            assert len((await _tables(owner)).runs) == 7 + 6
        removed = await remove_project(owner, "default")
        assert removed.rows > 0
        assert batches == (4 if ends_at else 3)
        assert differences(fold(kept, canonical_json), await _tables(owner)) == []
        assert (await remove_project(owner, "default")).rows == 0
        await worker.close()

    asyncio.run(work())


def test_retention_removes_whole_runs_and_empty_days_and_nothing_younger(migrated_dsn: dict[str, str]) -> None:
    """Runs whose last event is older than the project keeps; the same events again bring nothing back; no rule, no end."""
    now_us = time.time_ns() // 1000
    old, young = Traffic(83, base_us=now_us - 9 * DAY_US), Traffic(84, base_us=now_us - 2 * DAY_US)
    late, fresh = old.records(old.runs(15)), young.records(young.runs(15))

    async def work() -> None:
        worker = PostgresStore(migrated_dsn["worker"], transaction_timeout_s=30)
        await worker.save(TOPIC, _batch([*late, *fresh]))
        before = await _tables(migrated_dsn["owner"])
        assert (await apply_retention(migrated_dsn["owner"], report=str)).runs.total() == 0
        assert differences(before, await _tables(migrated_dsn["owner"])) == []
        await set_retention(migrated_dsn["owner"], "default", 7)
        said: list[str] = []
        assert (await apply_retention(migrated_dsn["owner"], report=said.append)).runs.total() == 15
        assert any(line.startswith("dropped steps_") for line in said)
        await worker.save(TOPIC, _batch([*late, *fresh]))
        assert differences(detail_of(fold(fresh, canonical_json)), detail_of(await _tables(migrated_dsn["owner"]))) == []
        assert (await apply_retention(migrated_dsn["owner"], report=str)).runs.total() == 0
        await worker.close()

    asyncio.run(work())


_ALL_TOO_OLD = LogCutoff((time.time_ns() // 1000) + 365 * DAY_US, silent=False)
_ALL_LACKING = LogCutoff(None, silent=True)


@pytest.mark.parametrize("past", [_ALL_TOO_OLD, _ALL_LACKING], ids=["too-old", "lacking"])
def test_nothing_is_deleted_while_old_runs_are_taken_over(
    migrated_dsn: dict[str, str], monkeypatch: pytest.MonkeyPatch, past: LogCutoff
) -> None:
    """What the shadow copies of the live store cannot come back in it: whoever deletes is told to wait, and workers write on."""
    monkeypatch.setattr(session, "LOCK_TIMEOUT_MS", 200)
    monkeypatch.setattr(session, "_TRIES", 2)
    traffic = Traffic(85)
    records = traffic.records(traffic.runs(10))
    gone = records[0].events[0].run_id
    owner, plan = migrated_dsn["owner"], Plan(migrated_dsn["owner"], "nowhere:1", TOPIC)
    told: list[bool] = []

    async def meanwhile() -> None:
        worker = PostgresStore(migrated_dsn["worker"], transaction_timeout_s=30)
        with pytest.raises(StoreLockedError):
            await remove_run(owner, "default", gone)
        told.append((await worker.save(TOPIC, _batch(records))).deleted == 0)
        await worker.close()

    def in_between(_: str) -> None:
        with ThreadPoolExecutor() as pool:
            pool.submit(asyncio.run, meanwhile()).result()

    async def work() -> None:
        worker = PostgresStore(migrated_dsn["worker"], transaction_timeout_s=30)
        await worker.save(TOPIC, _batch(records))
        await worker.close()
        rebuilder = await asyncpg.connect(owner, server_settings={"timezone": "UTC"})
        await prepare(rebuilder, plan, {0: LogRange(len(records), len(records))})
        await finish(rebuilder, plan, past=past, report=in_between)
        await rebuilder.close()
        assert differences(await _tables(owner), await _tables(owner, plan.shadow)) == []
        assert (await remove_run(owner, "default", gone)).rows > 0
        wanted = fold(records, canonical_json, Deletions.of([("default", gone)]))
        for schema in (plan.live, plan.shadow):
            assert differences(wanted, await _tables(owner, schema)) == []

    asyncio.run(work())
    assert told
    assert all(told)


def _swapped(dsn: dict[str, str], records: Sequence[Record], work: Callable[[Plan], Awaitable[None]]) -> None:
    """`work` on a store that a swap has just made live: what was before is still there."""

    async def run() -> None:
        plan = Plan(dsn["owner"], "nowhere:1", TOPIC)
        await migrate(dsn["owner"], schema=plan.shadow)
        for schema in (plan.live, plan.shadow):
            store = PostgresStore(dsn["owner"], transaction_timeout_s=30, schema=schema)
            await store.save(TOPIC, _batch(records))
            await store.close()
        connection = await asyncpg.connect(dsn["owner"])
        await connection.execute(plan.statement("make_state").text)
        assert await swap(connection, plan) is not None
        await connection.close()
        await work(plan)

    asyncio.run(run())


@pytest.mark.parametrize("whole_project", [False, True])
def test_what_was_live_before_a_swap_loses_the_same(migrated_dsn: dict[str, str], whole_project: bool) -> None:  # noqa: FBT001 - a parameter
    """A run or a project that is deleted is in neither store, nor in the rollups of either; what is counted is the live one's."""
    traffic = Traffic(86)
    records = traffic.mischief(traffic.records(traffic.runs(10)))
    gone = None if whole_project else records[0].events[0].run_id
    owner = migrated_dsn["owner"]

    async def work(plan: Plan) -> None:
        removed = await (remove_project(owner, "default") if gone is None else remove_run(owner, "default", gone))
        assert removed.rows > 0
        wanted = fold(records, canonical_json, Deletions.of([("default", gone)]))
        for schema in (plan.live, plan.old):
            assert differences(wanted, await _tables(owner, schema)) == []

    _swapped(migrated_dsn, records, work)


def test_what_was_live_before_a_swap_expires_alike(migrated_dsn: dict[str, str]) -> None:
    """The days that retention drops are dropped there, too."""
    made = Traffic(87, base_us=time.time_ns() // 1000 - 9 * DAY_US)
    records = made.records(made.runs(5))
    owner = migrated_dsn["owner"]

    async def work(plan: Plan) -> None:
        await set_retention(owner, "default", 7)
        applied = await apply_retention(owner, report=str)
        assert (applied.runs.total(), applied.complete) == (5, True)
        for schema in (plan.live, plan.old):
            assert differences(detail_of(fold([], canonical_json)), detail_of(await _tables(owner, schema))) == []

    _swapped(migrated_dsn, records, work)


def test_a_store_of_before_that_missed_a_migration_is_dropped_first(migrated_dsn: dict[str, str]) -> None:
    """Nothing is deleted and the error names the command; after it the same deletion goes through."""
    traffic = Traffic(88)
    records = traffic.records(traffic.runs(3))
    gone = records[0].events[0].run_id
    owner = migrated_dsn["owner"]

    async def work(plan: Plan) -> None:
        connection = await asyncpg.connect(owner)
        await connection.execute(f"DELETE FROM {plan.old}.schema_migrations WHERE version > 1")
        await connection.close()
        for deletion in (remove_run(owner, "default", gone), remove_project(owner, "default")):
            with pytest.raises(OldSchemaError, match="rebuild drop-old"):
                await deletion
        assert differences(fold(records, canonical_json), await _tables(owner)) == []
        assert await drop_old(owner)
        assert (await remove_run(owner, "default", gone)).rows > 0

    _swapped(migrated_dsn, records, work)


def test_a_store_of_before_may_be_dropped_while_somebody_deletes(migrated_dsn: dict[str, str]) -> None:
    """Who waits for it finds it gone, and deletes what is left."""
    traffic = Traffic(89)
    records = traffic.records(traffic.runs(3))
    owner = migrated_dsn["owner"]

    async def work(plan: Plan) -> None:
        dropping, watching = await asyncpg.connect(owner), await asyncpg.connect(owner)
        await dropping.execute(f"BEGIN; DROP SCHEMA {plan.old} CASCADE")
        deleting = asyncio.create_task(remove_run(owner, "default", records[0].events[0].run_id))
        deadline = time.monotonic() + 20
        while not await watching.fetchval(_BLOCKED, dropping.get_server_pid()):
            assert time.monotonic() < deadline, "nobody waits"
            await asyncio.sleep(0.02)
        await dropping.execute("COMMIT")
        assert (await deleting).rows > 0
        await dropping.close()
        await watching.close()

    _swapped(migrated_dsn, records, work)


def _fields(record: Record) -> dict[str, object]:
    return {name: getattr(record, name) for name in Record.__slots__}
