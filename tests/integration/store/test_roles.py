"""Migrating as an owner that may not make roles, as on most managed servers."""

import asyncio
import importlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from ddl.migrate import SCHEMA, migrations
from deploy import schema
from deploy.errors import SchemaError
from tests.support.stacks import Stack


def _sql(dsn: str, statement: str) -> Any:
    async def work() -> Any:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(work())


@pytest.fixture
def plain_owner(stack: Stack, migrated_dsn: dict[str, str], database: str) -> Iterator[str]:
    """Of an empty database, in a cluster that has the services' roles."""
    assert migrated_dsn
    name, owner = f"{database}_plain", f"plain_{database}"
    stack.create_database(name)
    admin = stack.dsn(database=name, role="agenttracer_owner")
    _sql(admin, f"CREATE ROLE {owner} LOGIN PASSWORD 'plain'")
    _sql(admin, f"GRANT CREATE ON DATABASE {name} TO {owner}")
    parts = urlsplit(admin)
    yield parts._replace(netloc=f"{owner}:plain@{parts.hostname}:{parts.port}").geturl()
    _sql(admin, f"DROP OWNED BY {owner} CASCADE")
    _sql(admin, f"DROP ROLE {owner}")


def test_who_may_not_make_roles_migrates_once_they_are_there(plain_owner: str) -> None:
    """Roles belong to the cluster: an administrator may have made them."""
    assert _sql(plain_owner, "SELECT rolcreaterole FROM pg_roles WHERE rolname = current_user") is False
    schema.migrate(plain_owner, report=lambda _: None)
    assert _sql(plain_owner, f"SELECT count(*) FROM {SCHEMA}.schema_migrations") == len(migrations())


def test_roles_that_nobody_made_are_named(plain_owner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of a bare SQLSTATE."""
    lacking = [one for one in migrations() if one.name != "roles"]
    roles = next(one for one in migrations() if one.name == "roles")
    elsewhere = type(roles)(roles.version, roles.name, roles.sql.replace("'agenttracer_", "'never_made_"), roles.checksum)
    known = sorted([*lacking, elsewhere], key=lambda one: one.version)
    monkeypatch.setattr(importlib.import_module("ddl.migrate"), "migrations", lambda: known)
    with pytest.raises(SchemaError, match="agenttracer_gateway, agenttracer_worker, agenttracer_query first"):
        schema.migrate(plain_owner, report=lambda _: None)
    assert _sql(plain_owner, f"SELECT count(*) FROM {SCHEMA}.schema_migrations") == 1
