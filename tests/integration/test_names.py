"""The registry of names on PostgreSQL: written by the command alone, read by gateways, carried over and deleted like keys."""

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from agenttracer.rules.names.pseudonyms import Pseudonyms, key_id, project_key
from agenttracer_cli.admin.name_registry import ProjectNames
from agenttracer_cli.app import app as command
from agenttracer_cli.errors import NamesError
from ddl.migrate import SCHEMA
from producer_gateway.names.registry import STATEMENTS, NameRegistry, PostgresRegistry
from servicekit.logs import Log
from stream_workers.pipeline.decode import canonical_json
from stream_workers.store.batch import Received, Topic, make_batch
from stream_workers.store.postgres import PostgresStore
from tests.support.traffic import Traffic

NAME_KEY = "n" * 32


def _registry(dsn: str) -> NameRegistry:
    return NameRegistry(PostgresRegistry(dsn), refresh_s=60, stale_max_s=60, log=Log("test"))


def _as(dsn: str, statement: str) -> Any:
    async def work() -> Any:
        connection = await asyncpg.connect(dsn, server_settings={"search_path": SCHEMA})
        try:
            return await connection.fetch(statement)
        finally:
            await connection.close()

    return asyncio.run(work())


def test_a_gateway_knows_closed_projects_and_what_they_allow(migrated_dsn: dict[str, str]) -> None:
    """By the number of the last change: allowed, taken back, closed, opened. Open projects are not held in memory."""
    shop, bank = (ProjectNames(migrated_dsn["owner"], project) for project in ("shop", "bank"))
    ours = Pseudonyms(project_key(NAME_KEY, "shop").encode())
    assert shop.allow(["lookup", "Küche leeren"], name_key=NAME_KEY) == 2
    assert shop.allow(["lookup", "refund"], name_key=NAME_KEY) == 1
    bank.allow(["lookup"], name_key=NAME_KEY)

    async def work() -> None:
        registry = _registry(migrated_dsn["gateway"])
        assert registry.unready() == "names_unavailable"
        await registry.refresh()
        assert (registry.unready(), registry.allowed("shop")) == (None, None)
        await asyncio.to_thread(shop.set_closed, closed=True)
        await registry.refresh()
        allowed = registry.allowed("shop")
        assert allowed is not None
        assert {"lookup", "refund", "Küche leeren", ours.of("Küche leeren"), ours.of(ours.of("lookup"))} <= allowed
        assert registry.allowed("bank") is None
        await asyncio.to_thread(shop.forget, ["lookup", "refund", "never"])
        await registry.refresh()
        assert registry.allowed("shop") == {"Küche leeren", ours.of("Küche leeren"), ours.of(ours.of("Küche leeren"))}
        await registry.refresh()
        assert "Küche leeren" in (registry.allowed("shop") or ())
        await asyncio.to_thread(shop.set_closed, closed=False)
        await registry.refresh()
        assert registry.allowed("shop") is None
        await registry.close()

    asyncio.run(work())
    assert [each.name_key_id for each in shop.list()] == [key_id(NAME_KEY)] * 2
    shop.allow(["Küche leeren"], name_key="m" * 32)
    assert len({each.pseudonym for each in shop.list()}) == 4, "under both keys, so that what is stored stays known"


def test_a_registry_that_is_away_serves_on(migrated_dsn: dict[str, str]) -> None:
    """What was closed stays closed, as long as keys serve."""
    ProjectNames(migrated_dsn["owner"], "shop").set_closed(closed=True)

    async def work() -> None:
        now = [0.0]
        store = PostgresRegistry(migrated_dsn["gateway"])
        registry = NameRegistry(store, refresh_s=60, stale_max_s=60, log=Log("test"), monotonic=lambda: now[0])
        await registry.refresh()
        _ = await asyncio.to_thread(_as, migrated_dsn["owner"], "REVOKE SELECT ON name_modes FROM agenttracer_gateway")
        now[0] = 59.0
        await registry.refresh()
        assert (registry.unready(), registry.allowed("shop")) == (None, frozenset())
        now[0] = 61.0
        assert registry.unready() == "names_unavailable"
        await registry.close()

    asyncio.run(work())


@pytest.mark.parametrize(
    "name", ["", "  ", "=SUM(A1)", "~0123456789", "a\u202eb", "x" * 257, "4111111111111111", "jane@example.com"]
)
def test_what_is_no_name_is_not_allowed(migrated_dsn: dict[str, str], name: str) -> None:
    """And not repeated. Nothing is changed."""
    shop = ProjectNames(migrated_dsn["owner"], "shop")
    with pytest.raises(NamesError, match="nothing was changed") as refused:
        shop.allow(["good", name], name_key=NAME_KEY)
    assert not name.strip() or name not in str(refused.value)
    assert shop.list() == []


@pytest.mark.parametrize("role", ["gateway", "query", "worker"])
def test_no_service_writes_the_registry(migrated_dsn: dict[str, str], role: str) -> None:
    """The gateway reads both tables, the query service the names of the project that it answers for, the worker neither."""
    for project in ("shop", "bank"):
        ProjectNames(migrated_dsn["owner"], project).allow(["lookup"], name_key=NAME_KEY)
    for statement in ("INSERT INTO name_modes VALUES ('x')", "UPDATE name_modes SET closed = false", "DELETE FROM allowed_names"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            _as(migrated_dsn[role], statement)
    if role == "gateway":
        assert len(_as(migrated_dsn[role], "SELECT 1 FROM allowed_names")) == 4
        for each in STATEMENTS.values():
            _as(migrated_dsn[role], f"PREPARE one AS {each.text}")
    elif role == "query":
        assert _as(migrated_dsn[role], "SELECT 1 FROM allowed_names") == []
    else:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            _as(migrated_dsn[role], "SELECT 1 FROM allowed_names")


def test_the_command_lists_what_was_seen_and_takes_it_back_in(migrated_dsn: dict[str, str], tmp_path: Path) -> None:
    """Names of steps, agents, versions, labels, keys, errors and codes; a list that was printed can be read again."""
    where = ["--project", "default", "--state-dir", str(tmp_path)]

    def run(*arguments: str, said: str | None = None, key: str | None = NAME_KEY) -> str:
        environment = {"AGENTTRACER_GATEWAY_NAME_KEY": key or "", "AGENTTRACER_POSTGRES_DSN": migrated_dsn["owner"]}
        done = CliRunner(env=environment).invoke(command, ["names", *arguments, *where], input=said, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    traffic = Traffic(5)
    records = traffic.records(traffic.runs(20))

    async def fill() -> None:
        batch = make_batch([Received(0, at, 100, None, record, None) for at, record in enumerate(records)], canonical_json)
        store = PostgresStore(migrated_dsn["worker"], transaction_timeout_s=30)
        await store.save(Topic("t", uuid.UUID(int=3)), batch)
        await store.close()

    asyncio.run(fill())
    seen = json.loads(run("list", "--seen", "--days", "3650", "--json"))
    assert {each["kind"] for each in seen} >= {"step", "agent", "version"}
    steps = sorted(each["name"] for each in seen if each["kind"] == "step")
    run("allow", "--from", "-", said="\n".join(steps))
    assert run("list").split("\n")[:-1] == steps
    run("allow", "--from", "-", said=run("list"), key="m" * 32)
    whole = json.loads(run("list", "--json"))
    assert (whole["closed"], len(whole["names"])) == (False, 4 * len(steps))
    with pytest.raises(NamesError, match="AGENTTRACER_GATEWAY_NAME_KEY"):
        run("close", key=None)
    run("close")
    assert json.loads(run("list", "--json"))["closed"] is True
