"""What a worker does about an error of the database."""

import asyncpg
import pytest

from stream_workers.errors import PermanentStoreError, SlowStoreError, StoreAccessError, TransientStoreError, WorkerError
from stream_workers.store.store_errors import worker_error


@pytest.mark.parametrize(
    ("error", "meant", "reason"),
    [
        (asyncpg.QueryCanceledError(), SlowStoreError, "57014"),
        (asyncpg.PostgresError.new({"C": "25P04", "M": "m"}), SlowStoreError, "25P04"),
        (asyncpg.IdleInTransactionSessionTimeoutError(), SlowStoreError, "25P03"),
        (TimeoutError(), SlowStoreError, "TimeoutError"),
        (ConnectionRefusedError(), TransientStoreError, "ConnectionRefusedError"),
        (asyncpg.AdminShutdownError(), TransientStoreError, "57P01"),
        (asyncpg.DeadlockDetectedError(), TransientStoreError, "40P01"),
        (asyncpg.InvalidCachedStatementError(), TransientStoreError, "schema_changed"),
        (asyncpg.CheckViolationError(), TransientStoreError, "partition_made"),
    ],
)
def test_what_may_pass_is_transient_and_a_time_limit_is_told_apart(
    error: BaseException, meant: type[WorkerError], reason: str
) -> None:
    """A limit asks for less at a time, if it comes again; a store that is away does not."""
    ours = worker_error(error)
    assert type(ours) is meant
    assert isinstance(ours, TransientStoreError)
    assert ours.reason == reason


@pytest.mark.parametrize(
    ("error", "fault", "code"),
    [
        (asyncpg.InvalidPasswordError(), "credentials", "28P01"),
        (asyncpg.InvalidCatalogNameError(), "database", "3D000"),
        (asyncpg.UndefinedTableError(), "schema", "42P01"),
        (asyncpg.InsufficientPrivilegeError(), "privilege", "42501"),
    ],
)
def test_a_store_that_refuses_the_worker_is_neither_transient_nor_the_records_fault(
    error: BaseException, fault: str, code: str
) -> None:
    """Trying again cannot help, and no record may become a dead letter for it."""
    ours = worker_error(error)
    assert isinstance(ours, StoreAccessError)
    assert (ours.fault, ours.code) == (fault, code)


def test_content_is_permanent_and_an_unexpected_error_has_no_meaning() -> None:
    """A value out of range is the record's fault; a TypeError is no fault that a retry or a dead letter could mend."""
    assert type(worker_error(asyncpg.NumericValueOutOfRangeError())) is PermanentStoreError
    assert worker_error(asyncpg.SyntaxOrAccessError()) is None
    assert worker_error(TypeError()) is None
