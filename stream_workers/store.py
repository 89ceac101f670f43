"""What the workers need of a store: a Protocol with its promise. `postgres.py` keeps it, `testing.py` has one in memory."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from stream_workers.batch import Batch, Topic


class Saved(NamedTuple):
    """What a batch changed: rows that were new, rows that the store had already, rows of runs that were deleted."""

    new_steps: int
    new_failures: int
    repeated: int
    deleted: int = 0


class RunStore(Protocol):
    """Where runs are kept."""

    async def save(self, topic: Topic, batch: Batch) -> Saved:
        """Write the batch and the offsets it covers, both or neither; return only when they are durable.

        Idempotent: rows are keyed, and whatever is derived changes only by what was really inserted. Raises
        TransientStoreError (the outcome may be unknown), PermanentStoreError, or HoleError before anything is written.
        """
        ...

    async def frontiers(self, topic: Topic, partitions: Sequence[int]) -> Mapping[int, int]:
        """The first offset of each partition that is not covered yet; 0 for one never seen. Raises TransientStoreError."""
        ...

    async def record_lost(self, topic: Topic, partition: int, *, start: int, end: int) -> None:
        """Offsets that the log no longer has and nobody stored: named in the ledger. Raises TransientStoreError."""
        ...

    async def close(self) -> None:
        """Let go of connections. Never raises."""
        ...
