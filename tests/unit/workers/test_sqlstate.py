"""What a database's errors ask for."""

import asyncpg
import pytest

from stream_workers.errors import PermanentStoreError, SlowStoreError, TransientStoreError, WorkerError
from stream_workers.sqlstate import understood


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
    ],
)
def test_what_may_pass_is_transient_and_a_time_limit_is_told_apart(
    error: BaseException, meant: type[WorkerError], reason: str
) -> None:
    """A limit asks for less at a time, if it comes again; a store that is away does not."""
    told = understood(error)
    assert type(told) is meant
    assert isinstance(told, TransientStoreError)
    assert told.reason == reason


def test_content_is_permanent_and_what_nobody_expects_has_no_meaning() -> None:
    """A value out of range is the record's fault; a TypeError is nobody's that could be retried or buried."""
    assert type(understood(asyncpg.NumericValueOutOfRangeError())) is PermanentStoreError
    assert understood(asyncpg.UndefinedTableError()) is None
    assert understood(TypeError()) is None
