"""The workers' errors, named for what to do.

WorkerError
├── TransientStoreError   try the same again, for as long as it takes
│   └── SlowStoreError    its time limit is over: try the same again, and if that happens again, less at a time
├── PermanentStoreError   this content can never be stored: halve the batch down to one record, then make it a dead letter
├── StoreAccessError      the URL, the schema or the rights are wrong: stop, a person must correct them
├── FencedError           another worker took these partitions: drop their records, that worker reads them
├── OffsetGapError        offsets are missing before these: read the partition again from the ledger's frontier
├── LogOvertakenError     the topic's retention deleted records that were about to be read: start where the log starts now
├── RebuildError          a rebuild cannot go on: the message says what to do
├── StoreLockedError      nothing was deleted, another transaction holds the tables: try again
├── OldSchemaError        nothing was deleted, the schema before the last swap has another version: drop it first
└── DeadLetterLimitError  records of several projects cannot be stored, and none can: stop, a person must look
"""

from collections.abc import Iterable, Mapping


class WorkerError(Exception):
    """Base of the workers' own errors. Messages name rules, offsets and codes, never content."""


class TransientStoreError(WorkerError):
    """The store cannot take it now. The last attempt may or may not be committed; repeating it is harmless."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the store cannot take it now: {reason}")
        self.reason = reason


class SlowStoreError(TransientStoreError):
    """A transaction took longer than its limit."""


class PermanentStoreError(WorkerError):
    """The store can never take this content."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(f"the store refuses this content: SQLSTATE {sqlstate}")
        self.sqlstate = sqlstate


class StoreAccessError(WorkerError):
    """The store refuses the worker itself. `fault` says why: credentials, database, schema or privilege."""

    def __init__(self, fault: str, code: str) -> None:
        super().__init__(f"the store refuses this worker ({fault}, {code}): correct the URL, the migrations or the rights")
        self.fault = fault
        self.code = code


class OffsetGapError(WorkerError):
    """Chunks start above the ledger's frontier. `frontiers` maps each such partition to where reading must start."""

    def __init__(self, frontiers: Mapping[int, int]) -> None:
        super().__init__(f"offsets are missing in {len(frontiers)} partitions")
        self.frontiers = frontiers


class FencedError(WorkerError):
    """Another worker took these partitions since this one did."""

    def __init__(self, partitions: Iterable[int]) -> None:
        self.partitions = frozenset(partitions)
        super().__init__(f"{len(self.partitions)} partitions were taken by another worker")


class LogOvertakenError(WorkerError):
    """The topic's retention deleted records that were about to be read."""

    def __init__(self) -> None:
        super().__init__("the topic's retention deleted records that were about to be read: run it again")


class RebuildError(WorkerError):
    """A rebuild cannot go on. The live store is unchanged."""


class StoreLockedError(WorkerError):
    """Another transaction holds the tables for longer than a deletion waits."""

    def __init__(self) -> None:
        super().__init__(
            "nothing was deleted: another transaction holds the tables, maybe a rebuild that is finishing; try again"
        )


class OldSchemaError(WorkerError):
    """The schema that was live before the last swap cannot be deleted from: it missed a migration."""

    def __init__(self, schema: str) -> None:
        super().__init__(
            f"nothing was deleted: schema {schema}, live before the last rebuild, is of another version and would keep it; "
            "run `agenttracer rebuild drop-old` first"
        )


class DeadLetterLimitError(WorkerError):
    """So many projects' records cannot be stored, and nobody's can, that the fault is not theirs."""

    def __init__(self, *, projects: int) -> None:
        super().__init__(f"the records of {projects} projects could not be stored, and none of any other: stopped")
        self.projects = projects
