"""Lets the owner of an existing store take on the roles of the services, which run with these rights and no more."""

import asyncio
from collections.abc import Sequence

import asyncpg

from agenttracer_cli.errors import SettingsError
from servicekit.postgres import POSTGRES_ERRORS, explain, open_connection


def take_on_roles(owner_dsn: str, roles: Sequence[str], *, variables: Sequence[str]) -> None:
    """Grant the owner the roles that it may not take on yet, where it may do that. Raises SettingsError."""
    try:
        asyncio.run(_take_on(owner_dsn, roles))
    except asyncpg.InsufficientPrivilegeError:
        raise SettingsError(
            f"this user may not take on the services' roles, and services never run with the rights of the schema's owner; set "
            f"{', '.join(variables)}, or have an administrator GRANT it {', '.join(roles)}"
        ) from None
    except POSTGRES_ERRORS as error:
        raise SettingsError(explain(error)) from None


async def _take_on(owner_dsn: str, roles: Sequence[str]) -> None:
    async with open_connection(owner_dsn, application_name="agenttracer-roles") as connection:
        for role in roles:
            if not await connection.fetchval("SELECT pg_has_role(session_user, $1, 'SET')", role):
                await connection.execute(f'GRANT "{role}" TO SESSION_USER WITH SET TRUE')  # names of our own
