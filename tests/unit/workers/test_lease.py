"""Epochs: taken once an assignment, shown with every write, and what follows from a refusal."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence

import pytest

from stream_workers.errors import FencedError, TransientStoreError
from stream_workers.metrics import WorkerMetrics
from stream_workers.store.batch import Topic
from stream_workers.store.lease import Leases
from stream_workers.store.store import Taken
from stream_workers.testing import MemoryStore

TOPIC = Topic("t", uuid.UUID(int=3))


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _leases(store: MemoryStore, owner: str = "one", clock: _Clock | None = None) -> Leases:
    return Leases(store, TOPIC, WorkerMetrics(), owner=owner, clock_s=clock or _Clock())


def test_an_epoch_is_taken_once_an_assignment() -> None:
    """Asked for twice it is the same; after the next assignment it is another, also of a partition that was kept."""
    store = MemoryStore()
    leases = _leases(store)
    leases.assigned(partition for partition in (0, 1))
    assert asyncio.run(leases.frontiers([0, 1])) == {0: 0, 1: 0}
    assert asyncio.run(leases.epochs([0, 1])) == {0: 1, 1: 1}
    assert asyncio.run(leases.frontiers([0, 1])) == {0: 0, 1: 0}
    assert store.epochs == {0: 1, 1: 1}
    leases.assigned([1])
    assert asyncio.run(leases.epochs([1])) == {1: 2}
    assert store.owners == {0: "one", 1: "one"}


def test_a_store_that_was_away_at_the_assignment_is_asked_at_the_first_write() -> None:
    """The epoch stays due until the store has said it."""
    store = MemoryStore()
    store.fail_next = [TransientStoreError("08006")]
    leases = _leases(store)
    leases.assigned([0])
    with pytest.raises(TransientStoreError):
        asyncio.run(leases.frontiers([0]))
    assert asyncio.run(leases.epochs([0])) == {0: 1}


def test_a_refused_worker_takes_nothing_back() -> None:
    """Two that both believe in their right: the later one keeps it, however often the earlier one asks."""
    store = MemoryStore()
    early, late = _leases(store, "early"), _leases(store, "late")
    for one in (early, late):
        one.assigned([0])
        asyncio.run(one.frontiers([0]))
    for _ in range(3):
        early.refused(FencedError([0]))
        assert asyncio.run(early.epochs([0])) == {0: 1}
    assert (store.epochs, store.owners) == ({0: 2}, {0: "late"})


def test_the_wait_for_a_rebalance_is_timed_and_ends_with_it() -> None:
    """It begins with the first refusal of a partition that is ours, and an assignment or a revocation ends it."""
    clock = _Clock()
    leases = _leases(MemoryStore(), clock=clock)
    leases.assigned([0])
    asyncio.run(leases.frontiers([0]))
    leases.refused(FencedError([0, 7]))
    clock.now = 5
    leases.refused(FencedError([0]))
    clock.now = 8
    assert leases.fenced_for_s() == 8
    leases.revoked([0])
    assert leases.fenced_for_s() == 0, "7 was never ours"
    leases.refused(FencedError([0]))
    assert leases.fenced_for_s() == 0
    leases.assigned([0])
    leases.refused(FencedError([0]))
    assert leases.fenced_for_s() == 0, "its epoch is not taken yet: that was a write of before"


class _Slow(MemoryStore):
    """Counts how often partitions are taken, and lets others go on meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.takes = 0

    async def take(self, topic: Topic, partitions: Sequence[int], *, owner: str) -> Mapping[int, Taken]:
        self.takes += 1
        await asyncio.sleep(0)
        return await super().take(topic, partitions, owner=owner)


def test_reader_and_writer_together_take_it_once() -> None:
    """Who comes second finds it taken."""
    store = _Slow()
    leases = _leases(store)
    leases.assigned([0])

    async def both() -> None:
        await asyncio.gather(leases.frontiers([0]), leases.epochs([0]))

    asyncio.run(both())
    assert store.takes == 1
