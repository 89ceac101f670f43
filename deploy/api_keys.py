"""Makes, lists and revokes API keys in the store, as its owner. What people see of it is in `command`."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

import asyncpg

from agenttracer.wire import form
from ddl.migrate import SCHEMA
from deploy.errors import KeysError
from servicekit.keys import LIVE_MAX, NewKey, Pepper, Scope, id_of, new_key
from servicekit.sql import load

_STATEMENTS: Final = load(Path(__file__).with_name("keys.sql"))
_CONNECT_TIMEOUT_S: Final = 10.0
_DELETED: Final = (
    "project {} was deleted for good, and whatever comes of it is left out; take another name "
    "(for the local stack's own project, another --state-dir)"
)
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, kw_only=True)
class Purpose:
    """What a key is for. Of one purpose two keys may live at once, for the time of a change."""

    project: str
    scopes: frozenset[Scope]
    name: str = "default"

    def __post_init__(self) -> None:
        """Raises KeysError for what is no name, or no scope at all."""
        for field, value in (("project", self.project), ("name", self.name)):
            if not form.is_name(value):
                raise KeysError(f"--{field} must be letters, digits and _.:/+- after a letter or digit, at most 64 characters")
        if not self.scopes:
            raise KeysError("a key without a scope opens nothing; give at least one --scope")

    @property
    def sorted_scopes(self) -> list[str]:
        """As the store keeps them."""
        return sorted(str(scope) for scope in self.scopes)


@dataclass(frozen=True, kw_only=True)
class ListedKey:
    """What may be shown of a key."""

    key_id: str
    project: str
    scopes: Sequence[str]
    name: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    state: str


class ApiKeys:
    """The keys of one store. Every method raises KeysError when it cannot do what it says."""

    def __init__(self, owner_dsn: str) -> None:
        self._dsn = owner_dsn

    def create(self, purpose: Purpose, *, pepper: Pepper, expires_in_days: int | None = None) -> NewKey:
        """Make a key. Refused when two for the same purpose are alive, and for a project that was deleted."""

        async def work(connection: asyncpg.Connection) -> NewKey:
            alike = (purpose.project, purpose.sorted_scopes, purpose.name, pepper.id)
            await connection.fetch(_STATEMENTS["one_maker"], purpose.project)
            if await connection.fetchval(_STATEMENTS["is_deleted"], purpose.project):
                raise KeysError(_DELETED.format(purpose.project))
            _refuse_third(purpose, await connection.fetch(_STATEMENTS["live_alike"], *alike))
            made = new_key(pepper)
            lifetime = None if expires_in_days is None else timedelta(days=expires_in_days)
            await connection.execute(
                _STATEMENTS["create_key"],
                *(made.key_id, purpose.project, purpose.sorted_scopes, purpose.name),
                *(made.secret_hash, made.pepper_id, lifetime),
            )
            return made

        return self._run(work)

    def list(self, *, project: str | None = None) -> Sequence[ListedKey]:
        """Every key there ever was, or those of one project."""

        async def work(connection: asyncpg.Connection) -> Sequence[ListedKey]:
            return [ListedKey(**row) for row in await connection.fetch(_STATEMENTS["list_keys"], project)]

        return self._run(work)

    def revoke(self, key_id: str) -> None:
        """End a key for ever. Services that can read the store refuse it within 30 s."""

        async def work(connection: asyncpg.Connection) -> bool:
            return await connection.fetchval(_STATEMENTS["revoke_key"], key_id) is not None

        if not self._run(work):
            raise KeysError("there is no key with this id; `agenttracer keys list` shows them")

    def is_live(self, text: str, *, pepper: Pepper) -> bool:
        """Whether services that have this pepper let the key in."""

        async def work(connection: asyncpg.Connection) -> bool:
            return bool(await connection.fetchval(_STATEMENTS["is_live"], id_of(text), pepper.id))

        return self._run(work)

    def replace(self, purpose: Purpose, *, pepper: Pepper) -> NewKey:
        """Make the only key of a purpose: the others are revoked."""
        others = [key for key in self.list(project=purpose.project) if key.state == "live" and key.name == purpose.name]
        for key in others:
            if set(key.scopes) == set(purpose.sorted_scopes):
                self.revoke(key.key_id)
        return self.create(purpose, pepper=pepper)

    def _run(self, work: Callable[[asyncpg.Connection], Awaitable[_Answer]]) -> _Answer:
        try:
            return asyncio.run(self._in_transaction(work))
        except asyncpg.UndefinedTableError:
            raise KeysError("the store has no table of keys yet; run `agenttracer migrate`") from None
        except asyncpg.PostgresError as error:  # its text can hold values of rows
            raise KeysError(f"PostgreSQL refused with SQLSTATE {error.sqlstate}; nothing was changed") from None
        except (OSError, asyncpg.InterfaceError) as error:
            raise KeysError(
                f"PostgreSQL cannot be reached ({type(error).__name__}); is it running? try `agenttracer up`"
            ) from None

    async def _in_transaction(self, work: Callable[[asyncpg.Connection], Awaitable[_Answer]]) -> _Answer:
        connection = await asyncpg.connect(self._dsn, timeout=_CONNECT_TIMEOUT_S, server_settings={"search_path": SCHEMA})
        try:
            async with connection.transaction():
                return await work(connection)
        finally:
            await connection.close()


def _refuse_third(purpose: Purpose, alive: Collection[asyncpg.Record]) -> None:
    if len(alive) < LIVE_MAX:
        return
    shown = ", ".join(f"{row['key_id']} ({_used(row['last_used_at'])})" for row in alive)
    # The one that nobody uses any more, and of such the older one.
    never = datetime.min.replace(tzinfo=next(iter(alive))["created_at"].tzinfo)
    idle = min(alive, key=lambda row: (row["last_used_at"] or never, row["created_at"]))["key_id"]
    raise KeysError(
        f"project {purpose.project} has two live keys named {purpose.name} for {' and '.join(purpose.sorted_scopes)}: {shown}; "
        f"revoke the one that no client uses any more (agenttracer keys revoke {idle}), or give the new one another --name"
    )


def _used(at: datetime | None) -> str:
    return "never used" if at is None else f"last used {at:%Y-%m-%d %H:%M} UTC"
