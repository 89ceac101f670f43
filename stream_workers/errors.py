"""What the workers can run into, named for what to do.

WorkerError
├── TransientStoreError   try the same again, for as long as it takes
│   └── SlowStoreError    its time limit is over: try the same again, and if that happens again, less at a time
├── PermanentStoreError   this content will never be stored: halve the batch until it is one record, then bury it
├── FencedError           another worker has taken these partitions: give their records up, it reads them
├── HoleError             offsets are missing before these: read the partition anew from the ledger's frontier
├── LogOvertakenError     the topic's retention deleted what was about to be read: begin again where the log begins now
├── RebuildError          a rebuild cannot go on: the message says what to do
├── HeldStoreError        nothing was deleted, somebody's transaction holds the tables: try again
├── OldStoreError         nothing was deleted, what was live before the last swap is of another version: drop it first
└── PoisonBrakeError      too many records cannot be stored: stop, somebody must look
"""

from collections.abc import Iterable, Mapping


class WorkerError(Exception):
    """Base of the workers' own errors. Messages name rules, offsets and codes, never content."""


class TransientStoreError(WorkerError):
    """The store cannot take it now. Whether the last attempt was committed is unknown; repeating it is harmless."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the store cannot take it now: {reason}")
        self.reason = reason


class SlowStoreError(TransientStoreError):
    """A transaction took longer than one may last."""


class PermanentStoreError(WorkerError):
    """The store will never take this content."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(f"the store refuses this content: SQLSTATE {sqlstate}")
        self.sqlstate = sqlstate


class HoleError(WorkerError):
    """Chunks start above what the ledger has seen. `frontiers` maps each such partition to where reading must begin."""

    def __init__(self, frontiers: Mapping[int, int]) -> None:
        super().__init__(f"offsets are missing in {len(frontiers)} partitions")
        self.frontiers = frontiers


class FencedError(WorkerError):
    """These partitions were taken by another worker since."""

    def __init__(self, partitions: Iterable[int]) -> None:
        self.partitions = frozenset(partitions)
        super().__init__(f"{len(self.partitions)} partitions were taken by another worker")


class LogOvertakenError(WorkerError):
    """The topic's retention deleted records that were about to be read."""

    def __init__(self) -> None:
        super().__init__("the topic's retention deleted records that were about to be read: run it again")


class RebuildError(WorkerError):
    """A rebuild cannot go on; the live store is as it was."""


class HeldStoreError(WorkerError):
    """Somebody's transaction holds the tables for long."""

    def __init__(self) -> None:
        super().__init__(
            "nothing was deleted: another transaction holds the tables, maybe a rebuild that is finishing; try again"
        )


class OldStoreError(WorkerError):
    """What was live before the last swap cannot be deleted from: it missed a migration."""

    def __init__(self, schema: str) -> None:
        super().__init__(
            f"nothing was deleted: schema {schema}, live before the last rebuild, is of another version and would keep it; "
            "run `agenttracer rebuild drop-old` first"
        )


class PoisonBrakeError(WorkerError):
    """So many records in a row cannot be stored that the fault is not theirs."""

    def __init__(self, *, dead: int, of: int) -> None:
        super().__init__(f"{dead} of the last {of} records could not be stored: stopped before more go to the dead letters")
        self.dead = dead
        self.of = of
