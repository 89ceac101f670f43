"""The names that a project allows, by pseudonym and the other way round. Held for some seconds, and longer without the store."""

import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from query_service.store.pool import Connection, PostgresPool
from servicekit.http.errors import UnavailableError
from servicekit.sql import load

STATEMENTS: Final = load(Path(__file__).with_name("names.sql"))
HELD_S: Final = 5.0
"""An answer shows a name that was allowed so long ago at the latest."""
_PROJECTS_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class ShownNames:
    """The names of one project."""

    by_pseudonym: Mapping[str, str] = field(default_factory=dict)
    pseudonyms: Mapping[str, str] = field(default_factory=dict)
    """By name: the pseudonym that it has now."""


class NameSource(Protocol):
    """Where the layer over the routes has names from."""

    async def of(self, project: str) -> ShownNames:
        """Those of a project. Raises nothing: without an answer pseudonyms are shown as they are."""


class NoNames:
    """A source without any."""

    async def of(self, _project: str) -> ShownNames:
        """See NameSource."""
        return ShownNames()


class PostgresNames:
    """A `NameSource` over the table `allowed_names`. One event loop owns it."""

    def __init__(self, postgres: PostgresPool, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._postgres = postgres
        self._clock_s = clock_s
        self._held: OrderedDict[str, tuple[float, ShownNames]] = OrderedDict()

    async def of(self, project: str) -> ShownNames:
        """See NameSource."""
        now = self._clock_s()
        until, names = self._held.get(project, (now, ShownNames()))
        if now < until:
            return names
        with contextlib.suppress(UnavailableError):  # the question itself says so, if it needs the store
            names = await self._read(project)
        self._held[project] = (now + HELD_S, names)
        self._held.move_to_end(project)
        if len(self._held) > _PROJECTS_MAX:
            self._held.popitem(last=False)
        return names

    async def _read(self, project: str) -> ShownNames:
        statement = STATEMENTS["shown_names"].bind(project=project)

        async def work(connection: Connection) -> ShownNames:
            rows = await connection.fetch(*statement)
            return ShownNames(
                {row["pseudonym"]: row["name"] for row in rows},
                {row["name"]: row["pseudonym"] for row in rows if not row["of_pseudonym"]},
            )

        return await self._postgres.read(project, work)
