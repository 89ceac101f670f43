"""The connection to Postgres: a bounded pool and the one kind of transaction that reads. No statement on data lives here.

One project never has more than half of the pool, and readiness has a connection of its own: that many ask does not mean that
the service cannot answer.

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
from query_service.turns import Turns
from servicekit.logs import Log, error_class
from servicekit.sql import load

SCHEMA: Final = "agenttracer"
STATEMENTS: Final = load(Path(__file__).with_name("queries.sql"))
Connection = PoolConnectionProxy
_Answer = TypeVar("_Answer")
_NO_PROJECT: Final = ""
"""Shows no row under row level security."""
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
        self._probe_pool: asyncpg.Pool | None = None
        self._probing: asyncio.Task[None] | None = None
        self._turns = Turns(at_once=max(1, settings.pool_max // 2), wait_s=settings.acquire_timeout_s)

    async def open(self) -> None:
        """Make the pools. Connects to nothing yet, so it works while Postgres is down."""
        self._pool = await self._made(self._settings.pool_max)
        self._probe_pool = await self._made(1)

    async def close(self) -> None:
        """Give all connections back, or end them where that takes too long."""
        pools = (self._pool, self._probe_pool)
        self._pool = self._probe_pool = None
        for pool in pools:
            if pool is not None:
                try:
                    await asyncio.wait_for(pool.close(), timeout=self._settings.acquire_timeout_s)
                except TimeoutError:
                    pool.terminate()

    async def read(self, project: str, work: Callable[[Connection], Awaitable[_Answer]]) -> _Answer:
        """What `work` makes of one snapshot of `project`. It may run twice. Raises UnavailableError."""
        async with self._turns.turn(project):
            return await self._read(self._pool, project, work)

    async def probe(self, work: Callable[[Connection], Awaitable[None]]) -> None:
        """Do `work` on the one connection that no question takes. Who comes meanwhile shares its end. Raises UnavailableError."""
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._read(self._probe_pool, _NO_PROJECT, work))
        await asyncio.shield(self._probing)

    async def _made(self, size: int) -> asyncpg.Pool:
        settings = self._settings
        return await asyncpg.create_pool(
            settings.postgres_dsn.get_secret_value(),
            min_size=0,
            max_size=size,
            max_inactive_connection_lifetime=settings.pool_idle_s,
            timeout=settings.connect_timeout_s,
            reset=_nothing_to_reset,
            server_settings=_server_settings(settings),
        )

    async def _read(self, pool: asyncpg.Pool | None, project: str, work: Callable[[Connection], Awaitable[_Answer]]) -> _Answer:
        if pool is None:
            raise StoreUnreachableError
        try:
            try:
                return await self._transaction(pool, project, work)
            except _ONCE_MORE:
                await pool.expire_connections()  # what befell one has befallen all: each is replaced when it is next asked for
                return await self._transaction(pool, project, work)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
            translated = _translated(error)
            if translated is None:
                raise
            _LOG.warning(translated.error_code, error_class=error_class(error), sqlstate=getattr(error, "sqlstate", None))
            raise translated from None  # the cause's text can hold values

    async def _transaction(self, pool: asyncpg.Pool, project: str, work: Callable[[Connection], Awaitable[_Answer]]) -> _Answer:
        connection = await self._acquire(pool)
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

    async def _acquire(self, pool: asyncpg.Pool) -> Connection:
        try:
            return await pool.acquire(timeout=self._settings.acquire_timeout_s)
        except TimeoutError:
            raise (StoreBusyError if pool.get_size() >= pool.get_max_size() else StoreUnreachableError) from None


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
