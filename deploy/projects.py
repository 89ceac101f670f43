"""Whether a store knows a project, so that a typing error does not pass for one. Read as the store's owner."""

from pathlib import Path
from typing import Final

import asyncpg

from ddl.migrate import SCHEMA
from deploy.errors import ProjectError
from servicekit.sql import load

_STATEMENTS: Final = load(Path(__file__).with_name("projects.sql"))


async def refuse_unknown_project(dsn: str, project: str, *, schema: str = SCHEMA) -> None:
    """Raises ProjectError where the store has nothing of it; and asyncpg's errors."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": schema})
    try:
        known = await connection.fetchval(_STATEMENTS["is_known"], project)
    finally:
        await connection.close()
    if not known:
        raise ProjectError("the store has no run, key, retention or deletion of this project; if the name is right, say --force")
