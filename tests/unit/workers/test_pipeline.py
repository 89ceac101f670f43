"""Between Faust and the store: when a batch is written, and what it holds by then."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from faust.types.tuples import TP

from servicekit import codec
from stream_workers.kafka.chunks import FetchedRecords
from stream_workers.metrics import WorkerMetrics
from stream_workers.pipeline.dead_letter_limit import DeadLetterLimit
from stream_workers.pipeline.decode import RecordDecoder
from stream_workers.pipeline.pipeline import IngestPipeline
from stream_workers.pipeline.writer import Writer
from stream_workers.store.batch import Coverage, Topic, WriteBatch
from stream_workers.store.lease import Leases
from stream_workers.store.store import Epochs, Saved
from stream_workers.testing import MemoryStore
from tests.support.traffic import Traffic

TOPIC = Topic("events", UUID(int=1))
HOUR_S = 3600.0


class GatedStore(MemoryStore):
    """Notes what each transaction covers, and lets it through one permit at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: list[list[Coverage]] = []
        self.begun = asyncio.Event()
        self.permits = asyncio.Semaphore(0)

    async def save(self, topic: Topic, batch: WriteBatch, *, epochs: Epochs | None = None) -> Saved:
        self.begun.set()
        await self.permits.acquire()
        self.saved.append(list(batch.coverage))
        return await super().save(topic, batch, epochs=epochs)


class Finished:
    """A source that knows which chunks are done."""

    def __init__(self) -> None:
        self.chunks: asyncio.Queue[Any] = asyncio.Queue()

    def done(self, message: Any) -> None:
        self.chunks.put_nowait(message)

    def drop(self, message: Any) -> None:
        raise AssertionError("nothing is dropped here")

    async def rewind(self, tp: TP, offset: int) -> None:
        raise AssertionError("nothing is read again here")


def chunk(offset: int, *, partition: int = 0) -> Any:
    """A chunk of one record."""
    traffic = Traffic(offset)
    (record,) = traffic.records([list(traffic.run(steps=1))[:1]])
    raw = SimpleNamespace(offset=offset, value=codec.encode_record(record))
    return SimpleNamespace(tp=TP("events", partition), value=FetchedRecords(partition, offset, offset + 1, [raw]))


def pipeline(
    store: MemoryStore,
    source: Finished,
    *,
    max_wait_s: float,
    max_rows: int = 1000,
    max_bytes: int = 1 << 20,
    leases: Leases | None = None,
) -> IngestPipeline:
    metrics, limit = WorkerMetrics(), DeadLetterLimit(max_share=0.5, max_in_a_row=10)
    writer = Writer(store, TOPIC, metrics, retry_max_s=1, limit=limit, leases=leases)
    return IngestPipeline(
        writer,
        RecordDecoder(None),
        source,
        None,  # type: ignore[arg-type]  # there are no gaps here
        metrics,
        batch_max_rows=max_rows,
        batch_max_wait_s=max_wait_s,
        buffer_max_chunks=16,
        buffer_max_bytes=max_bytes,
    )


async def running(ingest: IngestPipeline, work: Any) -> None:
    task = asyncio.create_task(ingest.run())
    try:
        async with asyncio.timeout(30):
            await work
    finally:
        task.cancel()


def test_a_record_after_a_pause_is_written_without_waiting_for_company() -> None:
    """With an hour between transactions the first record is stored all the same, and alone."""

    async def work() -> None:
        store, source = GatedStore(), Finished()
        store.permits.release()
        ingest = pipeline(store, source, max_wait_s=HOUR_S)

        async def first() -> None:
            await ingest.put(chunk(0))
            await source.chunks.get()

        await running(ingest, first())
        assert store.saved == [[Coverage(0, 0, 1)]]

    asyncio.run(work())


def test_a_batch_grows_while_the_writer_is_busy() -> None:
    """What comes during a transaction goes into one next one, however small the distance between transactions may be."""

    async def work() -> None:
        store, source = GatedStore(), Finished()
        ingest = pipeline(store, source, max_wait_s=0)

        async def four() -> None:
            await ingest.put(chunk(0))
            await store.begun.wait()
            for offset in (1, 2, 3):
                await ingest.put(chunk(offset))
                for _ in range(20):
                    await asyncio.sleep(0)  # the pipeline takes every turn that it wants
            store.permits.release(), store.permits.release()
            for _ in range(4):
                await source.chunks.get()

        await running(ingest, four())
        assert store.saved == [[Coverage(0, 0, 1)], [Coverage(0, 1, 4)]]

    asyncio.run(work())


def test_a_full_batch_does_not_wait_for_its_time() -> None:
    """Rows enough are handed on although an hour between transactions is not over."""

    async def work() -> None:
        store, source = GatedStore(), Finished()
        for _ in range(3):
            store.permits.release()
        ingest = pipeline(store, source, max_wait_s=HOUR_S, max_rows=2)

        async def five() -> None:
            await ingest.put(chunk(0))
            await source.chunks.get()
            for offset in (1, 2, 3, 4):
                await ingest.put(chunk(offset))
            for _ in range(4):
                await source.chunks.get()

        await running(ingest, five())
        assert store.saved == [[Coverage(0, 0, 1)], [Coverage(0, 1, 3)], [Coverage(0, 3, 5)]]

    asyncio.run(work())


