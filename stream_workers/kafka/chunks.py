"""The unit of delivery: a chunk, which holds records of one partition out of one fetch.

Delivered record by record, Faust spends four asyncio tasks on each. Its setting `ConsumerScheduler` is documented.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

CHUNK_RECORDS: Final = 500  # Faust spends 0.2 ms on a chunk, and a transaction holds whole ones
CHUNK_BYTES: Final = 1 << 20  # of values; bounds memory where records are large: Faust holds so many chunks, not bytes


class FetchedRecords(NamedTuple):
    """One partition's records out of one fetch, in order: all that the log has from `start` up to, not including, `end`."""

    partition: int
    start: int
    end: int
    records: list[Any]

    @property
    def size_bytes(self) -> int:
        """Of its values, as they are unpacked."""
        return sum(len(record.value or b"") for record in self.records)


class Chunk:
    """Has the attributes of a Kafka client's record. Its offset is that of its last record, its value all of its records."""

    __slots__ = (
        "checksum",
        "headers",
        "key",
        "offset",
        "partition",
        "serialized_key_size",
        "serialized_value_size",
        "timestamp",
        "timestamp_type",
        "topic",
        "value",
    )

    def __init__(self, records: list[Any]) -> None:
        last = records[-1]
        self.topic, self.partition, self.offset = last.topic, last.partition, last.offset
        self.timestamp, self.timestamp_type = last.timestamp, last.timestamp_type
        self.headers, self.key, self.checksum = (), None, None
        self.value = records
        self.serialized_key_size = self.serialized_value_size = 0


class ChunkScheduler:
    """Faust's setting `ConsumerScheduler`: how the records of one fetch are handed out. Round-robin over partitions."""

    def iterate(self, records: Mapping[Any, list[Any]]) -> Iterator[tuple[Any, Chunk]]:
        """Chunks of at most CHUNK_RECORDS records and, but for a single record, CHUNK_BYTES."""
        chunks = {tp: list(_chunks(found)) for tp, found in records.items() if found}
        while chunks:
            for tp in list(chunks):
                yield tp, chunks[tp].pop(0)
                if not chunks[tp]:
                    del chunks[tp]


def _chunks(records: list[Any]) -> Iterator[Chunk]:
    chunk: list[Any] = []
    size_bytes = 0
    for record in records:
        if chunk and (len(chunk) >= CHUNK_RECORDS or size_bytes + len(record.value or b"") > CHUNK_BYTES):
            yield Chunk(chunk)
            chunk, size_bytes = [], 0
        chunk.append(record)
        size_bytes += len(record.value or b"")
    yield Chunk(chunk)
