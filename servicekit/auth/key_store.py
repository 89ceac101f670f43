"""The key store on PostgreSQL. No decision about callers."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import asyncpg

from servicekit.auth.keys import Caller, Scope, StoredKey
from servicekit.auth.refusals import Refusal
from servicekit.kept_connection import KeptConnection
from servicekit.sql import load

STATEMENTS: Final = load(Path(__file__).with_name("keys.sql"))


class PostgresKeys:
    """A `KeyStore` over the table `api_keys`."""

    def __init__(self, dsn: str) -> None:
        self._connection = KeptConnection(dsn, application_name="agenttracer-keys")

    async def live_keys(self) -> Sequence[StoredKey]:
        """See KeyStore."""
        rows = await self._connection.run(lambda connection: connection.fetch(*STATEMENTS["live_keys"].bind()))
        return [_key(row) for row in rows]

    async def note_use(self, key_ids: Collection[str]) -> None:
        """See KeyStore."""
        statement = STATEMENTS["note_use"].bind(key_ids=list(key_ids))
        await self._connection.run(lambda connection: connection.execute(*statement))

    async def note_refusals(self, refused: Mapping[Refusal, int]) -> None:
        """See KeyStore."""
        reasons, key_ids = ([one[place] for one in refused] for place in range(2))
        statement = STATEMENTS["note_refusals"].bind(key_ids=key_ids, reasons=reasons, numbers=list(refused.values()))
        await self._connection.run(lambda connection: connection.execute(*statement))

    async def close(self) -> None:
        """See KeyStore."""
        await self._connection.close()


def _key(row: asyncpg.Record) -> StoredKey:
    # A newer release may have added a scope: its keys must not keep this one from reading the others.
    scopes = frozenset(scope for scope in Scope if scope in row["scopes"])
    return StoredKey(
        caller=Caller(project=row["project"], key_id=row["key_id"], scopes=scopes),
        secret_hash=row["secret_hash"],
        pepper_id=row["pepper_id"],
        expires_at=row["expires_at"],
    )
