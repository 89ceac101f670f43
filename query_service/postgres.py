"""The connection to Postgres: a bounded pool and the one kind of transaction that reads. No statement on data lives here.

Starting needs no database: connections are opened when somebody asks. Every read is a read-only transaction on one snapshot,
in which row level security shows one project. A transaction that does not commit ends together with its connection: rolling
back would wait for a server that may have stopped answering, and a new connection costs milliseconds.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from query_service.errors import QueryTimeoutError, StoreBusyError, StoreNotReadyError, StoreUnreachableError, UnavailableError
from query_service.settings import QuerySettings
from servicekit.logs import Log, error_class
from servicekit.sql import load

SCHEMA: Final = "agenttracer"
STATEMENTS: Final = load(Path(__file__).with_name("queries.sql"))
Connection = PoolConnectionProxy
_Answer = TypeVar("_Answer")
_LOG: Final = Log("query")

_ONCE_MORE: Final = (
    # The schema was swapped or migrated under a prepared statement; new connections prepare it anew.
    asyncpg.InvalidCachedStatementError,
    # The connection died between two requests: a restart of Postgres leaves such in the pool. The internal error is what asyncpg
    # raises when the server's farewell is still unread.
    asyncpg.InternalClientError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.ConnectionFailureError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.InterfaceError,
    ConnectionResetError,
)
_UNREACHABLE: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
_NOT_READY: Final = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)


class Postgres:
    """A pool of connections as the role of the query service. Open it inside the event loop that uses it."""

    def __init__(self, settings: QuerySettings) -> None:
        self._settings = settings
        self._pool: asyncpg.Pool | None = None

    async def open(self) -> None:
        """Make the pool. Connects to nothing yet, so it works while Postgres is down."""
        settings = self._settings
        self._pool = await asyncpg.create_pool(
            settings.postgres_dsn.get_secret_value(),
            min_size=0,
            max_size=settings.pool_max,
            max_inactive_connection_lifetime=settings.pool_idle_s,
            timeout=settings.connect_timeout_s,
            reset=_nothing_to_reset,
            server_settings=_server_settings(settings),
        )

    async def close(self) -> None:
        """Give all connections back, or end them where that takes too long."""
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        try:
            await asyncio.wait_for(pool.close(), timeout=self._settings.acquire_timeout_s)
        except TimeoutError:
            pool.terminate()

    async def read(self, project: str, work: Callable[[Connection], Awaitable[_Answer]]) -> _Answer:
        """What `work` makes of one snapshot of `project`. It may run twice. Raises UnavailableError."""
        try:
            try:
                return await self._transaction(project, work)
            except _ONCE_MORE:
                await self._renew_connections()
                return await self._transaction(project, work)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
            translated = _translated(error)
            if translated is None:
                raise
            _LOG.warning(translated.error_code, error_class=error_class(error), sqlstate=getattr(error, "sqlstate", None))
            raise translated from None  # the cause's text can hold values

    async def _transaction(self, project: str, work: Callable[[Connection], Awaitable[_Answer]]) -> _Answer:
        pool, connection = await self._acquire()
        try:
            async with asyncio.timeout(self._settings.transaction_timeout_s):
                transaction = connection.transaction(isolation="repeatable_read", readonly=True)
                await transaction.start()
                await connection.fetchval(STATEMENTS["set_project"], project)
                answer = await work(connection)
                await transaction.commit()
        except BaseException:
            connection.terminate()
            raise
        finally:
            await pool.release(connection)
        return answer

    async def _renew_connections(self) -> None:
        """What befell one connection has befallen all: each is replaced when it is next asked for."""
        if self._pool is not None:
            await self._pool.expire_connections()

    async def _acquire(self) -> tuple[asyncpg.Pool, Connection]:
        pool = self._pool
        if pool is None:
            raise StoreUnreachableError
        try:
            return pool, await pool.acquire(timeout=self._settings.acquire_timeout_s)
        except TimeoutError:
            busy = pool.get_size() >= self._settings.pool_max
            raise (StoreBusyError if busy else StoreUnreachableError) from None


def _server_settings(settings: QuerySettings) -> dict[str, str]:
    return {
        "application_name": "agenttracer_query",
        "search_path": SCHEMA,
        "default_transaction_read_only": "on",
        "statement_timeout": str(round(settings.statement_timeout_s * 1000)),
        "idle_in_transaction_session_timeout": str(round(settings.transaction_timeout_s * 1000)),
        # Optional filters fold away, and partitions are pruned, only where the plan knows the values.
        "plan_cache_mode": "force_custom_plan",
        # Compiling a plan takes longer than running one of ours.
        "jit": "off",
    }


async def _nothing_to_reset(_connection: asyncpg.Connection) -> None:
    """All that a transaction sets is local to it; asyncpg's own reset would cost a round trip each time."""


def _translated(error: BaseException) -> UnavailableError | None:
    """What the client is told, or None for what only a mistake of ours can cause."""
    if isinstance(error, TimeoutError | asyncpg.QueryCanceledError):
        return QueryTimeoutError()
    if isinstance(error, _NOT_READY):
        return StoreNotReadyError()
    return StoreUnreachableError() if isinstance(error, _UNREACHABLE) else None
