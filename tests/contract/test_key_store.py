"""What a key store promises: one suite on the one in memory and on PostgreSQL."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Protocol

import asyncpg
import pytest

from agenttracer_cli.admin.api_keys import ApiKeys, Purpose
from agenttracer_cli.admin.audit import read_entries
from ddl.audit import AuditAction
from ddl.migrate import SCHEMA
from servicekit import kept_connection
from servicekit.auth.key_cache import KeyStore
from servicekit.auth.key_store import STATEMENTS, PostgresKeys
from servicekit.auth.keys import Caller, Scope, id_of, recognise
from servicekit.auth.refusals import Refusal, RefusalReason
from servicekit.testing import PEPPER, MemoryKeys

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Place(Protocol):
    """A store, and the other side of it."""

    store: KeyStore

    async def create(self, *scopes: Scope, project: str) -> str: ...

    async def revoke(self, text: str) -> None: ...

    async def expire(self, text: str) -> None: ...

    async def refused(self) -> dict[Refusal, int]: ...


class InMemory:
    def __init__(self) -> None:
        self.store = self.keys = MemoryKeys()

    async def create(self, *scopes: Scope, project: str) -> str:
        return self.keys.create(*scopes, project=project, expires_at=time.time() + 3_600)

    async def revoke(self, text: str) -> None:
        self.keys.revoke(text)

    async def expire(self, text: str) -> None:
        key = self.keys.keys[id_of(text) or ""]
        object.__setattr__(key, "expires_at", time.time() - 1)

    async def refused(self) -> dict[Refusal, int]:
        return dict(self.keys.refused)


class OnPostgres:
    def __init__(self, dsns: dict[str, str]) -> None:
        self.store = PostgresKeys(dsns["gateway"])
        self._owner = dsns["owner"]
        self._keys = ApiKeys(self._owner)

    async def create(self, *scopes: Scope, project: str) -> str:
        purpose = Purpose(project=project, scopes=frozenset(scopes))
        return (await asyncio.to_thread(self._keys.create, purpose, pepper=PEPPER, expires_in_days=1)).text

    async def revoke(self, text: str) -> None:
        await asyncio.to_thread(self._keys.revoke, id_of(text) or "")

    async def expire(self, text: str) -> None:
        await self.execute("UPDATE api_keys SET expires_at = now() WHERE key_id = $1", id_of(text))

    async def refused(self) -> dict[Refusal, int]:
        entries = await read_entries(self._owner, project=None, action=AuditAction.KEY_REFUSED, since=None, limit=100)
        assert all(entry.role == "agenttracer_gateway" for entry in entries)
        return {(RefusalReason(entry.reason or ""), entry.key_id): entry.number for entry in entries}

    async def execute(self, statement: str, *values: object) -> None:
        connection = await asyncpg.connect(self._owner, server_settings={"search_path": SCHEMA})
        await connection.execute(statement, *values)
        await connection.close()


@pytest.fixture(params=["memory", "postgres"])
def dsns(request: pytest.FixtureRequest) -> dict[str, str] | None:
    """Of a fresh database, None for the store in memory. Not async: migrating runs a loop of its own."""
    found: dict[str, str] | None = request.getfixturevalue("migrated_dsn") if request.param == "postgres" else None
    return found


@pytest.fixture
async def place(dsns: dict[str, str] | None) -> AsyncIterator[Place]:
    made: Place = InMemory() if dsns is None else OnPostgres(dsns)
    yield made
    await made.store.close()


async def test_live_keys_come_whole(place: Place) -> None:
    """Project, scopes and hash: what is needed to recognise the key, and nothing that makes one."""
    assert await place.store.live_keys() == []
    text = await place.create(Scope.READ, Scope.INGEST, project="shop")
    (key,) = await place.store.live_keys()
    assert key.caller == Caller(project="shop", key_id=id_of(text) or "", scopes=frozenset({Scope.INGEST, Scope.READ}))
    assert key.pepper_id == PEPPER.id
    assert key.expires_at is not None
    assert recognise(text, {key.caller.key_id: key}, peppers=[PEPPER], now=time.time()) == key.caller
    assert recognise(text, {key.caller.key_id: key}, peppers=[PEPPER], now=key.expires_at) is None


async def test_refusals_are_stored_with_their_number(place: Place) -> None:
    """By reason and key, also of no key."""
    told: dict[Refusal, int] = {(RefusalReason.WRONG_SCOPE, "abcdefghijkl"): 3, (RefusalReason.UNKNOWN, None): 70_000}
    await place.store.note_refusals(told)
    assert await place.refused() == told


async def test_dead_keys_do_not_come(place: Place) -> None:
    """Revoked or expired, the others stay."""
    revoked, expired, live = [await place.create(Scope.READ, project=name) for name in "abc"]
    await place.revoke(revoked)
    await place.expire(expired)
    assert [key.caller.key_id for key in await place.store.live_keys()] == [id_of(live)]


@pytest.mark.parametrize("name", sorted(STATEMENTS))
async def test_every_statement_is_prepared_by_both_roles(migrated_dsn: dict[str, str], name: str) -> None:
    """Every name exists, every right is granted."""
    for role in ("gateway", "query"):
        connection = await asyncpg.connect(migrated_dsn[role], server_settings={"search_path": SCHEMA})
        await connection.prepare(STATEMENTS[name].text)
        await connection.close()


async def test_use_is_noted_once_a_minute_by_many(migrated_dsn: dict[str, str]) -> None:
    """Several processes at once: one write, no waiting for each other, and none within the minute."""
    place = OnPostgres(migrated_dsn)
    text = await place.create(Scope.READ, project="shop")
    key_id = id_of(text) or ""
    stores = [PostgresKeys(migrated_dsn["gateway"]) for _ in range(4)]
    owner = await asyncpg.connect(migrated_dsn["owner"], server_settings={"search_path": SCHEMA})

    async def written() -> tuple[object, int]:
        row = await owner.fetchrow("SELECT last_used_at, xmin::text::bigint AS version FROM api_keys WHERE key_id = $1", key_id)
        return row["last_used_at"], row["version"]

    await asyncio.gather(*(store.note_use([key_id, "unknown"]) for store in stores))
    first = await written()
    assert first[0] is not None
    await asyncio.gather(*(store.note_use([key_id]) for store in stores))
    assert await written() == first
    async with owner.transaction():
        await owner.execute("UPDATE api_keys SET last_used_at = now() - interval '61 seconds' WHERE key_id = $1", key_id)
        await asyncio.wait_for(stores[0].note_use([key_id]), timeout=30)  # its row is locked: left for the next time
    await stores[0].note_use([key_id])
    assert await written() != first
    for store in stores:
        await store.close()
    await owner.close()


async def test_no_question_lasts_for_ever(migrated_dsn: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement that gets no answer is given up at its timeout: on that the time rests in which a revocation takes effect."""
    monkeypatch.setattr(kept_connection, "STATEMENT_TIMEOUT_S", 0.2)
    store = PostgresKeys(migrated_dsn["gateway"])
    owner = await asyncpg.connect(migrated_dsn["owner"], server_settings={"search_path": SCHEMA})
    async with owner.transaction():
        await owner.execute("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
        for question in (store.live_keys, partial(store.note_use, ["unknown"])):
            async with asyncio.timeout(10):
                with pytest.raises(TimeoutError):
                    await question()
    assert await store.live_keys() == []
    await store.close()
    await owner.close()


async def test_a_lost_connection_is_replaced(migrated_dsn: dict[str, str]) -> None:
    """Whether or not a question meets the end of its connection, the one after it is answered."""
    place = OnPostgres(migrated_dsn)
    for _ in range(3):
        assert await place.store.live_keys() == []
        await place.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'agenttracer-keys'"
        )
        with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
            await place.store.live_keys()
    assert await place.store.live_keys() == []
    await place.store.close()
