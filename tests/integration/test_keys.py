"""API keys on the real thing: made by the command, used over HTTP, noted, rotated, revoked; and an outage of their store."""

import asyncio
import json
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import asyncpg
import httpx
import pytest
from typer.testing import CliRunner, Result

from agenttracer_cli.app import app as command
from agenttracer_cli.errors import DeployError
from agenttracer_cli.local import services
from ddl.migrate import SCHEMA
from producer_gateway.events.run_document import MINIMAL_EXAMPLE
from servicekit.auth.keys import id_of
from tests.support.pipeline import Pipeline
from tests.support.stacks import Stack, until

REVOKED_WITHIN_S = 30.0
UNKNOWN = "atk_" + "0" * 12 + "_" + "0" * 48
Keys = Callable[..., Result]


@pytest.fixture
def pipeline(stack: Stack) -> Iterator[Pipeline]:
    running = Pipeline(stack)
    yield running
    running.close()


@pytest.fixture
def keys(pipeline: Pipeline) -> Keys:
    """`agenttracer keys …` as a user types it, on the pipeline's store and with its pepper."""
    _ = pipeline.pepper
    dsn = pipeline.stack.dsn(database=pipeline.database, role="agenttracer_owner")
    where = ["--state-dir", str(pipeline.state_dir)]

    def run(*arguments: str) -> Result:
        return CliRunner(env={"AGENTTRACER_POSTGRES_DSN": dsn}).invoke(command, ["keys", *arguments, *where])

    return run


def made(keys: Keys, *arguments: str) -> str:
    """The key that `create` prints, and nothing else on standard output."""
    result = keys("create", *arguments)
    assert result.exit_code == 0, result.output
    text = result.stdout.strip()
    assert id_of(text)
    return text


def listed(keys: Keys, text: str) -> dict[str, Any]:
    """What `list` says of a key."""
    result = keys("list", "--json")
    assert text not in result.output
    (found,) = [key for key in json.loads(result.stdout) if key["key_id"] == id_of(text)]
    assert not any(text.rpartition("_")[2] in str(value) for value in found.values())
    return dict(found)


def send(gateway: services.Service, key: str, run_id: str | None = None) -> httpx.Response:
    document = {**MINIMAL_EXAMPLE, "run_id": run_id or str(uuid.uuid4())}
    return httpx.post(f"{gateway.url}/v1/runs", json=document, headers={"x-api-key": key}, timeout=10)


def read(query: services.Service, path: str, key: str) -> httpx.Response:
    return httpx.get(f"{query.url}{path}", headers={"authorization": f"Bearer {key}"}, timeout=10)


def test_a_key_from_its_making_to_its_end(pipeline: Pipeline, keys: Keys) -> None:
    """Made while the services run it opens, its use is noted, and revoked it is refused in time, as if it had never been."""
    gateway, query = pipeline.gateway(), pipeline.query()
    ingest = made(keys, "--project", "shop", "--scope", "ingest", "--name", "checkout", "--expires-in-days", "9")
    reader = made(keys, "--project", "shop", "--scope", "read")
    assert listed(keys, ingest)["last_used_at"] is None
    soon = partial(until, timeout_s=REVOKED_WITHIN_S, every_s=0.2)
    soon(lambda: send(gateway, ingest).status_code == 202, what="a new key opens the gateway")
    soon(lambda: read(query, "/v1/runs", reader).status_code == 200, what="a new key opens the query service")
    assert send(gateway, reader).status_code == read(query, "/v1/runs", ingest).status_code == 403
    for text in (ingest, reader):
        soon(lambda text=text: listed(keys, text)["last_used_at"], what="its use is noted")

    for text, ask in ((ingest, partial(send, gateway)), (reader, partial(read, query, "/v1/runs"))):
        assert keys("revoke", str(id_of(text))).exit_code == 0
        soon(lambda text=text, ask=ask: ask(text).status_code == 401, what="a revoked key is refused")
        revoked, unknown = ask(text), ask(UNKNOWN)
        assert revoked.content == unknown.content
        assert {**revoked.headers, "date": ""} == {**unknown.headers, "date": ""}
        assert listed(keys, text)["state"] == "revoked"
    for text in (ingest, reader):
        for service in (gateway, query):
            assert text.rpartition("_")[2] not in service.log.read_text()


