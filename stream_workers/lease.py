"""Whose partitions they are: an epoch for each, taken from the store at an assignment and shown with every write.

Kafka says who owns a partition; the epoch lets the store tell an owner from one who was. It is taken once an assignment and never
because a write was refused, so that two workers who both believe in their right cannot take it from each other in turns. A worker
that is refused gives the records up and waits for the rebalance that it has not noticed yet; `watch` ends it if none comes.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from servicekit.logs import Log
from stream_workers.batch import Topic
from stream_workers.errors import FencedError
from stream_workers.metrics import Metrics
from stream_workers.store import Epochs, RunStore, Taken

_log = Log("worker.lease")


def refuse_zombie(held: Epochs, found: Epochs) -> None:
    """The rule of the fence: raise FencedError where the ledger's epoch is above the writer's."""
    newer = [partition for partition, epoch in found.items() if epoch > held.get(partition, 0)]
    if newer:
        raise FencedError(newer)


class Leases:
    """One worker's epochs for one topic. `owner` names it in the store, and must say nothing about a person."""

    def __init__(
        self, store: RunStore, topic: Topic, metrics: Metrics, *, owner: str, clock_s: Callable[[], float] = time.monotonic
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
        self._turn = asyncio.Lock()

    def assigned(self, partitions: Iterable[int]) -> None:
        """These are this worker's now, and no others. Their epochs are taken when they are first asked for."""
        self._assigned = set(partitions)
        self._due = set(self._assigned)
        self._fenced_at = {}

    def revoked(self, partitions: Iterable[int]) -> None:
        """These are not. Their epochs stay: what was read under them may be written until somebody takes newer ones."""
        for partition in partitions:
            self._assigned.discard(partition)
            self._due.discard(partition)
            self._fenced_at.pop(partition, None)

    async def frontiers(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """How far each is covered, in one question to the store. Raises TransientStoreError."""
        taken = await self._take_due(partitions)
        rest = [partition for partition in partitions if partition not in taken]
        known = await self._store.frontiers(self._topic, rest) if rest else {}
        return {partition: one.frontier for partition, one in taken.items()} | dict(known)

    async def epochs(self, partitions: Sequence[int]) -> Epochs:
        """What to show when these are written. Asks the store only after an assignment. Raises TransientStoreError."""
        await self._take_due(partitions)
        return {partition: self._epochs.get(partition, 0) for partition in partitions}

    def epoch(self, partition: int) -> int:
        """What is held now; 0 for one never taken."""
        return self._epochs.get(partition, 0)

    def refused(self, error: FencedError) -> None:
        """Another worker has taken these partitions: count it, and remember since when."""
        self._metrics.zombie_writes.inc()
        for partition in error.partitions:
            _log.warning("zombie_write_refused", partition=partition, epoch=self.epoch(partition))
            if partition in self._assigned - self._due:
                self._fenced_at.setdefault(partition, self._clock_s())

    def fenced_for_s(self) -> float:
        """For how long a partition that Kafka gave to this worker has been somebody else's; 0 if none is."""
        return max((self._clock_s() - since for since in self._fenced_at.values()), default=0.0)

    async def _take_due(self, partitions: Sequence[int]) -> Mapping[int, Taken]:
        async with self._turn:
            due = sorted(self._due.intersection(partitions))
            if not due:
                return {}
            taken = await self._store.take(self._topic, due, owner=self.owner)
            self._epochs |= {partition: one.epoch for partition, one in taken.items()}
            self._due.difference_update(due)
            return taken
