"""Which projects are closed, and what is allowed in them, held in memory and read again like API keys: no request waits for it.

While the store is away the last snapshot serves on, as long as keys do. Without any snapshot nothing is taken: a project that
is closed must not be open for the first seconds of a process.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final, Protocol

from servicekit.kept_connection import KeptConnection
from servicekit.logs import Log, error_class
from servicekit.sql import load

STATEMENTS: Final = load(Path(__file__).with_name("registry.sql"))
_AWAY: Final = "names_away"


class AllowedNames(Protocol):
    """What the judge of names asks. Neither question takes time."""

    async def start(self) -> None:
        """Before the first question."""

    async def close(self) -> None:
        """After the last."""

    def allowed(self, project: str) -> AbstractSet[str] | None:
        """The names that a closed project allows; None for an open one. Call it only when ready."""

    def unready(self) -> str | None:
        """None while it is known, else a code that says why names cannot be judged."""


class OpenProjects:
    """Every project is open: of a process without a store."""

    async def start(self) -> None:
        """See AllowedNames."""

    async def close(self) -> None:
        """See AllowedNames."""

    def allowed(self, _project: str) -> None:
        """See AllowedNames."""

    def unready(self) -> None:
        """See AllowedNames."""


class RegistryStore(Protocol):
    """A store of the registry. Both methods are bounded in time, and raise any error when they cannot answer."""

    async def closed_projects(self) -> Mapping[str, int]:
        """The closed projects, each with the number of its last change."""

    async def allowed(self, projects: Collection[str]) -> Mapping[str, AbstractSet[str]]:
        """The names that these projects allow."""

    async def close(self) -> None:
        """Close connections. Raises nothing."""


class PostgresRegistry:
    """A `RegistryStore` over the tables `name_modes` and `allowed_names`."""

    def __init__(self, dsn: str) -> None:
        self._connection = KeptConnection(dsn, application_name="agenttracer-names")

    async def closed_projects(self) -> Mapping[str, int]:
        """See RegistryStore."""
        statement = STATEMENTS["closed_projects"].bind()
        rows = await self._connection.run(lambda connection: connection.fetch(*statement))
        return {row["project"]: row["revision"] for row in rows}

    async def allowed(self, projects: Collection[str]) -> Mapping[str, AbstractSet[str]]:
        """See RegistryStore."""
        statement = STATEMENTS["allowed_names"].bind(projects=list(projects))
        found: dict[str, set[str]] = {project: set() for project in projects}
        for row in await self._connection.run(lambda connection: connection.fetch(*statement)):
            found[row["project"]].update((row["name"], row["pseudonym"]))
        return found

    async def close(self) -> None:
        """See RegistryStore."""
        await self._connection.close()


class NameRegistry:
    """A snapshot, renewed every `refresh_s` seconds and good for `stale_max_s`. One event loop owns it."""

    def __init__(
        self,
        store: RegistryStore,
        *,
        refresh_s: float,
        stale_max_s: float,
        log: Log,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._refresh_s = refresh_s
        self._stale_max_s = stale_max_s
        self._log = log
        self._monotonic = monotonic
        self._revisions: Mapping[str, int] = {}
        self._allowed: Mapping[str, AbstractSet[str]] = {}
        self._loaded_at: float | None = None
        self._trouble: str | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load, or fail within the store's own limits; then keep it fresh."""
        await self.refresh()
        self._task = asyncio.create_task(self._keep_fresh())

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._store.close()

    def allowed(self, project: str) -> AbstractSet[str] | None:
        """See AllowedNames."""
        return self._allowed.get(project)

    def unready(self) -> str | None:
        """See AllowedNames."""
        fresh = self._loaded_at is not None and self._monotonic() - self._loaded_at <= self._stale_max_s
        return None if fresh else "names_unavailable"

    async def refresh(self) -> None:
        """Load what has changed. Raises nothing: a failure is logged once and tried again."""
        began = self._monotonic()
        try:
            revisions = await self._store.closed_projects()
            changed = [project for project, revision in revisions.items() if self._revisions.get(project) != revision]
            found = await self._store.allowed(changed) if changed else {}
        except Exception as error:  # noqa: BLE001 - whatever keeps the store from answering, the last snapshot serves on
            if self._trouble != error_class(error):
                self._trouble = error_class(error)
                self._log.warning(_AWAY, error_class=self._trouble)
            return
        self._trouble = None
        self._allowed = {project: found[project] if project in found else self._allowed[project] for project in revisions}
        self._revisions, self._loaded_at = revisions, began

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(self._refresh_s)
            await self.refresh()
