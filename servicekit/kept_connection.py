"""One connection to PostgreSQL, opened when needed and closed at the first error: for small reads in the background."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg

from servicekit.postgres import connect

_SCHEMA: Final = "agenttracer"
CONNECT_TIMEOUT_S: Final = 2.0
"""A connection takes milliseconds; longer means that the host is away."""
STATEMENT_TIMEOUT_S: Final = 5.0
"""It holds even while the network is silent. `auth.key_cache.REFRESH_MAX_S` says how it adds up to the 30 s of a revocation."""
_Answer = TypeVar("_Answer")


class KeptConnection:
    """A connection that lives from one use to the next."""

    def __init__(self, dsn: str, *, application_name: str) -> None:
        self._dsn = dsn
        self._application_name = application_name
        self._connection: asyncpg.Connection | None = None

    async def run(self, work: Callable[[asyncpg.Connection], Awaitable[_Answer]]) -> _Answer:
        """The answer of `work`. Raises its error, after which the connection is closed."""
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._connect()
            return await work(self._connection)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Raises nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()  # nothing is open on it, and a server that is away is not waited for

    async def _connect(self) -> asyncpg.Connection:
        return await connect(
            self._dsn,
            application_name=self._application_name,
            search_path=_SCHEMA,
            timeout_s=CONNECT_TIMEOUT_S,
            command_timeout_s=STATEMENT_TIMEOUT_S,
        )
