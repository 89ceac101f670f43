"""Faust's consumer, which delivers whole chunks and commits only what is stored. Nothing here reads a record.

Faust keeps group membership, assignment, fetching, flow control, agents and the commit timer. Two things change:

1. The unit of delivery is a chunk (`chunks`).
2. What may be committed is a `Watermark` that `ChunkConsumer.done` alone moves. Faust acknowledges in `finally` blocks, also
   when a batch failed or was cancelled, so its own acknowledgements count for nothing here.

One thing is added: at every assignment the group's offset is compared with the ledger in the store, and the lower one wins. The
`AssignmentHandler` does that, and takes the partitions' epochs once an assignment.

The overrides are of private methods of faust-streaming 0.15.3; tests/contract/test_faust_internals.py pins what they rely on.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP
from mode.utils.futures import notify

from servicekit.logs import Log, error_class
from stream_workers.kafka.chunks import FetchedRecords
from stream_workers.kafka.watermark import OldestChunk, Watermark

_LEDGER_TIMEOUT_S: Final = 20.0  # below broker_request_timeout, after which Faust goes on without asking
UNPACKED_BYTES: Final = 8 << 20
"""Of values, that one poll takes out of what was fetched. Of hostile records zstd makes a hundred times of what was fetched."""
_UNPACKED_AT_ONCE: Final = 64
"""Records between two looks at that: at 256 KiB each, the gateway's largest, they are 16 MiB. Asking again costs 20 us."""
_log = Log("worker.consumer")


class AssignmentHandler(Protocol):
    """Hears which partitions are assigned and revoked, and says where reading starts."""

    def assigned(self, partitions: Iterable[int]) -> None:
        """Kafka gave this worker these partitions and no others."""

    def revoked(self, partitions: Iterable[int]) -> None:
        """Kafka took these back."""

    async def start_offsets(self, committed: Mapping[int, int | None], earliest: Mapping[int, int]) -> Mapping[int, int]:
        """For each partition the lower of the group's offset and the ledger's frontier, no lower than the log's start."""
        ...


class ChunkConsumer(driver.Consumer):  # type: ignore[misc]  # Faust is untyped to us
    """Faust's consumer with chunks and a watermark. `assignments` says where reading starts."""

    def __init__(self, *args: Any, assignments: AssignmentHandler, **kwargs: Any) -> None:  # noqa: ANN401 - Faust's own signature
        super().__init__(*args, **kwargs)
        self._assignments = assignments
        self._watermarks: defaultdict[TP, Watermark] = defaultdict(Watermark)
        self._starts: dict[TP, int] = {}
        self._deliver: Any = kwargs["callback"]
        self.callback: Any = self._callback

    async def _callback(self, message: Any) -> None:  # noqa: ANN401 - Faust's message
        records = message.value
        message.value = FetchedRecords(message.tp.partition, records[0].offset, message.offset + 1, records)
        self._watermarks[message.tp].delivered(records[0].offset, message.offset, records[0].timestamp / 1000)
        await self._deliver(message)

    def done(self, message: Any) -> None:  # noqa: ANN401 - Faust's message
        """The chunk is in the store, committed. The only way to make it committable in Kafka."""
        if not message.acked:
            message.acked = True
            self._unacked_messages.discard(message)
            self._watermarks[message.tp].finished(message.offset)
            notify(self._waiting_for_ack)

    def drop(self, message: Any) -> None:  # noqa: ANN401 - Faust's message
        """The chunk is given up unstored, because its partition is read again or is another worker's: nothing waits for it."""
        message.acked = True
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)

    async def rewind(self, tp: TP, offset: int) -> None:
        """Read the partition again from `offset`. What is in flight no longer moves the watermark."""
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

    def oldest(self, tp: TP) -> OldestChunk | None:
        """The oldest chunk that was handed over and is not stored."""
        return self._watermarks[tp].oldest

    def reached_s(self, tp: TP) -> float | None:
        """About the time of the oldest record that is not stored, handed over or not; None while nothing was handed over."""
        return self._watermarks[tp].reached_s

    # -- Faust's calls to a consumer's bookkeeping ------------------------------------------------------------------

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
        """Start at the lower of the group's offset and the ledger's. Faust calls this after every assignment."""
        self._forget(list(self._watermarks))
        await super().perform_seek()
        assigned = sorted(self.assignment())
        starts = await self._agreed_starts(assigned)
        for tp in assigned:
            await self.seek(tp, starts[tp.partition])
            self._starts[tp] = starts[tp.partition]

    async def _agreed_starts(self, assigned: list[TP]) -> Mapping[int, int]:
        earliest = {tp.partition: offset for tp, offset in (await self.earliest_offsets(*assigned)).items()}
        committed = {tp.partition: self._committed_offset.get(tp) for tp in assigned}
        try:
            return await asyncio.wait_for(self._assignments.start_offsets(committed, earliest), _LEDGER_TIMEOUT_S)
        except TimeoutError:
            # The store is away. The writer checks every chunk against the ledger anyway, and rewinds where they disagree.
            _log.warning("ledger_unreachable_at_assignment", partitions=len(assigned))
            return {partition: committed[partition] or earliest[partition] for partition in committed}

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Faust waits for what is in flight and commits; then the partitions are no longer ours."""
        await super().on_partitions_revoked(revoked)
        self._forget(revoked)
        self._assignments.revoked(tp.partition for tp in revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """The epochs are taken at `perform_seek`, which Faust calls before it reads, or at the first write."""
        self._assignments.assigned(tp.partition for tp in assigned)
        await super().on_partitions_assigned(assigned, generation_id)

    def _forget(self, tps: Iterable[TP]) -> None:
        for tp in tps:
            self._watermarks.pop(tp, None)
            self._starts.pop(tp, None)


class PatientConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust is untyped to us
    """Survives a broker that is away while an offset is committed: the ledger has it, and the next commit repeats it.

    What is unpacked at once is bounded in bytes: the client's own limits count records, or bytes as they lie in the log.
    """

    async def _fetch_records(
        self,
        consumer: Any,  # noqa: ANN401 - aiokafka's, untyped to us
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 - Faust's signature
        max_records: int | None = None,
    ) -> Any:  # noqa: ANN401 - as above
        found: dict[Any, list[Any]] = {}
        left, left_bytes = max_records or _UNPACKED_AT_ONCE, UNPACKED_BYTES
        while left > 0 and left_bytes > 0:
            asked = min(left, _UNPACKED_AT_ONCE)
            some = await super()._fetch_records(consumer, active_partitions, timeout=0 if found else timeout, max_records=asked)
            for tp, records in some.items():
                found.setdefault(tp, []).extend(records)
                left -= len(records)
                left_bytes -= sum(len(record.value or b"") for record in records)
            if not some:
                break
        return found

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

    def __init__(self, *args: Any, assignments: AssignmentHandler) -> None:  # noqa: ANN401 - Faust's own signature
        super().__init__(*args)
        self._assignments = assignments

    def create_consumer(self, callback: Any, **kwargs: Any) -> ChunkConsumer:  # noqa: ANN401 - Faust's own signature
        """Called by Faust when the app first needs its consumer."""
        consumer: ChunkConsumer = super().create_consumer(callback, assignments=self._assignments, **kwargs)
        return consumer
