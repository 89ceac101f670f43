"""What errors of PostgreSQL mean, and what people are told."""

import asyncpg
import pytest

from servicekit.postgres import ACCESS, TRANSIENT, PostgresFault, explain, fault_of


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (asyncpg.InvalidPasswordError(), PostgresFault.CREDENTIALS),
        (asyncpg.InvalidAuthorizationSpecificationError(), PostgresFault.CREDENTIALS),
        (asyncpg.InvalidCatalogNameError(), PostgresFault.DATABASE),
        (asyncpg.InvalidSchemaNameError(), PostgresFault.SCHEMA),
        (asyncpg.UndefinedTableError(), PostgresFault.SCHEMA),
        (asyncpg.UndefinedColumnError(), PostgresFault.SCHEMA),
        (asyncpg.InsufficientPrivilegeError(), PostgresFault.PRIVILEGE),
        (asyncpg.QueryCanceledError(), PostgresFault.TIMEOUT),
        (TimeoutError(), PostgresFault.TIMEOUT),
        (ConnectionRefusedError(), PostgresFault.UNREACHABLE),
        (asyncpg.InterfaceError("closed"), PostgresFault.UNREACHABLE),
        (asyncpg.CannotConnectNowError(), PostgresFault.UNREACHABLE),
        (asyncpg.ReadOnlySQLTransactionError(), PostgresFault.READ_ONLY),
        (asyncpg.LockNotAvailableError(), PostgresFault.BUSY),
        (asyncpg.TooManyConnectionsError(), PostgresFault.BUSY),
        (asyncpg.InvalidCachedStatementError(), PostgresFault.BUSY),
        (asyncpg.NumericValueOutOfRangeError(), PostgresFault.CONTENT),
        (asyncpg.PostgresSyntaxError(), None),
        (KeyError(), None),
    ],
)
def test_an_error_means_one_fault(error: BaseException, fault: PostgresFault | None) -> None:
    """Each SQLSTATE that a deployment can meet has its meaning, and a mistake of ours has none."""
    assert fault_of(error) is fault


def test_no_fault_is_both_transient_and_refused() -> None:
    """A caller tries again, or a person must help, never both."""
    assert not TRANSIENT & ACCESS


def test_a_wrong_password_is_reported_as_such() -> None:
    """The line names user and password, and neither migrations nor the error's own text."""
    line = explain(asyncpg.InvalidPasswordError('password authentication failed for user "canary"'))
    assert line == "PostgreSQL refuses this user or password (SQLSTATE 28P01); correct them in the URL"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (asyncpg.UndefinedTableError("canary"), "agenttracer migrate"),
        (ConnectionRefusedError("canary"), "cannot be reached (ConnectionRefusedError)"),
        (asyncpg.PostgresSyntaxError("canary"), "SQLSTATE 42601"),
    ],
)
def test_a_line_says_what_to_do_and_never_the_errors_own_text(error: BaseException, said: str) -> None:
    """Errors of the server can hold values of rows."""
    assert said in explain(error)
    assert "canary" not in explain(error)
