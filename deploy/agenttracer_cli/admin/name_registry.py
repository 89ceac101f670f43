"""The registry of names in the store, as its owner: what a project allows, and whether it is closed. Nothing is printed here."""

import asyncio
import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

import asyncpg

from agenttracer.rules.names.fit import content_rule
from agenttracer.rules.names.pseudonyms import Pseudonyms, key_id, project_key
from agenttracer.wire import form
from agenttracer_cli.errors import NamesError
from ddl.migrate import SCHEMA
from servicekit.postgres import POSTGRES_ERRORS, explain, open_connection
from servicekit.sql import load

_STATEMENTS: Final = load(Path(__file__).with_name("names.sql"))
NAMES_MAX: Final = 10_000
"""Of one project: gateways and readers hold them in memory."""
NAME_MAX_CHARS: Final = 256
_STEPS_MAX: Final = 100_000
_SEEN_MAX: Final = 5_000
_FORMULA: Final = ("=", "+", "-", "@", "~")
"""Beginnings that a spreadsheet takes for a formula, and that of pseudonyms."""
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class AllowedName:
    """A name, and one of the pseudonyms that stand for it."""

    name: str
    pseudonym: str
    of_pseudonym: bool
    """It is made of the name's pseudonym, and not of the name."""
    name_key_id: str
    allowed_at: datetime


@dataclass(frozen=True, kw_only=True)
class SeenName:
    """A name that the store has."""

    kind: str
    name: str
    times: int


class ProjectNames:
    """The registry of one project. Every method raises NamesError on failure."""

    def __init__(self, owner_dsn: str, project: str) -> None:
        if not form.is_name(project):
            raise NamesError("--project must be letters, digits and _.:/+- after a letter or digit, at most 64 characters")
        self._dsn = owner_dsn
        self._project = project

    def allow(self, names: Sequence[str], *, name_key: str) -> int:
        """Allow these. Returns how many the project did not have yet under this key."""
        shown = [_shown(name) for name in names]
        rows, second = _rows(shown, Pseudonyms(project_key(name_key, self._project).encode()))

        async def work(connection: asyncpg.Connection) -> int:
            await connection.fetchval(*_STATEMENTS["change_mode"].bind(project=self._project, closed=None))
            before = {row["pseudonym"]: row["name"] for row in await self._rows(connection)}
            if any(before.get(pseudonym, name) != name for pseudonym, name in rows.items()):
                raise NamesError("one of these names has the pseudonym of another one that is allowed; nothing was changed")
            given = {"pseudonyms": list(rows), "names": list(rows.values()), "of_pseudonyms": [each in second for each in rows]}
            await connection.execute(*_STATEMENTS["allow"].bind(project=self._project, name_key_id=key_id(name_key), **given))
            if await connection.fetchval(*_STATEMENTS["count_names"].bind(project=self._project)) > NAMES_MAX:
                raise NamesError(f"a project allows at most {NAMES_MAX} names; nothing was changed")
            return len({name for pseudonym, name in rows.items() if pseudonym not in before})

        return self._run(work)

    def forget(self, names: Sequence[str]) -> int:
        """Take these back. Returns how many there were."""
        shown = [_shown(name) for name in names]

        async def work(connection: asyncpg.Connection) -> int:
            await connection.fetchval(*_STATEMENTS["change_mode"].bind(project=self._project, closed=None))
            return int(await connection.fetchval(*_STATEMENTS["forget"].bind(project=self._project, names=shown)))

        return self._run(work)

    def set_closed(self, *, closed: bool) -> None:
        """Close the project, or open it."""
        self._run(lambda connection: connection.fetchval(*_STATEMENTS["change_mode"].bind(project=self._project, closed=closed)))

    def is_closed(self) -> bool:
        """Whether it is closed."""
        return bool(self._run(lambda connection: connection.fetchval(*_STATEMENTS["mode"].bind(project=self._project))))

    def list(self) -> Sequence[AllowedName]:
        """All that is allowed."""

        async def work(connection: asyncpg.Connection) -> Sequence[AllowedName]:
            return [AllowedName(**row) for row in await self._rows(connection)]

        return self._run(work)

    def seen(self, *, days: int) -> Sequence[SeenName]:
        """The names that the store has of the last days, as many as a person reads."""
        bounds = {"since": datetime.now(UTC) - timedelta(days=days), "steps_max": _STEPS_MAX, "names_max": _SEEN_MAX}

        async def work(connection: asyncpg.Connection) -> Sequence[SeenName]:
            rows = await connection.fetch(*_STATEMENTS["seen_names"].bind(project=self._project, **bounds))
            return [SeenName(**row) for row in rows]

        return self._run(work)

    async def _rows(self, connection: asyncpg.Connection) -> Sequence[asyncpg.Record]:
        return await connection.fetch(*_STATEMENTS["list_names"].bind(project=self._project))

    def _run(self, work: Callable[[asyncpg.Connection], Awaitable[_T]]) -> _T:
        try:
            return asyncio.run(self._in_transaction(work))
        except POSTGRES_ERRORS as error:
            raise NamesError(explain(error)) from None

    async def _in_transaction(self, work: Callable[[asyncpg.Connection], Awaitable[_T]]) -> _T:
        async with (
            open_connection(self._dsn, application_name="agenttracer-names-admin", search_path=SCHEMA) as connection,
            connection.transaction(),
        ):
            return await work(connection)


def _shown(name: str) -> str:
    """The name as it is compared and shown. Raises NamesError for what can be none; it is not repeated."""
    plain = " ".join(unicodedata.normalize("NFC", name).split())
    if not plain or len(plain) > NAME_MAX_CHARS or not plain.isprintable() or plain.startswith(_FORMULA):
        raise NamesError(
            f"a name has 1 to {NAME_MAX_CHARS} printable characters and does not begin with = + - @ or ~; nothing was changed"
        )
    if (rule := content_rule(plain)) is not None:
        raise NamesError(f"one of these is no name (rule {rule}): services would not let it through; nothing was changed")
    return plain


def _rows(names: Sequence[str], pseudonyms: Pseudonyms) -> tuple[dict[str, str], frozenset[str]]:
    """Pseudonym to name, and which are made of pseudonyms: in a closed project those of a sender have become others."""
    first = {pseudonyms.of(name): name for name in names}
    second = {pseudonyms.of(pseudonym): name for pseudonym, name in first.items()}
    return first | second, frozenset(second)
