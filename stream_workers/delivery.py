"""Whole chunks from Faust, and commits that only our own word moves. Nothing here knows what a record says.

Faust keeps group membership, assignment, fetching, flow control, agents and the commit timer. Two things change:

1. The unit of delivery is a chunk: the records of one partition out of one fetch. Record by record, Faust spends four
   asyncio tasks on each. `ChunkScheduler` is a documented setting.
2. What may be committed is a `Watermark` that `ChunkConsumer.done` alone moves. Faust acknowledges in `finally` blocks, also
   when a batch failed or was cancelled, so its own acknowledgements count for nothing here.

And one thing is added: at every assignment the group's offset is compared with the ledger in the store; the lower wins. The
ledger is told so that it takes the partitions' epochs, once an assignment.

It overrides private methods of faust-streaming 0.15.3; tests/contract/test_faust_internals.py pins what it relies on.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP
from mode.utils.futures import notify

from servicekit.logs import Log, error_class
from stream_workers.watermark import Watermark

CHUNK_RECORDS: Final = 500  # Faust spends 0.2 ms on a chunk, and a transaction holds whole ones
CHUNK_BYTES: Final = 4 << 20  # of values; bounds memory where records are large
_LEDGER_PATIENCE_S: Final = 20.0  # below broker_request_timeout, after which Faust goes on without asking
_log = Log("worker.delivery")


class Fetched(NamedTuple):
    """One partition's records out of one fetch, in order: all that the log has from `start` up to, not including, `end`."""

    partition: int
    start: int
    end: int
    records: list[Any]


class Positions(Protocol):
    """Where the store says that reading must begin, and whose the partitions are."""

    def assigned(self, partitions: Iterable[int]) -> None:
        """Kafka gave this worker these partitions and no others."""

    def revoked(self, partitions: Iterable[int]) -> None:
        """Kafka took these back."""

    async def start_offsets(self, committed: Mapping[int, int | None], earliest: Mapping[int, int]) -> Mapping[int, int]:
        """For each partition the lower of the group's offset and the ledger's frontier, no lower than the log's beginning."""
        ...


class Chunk:
    """Quacks like a Kafka client's record. Its offset is the last of its records', its value all of them."""

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


