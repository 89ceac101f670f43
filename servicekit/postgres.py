"""The one way to open PostgreSQL, and what its errors mean. No statement, no schema and no service is known here.

Every session names its program (`application_name`), counts in UTC, and compiles no plans: compiling takes longer than running
any statement of ours. A caller asks `fault_of` what an error means; nothing else reads SQLSTATEs.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import asyncpg

CONNECT_TIMEOUT_S: Final = 10.0
"""A connection takes milliseconds, and seconds on a busy machine."""
_NO_SETTINGS: Final[Mapping[str, str]] = MappingProxyType({})
_COMMON_SETTINGS: Final[Mapping[str, str]] = MappingProxyType({"timezone": "UTC", "jit": "off"})
POSTGRES_ERRORS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""Every error of a connection or a statement. `OSError` includes the time limits of asyncio."""


class PostgresFault(StrEnum):
    """The cause of an error, named for what helps."""

    UNREACHABLE = "unreachable"
    """The server is away, starting or stopping. The same statement may succeed later."""
    READ_ONLY = "read_only"
    """A standby answered, as in the middle of a failover, or the session must not write."""
    BUSY = "busy"
    """A lock, a conflict with another transaction, or a lack of resources. The same statement may succeed later."""
    TIMEOUT = "timeout"
    """A time limit of the server or of the client is over."""
    CREDENTIALS = "credentials"
    """The server refuses this user or this password."""
    DATABASE = "database"
    """The server has no database of this name."""
    SCHEMA = "schema"
    """The schema, or a table, column or function of it, is missing: it was not migrated."""
    PRIVILEGE = "privilege"
    """The user lacks a right."""
    CONTENT = "content"
    """A value can never be stored."""


TRANSIENT: Final = frozenset(
    {
        PostgresFault.UNREACHABLE,
        PostgresFault.READ_ONLY,
        PostgresFault.BUSY,
        PostgresFault.TIMEOUT,
    }
)
"""Trying again can help."""
ACCESS: Final = frozenset({PostgresFault.CREDENTIALS, PostgresFault.DATABASE, PostgresFault.SCHEMA, PostgresFault.PRIVILEGE})
"""Only a person can help: the URL, the migrations or the rights are wrong."""

_OF_STATE: Final[Mapping[str, PostgresFault]] = MappingProxyType(
    {
        "25006": PostgresFault.READ_ONLY,
        "25P03": PostgresFault.TIMEOUT,  # of a pause between two statements of a transaction
        "25P04": PostgresFault.TIMEOUT,  # of a transaction
        "57014": PostgresFault.TIMEOUT,  # of a statement
        "40001": PostgresFault.BUSY,
        "40P01": PostgresFault.BUSY,
        "55P03": PostgresFault.BUSY,
        "28000": PostgresFault.CREDENTIALS,
        "28P01": PostgresFault.CREDENTIALS,
        "3D000": PostgresFault.DATABASE,
        "3F000": PostgresFault.SCHEMA,
        "42P01": PostgresFault.SCHEMA,
        "42703": PostgresFault.SCHEMA,
        "42883": PostgresFault.SCHEMA,
        "42501": PostgresFault.PRIVILEGE,
    }
)
_OF_CLASS: Final = (
    ("08", PostgresFault.UNREACHABLE),
    ("57P", PostgresFault.UNREACHABLE),
    ("25P", PostgresFault.UNREACHABLE),
    ("53", PostgresFault.BUSY),
    ("22", PostgresFault.CONTENT),
    ("23", PostgresFault.CONTENT),
    ("54", PostgresFault.CONTENT),
)

STALE_CONNECTION: Final = (
    # The schema was swapped or migrated under a prepared statement; a new connection prepares it again.
    asyncpg.InvalidCachedStatementError,
    # The connection died between two uses: a restart of the server leaves such connections in a pool. asyncpg raises the
    # internal error when the server's last message is still unread.
    asyncpg.InternalClientError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.ConnectionFailureError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.InterfaceError,
    ConnectionResetError,
)
"""The same statement on a new connection is worth a try at once."""


