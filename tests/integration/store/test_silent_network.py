"""A server, or a network before it, that accepts and does not answer: it costs a worker a bounded time and nothing else."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from ddl.migrate import SCHEMA
from stream_workers.core.fold import fold
from stream_workers.errors import TransientStoreError
from stream_workers.health.store_probe import StoreProbe
from stream_workers.pipeline.decode import canonical_json
from stream_workers.store import postgres
from stream_workers.store.batch import Received, Topic, WriteBatch, make_batch
from stream_workers.store.postgres import PostgresStore
from stream_workers.store.read_tables import differences, read_tables
from tests.support.relay import Relay
from tests.support.traffic import Traffic

TOPIC = Topic("t", uuid.UUID(int=7))
FOR_EVER_S = 60  # to a test
_WAITING = "SELECT count(*) FROM pg_locks WHERE relation = 'runs'::regclass AND NOT granted"
_RECORDS = Traffic(51).records(Traffic(51).runs(5))


def _batch() -> WriteBatch:
    return make_batch([Received(0, at, 100, None, record, None) for at, record in enumerate(_RECORDS)], canonical_json)


@asynccontextmanager
async def _through_relay(dsn: str) -> AsyncIterator[Relay]:
    relay = Relay(dsn)
    await relay.open()
    try:
        async with asyncio.timeout(FOR_EVER_S):
            yield relay
    finally:
        await relay.close()


async def _wrong(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn, server_settings={"search_path": SCHEMA, "timezone": "UTC"})
    try:
        return differences(fold(_RECORDS, canonical_json), await read_tables(connection))
    finally:
        await connection.close()


@pytest.fixture(params=["from the first byte", "between two batches", "in a transaction"])
def silent_save(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[Any]]:
    """A save that the network's silence meets at a certain moment."""

    async def save(store: PostgresStore, relay: Relay) -> Any:
        if request.param != "from the first byte":
            await store.frontiers(TOPIC, [0])
        if request.param != "in a transaction":
            relay.carries.clear()
            return await store.save(TOPIC, _batch())

        async def write(connection: asyncpg.Connection, batch: WriteBatch) -> Any:
            relay.carries.clear()
            return await writes(connection, batch)

        writes = postgres.write_rows
        with monkeypatch.context() as patched:
            patched.setattr(postgres, "write_rows", write)
            return await store.save(TOPIC, _batch())

    return save


def test_a_save_ends_in_time_and_a_later_one_stores_everything_once(
    migrated_dsn: dict[str, str], silent_save: Callable[..., Awaitable[Any]]
) -> None:
    """It is transient. What the network held back arrives afterwards, and changes nothing."""

    async def story() -> None:
        async with _through_relay(migrated_dsn["worker"]) as relay:
            store = PostgresStore(relay.dsn, transaction_timeout_s=2)
            for _ in range(2):
                with pytest.raises(TransientStoreError):
                    await silent_save(store, relay)
                relay.carries.set()
            await store.save(TOPIC, _batch())
            assert (await store.save(TOPIC, _batch())).new_steps == 0
            await store.close()
        assert await _wrong(migrated_dsn["owner"]) == []

    asyncio.run(story())


def test_a_worker_that_is_told_to_end_does(migrated_dsn: dict[str, str], silent_save: Callable[..., Awaitable[Any]]) -> None:
    """Cancelled in the middle of a save that nobody answers, long before its limit; closing does not wait either."""

    async def story() -> None:
        async with _through_relay(migrated_dsn["worker"]) as relay:
            store = PostgresStore(relay.dsn, transaction_timeout_s=3_600)
            saving = asyncio.create_task(silent_save(store, relay))
            while relay.carries.is_set():  # noqa: ASYNC110 - the relay rings no bell
                await asyncio.sleep(0.01)
            saving.cancel()
            await asyncio.wait({saving})
            assert saving.cancelled()
            await store.close()

    asyncio.run(story())


def test_the_probe_is_bounded_and_waits_for_no_save(migrated_dsn: dict[str, str]) -> None:
    """Answered while a save waits for a lock; given up in time where the network is silent; answered when it is not any more."""

    async def story() -> None:
        async with _through_relay(migrated_dsn["worker"]) as relay:
            store = PostgresStore(relay.dsn, transaction_timeout_s=3_600)
            probe = StoreProbe(relay.dsn, TOPIC, limit_s=1)
            holder = await asyncpg.connect(migrated_dsn["owner"], server_settings={"search_path": SCHEMA})
            await holder.execute("BEGIN; LOCK TABLE runs IN SHARE ROW EXCLUSIVE MODE")
            saving = asyncio.create_task(store.save(TOPIC, _batch()))
            while not await holder.fetchval(_WAITING):  # noqa: ASYNC110 - the server is asked, which rings no bell
                await asyncio.sleep(0.01)
            await probe.ask()
            relay.carries.clear()
            for _ in range(2):
                with pytest.raises(TransientStoreError):
                    await probe.ask()
            relay.carries.set()
            await probe.ask()
            await holder.close()
            await saving
            await store.close()
        assert await _wrong(migrated_dsn["owner"]) == []

    asyncio.run(story())
