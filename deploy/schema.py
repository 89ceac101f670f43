"""Migrates the store for the command line: `ddl.migrate` with errors that are one clear line."""

import asyncio
from collections.abc import Callable
from typing import Final

import asyncpg

from ddl.errors import MigrationError
from ddl.migrate import migrate as migrate_store
from deploy.errors import SchemaError
from deploy.local_stack.postgres import SERVICE_ROLES

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
    except asyncpg.InsufficientPrivilegeError:
        raise SchemaError(_LACKS_RIGHTS) from None
    except asyncpg.PostgresError as error:  # its text can hold values of rows
        raise SchemaError(f"PostgreSQL refused a migration with SQLSTATE {error.sqlstate}; nothing of it was kept") from None
    except (OSError, asyncpg.InterfaceError) as error:
        raise SchemaError(
            f"PostgreSQL cannot be reached ({type(error).__name__}); is it running, and is the URL right?"
        ) from None
