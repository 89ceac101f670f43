"""Days of steps and their partitions: made ahead, never waited for, made good later. The store is always the fold."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from agenttracer.wire.envelope import Record
from agenttracer.wire.events import StepFinished
from agenttracer.wire.vocabulary import StepKind, StepStatus
from ddl.migrate import SCHEMA, migrate
from stream_workers.core.fold import fold
from stream_workers.errors import TransientStoreError
from stream_workers.operations.rebuild.bulk import BulkStore
from stream_workers.pipeline.decode import canonical_json
from stream_workers.store import day_partitions
from stream_workers.store.batch import Received, Topic, WriteBatch, make_batch
from stream_workers.store.day_partitions import DAY_US, DayPartitions
from stream_workers.store.postgres import PostgresStore
from stream_workers.store.read_tables import differences, read_tables
from stream_workers.store.statements import QUERIES
from tests.support.traffic import Traffic

TOPIC = Topic("t", uuid.UUID(int=3))
FOR_EVER_S = 60  # to a test
TODAY = datetime.now(UTC).date()
_FILL = """
INSERT INTO steps (project, run_id, step_id, started_at, duration_us, seq, latency_bucket, attempt, kind, name, status, agent,
                   agent_version)
SELECT 'p', gen_random_uuid(), n::text, $1, 1, 1, 1, 1, 'tool', 'n', 'ok', 'a', '1' FROM generate_series(1, $2::integer) AS n
"""


def table_of(days_ago: int) -> str:
    return f"steps_{TODAY - timedelta(days=days_ago):%Y%m%d}"


def records_of(seed: int, days_ago: int, *, runs: int = 5) -> list[Record]:
    noon_us = time.time_ns() // 1000 // DAY_US * DAY_US - days_ago * DAY_US + DAY_US // 2
    made = Traffic(seed, base_us=noon_us)
    return made.mischief(made.records(made.runs(runs)))


def batch(records: Sequence[Record], *, partition: int = 0, start: int = 0) -> WriteBatch:
    received = [Received(partition, start + at, 100, None, record, None) for at, record in enumerate(records)]
    return make_batch(received, canonical_json)


async def until(condition: Callable[[], Awaitable[Any]]) -> None:
    while not await condition():  # noqa: ASYNC110 - the server is asked, which rings no bell
        await asyncio.sleep(0.05)


class Subject:
    """A migrated store, its owner's connection, and one worker."""

    def __init__(self, dsn: dict[str, str], owner: asyncpg.Connection, schema: str = SCHEMA) -> None:
        self.dsn = dsn
        self.owner = owner
        self.schema = schema
        self.worker = PostgresStore(dsn["worker"], transaction_timeout_s=30, schema=schema)

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[asyncpg.Connection]:
        """Somebody who reads steps for as long as the block runs: verify, a dump, a long question."""
        connection = await asyncpg.connect(self.dsn["owner"], server_settings={"search_path": self.schema})
        await connection.execute("BEGIN; LOCK TABLE steps IN ACCESS SHARE MODE")
        try:
            yield connection
        finally:
            await connection.close()

    async def rows(self, table: str) -> int | None:
        """How many steps lie there; None where there is no such table."""
        if not await self.owner.fetchval("SELECT to_regclass($1) IS NOT NULL", table):
            return None
        found: int = await self.owner.fetchval(f"SELECT count(*) FROM {table}")
        return found

    async def wrong(self, records: Sequence[Record]) -> list[str]:
        return differences(fold(records, canonical_json), await read_tables(self.owner))


Work = Callable[[Subject], Awaitable[None]]


@pytest.fixture
def run(migrated_dsn: dict[str, str]) -> Callable[[Work], None]:
    def whole(work: Work) -> None:
        async def both() -> None:
            owner = await asyncpg.connect(migrated_dsn["owner"], server_settings={"search_path": SCHEMA, "timezone": "UTC"})
            subject = Subject(migrated_dsn, owner)
            async with asyncio.timeout(2 * FOR_EVER_S):
                await work(subject)
            await subject.worker.close()
            await owner.close()

        asyncio.run(both())

    return whole


def test_a_new_day_waits_for_no_reader_and_no_reader_for_it(run: Callable[[Work], None]) -> None:
    """While somebody holds the steps a new day is stored and others read; once nobody does it has its partition, rows and all."""
    records = records_of(1, 10)

    async def work(subject: Subject) -> None:
        async with subject.reader() as reader:
            async with asyncio.timeout(25):  # the worker's own limit would have given it up after 30
                saving = asyncio.create_task(subject.worker.save(TOPIC, batch(records)))
                while not saving.done():
                    assert await subject.rows("steps") is not None
                    await asyncio.sleep(0.01)
                await saving
            assert await subject.rows(table_of(10)) is None
            assert await subject.rows("steps_default") == await reader.fetchval("SELECT count(*) FROM steps") != 0
            assert await subject.wrong(records) == []

        async def made() -> bool:
            await subject.worker.save(TOPIC, batch(records))
            return await subject.rows(table_of(10)) is not None

        async with asyncio.timeout(FOR_EVER_S):
            await until(made)
        assert await subject.rows("steps_default") == 0
        assert await subject.rows(table_of(10)) == await subject.rows("steps")
        assert await subject.wrong(records) == []

    run(work)


