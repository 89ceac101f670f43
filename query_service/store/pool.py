"""The connections to PostgreSQL: a bounded pool, and the one kind of transaction that reads. No statement on data lives here.

One project never has more than half of the pool, and the readiness probe has a connection of its own: many open requests do not
make the service unready.

Starting needs no database: a connection is opened when a request needs it. Every read is a read-only transaction on one snapshot,
in which row level security shows one project. A transaction that does not commit ends together with its connection: rolling
back would wait for a server that may have stopped answering, and a new connection costs milliseconds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from query_service.errors import QueryTimeoutError, StoreBusyError, StoreNotReadyError, StoreUnreachableError
from query_service.settings import QuerySettings
from query_service.store.project_limit import ProjectLimit
from servicekit.http.errors import UnavailableError
from servicekit.logs import Log, error_class
from servicekit.postgres import (
    ACCESS,
    POSTGRES_ERRORS,
    STALE_CONNECTION,
    TRANSIENT,
    PostgresFault,
    create_pool,
    fault_of,
    sqlstate_of,
)
from servicekit.sql import Statement, load

SCHEMA: Final = "agenttracer"
STATEMENTS: Final[Mapping[str, Statement]] = {
    name: statement
    for file in ("queries", "failures", "tree", "scan", "contrast")
    for name, statement in load(Path(__file__).with_name(f"{file}.sql")).items()
}
"""No two have the same name: a test holds that."""
Connection = PoolConnectionProxy
_Answer = TypeVar("_Answer")
NO_PROJECT: Final = ""
"""Shows no row under row level security."""
_LOG: Final = Log("query")


class PostgresPool:
    """A pool of connections as the role of the query service. Open it inside the event loop that uses it."""

    def __init__(self, settings: QuerySettings) -> None:
        self._settings = settings
        self._pool: asyncpg.Pool | None = None
        self._probe_pool: asyncpg.Pool | None = None
        self._probing: asyncio.Task[None] | None = None
        self._limit = ProjectLimit(at_once=max(1, settings.pool_max // 2), wait_s=settings.acquire_timeout_s)

    async def open(self) -> None:
        """Make the pools. Connects to nothing yet, so it works while PostgreSQL is down."""
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
        """The result of `work` on one snapshot of `project`. `work` may run twice. Raises UnavailableError."""
        async with self._limit.slot(project):
            return await self._read(self._pool, project, work)

    async def probe(self, work: Callable[[Connection], Awaitable[None]]) -> None:
        """Do `work` on the connection that no request uses. Calls meanwhile share its result. Raises UnavailableError."""
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._read(self._probe_pool, NO_PROJECT, work))
        await asyncio.shield(self._probing)

    async def _made(self, size: int) -> asyncpg.Pool:
        settings = self._settings
        return await create_pool(
            settings.postgres_dsn.get_secret_value(),
            application_name="agenttracer-query",
            search_path=SCHEMA,
            settings=_server_settings(settings),
            max_size=size,
            idle_s=settings.pool_idle_s,
            timeout_s=settings.connect_timeout_s,
        )

    async def _read(self, pool: asyncpg.Pool | None, project: str, work: Callable[[Connection], Awaitable[_Answer]]) -> _Answer:
        if pool is None:
            raise StoreUnreachableError
        try:
            try:
                return await self._transaction(pool, project, work)
            except STALE_CONNECTION:
                await pool.expire_connections()  # all of them are stale then: each is replaced when it is next used
                return await self._transaction(pool, project, work)
        except POSTGRES_ERRORS as error:
            unavailable = _unavailable(error)
            if unavailable is None:
                raise
            _LOG.warning(
                unavailable.error_code, reason=fault_of(error), error_class=error_class(error), sqlstate=sqlstate_of(error)
            )
            raise unavailable from None  # the cause's text can hold values

    async def _transaction(self, pool: asyncpg.Pool, project: str, work: Callable[[Connection], Awaitable[_Answer]]) -> _Answer:
        connection = await self._acquire(pool)
        try:
            async with asyncio.timeout(self._settings.transaction_timeout_s):
                transaction = connection.transaction(isolation="repeatable_read", readonly=True)
                await transaction.start()
                await connection.execute(f"SET LOCAL agenttracer.project = {_literal(project)}")
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


def bound(name: str, values: Mapping[str, object]) -> tuple[Any, ...]:
    """A statement with those of the values that it has: filters that were not given are none of its own."""
    statement = STATEMENTS[name]
    return statement.bind(**{one: values[one] for one in statement.parameters})


def _literal(text: str) -> str:
    """A text as SQL, since SET takes no parameters. Correct whatever `standard_conforming_strings` is."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _server_settings(settings: QuerySettings) -> dict[str, str]:
    return {
        "default_transaction_read_only": "on",
        "statement_timeout": str(round(settings.statement_timeout_s * 1000)),
        "idle_in_transaction_session_timeout": str(round(settings.transaction_timeout_s * 1000)),
        # Optional filters fold away, and partitions are pruned, only where the plan knows the values.
        "plan_cache_mode": "force_custom_plan",
    }


def _unavailable(error: BaseException) -> UnavailableError | None:
    """The error that the client gets; None for what only a mistake of ours can cause."""
    fault = fault_of(error)
    if fault is PostgresFault.TIMEOUT:
        return QueryTimeoutError()
    if fault in ACCESS:
        return StoreNotReadyError()
    # A read-only session of ours that is asked to write is a mistake of ours.
    return StoreUnreachableError() if fault in TRANSIENT - {PostgresFault.READ_ONLY} else None
