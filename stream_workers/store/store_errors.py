"""Errors of PostgreSQL as the workers' own: the same again, less at a time, a dead letter, or an end.

`servicekit.postgres` says what an error means; here stands what a worker does about it.
"""

import asyncpg

from servicekit.postgres import ACCESS, PostgresFault, fault_of, sqlstate_of
from stream_workers.errors import PermanentStoreError, SlowStoreError, StoreAccessError, TransientStoreError, WorkerError


def worker_error(error: BaseException) -> WorkerError | None:
    """The worker's error for one of asyncpg's or the network's; None for an error that no rule expects."""
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return TransientStoreError("schema_changed")  # a migration or a swap under a prepared statement: prepare it again
    if isinstance(error, asyncpg.CheckViolationError) and error.constraint_name is None:
        return TransientStoreError("partition_made")  # the row's day got its partition while the row went to the default one
    fault, state = fault_of(error), sqlstate_of(error)
    if fault is None:
        return None
    if fault in ACCESS:
        return StoreAccessError(fault, state or type(error).__name__)
    if fault is PostgresFault.CONTENT and state is not None:
        return PermanentStoreError(state)
    # Our own limit may also mean a server that cannot be reached, where less at a time does no harm.
    kind = SlowStoreError if fault is PostgresFault.TIMEOUT else TransientStoreError
    return kind(state or type(error).__name__)