def test_a_day_that_was_put_off_is_not_tried_at_every_batch(run: Callable[[Work], None]) -> None:
    """The next try comes after a pause, that grows; meanwhile batches cost no statement more."""
    records = records_of(2, 10)
    now_s = 100.0

    async def work(subject: Subject) -> None:
        nonlocal now_s
        tries: list[float] = []
        subject.worker._partitions = DayPartitions(clock_s=lambda: now_s)
        await subject.worker.frontiers(TOPIC, [0])
        connection = subject.worker._connection
        assert connection is not None
        connection.add_query_logger(
            lambda query: tries.append(now_s) if query.query == QUERIES["ensure_partition"].text else None
        )
        async with subject.reader():
            for _ in range(16):
                await subject.worker.save(TOPIC, batch(records))
                now_s += 1
        assert tries == [100.0, 102.0, 106.0, 114.0]
        assert await subject.wrong(records) == []

    run(work)


def test_the_days_to_come_have_their_partitions(run: Callable[[Work], None]) -> None:
    """A worker that stores anything makes today's and the next two, so that nothing has to be made at midnight."""

    async def work(subject: Subject) -> None:
        await subject.worker.save(TOPIC, batch(records_of(3, 10)))
        assert [await subject.rows(table_of(day)) for day in (1, 0, -1, -2, -3)] == [None, 0, 0, 0, None]

    run(work)


def test_four_hundred_days_in_one_batch_make_no_partition(run: Callable[[Work], None]) -> None:
    """They are stored, in the default partition, and only the days near their receipt have one of their own."""
    (record,) = Traffic(5).records([list(Traffic(5).run(steps=1))[:1]])
    now_us = time.time_ns() // 1000
    days = [
        StepFinished(
            run_id=record.events[0].run_id,
            seq=1 + at,
            step_id=f"{at + 1:016x}",
            kind=StepKind.TOOL,
            name="x",
            started_at=now_us - (200 - at) * DAY_US,
            duration_us=1,
            status=StepStatus.OK,
        )
        for at in range(400)
    ]
    records = [replace(record, received_at=now_us, events=tuple(days))]

    async def work(subject: Subject) -> None:
        await subject.worker.save(TOPIC, batch(records))
        found = await subject.owner.fetch("SELECT inhrelid::regclass::text AS name FROM pg_inherits")
        children = {row["name"] for row in found if row["name"].startswith("steps_") and not row["name"].endswith("_pkey")}
        assert children <= {"steps_default", *(table_of(day) for day in range(-3, 2))}
        assert await subject.wrong(records) == []

    run(work)


def test_a_step_on_its_way_to_the_default_partition_is_tried_again(run: Callable[[Work], None]) -> None:
    """Its day gets a partition while the row is under way: transient, not the record's fault, and the next try stores it."""
    records = records_of(4, 10)

    async def work(subject: Subject) -> None:
        await subject.worker.save(TOPIC, batch(records_of(4, 20)))
        subject.worker._partitions._again_s = float("inf")  # as one that was put off a moment ago
        maker = await asyncpg.connect(subject.dsn["owner"], server_settings={"search_path": SCHEMA})
        await maker.execute("BEGIN")
        await maker.execute("SELECT ensure_steps_partition($1)", TODAY - timedelta(days=10))
        saving = asyncio.create_task(subject.worker.save(TOPIC, batch(records)))
        waits = "SELECT count(*) FROM pg_locks WHERE relation = 'steps_default'::regclass AND NOT granted"
        async with asyncio.timeout(FOR_EVER_S):
            await until(lambda: subject.owner.fetchval(waits))
        await maker.execute("COMMIT")
        await maker.close()
        with pytest.raises(TransientStoreError):
            await saving
        await subject.worker.save(TOPIC, batch(records))
        assert await subject.rows(table_of(10)) != 0
        assert await subject.wrong([*records_of(4, 20), *records]) == []

    run(work)


def test_rows_move_only_while_no_writer_is_under_way(run: Callable[[Work], None]) -> None:
    """A writer that planned its reading before would find them in neither place. A day without rows need not wait for that."""

    async def work(subject: Subject) -> None:
        await subject.owner.execute(_FILL, datetime.now(UTC) - timedelta(days=10), 3)
        writer = await asyncpg.connect(subject.dsn["worker"], server_settings={"search_path": SCHEMA})
        async with writer.transaction():
            await writer.fetch(*QUERIES["lock_ledger"].bind(topic_id=TOPIC.id, topic=TOPIC.name, partitions=[0], epochs=[0]))
            with pytest.raises(asyncpg.LockNotAvailableError):
                await subject.owner.execute("SELECT ensure_steps_partition($1)", TODAY - timedelta(days=10))
            await subject.owner.execute("SELECT ensure_steps_partition($1)", TODAY - timedelta(days=11))
        await writer.close()
        assert (await subject.rows(table_of(10)), await subject.rows(table_of(11))) == (None, 0)
        await subject.owner.execute("SELECT ensure_steps_partition($1)", TODAY - timedelta(days=10))
        assert (await subject.rows(table_of(10)), await subject.rows("steps_default")) == (3, 0)

    run(work)


