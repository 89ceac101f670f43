"""Reads from the store, as its owner, which projects and runs it knows and for how long projects keep their runs."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple, TypeVar
from uuid import UUID

import asyncpg

from agenttracer_cli.errors import ProjectError
from ddl.migrate import SCHEMA
from servicekit.postgres import open_connection
from servicekit.sql import load

_STATEMENTS: Final = load(Path(__file__).with_name("projects.sql"))
_T = TypeVar("_T")


class ProjectRetention(NamedTuple):
    """For how many days a project keeps its runs, and its statistics; None: for ever."""

    project: str
    days: int | None
    statistics_days: int | None


async def refuse_unknown_project(dsn: str, project: str, *, schema: str = SCHEMA) -> None:
    """Guard against a misspelt name. Raises ProjectError if the store has nothing of the project, and asyncpg's errors."""
    if not await _read(dsn, schema, lambda connection: connection.fetchval(*_STATEMENTS["is_known"].bind(project=project))):
        raise ProjectError("the store has no run, key, retention or deletion of this project; if the name is right, say --force")


async def refuse_unknown_run(dsn: str, project: str, run_id: UUID, *, schema: str = SCHEMA) -> None:
    """Guard against a wrong id. Raises ProjectError if the store has nothing of the run, and asyncpg's errors."""
    statement = _STATEMENTS["is_known_run"].bind(project=project, run_id=run_id)
    if not await _read(dsn, schema, lambda connection: connection.fetchval(*statement)):
        raise ProjectError(
            "the store has no such run in this project, so nothing was removed; if both are right and events of the run are "
            "still on their way, say --force"
        )


async def list_retention(dsn: str, *, schema: str = SCHEMA) -> list[ProjectRetention]:
    """Every project that does not keep its runs for ever. Raises asyncpg's errors."""
    rows = await _read(dsn, schema, lambda connection: connection.fetch(*_STATEMENTS["list_retention"].bind()))
    return [ProjectRetention(**row) for row in rows]


async def _read(dsn: str, schema: str, read: Callable[[asyncpg.Connection], Awaitable[_T]]) -> _T:
    async with open_connection(dsn, application_name="agenttracer-projects", search_path=schema) as connection:
        return await read(connection)
