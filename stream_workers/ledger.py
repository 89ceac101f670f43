"""Where reading begins: group and ledger compared, losses named. The rule is pure (`begin`); the class asks and records."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, NamedTuple

from aiokafka.errors import KafkaError
from faust.types.tuples import TP

from servicekit.logs import Log, error_class
from stream_workers.batch import Topic
from stream_workers.errors import FencedError, LogOvertakenError, TransientStoreError
from stream_workers.lease import Leases
from stream_workers.store import RunStore

_PAUSE_S: Final = 0.5
_ASK_AFTER_S: Final = 5.0
"""Chunks fetched before a rewind still arrive after it, a second or two. Only a frontier that does not come for longer is asked
for: the log alone says whether it is there."""
_ASK_AFTER_TRIES: Final = 5
_ASK_WITHIN_S: Final = 10.0
"""Nothing is written meanwhile, so well below `stuck_after_s`."""
FirstRecord = Callable[[int, int, int], Awaitable[int]]
"""Of partition, start and end: the offset of the first record that the log has from start on, or end if there is none before."""
_log = Log("worker.ledger")


class Beginning(NamedTuple):
    """Where to begin, and what was lost before it: offsets from `lost_from` up to, not including, `start`, if not None."""

    start: int
    lost_from: int | None


def begin(*, committed: int | None, frontier: int, earliest: int) -> Beginning:
    """The lower of the group's offset and the ledger's frontier, unless the log begins later than that.

    A group that is behind costs repeated rows, which the keys refuse. A ledger that is behind (a restored or an empty store)
    needs the records again. What lies before the log's beginning and was never covered is lost, and said to be.
    """
    wanted = frontier if committed is None else min(committed, frontier)
    return Beginning(max(wanted, earliest), frontier if frontier < earliest else None)


class _Hole(NamedTuple):
    """A frontier that did not come so far: since when (monotonic, s), and how often it was tried."""

    frontier: int
    since_s: float
    tries: int


class Ledger:
    """Answers where to begin for one topic; records what the log no longer has."""

    def __init__(
        self,
        store: RunStore,
        topic: Topic,
        leases: Leases,
        *,
        first_record: FirstRecord,
        earliest: Callable[[TP], Awaitable[Mapping[TP, int]]] | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._topic = topic
        self._leases = leases
        self._first_record = first_record
        self.earliest = earliest
        self._clock_s = clock_s
        self._holes: dict[TP, _Hole] = {}

    def assigned(self, partitions: Iterable[int]) -> None:
        """See `delivery.Positions`."""
        self._leases.assigned(partitions)

    def revoked(self, partitions: Iterable[int]) -> None:
        """See `delivery.Positions`."""
        self._leases.revoked(partitions)

    async def start_offsets(self, committed: Mapping[int, int | None], earliest: Mapping[int, int]) -> Mapping[int, int]:
        """See `delivery.Positions`. Waits while the store is away; the caller bounds that."""
        frontiers = await self._frontiers(sorted(committed))
        starts = {}
        for partition, offset in committed.items():
            beginning = begin(committed=offset, frontier=frontiers[partition], earliest=earliest[partition])
            if beginning.lost_from is not None:
                await self._lose(partition, beginning.lost_from, beginning.start)
            starts[partition] = beginning.start
        return starts

    async def resume_at(self, tp: TP, frontier: int, found: int) -> int:
        """See `ingest.Holes`."""
        assert self.earliest is not None
        earliest = (await self.earliest(tp))[tp]
        if frontier < earliest:
            await self._lose(tp.partition, frontier, earliest)
            return earliest
        there = await self._asked(tp, frontier, found) if self._is_overdue(tp, frontier) else frontier
        if frontier < there:
            # These offsets hold no records (a transaction's markers, for example): nobody will ever read them.
            await self._lose(tp.partition, frontier, there)
            return there
        _log.warning("rewind_to_ledger", partition=tp.partition, frontier=frontier, found=found)
        return frontier

    def _is_overdue(self, tp: TP, frontier: int) -> bool:
        hole = self._holes.get(tp)
        if hole is None or hole.frontier != frontier:
            hole = _Hole(frontier, self._clock_s(), 0)
        self._holes[tp] = hole = hole._replace(tries=hole.tries + 1)
        return hole.tries > _ASK_AFTER_TRIES and self._clock_s() - hole.since_s > _ASK_AFTER_S

    async def _asked(self, tp: TP, frontier: int, found: int) -> int:
        """Where the log's next record is, the frontier itself while nobody can tell. Whatever it says, the time begins anew."""
        del self._holes[tp]
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
                return self._leases.refused(error)  # whoever has the partition now finds out for itself
            except TransientStoreError as error:
                _log.warning("store_away", reason=error.reason)
                await asyncio.sleep(_PAUSE_S)
