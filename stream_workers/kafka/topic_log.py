"""The topic as a log, read by offsets and outside of any group. Used by verify, rebuild, retries of dead letters, and gaps."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from servicekit.kafka import KafkaSecurity
from stream_workers.errors import LogOvertakenError

_POLL_MS: Final = 200
_FETCH_BYTES: Final = 4 << 20


class LogRange(NamedTuple):
    """The offsets that a partition's log holds now: from `begin` up to, not including, `end`."""

    begin: int
    end: int


class LogChunk(NamedTuple):
    """All that one partition's log has from `start` up to, not including, `end`, in order."""

    partition: int
    start: int
    end: int
    records: Sequence[Any]


class TopicLog:
    """One topic's log. Not for use by two tasks at once."""

    def __init__(self, consumer: Any, topic: str) -> None:  # noqa: ANN401 - aiokafka is untyped to us
        self._consumer = consumer
        self._topic = topic
        self._positions: dict[int, int] = {}

    def partitions(self) -> list[int]:
        """The topic's partitions, as far as this client knows."""
        return sorted(self._consumer.partitions_for_topic(self._topic) or ())

    async def ends(self, partitions: Iterable[int]) -> Mapping[int, int]:
        """The offsets after the last record of these partitions."""
        found = await self._consumer.end_offsets([TopicPartition(self._topic, one) for one in partitions])
        return {tp.partition: end for tp, end in found.items()}

    async def reach(self) -> Mapping[int, LogRange]:
        """The offsets that each partition holds now."""
        tps = [TopicPartition(self._topic, one) for one in self.partitions()]
        begins, ends = await self._consumer.beginning_offsets(tps), await self._consumer.end_offsets(tps)
        return {tp.partition: LogRange(begins[tp], ends[tp]) for tp in tps}

    def seek(self, starts: Mapping[int, int]) -> None:
        """Read these partitions, and no others, from these offsets."""
        tps = {TopicPartition(self._topic, partition): offset for partition, offset in starts.items()}
        self._consumer.assign(list(tps))
        for tp, offset in tps.items():
            self._consumer.seek(tp, offset)
        self._positions = dict(starts)

    async def poll(self, *, max_records: int = 20_000) -> list[LogChunk]:
        """The next records of the partitions given to `seek`. Raises LogOvertakenError where retention was faster."""
        try:
            found = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=max_records)
        except OffsetOutOfRangeError:
            raise LogOvertakenError from None
        pieces = []
        for tp, records in sorted(found.items()):
            start, end = self._positions[tp.partition], records[-1].offset + 1
            self._positions[tp.partition] = end
            pieces.append(LogChunk(tp.partition, start, end, records))
        return pieces + await self._without_records({tp.partition for tp in found})

    async def _without_records(self, seen: set[int]) -> list[LogChunk]:
        """Offsets that hold no records (a transaction's markers, for example) pass by without any."""
        pieces = []
        for partition in sorted(self._positions.keys() - seen):
            position = await self._consumer.position(TopicPartition(self._topic, partition))
            if position > self._positions[partition]:
                pieces.append(LogChunk(partition, self._positions[partition], position, ()))
                self._positions[partition] = position
        return pieces

    async def read(self, wanted: Mapping[int, tuple[int, int]]) -> AsyncIterator[LogChunk]:
        """These offsets of these partitions. Raises LogOvertakenError."""
        left = {partition: end for partition, (start, end) in wanted.items() if start < end}
        self.seek({partition: wanted[partition][0] for partition in left})
        while left:
            for piece in await self.poll():
                if piece.partition not in left:
                    continue
                end = left[piece.partition]
                records = piece.records if piece.end <= end else [one for one in piece.records if one.offset < end]
                yield LogChunk(piece.partition, piece.start, min(piece.end, end), records)
                if piece.end >= end:
                    del left[piece.partition]
                    self._consumer.pause(TopicPartition(self._topic, piece.partition))

    async def first_record(self, partition: int, start: int, end: int) -> int:
        """The offset of the first record from `start` on, `end` if there is none before. Raises LogOvertakenError."""
        async for piece in self.read({partition: (start, end)}):
            if piece.records:
                return int(piece.records[0].offset)
        return end


@asynccontextmanager
async def open_log(bootstrap: str, topic: str, security: KafkaSecurity) -> AsyncIterator[TopicLog]:
    """The log of an existing topic. Raises aiokafka's KafkaError."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=_FETCH_BYTES,
        **security.aiokafka_arguments(),
    )
    try:  # around the start as well: a consumer that found no broker must be stopped, too
        await consumer.start()
        await consumer._client.add_topic(topic)  # noqa: SLF001 - else partitions_for_topic is empty before an assignment
        yield TopicLog(consumer, topic)
    finally:
        await consumer.stop()
