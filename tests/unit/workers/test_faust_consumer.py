"""How the records of one fetch are handed out."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from faust.transport.drivers import aiokafka as driver

from stream_workers.kafka.chunks import CHUNK_BYTES, CHUNK_RECORDS, ChunkScheduler
from stream_workers.kafka.faust_consumer import UNPACKED_BYTES, ChunkConsumer, PatientConsumerThread


def _records(count: int, *, size: int = 10) -> list[Any]:
    value = b"x" * size
    return [SimpleNamespace(topic="t", partition=0, offset=n, timestamp=n, timestamp_type=0, value=value) for n in range(count)]


def test_chunks_are_bounded_in_records_and_lose_none() -> None:
    """Every record once, in order; a chunk's offset is its last record's."""
    chunks = [chunk for _, chunk in ChunkScheduler().iterate({"a": _records(2 * CHUNK_RECORDS + 1)})]
    assert [len(chunk.value) for chunk in chunks] == [CHUNK_RECORDS, CHUNK_RECORDS, 1]
    assert [record.offset for chunk in chunks for record in chunk.value] == list(range(2 * CHUNK_RECORDS + 1))
    assert [chunk.offset for chunk in chunks] == [CHUNK_RECORDS - 1, 2 * CHUNK_RECORDS - 1, 2 * CHUNK_RECORDS]


def test_chunks_are_bounded_in_bytes() -> None:
    """Large records come in smaller chunks; one that is larger than a chunk comes alone."""
    chunks = [chunk for _, chunk in ChunkScheduler().iterate({"a": _records(4, size=CHUNK_BYTES // 2)})]
    assert [len(chunk.value) for chunk in chunks] == [2, 2]
    assert [len(chunk.value) for _, chunk in ChunkScheduler().iterate({"a": _records(2, size=CHUNK_BYTES + 1)})] == [1, 1]


def test_partitions_take_turns() -> None:
    """A full partition does not make the others wait."""
    turns = [tp for tp, _ in ChunkScheduler().iterate({"a": _records(2 * CHUNK_RECORDS), "b": _records(1), "c": []})]
    assert turns == ["a", "b", "a"]


def test_a_fetch_that_raced_a_rebalance_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's fetcher may fail after it moved its position: nothing is delivered, and reading starts again where it must."""

    async def race(*_: object) -> None:
        raise KeyError("partition")

    sought: list[bool] = []

    async def perform_seek(_: object) -> None:
        sought.append(True)

    monkeypatch.setattr(driver.Consumer, "_getmany", race)
    monkeypatch.setattr(ChunkConsumer, "perform_seek", perform_seek)
    assert asyncio.run(ChunkConsumer.__new__(ChunkConsumer)._getmany(None, 1.0)) == {}
    assert sought == [True]


def test_what_is_unpacked_at_once_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large records end a poll long before their number does; small ones do not, and none is lost or out of order."""
    waiting = {"a": _records(300, size=UNPACKED_BYTES // 100), "b": _records(1_000)}

    async def fetched(_self: Any, _consumer: Any, _tps: Any, timeout: float | None = None, max_records: int = 0) -> Any:  # noqa: ASYNC109 - theirs
        tp = next((one for one in waiting if waiting[one]), None)
        if tp is None:
            return {}
        taken, waiting[tp] = waiting[tp][:max_records], waiting[tp][max_records:]
        return {tp: taken}

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", fetched)

    async def work() -> None:
        thread = object.__new__(PatientConsumerThread)
        polls = []
        while found := await thread._fetch_records(None, set(), max_records=4_000):
            polls.append({tp: [record.offset for record in records] for tp, records in found.items()})
        sizes = [sum(len(offsets) for offsets in poll.values()) for poll in polls]
        assert sizes == [128, 128, 44 + 1_000]
        for tp, count in (("a", 300), ("b", 1_000)):
            assert [offset for poll in polls for offset in poll.get(tp, [])] == list(range(count))

    asyncio.run(work())
