"""The store's schema: migrations, what they add up to, and its agreement with the Python vocabulary."""

import asyncio
import re
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import ddl
from agenttracer.wire.vocabulary import DropReason, FailureType, RunEnd, StepKind, StepStatus
from ddl.audit import AuditAction
from ddl.errors import ChangedMigrationError, HeldTableError, NewerStoreError
from ddl.migrate import SCHEMA, Migration, migrate, migrations
from servicekit.auth.keys import Scope
from stream_workers.core.histogram import latency_bucket
from tests.support.stacks import Stack

_MIGRATE = import_module("ddl.migrate")  # the package's attribute of that name is the function
_CATALOG = {
    "columns": "SELECT table_name, column_name, data_type, is_nullable, collation_name, column_default, generation_expression "
    "FROM information_schema.columns WHERE table_schema = $1",
    "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = $1::regnamespace",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = $1",
    "functions": "SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = $1::regnamespace",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = $1",
    "policies": "SELECT tablename, policyname, roles::text, cmd, qual, with_check FROM pg_policies WHERE schemaname = $1",
    "grants": "SELECT grantee, table_name, privilege_type FROM information_schema.role_table_grants WHERE table_schema = $1",
    "column_grants": "SELECT grantee, table_name, column_name, privilege_type FROM information_schema.role_column_grants "
    "WHERE table_schema = $1",
    "tables": "SELECT relname, relkind::text, relrowsecurity, reloptions::text, pg_get_expr(relpartbound, oid), "
    "pg_get_partkeydef(oid) FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p', 'v')",
}


async def _catalog(dsn: str) -> dict[str, list[tuple[Any, ...]]]:
    connection = await asyncpg.connect(dsn)
    try:
        return {
            name: sorted((tuple(row) for row in await connection.fetch(query, SCHEMA)), key=repr)
            for name, query in _CATALOG.items()
        }
    finally:
        await connection.close()


def _empty_database(stack: Stack, name: str) -> str:
    stack.create_database(name)
    return stack.dsn(database=name, role="agenttracer_owner")


def test_schema_sql_is_what_the_migrations_add_up_to(stack: Stack, migrated_dsn: dict[str, str], database: str) -> None:
    """The two catalogs are equal but for the migrations' own record. `make schema` makes the file anew."""
    other = _empty_database(stack, f"{database}_schema")

    async def load() -> None:
        connection = await asyncpg.connect(other)
        await connection.execute((Path(ddl.__file__).parent / "schema.sql").read_text(encoding="utf-8"))
        await connection.close()

    asyncio.run(load())
    assert asyncio.run(_catalog(other)) == asyncio.run(_catalog(migrated_dsn["owner"]))


def test_migrating_twice_and_from_two_processes_at_once_is_migrating_once(stack: Stack, database: str) -> None:
    """Four migrators at the same empty database: each migration is applied once, nobody fails."""
    dsn = _empty_database(stack, f"{database}_race")

    async def race() -> int:
        await asyncio.gather(*(migrate(dsn) for _ in range(4)))
        connection = await asyncpg.connect(dsn)
        count = await connection.fetchval(f"SELECT count(*) FROM {SCHEMA}.schema_migrations")
        await connection.close()
        return int(count)

    assert asyncio.run(race()) == len(migrations())