def test_a_deleted_project_loses_its_keys_and_gets_no_new_ones(pipeline: Pipeline, keys: Keys) -> None:
    """`delete project` says how many; a running gateway refuses them in time, lets other projects in, and none can be made."""
    gateway = pipeline.gateway()
    gone, stays = (made(keys, "--project", project, "--scope", "ingest") for project in ("shop", "bank"))
    made(keys, "--project", "shop", "--scope", "read")
    soon = partial(until, timeout_s=REVOKED_WITHIN_S, every_s=0.2)
    soon(lambda: send(gateway, gone).status_code == send(gateway, stays).status_code == 202, what="both open the gateway")
    delete = ["delete", "project", "shop", "--yes", "--state-dir", str(pipeline.state_dir)]
    dsn = pipeline.stack.dsn(database=pipeline.database, role="agenttracer_owner")
    runner = CliRunner(env={"AGENTTRACER_POSTGRES_DSN": dsn})
    done = runner.invoke(command, delete)
    assert done.exit_code == 0, done.output
    assert "2 API keys revoked" in done.output
    soon(lambda: send(gateway, gone).status_code == 401, what="a deleted project's key is refused")
    assert send(gateway, stays).status_code == 202
    listing = keys("list", "--json")
    assert {(key["project"], key["state"]) for key in json.loads(listing.stdout)} >= {("shop", "revoked"), ("bank", "live")}
    assert ("shop", "live") not in {(key["project"], key["state"]) for key in json.loads(listing.stdout)}
    refused = keys("create", "--project", "shop", "--scope", "ingest")
    assert isinstance(refused.exception, DeployError)
    assert "deleted for good" in str(refused.exception)
    again = runner.invoke(command, delete)
    assert "0 API keys revoked" in again.output


def test_two_keys_live_to_change_over(pipeline: Pipeline, keys: Keys) -> None:
    """Both open; a third of the same purpose is refused by name of the idle one, and made once that is revoked."""
    purpose = ("--project", "shop", "--scope", "ingest")
    old = made(keys, *purpose)
    new = made(keys, *purpose)
    gateway = pipeline.gateway()
    assert [send(gateway, key).status_code for key in (old, new, old)] == [202, 202, 202]
    third = keys("create", *purpose)
    assert isinstance(third.exception, DeployError)
    assert f"keys revoke {id_of(old)}" in str(third.exception)
    assert str(id_of(new)) in str(third.exception)
    for other in (("--name", "batch"), ("--scope", "read")):
        made(keys, *purpose, *other)
    assert keys("revoke", str(id_of(old))).exit_code == 0
    made(keys, *purpose)


def test_projects_do_not_meet(pipeline: Pipeline, keys: Keys) -> None:
    """What one project sends the other never sees, under the same run id even."""
    pipeline.worker(wait=False)
    both = ("ours", "theirs")
    senders = {project: made(keys, "--project", project, "--scope", "ingest") for project in both}
    readers = {project: made(keys, "--project", project, "--scope", "read") for project in both}
    gateway, query = pipeline.gateway(), pipeline.query()
    shared, only_ours = str(uuid.uuid4()), str(uuid.uuid4())
    for project, run_id in (("ours", shared), ("theirs", shared), ("ours", only_ours)):
        assert send(gateway, senders[project], run_id).status_code == 202

    def runs(project: str) -> set[str]:
        return {run["run_id"] for run in read(query, "/v1/runs", readers[project]).json()["runs"]}

    until(lambda: (len(runs("ours")), len(runs("theirs"))) == (2, 1), timeout_s=60, what="all runs are visible", every_s=0.2)
    assert (runs("ours"), runs("theirs")) == ({shared, only_ours}, {shared})
    for part in ("", "/steps", "/failures"):
        assert read(query, f"/v1/runs/{only_ours}{part}", readers["ours"]).status_code == 200
        hidden, never = (read(query, f"/v1/runs/{run_id}{part}", readers["theirs"]) for run_id in (only_ours, uuid.uuid4()))
        assert (hidden.status_code, hidden.content) == (404, never.content)
    # Without a key the project `default` is shown, in which nothing is.
    assert httpx.get(f"{query.url}/v1/runs", timeout=10).json()["runs"] == []


