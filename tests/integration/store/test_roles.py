"""Migrating as an owner that may not make roles, as on most managed servers."""

import asyncio
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from agenttracer_cli.admin import migrate
from agenttracer_cli.errors import SchemaError, SettingsError
from agenttracer_cli.local.infrastructure import ExistingServers, Infrastructure
from ddl.migrate import SCHEMA, migrations
from ddl.roles import SERVICE_ROLES
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
    migrate.migrate(plain_owner, report=lambda _: None)
    assert _sql(plain_owner, f"SELECT count(*) FROM {SCHEMA}.schema_migrations") == len(migrations())


def test_services_run_with_the_rights_of_their_roles(migrated_dsn: dict[str, str], tmp_path: Path) -> None:
    """Given the owner's address alone: the query service sees no row without its project, and none can make a key."""
    infrastructure = Infrastructure(tmp_path, existing=ExistingServers(postgres_dsn=migrated_dsn["owner"]), report=print)
    infrastructure.take_on_roles()
    for role in SERVICE_ROLES:
        dsn = infrastructure.service_dsn(role)
        assert _sql(dsn, "SELECT current_user") == role
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            _sql(dsn, f"DELETE FROM {SCHEMA}.api_keys")
    assert _sql(infrastructure.service_dsn("agenttracer_query"), f"SELECT count(*) FROM {SCHEMA}.runs") == 0


def test_an_owner_that_may_not_take_on_the_roles_is_told(
    plain_owner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any service is started; a role with an address of its own is not asked for."""
    migrate.migrate(plain_owner, report=lambda _: None)
    infrastructure = Infrastructure(tmp_path, existing=ExistingServers(postgres_dsn=plain_owner), report=print)
    with pytest.raises(SettingsError, match="AGENTTRACER_GATEWAY_POSTGRES_DSN, AGENTTRACER_WORKER_POSTGRES_DSN"):
        infrastructure.take_on_roles()
    for role in SERVICE_ROLES:
        monkeypatch.setenv(f"{role.upper()}_POSTGRES_DSN", plain_owner)
    infrastructure.take_on_roles()


def test_roles_that_nobody_made_are_named(plain_owner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of a bare SQLSTATE."""
    lacking = [one for one in migrations() if one.name != "roles"]
    roles = next(one for one in migrations() if one.name == "roles")
    elsewhere = type(roles)(roles.version, roles.name, roles.sql.replace("'agenttracer_", "'never_made_"), roles.checksum)
    known = sorted([*lacking, elsewhere], key=lambda one: one.version)
    monkeypatch.setattr(importlib.import_module("ddl.migrate"), "migrations", lambda: known)
    with pytest.raises(SchemaError, match="agenttracer_gateway, agenttracer_worker, agenttracer_query first"):
        migrate.migrate(plain_owner, report=lambda _: None)
    assert _sql(plain_owner, f"SELECT count(*) FROM {SCHEMA}.schema_migrations") == 1