def fault_of(error: BaseException) -> PostgresFault | None:
    """The cause of one of `POSTGRES_ERRORS`; None for what only a mistake of ours can cause."""
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return PostgresFault.BUSY  # a migration or a swap under a prepared statement
    if isinstance(error, asyncpg.PostgresError):
        state = sqlstate_of(error) or ""
        return _OF_STATE.get(state) or next((fault for prefix, fault in _OF_CLASS if state.startswith(prefix)), None)
    if isinstance(error, TimeoutError):  # before OSError, of which it is a kind
        return PostgresFault.TIMEOUT
    if isinstance(error, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError):
        return PostgresFault.UNREACHABLE
    return None


def sqlstate_of(error: BaseException) -> str | None:
    """The server's code for an error; None for an error that the server did not report."""
    state = getattr(error, "sqlstate", None)
    return state if isinstance(state, str) else None


_EXPLANATIONS: Final[Mapping[PostgresFault | None, str]] = MappingProxyType(
    {
        PostgresFault.UNREACHABLE: "PostgreSQL cannot be reached ({}); is it running, and is the URL right?",
        PostgresFault.READ_ONLY: "PostgreSQL takes no writes here ({}); is this a standby?",
        PostgresFault.BUSY: "PostgreSQL cannot take it now ({}); try again",
        PostgresFault.TIMEOUT: "PostgreSQL did not answer in time ({}); is it reachable, and not overloaded? try again",
        PostgresFault.CREDENTIALS: "PostgreSQL refuses this user or password ({}); correct them in the URL",
        PostgresFault.DATABASE: "PostgreSQL has no such database ({}); correct its name in the URL, or create it",
        PostgresFault.SCHEMA: "the store has not the schema of this release ({}); run `agenttracer migrate`",
        PostgresFault.PRIVILEGE: "this user of PostgreSQL lacks a right ({}); connect as the store's owner",
    }
)


def explain(error: BaseException) -> str:
    """One line for people: what is wrong, and what to do. It never holds the error's own text, which may hold values of rows."""
    state = sqlstate_of(error)
    code = type(error).__name__ if state is None else f"SQLSTATE {state}"
    return _EXPLANATIONS.get(fault_of(error), "PostgreSQL refused a statement ({})").format(code)


async def connect(
    dsn: str,
    *,
    application_name: str,
    search_path: str | None = None,
    settings: Mapping[str, str] = _NO_SETTINGS,
    timeout_s: float = CONNECT_TIMEOUT_S,
    command_timeout_s: float | None = None,
) -> asyncpg.Connection:
    """A new connection, which the caller closes. Raises `POSTGRES_ERRORS`.

    `settings` are further server settings of the session. `command_timeout_s` bounds a statement even while the network is
    silent.
    """
    return await asyncpg.connect(
        dsn,
        timeout=timeout_s,
        command_timeout=command_timeout_s,
        server_settings=_server_settings(application_name, search_path, settings),
    )


@asynccontextmanager
async def open_connection(
    dsn: str, *, application_name: str, search_path: str | None = None, settings: Mapping[str, str] = _NO_SETTINGS
) -> AsyncIterator[asyncpg.Connection]:
    """A connection for the length of the block. Raises as `connect` does."""
    opened = await connect(dsn, application_name=application_name, search_path=search_path, settings=settings)
    try:
        yield opened
    finally:
        await opened.close()


async def create_pool(
    dsn: str,
    *,
    application_name: str,
    search_path: str,
    settings: Mapping[str, str],
    max_size: int,
    idle_s: float,
    timeout_s: float,
) -> asyncpg.Pool:
    """A pool that connects to nothing yet, so making it works while the server is away.

    Its connections are not reset between two uses, which would cost a round trip: each use must leave nothing behind.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=max_size,
        max_inactive_connection_lifetime=idle_s,
        timeout=timeout_s,
        reset=_no_reset,
        server_settings=_server_settings(application_name, search_path, settings),
    )


async def _no_reset(_connection: asyncpg.Connection) -> None:
    """See `create_pool`."""


def _server_settings(application_name: str, search_path: str | None, settings: Mapping[str, str]) -> dict[str, str]:
    path = {} if search_path is None else {"search_path": search_path}
    return {"application_name": application_name, **path, **_COMMON_SETTINGS, **settings}
