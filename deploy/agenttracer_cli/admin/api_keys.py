"""Makes, lists and revokes API keys in the store, as its owner. Nothing is printed here."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

import asyncpg

from agenttracer.wire import form
from agenttracer_cli.errors import KeysError
from ddl.audit import AuditAction
from ddl.migrate import SCHEMA
from servicekit.auth.keys import LIVE_MAX, NewKey, Pepper, Scope, id_of, new_key
from servicekit.postgres import POSTGRES_ERRORS, explain, open_connection
from servicekit.sql import load

_STATEMENTS: Final = load(Path(__file__).with_name("keys.sql"))
_DELETED: Final = (
    "project {} was deleted for good, and whatever comes of it is left out; take another name "
    "(for the local stack's own project, another --state-dir)"
)
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Purpose:
    """Project, scopes and name of a key. Two keys with the same purpose may be live at once, so that clients can change over."""

    project: str
    scopes: frozenset[Scope]
    name: str = "default"

    def __post_init__(self) -> None:
        """Raises KeysError for a malformed name, or without a scope."""
        for field, value in (("project", self.project), ("name", self.name)):
            if not form.is_name(value):
                raise KeysError(f"--{field} must be letters, digits and _.:/+- after a letter or digit, at most 64 characters")
        if not self.scopes:
            raise KeysError("a key needs at least one --scope")

    @property
    def sorted_scopes(self) -> list[str]:
        """The order in which the store keeps scopes."""
        return sorted(str(scope) for scope in self.scopes)


@dataclass(frozen=True, kw_only=True)
class ListedKey:
    """A key without its secret."""

    key_id: str
    project: str
    scopes: Sequence[str]
    name: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    state: str


class ApiKeys:
    """The keys of one store. Every method raises KeysError on failure."""

    def __init__(self, owner_dsn: str) -> None:
        self._dsn = owner_dsn

    def create(self, purpose: Purpose, *, pepper: Pepper, expires_in_days: int | None = None) -> NewKey:
        """Make a key. Raises KeysError also if two keys of the same purpose are live, and for a deleted project."""

        async def work(connection: asyncpg.Connection) -> NewKey:
            alike = {"project": purpose.project, "scopes": purpose.sorted_scopes, "name": purpose.name, "pepper_id": pepper.id}
            await connection.fetch(*_STATEMENTS["one_maker"].bind(project=purpose.project))
            if await connection.fetchval(*_STATEMENTS["is_deleted"].bind(project=purpose.project)):
                raise KeysError(_DELETED.format(purpose.project))
            _refuse_third(purpose, await connection.fetch(*_STATEMENTS["live_alike"].bind(**alike)))
            made = new_key(pepper)
            lifetime = None if expires_in_days is None else timedelta(days=expires_in_days)
            values = {**alike, "key_id": made.key_id, "secret_hash": made.secret_hash, "lifetime": lifetime}
            await connection.execute(*_STATEMENTS["create_key"].bind(**values))
            await connection.execute(*_STATEMENTS["audit"].bind(action=AuditAction.KEY_CREATED, key_id=made.key_id))
            return made

        return self._run(work)

    def list(self, *, project: str | None = None, peppers: Collection[Pepper] = ()) -> Sequence[ListedKey]:
        """Every key there ever was, or those of one project. Given the services' peppers, keys under others are not live."""
        pepper_ids = [pepper.id for pepper in peppers] or None
        statement = _STATEMENTS["list_keys"].bind(project=project, pepper_ids=pepper_ids)

        async def work(connection: asyncpg.Connection) -> Sequence[ListedKey]:
            return [ListedKey(**row) for row in await connection.fetch(*statement)]

        return self._run(work)

    def revoke(self, key_id: str) -> None:
        """Revoke a key for ever. Services that can read the store refuse it within 30 s."""

        async def work(connection: asyncpg.Connection) -> bool:
            now_revoked = await connection.fetchval(*_STATEMENTS["revoke_key"].bind(key_id=key_id))
            if now_revoked:
                await connection.execute(*_STATEMENTS["audit"].bind(action=AuditAction.KEY_REVOKED, key_id=key_id))
            return now_revoked is not None

        if not self._run(work):
            raise KeysError("there is no key with this id; `agenttracer keys list` shows them")

    def is_live(self, text: str, *, pepper: Pepper) -> bool:
        """Whether services with this pepper accept the key."""

        async def work(connection: asyncpg.Connection) -> bool:
            return bool(await connection.fetchval(*_STATEMENTS["is_live"].bind(key_id=id_of(text), pepper_id=pepper.id)))

        return self._run(work)

    def replace(self, purpose: Purpose, *, pepper: Pepper) -> NewKey:
        """Make the only key of a purpose: the others are revoked."""
        others = [key for key in self.list(project=purpose.project) if key.state == "live" and key.name == purpose.name]
        for key in others:
            if set(key.scopes) == set(purpose.sorted_scopes):
                self.revoke(key.key_id)
        return self.create(purpose, pepper=pepper)

    def _run(self, work: Callable[[asyncpg.Connection], Awaitable[_T]]) -> _T:
        try:
            return asyncio.run(self._in_transaction(work))
        except POSTGRES_ERRORS as error:
            raise KeysError(explain(error)) from None

    async def _in_transaction(self, work: Callable[[asyncpg.Connection], Awaitable[_T]]) -> _T:
        async with (
            open_connection(self._dsn, application_name="agenttracer-keys-admin", search_path=SCHEMA) as connection,
            connection.transaction(),
        ):
            return await work(connection)


def _refuse_third(purpose: Purpose, alive: Collection[asyncpg.Record]) -> None:
    if len(alive) < LIVE_MAX:
        return
    shown = ", ".join(f"{row['key_id']} ({_used(row['last_used_at'])})" for row in alive)
    # The one that was unused for longest; of two unused ones the older one.
    never = datetime.min.replace(tzinfo=next(iter(alive))["created_at"].tzinfo)
    idle = min(alive, key=lambda row: (row["last_used_at"] or never, row["created_at"]))["key_id"]
    raise KeysError(
        f"project {purpose.project} has two live keys named {purpose.name} for {' and '.join(purpose.sorted_scopes)}: {shown}; "
        f"revoke the one that no client uses any more (agenttracer keys revoke {idle}), or give the new one another --name"
    )


def _used(at: datetime | None) -> str:
    return "never used" if at is None else f"last used {at:%Y-%m-%d %H:%M} UTC"
