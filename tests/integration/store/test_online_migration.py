"""Migrations that make indexes of large tables while others read and write: `-- online` at the head of the file."""

import asyncio
from importlib import import_module

import asyncpg
import pytest

from ddl.migrate import SCHEMA, migrate
from ddl.migration import Migration, migrations
from tests.support.stacks import Stack

_MIGRATE = import_module("ddl.migrate")  # the package's attribute of that name is the function
_ONE = "CREATE INDEX CONCURRENTLY IF NOT EXISTS runs_one ON runs (project, emitted)"
_TWO = "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS runs_two ON runs (project)"


def _release(monkeypatch: pytest.MonkeyPatch, *statements: str) -> None:
    """A release with one more migration, which is online."""
    text = "-- online\n" + ";\n".join(statements) + ";\n"
    known = [*migrations(), Migration(version=9_000, name="indexes", sql=text, checksum="x")]
    monkeypatch.setattr(_MIGRATE, "migrations", lambda: known)


async def _indexes(dsn: str) -> dict[str, bool]:
    """The indexes of the new migration, and whether each is valid."""
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch(
        "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
        "WHERE relname IN ('runs_one', 'runs_two') AND relnamespace = $1::regnamespace",
        SCHEMA,
    )
    await connection.close()
    return {row["relname"]: row["indisvalid"] for row in rows}


_ROW = (
    "INSERT INTO runs (project, run_id, identity_rank, agent, agent_version, first_event_at, last_event_at, last_received_at, "
    "silent_after, step_count, error_step_count, failure_count, recorded_failure_count) "
    "VALUES ('p', gen_random_uuid(), 0, 'a', '1', now(), now(), now(), now(), 0, 0, 0, 0)"
)


def test_an_index_is_made_beside_writers(migrated_dsn: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker writes while the index is being made, which waits for a transaction that began before; nobody waits for it."""
    _release(monkeypatch, _ONE)

    async def work() -> None:
        older, worker, onlooker = [
            await asyncpg.connect(migrated_dsn[role], server_settings={"search_path": SCHEMA})
            for role in ("owner", "worker", "owner")
        ]
        await older.execute("BEGIN")
        await older.execute(_ROW)
        migrating = asyncio.create_task(migrate(migrated_dsn["owner"]))
        waits = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%CREATE INDEX%' AND wait_event_type = 'Lock'"
        deadline = asyncio.get_running_loop().time() + 20
        while not await onlooker.fetchval(waits):
            assert asyncio.get_running_loop().time() < deadline, "the index does not wait"
            await asyncio.sleep(0.02)
        await worker.execute("SET statement_timeout = 5000")
        await worker.execute(_ROW)
        assert not migrating.done()
        await older.execute("COMMIT")
        await migrating
        for connection in (older, worker, onlooker):
            await connection.close()

    asyncio.run(work())
    assert asyncio.run(_indexes(migrated_dsn["owner"])) == {"runs_one": True}


def test_an_index_that_was_left_half_made_is_made_anew(migrated_dsn: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call fails at the second index: what it finished stays, and the next call makes the rest, valid."""
    _release(monkeypatch, _ONE, _TWO)

    async def work() -> None:
        owner = await asyncpg.connect(migrated_dsn["owner"], server_settings={"search_path": SCHEMA})
        await owner.execute(f"{_ROW}; {_ROW}")
        with pytest.raises(asyncpg.UniqueViolationError):
            await migrate(migrated_dsn["owner"])
        assert await _indexes(migrated_dsn["owner"]) == {"runs_one": True, "runs_two": False}
        await owner.execute("DELETE FROM runs")
        await owner.close()
        await migrate(migrated_dsn["owner"])

    asyncio.run(work())
    assert asyncio.run(_indexes(migrated_dsn["owner"])) == {"runs_one": True, "runs_two": True}


def test_two_migrators_make_an_index_once(migrated_dsn: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that waits for the other is none of the transactions that its index waits for."""
    _release(monkeypatch, _ONE)

    async def race() -> None:
        async with asyncio.timeout(30):
            await asyncio.gather(*(migrate(migrated_dsn["owner"]) for _ in range(3)))

    asyncio.run(race())
    assert asyncio.run(_indexes(migrated_dsn["owner"])) == {"runs_one": True}


def test_a_new_schema_waits_for_nobody(stack: Stack, database: str) -> None:
    """Its indexes are made in a transaction, since nobody uses it: no reader that began before holds it up."""

    async def work() -> None:
        dsn = stack.dsn(database=database, role="agenttracer_owner")
        reader = await asyncpg.connect(dsn, server_settings={"search_path": SCHEMA})
        await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        await reader.fetch("SELECT 1 FROM runs")
        async with asyncio.timeout(30):
            await migrate(dsn, schema="another")
        await reader.close()

    asyncio.run(work())


@pytest.mark.parametrize("migration", [one for one in migrations() if one.online], ids=lambda one: one.name)
def test_an_online_migration_only_makes_and_drops_indexes(migration: Migration) -> None:
    """Each of its statements can be repeated, and needs no transaction."""
    for statement in migration.statements:
        assert _MIGRATE._INDEX.search(statement), statement