class ChunkConsumer(driver.Consumer):  # type: ignore[misc]  # Faust is untyped to us
    """Faust's consumer with chunks, a watermark, and the ledger's word on where to begin."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Faust's own signature
        super().__init__(*args, **kwargs)
        self.positions: Positions | None = None
        self._watermarks: defaultdict[TP, Watermark] = defaultdict(Watermark)
        self._starts: dict[TP, int] = {}
        self._deliver: Any = kwargs["callback"]
        self.callback: Any = self._callback

    async def _callback(self, message: Any) -> None:  # noqa: ANN401 - Faust's message
        records = message.value
        message.value = Fetched(message.tp.partition, records[0].offset, message.offset + 1, records)
        self._watermarks[message.tp].delivered(message.offset, records[0].timestamp / 1000)
        await self._deliver(message)

    def done(self, message: Any) -> None:  # noqa: ANN401 - Faust's message
        """The chunk is in the store, committed. The only way to make it committable in Kafka."""
        if not message.acked:
            message.acked = True
            self._unacked_messages.discard(message)
            self._watermarks[message.tp].finished(message.offset)
            notify(self._waiting_for_ack)

    def drop(self, message: Any) -> None:  # noqa: ANN401 - Faust's message
        """The chunk is given up without being stored, because its partition is read anew: nobody need wait for it."""
        message.acked = True
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)

    async def rewind(self, tp: TP, offset: int) -> None:
        """Read the partition anew from `offset`. What is in flight no longer moves the watermark."""
        self._watermarks[tp].forget()
        await self.seek(tp, offset)
        self._starts[tp] = offset

    def stored_offset(self, tp: TP) -> int | None:
        """The next offset after all that is stored, as far as this consumer knows."""
        position = self._watermarks[tp].position
        return self._starts.get(tp) if position is None else position

    def oldest_s(self, tp: TP) -> float | None:
        """The time of the oldest record that was handed over and is not stored."""
        return self._watermarks[tp].oldest_s

    def reached_s(self, tp: TP) -> float | None:
        """About the time of the oldest record that is not stored, handed over or not; None while nothing was handed over."""
        return self._watermarks[tp].reached_s

    # -- what Faust asks of a consumer's bookkeeping ------------------------------------------------------------------

    def ack(self, message: Any) -> bool:  # noqa: ANN401, ARG002 - Faust's signature
        """Faust's own acknowledgements never count."""
        return False

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """A watermark needs no gaps."""

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterable[TP]:  # noqa: ANN401 - Faust's signature
        return [
            tp
            for tp, mark in list(self._watermarks.items())
            if mark.position is not None and (topics is None or tp in topics or tp.topic in topics)
        ]

    def _new_offset(self, tp: TP) -> int | None:
        return self._watermarks[tp].position

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:  # noqa: FBT001, FBT002 - Faust's
        before = {tp: self._committed_offset[tp] for tp in offsets}
        did_commit = bool(await super()._commit_offsets(offsets, start_new_transaction))
        if not did_commit:
            self._committed_offset.update(before)  # Faust believes it either way; so the next tick tries again
        return did_commit

    def _new_consumer_thread(self) -> Any:  # noqa: ANN401 - Faust's thread
        return PatientConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ANN401, ASYNC109 - Faust's signature
        try:
            return await super()._getmany(active_partitions, timeout)
        except KeyError:
            # aiokafka's fetcher lost a race with a rebalance after it had moved its position: what it held is read again.
            _log.warning("fetch_raced_a_rebalance")
            await self.perform_seek()
            return {}

    async def perform_seek(self) -> None:
        """Begin where group and ledger agree. Called by Faust after every assignment."""
        self._forget(list(self._watermarks))
        await super().perform_seek()
        if self.positions is None:
            return
        assigned = sorted(self.assignment())
        starts = await self._agreed_starts(assigned)
        for tp in assigned:
            await self.seek(tp, starts[tp.partition])
            self._starts[tp] = starts[tp.partition]

    async def _agreed_starts(self, assigned: list[TP]) -> Mapping[int, int]:
        assert self.positions is not None
        earliest = {tp.partition: offset for tp, offset in (await self.earliest_offsets(*assigned)).items()}
        committed = {tp.partition: self._committed_offset.get(tp) for tp in assigned}
        try:
            return await asyncio.wait_for(self.positions.start_offsets(committed, earliest), _LEDGER_PATIENCE_S)
        except TimeoutError:
            # The store is away. The writer checks every chunk against the ledger anyway, and rewinds where they disagree.
            _log.warning("ledger_unreachable_at_assignment", partitions=len(assigned))
            return {partition: committed[partition] or earliest[partition] for partition in committed}

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Faust waits for what is in flight and commits; then it is no longer ours."""
        await super().on_partitions_revoked(revoked)
        self._forget(revoked)
        if self.positions is not None:
            self.positions.revoked(tp.partition for tp in revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """The store is told at `perform_seek`, which Faust calls before it reads, or at the first write."""
        if self.positions is not None:
            self.positions.assigned(tp.partition for tp in assigned)
        await super().on_partitions_assigned(assigned, generation_id)

    def _forget(self, tps: Iterable[TP]) -> None:
        for tp in tps:
            self._watermarks.pop(tp, None)
            self._starts.pop(tp, None)


class PatientConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust is untyped to us
    """Outlives a broker that is away while an offset is committed: the ledger has it, and the next commit says it again."""

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        consumer = self._ensure_consumer()
        assigned = self.assignment()
        try:
            await consumer.commit({driver.ensure_aiokafka_TP(tp): offset for tp, offset in offsets.items() if tp in assigned})
        except (KafkaError, OSError) as error:
            _log.warning("commit_failed", error_class=error_class(error))
            return False
        return True


class ChunkTransport(driver.Transport):  # type: ignore[misc]  # Faust is untyped to us
    """Faust's Kafka transport with our consumer."""

    Consumer = ChunkConsumer