def unreadable(offset: int, *, records: int) -> Any:
    """A chunk of records that are none of the contract."""
    raws = [SimpleNamespace(offset=offset + number, key=b"default:x", value=b"{") for number in range(records)]
    return SimpleNamespace(tp=TP("events", 0), value=FetchedRecords(0, offset, offset + records, raws))


def test_what_cannot_be_read_fills_a_batch_as_well() -> None:
    """Each record counts, not each chunk: else a topic full of poison would be one transaction, and one list in memory."""

    async def work() -> None:
        store, source = GatedStore(), Finished()
        for _ in range(3):
            store.permits.release()
        ingest = pipeline(store, source, max_wait_s=HOUR_S, max_rows=4)

        async def nine() -> None:
            await ingest.put(unreadable(0, records=1))
            await source.chunks.get()
            for offset in (1, 3, 5, 7):
                await ingest.put(unreadable(offset, records=2))
            for _ in range(4):
                await source.chunks.get()

        await running(ingest, nine())
        assert store.saved == [[Coverage(0, 0, 1)], [Coverage(0, 1, 5)], [Coverage(0, 5, 9)]]

    asyncio.run(work())


def test_members_of_a_newer_contract_are_counted() -> None:
    """The record is stored without them, and the metric says how many there were."""

    async def work() -> None:
        store, source = GatedStore(), Finished()
        store.permits.release()
        ingest = pipeline(store, source, max_wait_s=HOUR_S)

        async def newer() -> None:
            message = chunk(0)
            (raw,) = message.value.records
            members = json.loads(raw.value)
            raw.value = json.dumps({**members, "v": "1.9", "later": 1, "events": [{**members["events"][0], "more": 2}]}).encode()
            await ingest.put(message)
            await source.chunks.get()

        await running(ingest, newer())
        assert ingest._metrics.registry.get_sample_value("agenttracer_worker_unknown_members_total") == 2
        assert len(store.runs) == 1

    asyncio.run(work())


class GivenUp(Finished):
    """Knows also which chunks were dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped: list[Any] = []

    def drop(self, message: Any) -> None:
        self.dropped.append(message)


def test_what_another_worker_owns_now_is_given_up_and_the_rest_is_written() -> None:
    """Two partitions in one batch, one of them taken since: its chunk is dropped and never finished, the other one is stored."""

    async def work() -> None:
        store, source = GatedStore(), GivenUp()
        store.permits.release(), store.permits.release()
        leases = Leases(store, TOPIC, WorkerMetrics(), owner="zombie")
        leases.assigned([0, 1])
        await leases.frontiers([0, 1])
        await store.take(TOPIC, [1], owner="other")
        ingest = pipeline(store, source, max_wait_s=HOUR_S, max_rows=2, leases=leases)
        ingest._idle = False  # so that both come into one batch

        async def two() -> None:
            lost, kept = chunk(0, partition=1), chunk(0, partition=0)
            await ingest.put(lost)
            await ingest.put(kept)
            assert await source.chunks.get() is kept
            assert source.dropped == [lost]

        await running(ingest, two())
        assert store.saved == [[Coverage(0, 0, 1), Coverage(1, 0, 1)], [Coverage(0, 0, 1)]]
        assert (await store.frontiers(TOPIC, [0, 1]), source.chunks.qsize()) == ({0: 1, 1: 0}, 0)
        assert leases.fenced_for_s() > 0

    asyncio.run(work())


def test_a_pipeline_with_nothing_but_poison_parks_and_stays_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes no more, finishes nothing more, says why, and takes no process with it; what comes is left unread."""
    ended: list[int] = []
    monkeypatch.setattr("os._exit", ended.append)

    async def work() -> None:
        store, source = MemoryStore(), Finished()
        limit = DeadLetterLimit(max_share=0.5, max_in_a_row=1, max_projects=2)
        metrics = WorkerMetrics()
        ingest = IngestPipeline(
            Writer(store, TOPIC, metrics, retry_max_s=1, limit=limit),
            RecordDecoder(None),
            source,
            None,  # type: ignore[arg-type]  # there are no gaps here
            metrics,
            batch_max_rows=1,
            batch_max_wait_s=0,
            buffer_max_chunks=16,
        )

        async def poison() -> None:
            for offset, project in enumerate((b"a", b"b", b"c")):
                message = unreadable(offset, records=1)
                message.value.records[0].key = project + b":x"
                await ingest.put(message)
            for _ in range(200):
                await asyncio.sleep(0)  # the pipeline takes every turn that it wants

        await running(ingest, poison())
        assert ingest.parked == "dead_letter_limit"
        assert metrics.registry.get_sample_value("agenttracer_worker_parked") == 1
        assert {letter.project for letter in store.letters.values()} == {"a", "b"}

    asyncio.run(work())
    assert not ended


def test_bytes_are_held_back_until_what_came_before_is_stored() -> None:
    """Unpacked values count, however few chunks they are; a chunk that is larger than all of the budget passes alone."""

    async def work() -> None:
        store, source = GatedStore(), Finished()
        ingest = pipeline(store, source, max_wait_s=0, max_bytes=1)

        async def three() -> None:
            await ingest.put(chunk(0))
            waiting = asyncio.create_task(ingest.put(chunk(1)))
            await store.begun.wait()
            for _ in range(20):
                await asyncio.sleep(0)
            assert not waiting.done()
            store.permits.release()
            await waiting
            store.permits.release()
            await source.chunks.get()
            await source.chunks.get()

        await running(ingest, three())
        assert store.saved == [[Coverage(0, 0, 1)], [Coverage(0, 1, 2)]]

    asyncio.run(work())