async def _add_a_column(dsn: str, monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    """Migrates to a release that changes a table which everybody reads."""
    new = Migration(version=9_000, name="one_more", sql="ALTER TABLE runs ADD COLUMN one_more integer", checksum="x")
    known = [*migrations(), new]
    monkeypatch.setattr(_MIGRATE, "migrations", lambda: known)
    await migrate(dsn, report=said.append)


def test_a_migration_lets_readers_go_first(migrated_dsn: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """While a reader holds the table the others read on between two tries; once it has ended the migration is applied."""
    monkeypatch.setattr(_MIGRATE, "_LOCK_TIMEOUT_MS", 100)
    monkeypatch.setattr(_MIGRATE, "_PAUSE_S", 0.05)
    monkeypatch.setattr(_MIGRATE, "_TRIES", 1_000)
    said: list[str] = []

    async def work() -> None:
        reader = await asyncpg.connect(migrated_dsn["owner"])
        await reader.execute(f"BEGIN; SELECT FROM {SCHEMA}.runs LIMIT 1")
        migrating = asyncio.create_task(_add_a_column(migrated_dsn["owner"], monkeypatch, said))
        deadline = time.monotonic() + 20
        while not said:
            assert time.monotonic() < deadline, "it waits for ever"
            await asyncio.sleep(0.02)
        await _execute(migrated_dsn["owner"], "SET statement_timeout = 5000; SELECT FROM runs LIMIT 1")
        assert not migrating.done()
        await reader.close()
        await migrating

    asyncio.run(work())
    assert [line.partition(":")[0] for line in said] == [
        "migration 9000 one_more waits",
        "applied migration 9000 one_more",
        f"schema {SCHEMA} is at version 9000",
    ]


def test_a_table_that_is_held_for_long_is_an_error_and_nothing_is_applied(
    migrated_dsn: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says which migration and what to do."""
    monkeypatch.setattr(_MIGRATE, "_LOCK_TIMEOUT_MS", 50)
    monkeypatch.setattr(_MIGRATE, "_PAUSE_S", 0.01)
    monkeypatch.setattr(_MIGRATE, "_TRIES", 3)

    async def work() -> int:
        reader = await asyncpg.connect(migrated_dsn["owner"])
        await reader.execute(f"BEGIN; SELECT FROM {SCHEMA}.runs LIMIT 1")
        with pytest.raises(HeldTableError, match=r"9000 one_more was not applied.*quieter hour"):
            await _add_a_column(migrated_dsn["owner"], monkeypatch, [])
        count = await reader.fetchval(f"SELECT count(*) FROM {SCHEMA}.schema_migrations WHERE version = 9000")
        await reader.close()
        return int(count)

    assert asyncio.run(work()) == 0


def test_an_edited_migration_is_refused(migrated_dsn: dict[str, str]) -> None:
    """A checksum that differs from what was applied stops the migrator before anything is touched."""
    asyncio.run(_execute(migrated_dsn["owner"], "UPDATE schema_migrations SET checksum = 'other' WHERE version = 1"))
    with pytest.raises(ChangedMigrationError, match="0001"):
        asyncio.run(migrate(migrated_dsn["owner"]))


def test_a_store_of_a_newer_release_is_refused(migrated_dsn: dict[str, str]) -> None:
    """A migration that this release does not know means that it is the older one."""
    asyncio.run(_execute(migrated_dsn["owner"], "INSERT INTO schema_migrations VALUES (9999, 'future', 'x')"))
    with pytest.raises(NewerStoreError, match="9999"):
        asyncio.run(migrate(migrated_dsn["owner"]))


@pytest.mark.parametrize(
    ("constraint", "vocabulary"),
    [
        ("runs_end_status_check", RunEnd),
        ("steps_kind_check", StepKind),
        ("steps_status_check", StepStatus),
        ("failures_failure_type_check", FailureType),
        ("declared_losses_reason_check", DropReason),
        ("api_keys_scopes_check", Scope),
        ("audit_log_action_check", AuditAction),
    ],
)
def test_a_check_allows_exactly_the_vocabulary(migrated_dsn: dict[str, str], constraint: str, vocabulary: Any) -> None:
    """Each closed set stands once in Python and once in SQL; the two are the same set."""

    async def definition() -> str:
        connection = await asyncpg.connect(migrated_dsn["owner"])
        text = await connection.fetchval(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = $1 AND connamespace = $2::regnamespace "
            "ORDER BY conrelid LIMIT 1",
            constraint,
            SCHEMA,
        )
        await connection.close()
        return str(text)

    assert set(re.findall(r"'([a-z_]+)'", asyncio.run(definition()))) == set(vocabulary)


def test_latency_buckets_are_the_same_in_sql_and_python(migrated_dsn: dict[str, str]) -> None:
    """At every power of two and around it."""
    values = sorted({max(0, 2**power + delta) for power in range(45) for delta in (-1, 0, 1, 3)})

    async def buckets() -> list[int]:
        connection = await asyncpg.connect(migrated_dsn["owner"], server_settings={"search_path": SCHEMA})
        query = "SELECT latency_bucket(us) AS b FROM unnest($1::bigint[]) WITH ORDINALITY AS v (us, n) ORDER BY n"
        rows = await connection.fetch(query, values)
        await connection.close()
        return [row["b"] for row in rows]

    assert asyncio.run(buckets()) == [latency_bucket(value) for value in values]


def test_rows_of_a_day_without_partition_move_when_it_gets_one(migrated_dsn: dict[str, str]) -> None:
    """A step that went to the default partition is in its day's partition afterwards, once."""

    async def moved() -> tuple[int, int]:
        connection = await asyncpg.connect(migrated_dsn["owner"], server_settings={"search_path": SCHEMA})
        await connection.execute(
            "INSERT INTO steps (project, run_id, step_id, started_at, duration_us, seq, latency_bucket, attempt, kind, name, "
            "status, agent, agent_version) VALUES ('p', gen_random_uuid(), 's', '2026-05-05 12:00Z', 1, 1, 1, 1, 'tool', 'n', "
            "'ok', 'a', '1')"
        )
        await connection.execute("SELECT ensure_steps_partition('2026-05-05')")
        await connection.execute("SELECT ensure_steps_partition('2026-05-05')")
        counts = (
            await connection.fetchval("SELECT count(*) FROM steps_default"),
            await connection.fetchval("SELECT count(*) FROM steps_20260505"),
        )
        await connection.close()
        return counts

    assert asyncio.run(moved()) == (0, 1)


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn, server_settings={"search_path": SCHEMA})
    await connection.execute(statement)
    await connection.close()