def test_a_day_with_more_than_can_be_moved_in_a_moment_stays(run: Callable[[Work], None]) -> None:
    """Nobody waits for its rows to move; it is no error, and they are read where they are."""

    async def work(subject: Subject) -> None:
        await subject.owner.execute(_FILL, datetime.now(UTC) - timedelta(days=10), 50_001)
        await subject.owner.execute("SELECT ensure_steps_partition($1)", TODAY - timedelta(days=10))
        assert (await subject.rows(table_of(10)), await subject.rows("steps_default")) == (None, 50_001)

    run(work)


_MADE_BY_ANOTHER = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.ensure_steps_partition(day date) RETURNS void LANGUAGE plpgsql AS
$$BEGIN RAISE EXCEPTION USING ERRCODE = 'duplicate_table', MESSAGE = 'already exists'; END$$
"""


def test_a_partition_that_somebody_makes_at_the_same_moment_stops_nobody(run: Callable[[Work], None]) -> None:
    """A session that looked before another one committed hears of it when it makes its own: the day has one, and that is all."""
    records = records_of(1, 10)

    async def work(subject: Subject) -> None:
        await subject.owner.execute(_MADE_BY_ANOTHER)
        await subject.worker.save(TOPIC, batch(records))
        assert await subject.wrong(records) == []
        bulk = BulkStore(subject.dsn["owner"], transaction_timeout_s=30)
        async with asyncio.timeout(FOR_EVER_S):
            await bulk.save(TOPIC, batch(records, partition=1))
        await bulk.close()
        assert await subject.wrong(records) == []

    run(work)


def test_days_that_come_and_go_under_many_writers_leave_the_fold(
    run: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three workers write into the same days while somebody reads now and then: rows move, and none is lost or doubled."""
    monkeypatch.setattr(day_partitions, "_AGAIN_FIRST_S", 0.02)
    monkeypatch.setattr(day_partitions, "_AGAIN_MAX_S", 0.1)
    days = [record for day in range(10, 16) for record in records_of(day, day)]
    records = [one for at in range(6) for one in days[at::6]]

    async def work(subject: Subject) -> None:
        async def write(partition: int) -> None:
            store = PostgresStore(subject.dsn["worker"], transaction_timeout_s=30)
            for start in range(0, len(records), 3):
                while True:
                    try:
                        await store.save(TOPIC, batch(records[start : start + 3], partition=partition, start=start))
                        break
                    except TransientStoreError:
                        continue
            await store.close()

        async def read() -> None:
            while True:
                async with subject.reader():
                    await asyncio.sleep(0.3)
                await asyncio.sleep(0.1)

        reading = asyncio.create_task(read())
        await asyncio.gather(*(write(partition) for partition in range(3)))
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert await subject.wrong(records) == []

        async def made() -> bool:
            await subject.worker.save(TOPIC, batch(records))
            return await subject.rows("steps_default") == 0

        async with asyncio.timeout(FOR_EVER_S):
            await until(made)
        assert None not in [await subject.rows(table_of(day)) for day in range(10, 16)]
        assert await subject.wrong(records) == []

    run(work)


def test_a_rebuild_in_bulk_waits(run: Callable[[Work], None]) -> None:
    """Nobody reads its schema, so its days get their partitions before their rows come."""
    shadow = f"{SCHEMA}_shadow"

    async def work(subject: Subject) -> None:
        await migrate(subject.dsn["owner"], schema=shadow)
        await subject.owner.execute(f"SET search_path = {shadow}")
        store = BulkStore(subject.dsn["owner"], transaction_timeout_s=FOR_EVER_S, schema=shadow)
        async with Subject(subject.dsn, subject.owner, shadow).reader() as reader:
            saving = asyncio.create_task(store.save(TOPIC, batch(records_of(6, 10))))
            waits = "SELECT count(*) FROM pg_locks WHERE relation = 'steps_default'::regclass AND NOT granted"
            async with asyncio.timeout(FOR_EVER_S):
                for _ in range(2):
                    await until(lambda: reader.fetchval(waits))
                    await until(lambda: reader.fetchval(f"SELECT 1 - ({waits})"))
            assert not saving.done()
        await saving
        assert await subject.rows("steps_default") == 0
        assert await subject.rows(table_of(10)) != 0
        await store.close()

    run(work)
