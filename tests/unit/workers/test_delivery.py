"""How the records of one fetch are handed out."""

from types import SimpleNamespace
from typing import Any

from stream_workers.delivery import CHUNK_BYTES, CHUNK_RECORDS, ChunkScheduler


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
