"""Where reading starts: the lower of the group's offset and the ledger's frontier; offsets that are lost are recorded.

The rule is pure (`start_offset`); the class asks the store and the log, and records losses.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, NamedTuple

from aiokafka.errors import KafkaError
from faust.types.tuples import TP

from servicekit.logs import Log, error_class
from stream_workers.errors import FencedError, LogOvertakenError, TransientStoreError
from stream_workers.store.batch import Topic
from stream_workers.store.lease import Leases
from stream_workers.store.store import RunStore

_PAUSE_S: Final = 0.5
_ASK_AFTER_S: Final = 5.0
"""Chunks fetched before a rewind still arrive after it, for a second or two. Only when the frontier does not come for longer is
the log asked, which alone says whether it is there."""
_ASK_AFTER_TRIES: Final = 5
_ASK_WITHIN_S: Final = 10.0
"""Nothing is written meanwhile, so well below `stuck_after_s`."""
FirstRecord = Callable[[int, int, int], Awaitable[int]]
"""Of partition, start and end: the offset of the first record that the log has from start on, or end if there is none before."""
_log = Log("worker.start_offsets")


class StartOffset(NamedTuple):
    """Where reading starts. Offsets from `lost_from` up to, not including, `start` are lost; None: none are."""

    start: int
    lost_from: int | None


def start_offset(*, committed: int | None, frontier: int, earliest: int) -> StartOffset:
    """The lower of the group's offset and the ledger's frontier, unless the log starts later.

    A group that is behind costs repeated rows, which the keys refuse. A ledger that is behind (a restored or an empty store)
    needs the records again. Offsets before the log's start that were never covered are lost, and the result says so.
    """
    wanted = frontier if committed is None else min(committed, frontier)
    return StartOffset(max(wanted, earliest), frontier if frontier < earliest else None)


class _Gap(NamedTuple):
    """A frontier that has not come yet: since when (monotonic, s), and how often it was tried."""

    frontier: int
    since_s: float
    tries: int


class StartOffsets:
    """An `AssignmentHandler` and a `GapResolver` for one topic. Records the offsets that the log no longer has."""

    def __init__(
        self,
        store: RunStore,
        topic: Topic,
        leases: Leases,
        *,
        first_record: FirstRecord,
        earliest: Callable[[TP], Awaitable[int]],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._topic = topic
        self._leases = leases
        self._first_record = first_record
        self._earliest = earliest
        self._clock_s = clock_s
        self._gaps: dict[TP, _Gap] = {}

    def assigned(self, partitions: Iterable[int]) -> None:
        """See `AssignmentHandler`."""
        self._leases.assigned(partitions)

    def revoked(self, partitions: Iterable[int]) -> None:
        """See `AssignmentHandler`."""
        self._leases.revoked(partitions)

    async def start_offsets(self, committed: Mapping[int, int | None], earliest: Mapping[int, int]) -> Mapping[int, int]:
        """See `AssignmentHandler`. Waits while the store is away; the caller bounds that."""
        frontiers = await self._frontiers(sorted(committed))
        starts = {}
        for partition, offset in committed.items():
            found = start_offset(committed=offset, frontier=frontiers[partition], earliest=earliest[partition])
            if found.lost_from is not None:
                await self._lose(partition, found.lost_from, found.start)
            starts[partition] = found.start
        return starts

    async def resume_at(self, tp: TP, frontier: int, found: int) -> int:
        """See `GapResolver`."""
        earliest = await self._earliest(tp)
        if frontier < earliest:
            await self._lose(tp.partition, frontier, earliest)
            return earliest
        next_record = await self._next_record(tp, frontier, found) if self._is_overdue(tp, frontier) else frontier
        if frontier < next_record:
            # These offsets hold no records (a transaction's markers, for example), so reading them would never end.
            await self._lose(tp.partition, frontier, next_record)
            return next_record
        _log.warning("rewind_to_ledger", partition=tp.partition, frontier=frontier, found=found)
        return frontier

    def _is_overdue(self, tp: TP, frontier: int) -> bool:
        gap = self._gaps.get(tp)
        if gap is None or gap.frontier != frontier:
            gap = _Gap(frontier, self._clock_s(), 0)
        self._gaps[tp] = gap = gap._replace(tries=gap.tries + 1)
        return gap.tries > _ASK_AFTER_TRIES and self._clock_s() - gap.since_s > _ASK_AFTER_S

    async def _next_record(self, tp: TP, frontier: int, found: int) -> int:
        """The offset of the log's next record; the frontier itself while the log does not answer. Then the time starts again."""
        del self._gaps[tp]
        try:
            async with asyncio.timeout(_ASK_WITHIN_S):
                return await self._first_record(tp.partition, frontier, found)
        except (KafkaError, LogOvertakenError, OSError) as error:
            _log.warning("frontier_unknown", partition=tp.partition, frontier=frontier, error_class=error_class(error))
            return frontier

    async def _frontiers(self, partitions: list[int]) -> Mapping[int, int]:
        while True:
            try:
                return await self._leases.frontiers(partitions)
            except TransientStoreError as error:
                _log.warning("store_away", reason=error.reason)
                await asyncio.sleep(_PAUSE_S)

    async def _lose(self, partition: int, start: int, end: int) -> None:
        _log.error("offsets_lost", partition=partition, start=start, end=end)
        while True:
            try:
                epoch = self._leases.epoch(partition)
                return await self._store.record_lost(self._topic, partition, start=start, end=end, epoch=epoch)
            except FencedError as error:
                return self._leases.refused(error)  # the partition's owner finds out for itself
            except TransientStoreError as error:
                _log.warning("store_away", reason=error.reason)
                await asyncio.sleep(_PAUSE_S)
