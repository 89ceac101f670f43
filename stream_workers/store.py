"""What the workers need of a store: a Protocol with its promise. `postgres.py` keeps it, `testing.py` has one in memory."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from stream_workers.batch import Batch, Topic

Epochs = Mapping[int, int]
"""The epoch that a writer holds of each partition; 0 where it took none. None instead of this: a writer that nobody fences."""


class Taken(NamedTuple):
    """A partition that was taken: the taker's epoch, and the first offset that is not covered yet."""

    epoch: int
    frontier: int


class Saved(NamedTuple):
    """What a batch changed: rows that were new, rows that the store had already, rows of runs that were deleted."""

    new_steps: int
    new_failures: int
    repeated: int
    deleted: int = 0


class RunStore(Protocol):
    """Where runs are kept."""

    async def save(self, topic: Topic, batch: Batch, *, epochs: Epochs | None = None) -> Saved:
        """Write the batch and the offsets it covers, both or neither; return only when they are durable.

        Idempotent: rows are keyed, and whatever is derived changes only by what was really inserted. Raises
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
        """Offsets that the log no longer has and nobody stored: named in the ledger.

        Raises TransientStoreError, or FencedError where `epoch` is not the newest.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. Never raises."""
        ...
