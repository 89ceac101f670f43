"""The fence around partitions: an epoch for each, taken from the store at an assignment and sent with every write.

Kafka assigns a partition; its epoch lets the store tell the owner from an earlier one. A worker takes it once an assignment and
never because a write was refused, so that two workers that both believe to own a partition cannot take it from each other in
turns. A refused worker drops the records and waits for a rebalance that it has not noticed yet; `Monitor` ends it if none comes.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from servicekit.logs import Log
from stream_workers.errors import FencedError
from stream_workers.metrics import WorkerMetrics
from stream_workers.store.batch import Topic
from stream_workers.store.store import Epochs, RunStore, Taken

_log = Log("worker.lease")


def refuse_zombie(held: Epochs, found: Epochs) -> None:
    """The rule of the fence. Raises FencedError where the ledger's epoch is above the writer's."""
    newer = [partition for partition, epoch in found.items() if epoch > held.get(partition, 0)]
    if newer:
        raise FencedError(newer)


class Leases:
    """One worker's epochs for one topic. `owner` names the worker in the store, and must not name a person."""

    def __init__(
        self, store: RunStore, topic: Topic, metrics: WorkerMetrics, *, owner: str, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._topic = topic
        self._metrics = metrics
        self.owner = owner
        self._clock_s = clock_s
        self._epochs: dict[int, int] = {}
        self._assigned: set[int] = set()
        self._due: set[int] = set()
        self._fenced_at: dict[int, float] = {}
        self._taking = asyncio.Lock()

    def assigned(self, partitions: Iterable[int]) -> None:
        """Kafka assigned these partitions and no others. Their epochs are taken when they are first needed."""
        self._assigned = set(partitions)
        self._due = set(self._assigned)
        self._fenced_at = {}

    def revoked(self, partitions: Iterable[int]) -> None:
        """Kafka revoked these. Their epochs stay: what was read with them may be written until newer ones are taken."""
        for partition in partitions:
            self._assigned.discard(partition)
            self._due.discard(partition)
            self._fenced_at.pop(partition, None)

    async def frontiers(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """The first offset of each that is not covered. Raises TransientStoreError."""
        taken = await self._take_due(partitions)
        rest = [partition for partition in partitions if partition not in taken]
        known = await self._store.frontiers(self._topic, rest) if rest else {}
        return {partition: one.frontier for partition, one in taken.items()} | dict(known)

    async def epochs(self, partitions: Sequence[int]) -> Epochs:
        """The epochs to write these partitions with. Asks the store only after an assignment. Raises TransientStoreError."""
        await self._take_due(partitions)
        return {partition: self._epochs.get(partition, 0) for partition in partitions}

    def epoch(self, partition: int) -> int:
        """The epoch that is held; 0 for a partition never taken."""
        return self._epochs.get(partition, 0)

    def refused(self, error: FencedError) -> None:
        """Another worker took these partitions: count it, and remember since when."""
        self._metrics.zombie_writes.inc()
        for partition in error.partitions:
            _log.warning("zombie_write_refused", partition=partition, epoch=self.epoch(partition))
            if partition in self._assigned - self._due:
                self._fenced_at.setdefault(partition, self._clock_s())

    def fenced_for_s(self) -> float:
        """For how long another worker has held a partition that Kafka assigns to this one; 0 if none does."""
        return max((self._clock_s() - since for since in self._fenced_at.values()), default=0.0)

    async def _take_due(self, partitions: Sequence[int]) -> Mapping[int, Taken]:
        async with self._taking:
            due = sorted(self._due.intersection(partitions))
            if not due:
                return {}
            taken = await self._store.take(self._topic, due, owner=self.owner)
            self._epochs |= {partition: one.epoch for partition, one in taken.items()}
            self._due.difference_update(due)
            return taken