def test_ingest_goes_on_while_the_key_store_is_away(own_stack: Stack) -> None:
    """With the keys last seen; a process that never saw them is not ready, refuses to judge, and heals by itself."""
    pipeline = Pipeline(own_stack)
    try:
        gateway = pipeline.gateway()
        assert send(gateway, pipeline.local_key).status_code == 202
        own_stack.postgres.stop()
        assert send(gateway, pipeline.local_key).status_code == 202
        assert send(gateway, UNKNOWN).status_code == 401
        gateway.terminate()
        gateway.start()

        def reason() -> str | None:
            try:
                answer: dict[str, str] = httpx.get(f"{gateway.url}/ready", timeout=10).json()
            except httpx.TransportError:
                return None  # it does not listen yet
            return answer.get("reason")

        until(lambda: reason() == "keys_unavailable", timeout_s=60, what="the gateway says what it lacks")
        refused = send(gateway, pipeline.local_key)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "keys_unavailable")
        own_stack.postgres.start()
        gateway.wait_ready()
        assert send(gateway, pipeline.local_key).status_code == 202
    finally:
        pipeline.close()


@pytest.mark.parametrize("role", ["gateway", "query"])
def test_services_may_note_use_and_nothing_else(pipeline: Pipeline, role: str) -> None:
    """No service can make, change or delete a key; the gateway can read nothing but keys."""
    dsn = pipeline.stack.dsn(database=pipeline.database, role=f"agenttracer_{role}")
    forbidden = [
        "UPDATE api_keys SET revoked_at = NULL",
        "UPDATE api_keys SET project = 'x'",
        "DELETE FROM api_keys",
        "INSERT INTO api_keys SELECT * FROM api_keys",
        "SELECT FROM audit_log",
        "UPDATE audit_log SET reason = 'none'",
        "DELETE FROM audit_log",
        "INSERT INTO audit_log (action, reason) VALUES ('project_deleted', 'x')",
        "INSERT INTO audit_log (action, reason, role) VALUES ('key_refused', 'x', 'postgres')",
        "INSERT INTO audit_log (action, reason, at) VALUES ('key_refused', 'x', '2000-01-01')",
        *(["SELECT FROM runs"] if role == "gateway" else []),
    ]

    async def attempt(connection: asyncpg.Connection) -> None:
        await connection.execute("UPDATE api_keys SET last_used_at = now()")
        await connection.execute("INSERT INTO audit_log (action, reason) VALUES ('key_refused', 'no_key')")
        for statement in forbidden:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)

    _as(dsn, attempt)


def test_the_worker_sees_no_keys(pipeline: Pipeline) -> None:
    """It has no use for them."""

    async def attempt(connection: asyncpg.Connection) -> None:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("SELECT FROM api_keys")

    _as(pipeline.stack.dsn(database=pipeline.database, role="agenttracer_worker"), attempt)


def _as(dsn: str, work: Callable[[asyncpg.Connection], Any]) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(dsn, server_settings={"search_path": SCHEMA})
        try:
            await work(connection)
        finally:
            await connection.close()

    asyncio.run(run())
