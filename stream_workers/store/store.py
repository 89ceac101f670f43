"""The store as the workers use it: a Protocol with its promise. `postgres.py` has the real one, `testing.py` one in memory."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from stream_workers.store.batch import Topic, WriteBatch

Epochs = Mapping[int, int]
"""The epoch that a writer holds of each partition; 0 where it took none. None stands for a writer that is never fenced."""


class Taken(NamedTuple):
    """A partition that was taken: the taker's epoch, and the first offset that is not covered yet."""

    epoch: int
    frontier: int


class Saved(NamedTuple):
    """The result of a batch: rows that were new, rows that the store had already, rows of runs that were deleted."""

    new_steps: int
    new_failures: int
    repeated: int
    deleted: int = 0
    time_shifted: int = 0
    """Runs whose times count differently from now on, because their sender's clock is far off."""


class RunStore(Protocol):
    """Where runs are kept."""

    async def save(self, topic: Topic, batch: WriteBatch, *, epochs: Epochs | None = None) -> Saved:
        """Write the batch and the offsets it covers, both or neither; return only when they are durable.

        Idempotent: rows are keyed, and derived figures change only by rows that were really inserted. Raises
        TransientStoreError (the outcome may be unknown), PermanentStoreError, or before anything is written FencedError, where a
        partition was taken since by another, or HoleError.
        """
        ...

    async def frontiers(self, topic: Topic, partitions: Sequence[int]) -> Mapping[int, int]:
        """The first offset of each partition that is not covered yet; 0 for one never seen. Raises TransientStoreError."""
        ...

    async def take(self, topic: Topic, partitions: Sequence[int], *, owner: str) -> Mapping[int, Taken]:
        """Become the owner of the partitions, all or none; every earlier owner is refused from now on.

        Raises TransientStoreError: whether it was done is unknown then, and doing it again is harmless.
        """
        ...

    async def record_lost(self, topic: Topic, partition: int, *, start: int, end: int, epoch: int | None = None) -> None:
        """Record offsets in the ledger that the log no longer has and that were never stored.

        Raises TransientStoreError, or FencedError where `epoch` is not the newest.
        """
        ...

    async def close(self) -> None:
        """Close connections. Never raises."""
        ...
