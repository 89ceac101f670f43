"""Records of a parked project are dead letters until they are stored, and never both."""

import asyncio

from stream_workers.core.fold import fold
from stream_workers.pipeline.decode import canonical_json, refuse
from stream_workers.store.batch import PARKED, Received, make_batch
from stream_workers.store.read_tables import differences, read_tables
from tests.support.statistics import TOPIC, Store
from tests.support.traffic import Traffic

OPEN = "SELECT count(*) FROM dead_letters WHERE retried_at IS NULL"


def test_a_record_is_stored_or_held_back_whatever_is_delivered_again(migrated_dsn: dict[str, str]) -> None:
    """Held back, delivered again and stored, delivered again to a worker that holds it back: stored, and no letter is open."""
    traffic = Traffic(31)
    records = traffic.records(traffic.runs(4))
    received = [Received(0, offset, 100, None, record, None) for offset, record in enumerate(records)]
    held = [refuse(item, reason=PARKED) for item in received]

    async def work() -> None:
        store = await Store.open(migrated_dsn)
        await store.worker.save(TOPIC, make_batch(held, canonical_json))
        await store.worker.save(TOPIC, make_batch(held, canonical_json))
        assert await store.connection.fetchval(OPEN) == len(records)
        assert await store.connection.fetchval("SELECT count(DISTINCT project) FROM dead_letters") == 1
        half = [*received[: len(records) // 2], *held[len(records) // 2 :]]
        await store.worker.save(TOPIC, make_batch(half, canonical_json))
        assert await store.connection.fetchval(OPEN) == len(records) - len(records) // 2
        await store.worker.save(TOPIC, make_batch(received, canonical_json))
        await store.worker.save(TOPIC, make_batch(held, canonical_json))
        assert await store.connection.fetchval(OPEN) == 0
        assert differences(fold(records, canonical_json), await read_tables(store.connection)) == []
        await store.close()

    asyncio.run(work())
