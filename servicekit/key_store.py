"""The key store on PostgreSQL: one connection, made when needed and given up at the first error. No decision about callers."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import Final, TypeVar

import asyncpg

from servicekit.keys import Caller, Scope, StoredKey
from servicekit.sql import load

STATEMENTS: Final = load(Path(__file__).with_name("keys.sql"))
_SCHEMA: Final = "agenttracer"
CONNECT_TIMEOUT_S: Final = 2.0
"""A connection takes milliseconds; longer means that the host is away."""
STATEMENT_TIMEOUT_S: Final = 5.0
"""Also holds where the network is silent. How it adds up to the 30 s of a revocation is with `key_ring.REFRESH_MAX_S`."""
_Answer = TypeVar("_Answer")


class PostgresKeys:
    """A `KeyStore` over the table `api_keys`."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection | None = None

    async def live_keys(self) -> Sequence[StoredKey]:
        """See KeyStore."""
        rows = await self._run(lambda connection: connection.fetch(STATEMENTS["live_keys"]))
        return [_key(row) for row in rows]

    async def note_use(self, key_ids: Collection[str]) -> None:
        """See KeyStore."""
        await self._run(lambda connection: connection.execute(STATEMENTS["note_use"], list(key_ids)))

    async def close(self) -> None:
        """See KeyStore."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()  # nothing is open on it, and a server that is away is not waited for

    async def _run(self, work: Callable[[asyncpg.Connection], Awaitable[_Answer]]) -> _Answer:
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._connect()
            return await work(self._connection)
        except BaseException:
            await self.close()
            raise

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            self._dsn,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=STATEMENT_TIMEOUT_S,
            server_settings={"application_name": "agenttracer_keys", "search_path": _SCHEMA, "jit": "off"},
        )


def _key(row: asyncpg.Record) -> StoredKey:
    # A newer release may have added a scope: its keys must not keep this one from reading the others.
    scopes = frozenset(scope for scope in Scope if scope in row["scopes"])
    return StoredKey(
        caller=Caller(project=row["project"], key_id=row["key_id"], scopes=scopes),
        secret_hash=row["secret_hash"],
        pepper_id=row["pepper_id"],
        expires_at=row["expires_at"],
    )
