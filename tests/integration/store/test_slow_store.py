"""A PostgreSQL so slow that a batch cannot be written within the time that a transaction may last."""

import asyncio
import uuid

import asyncpg
import pytest

from ddl.migrate import SCHEMA
from stream_workers.core.fold import fold
from stream_workers.errors import SlowStoreError
from stream_workers.metrics import WorkerMetrics
from stream_workers.pipeline.dead_letter_limit import DeadLetterLimit
from stream_workers.pipeline.decode import canonical_json
from stream_workers.pipeline.writer import Writer
from stream_workers.store.batch import Received, Topic, make_batch
from stream_workers.store.postgres import PostgresStore
from stream_workers.store.read_tables import differences, read_tables
from tests.support.slow_store import slow_down
from tests.support.traffic import Traffic

TOPIC = Topic("t", uuid.UUID(int=11))
LIMIT_S = 2.0


@pytest.fixture
def records() -> list:
    traffic = Traffic(93)
    return traffic.records(traffic.runs(20, steps=5))


def test_a_transaction_that_runs_into_its_limit_is_told_apart(migrated_dsn: dict[str, str], records: list) -> None:
    """Whatever asyncpg says of being told to end in the middle of one, and however often."""

    async def work() -> None:
        owner = await asyncpg.connect(migrated_dsn["owner"], server_settings={"search_path": SCHEMA})
        await slow_down(owner, "steps", seconds_a_row=0.1)
        await owner.close()
        store = PostgresStore(migrated_dsn["worker"], transaction_timeout_s=LIMIT_S / 2)
        received = [Received(0, offset, 100, None, record, None) for offset, record in enumerate(records)]
        for _ in range(6):
            with pytest.raises(SlowStoreError):
                await store.save(TOPIC, make_batch(received, canonical_json))
        await store.close()

    asyncio.run(work())


def test_a_batch_that_takes_too_long_is_stored_in_pieces(migrated_dsn: dict[str, str], records: list) -> None:
    """The rows of the whole take three times its limit: all of it is stored, once, and no record is a dead letter."""

    async def work() -> None:
        owner = await asyncpg.connect(migrated_dsn["owner"], server_settings={"search_path": SCHEMA, "timezone": "UTC"})
        steps = len(fold(records, canonical_json).steps)
        await slow_down(owner, "steps", seconds_a_row=3 * LIMIT_S / steps)
        store = PostgresStore(migrated_dsn["worker"], transaction_timeout_s=LIMIT_S)
        writer = Writer(store, TOPIC, WorkerMetrics(), retry_max_s=0.1, limit=DeadLetterLimit(max_share=1, max_in_a_row=1))
        received = [Received(0, offset, 100, None, record, None) for offset, record in enumerate(records)]
        async with asyncio.timeout(120):
            await writer.write(received)
        assert await store.frontiers(TOPIC, [0]) == {0: len(records)}
        await store.close()
        assert differences(fold(records, canonical_json), await read_tables(owner)) == []
        assert await owner.fetchval("SELECT count(*) FROM dead_letters") == 0
        await owner.close()

    asyncio.run(work())
