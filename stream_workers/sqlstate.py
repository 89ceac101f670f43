"""What a database error asks for: the same again, something smaller, or an end. Nothing else reads SQLSTATEs."""

from typing import Final

import asyncpg

from stream_workers.errors import PermanentStoreError, SlowStoreError, TransientStoreError, WorkerError

_TRANSIENT_CLASSES: Final = ("08", "53", "57P", "25P")  # 25P: the server ended a transaction that was too long or idle
_TRANSIENT_STATES: Final = frozenset({"40001", "40P01", "55P03", "25006"})
"""25006: a read-only standby answered, as in the middle of a failover."""
_SLOW_STATES: Final = frozenset({"57014", "25P03", "25P04"})
"""The server's limits of a statement, of a pause between two in a transaction, and of the transaction."""
_PERMANENT_CLASSES: Final = ("22", "23", "54")


def understood(error: BaseException) -> WorkerError | None:
    """The worker's error for one of asyncpg's or the network's; None for what nobody expected."""
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return TransientStoreError("schema_changed")  # a migration or a swap under a prepared statement: prepare it anew
    if isinstance(error, asyncpg.CheckViolationError) and error.constraint_name is None:
        return TransientStoreError(
            "partition_made"
        )  # the row's day got its partition while the row was on its way to the default one
    state = getattr(error, "sqlstate", None)
    if isinstance(error, asyncpg.PostgresError) and isinstance(state, str):
        return _of_state(state)
    if isinstance(error, TimeoutError):  # our own limit, or a server that cannot be reached, where less at a time does no harm
        return SlowStoreError(type(error).__name__)
    if isinstance(error, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError):
        return TransientStoreError(type(error).__name__)
    return None


def _of_state(state: str) -> WorkerError | None:
    if state in _SLOW_STATES:
        return SlowStoreError(state)
    if state in _TRANSIENT_STATES or state.startswith(_TRANSIENT_CLASSES):
        return TransientStoreError(state)
    return PermanentStoreError(state) if state.startswith(_PERMANENT_CLASSES) else None
