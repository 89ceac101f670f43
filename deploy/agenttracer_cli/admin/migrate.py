"""Migrates the store for the command: `ddl.migrate`, with each error as one clear line."""

import asyncio
from collections.abc import Callable
from typing import Final

from agenttracer_cli.errors import SchemaError
from ddl.errors import MigrationError
from ddl.migrate import migrate as migrate_store
from ddl.roles import SERVICE_ROLES
from servicekit.postgres import POSTGRES_ERRORS, PostgresFault, explain, fault_of, sqlstate_of

_LACKS_RIGHTS: Final = (
    "this user lacks a right that a migration needs (SQLSTATE 42501), and nothing of it was kept; it must own the schema, and "
    f"where it may not make roles, have an administrator make {', '.join(SERVICE_ROLES)} first (CREATE ROLE … LOGIN)"
)


def migrate(dsn: str, *, report: Callable[[str], None]) -> None:
    """Bring the store's schema to the newest version; idempotent. Raises SchemaError."""
    try:
        asyncio.run(migrate_store(dsn, report=report))
    except MigrationError as error:
        raise SchemaError(str(error)) from error
    except POSTGRES_ERRORS as error:
        raise SchemaError(_explain(error)) from None


def _explain(error: BaseException) -> str:
    fault = fault_of(error)
    if fault is PostgresFault.PRIVILEGE:
        return _LACKS_RIGHTS
    if fault is None or fault in {PostgresFault.SCHEMA, PostgresFault.CONTENT}:  # of the migration itself
        return f"PostgreSQL refused a migration with SQLSTATE {sqlstate_of(error)}; nothing of it was kept"
    return explain(error)
