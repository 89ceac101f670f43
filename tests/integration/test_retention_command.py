"""`agenttracer retention` as an operator or a timer calls it: what it says, and its exit codes."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from agenttracer_cli.app import app as command
from ddl.migrate import SCHEMA
from stream_workers.operations.deletion import session
from stream_workers.pipeline.decode import canonical_json
from stream_workers.store.batch import Received, Topic, make_batch
from stream_workers.store.day_partitions import DAY_US
from stream_workers.store.postgres import PostgresStore
from tests.support.traffic import Traffic

Call = Callable[..., Result]


@pytest.fixture
def retention(migrated_dsn: dict[str, str], tmp_path: Path) -> Call:
    """The command, on a store with ten runs of a day long ago."""
    noon_us = time.time_ns() // 1000 // DAY_US * DAY_US - 20 * DAY_US + DAY_US // 2
    traffic = Traffic(61, base_us=noon_us)
    records = traffic.records(traffic.runs(10))
    received = [Received(0, offset, 1, None, record, None) for offset, record in enumerate(records)]

    async def fill() -> None:
        worker = PostgresStore(migrated_dsn["worker"], transaction_timeout_s=30)
        await worker.save(Topic("t", uuid.UUID(int=8)), make_batch(received, canonical_json))
        await worker.close()

    asyncio.run(fill())
    where, store = ["--state-dir", str(tmp_path)], {"AGENTTRACER_POSTGRES_DSN": migrated_dsn["owner"]}
    return lambda *arguments: CliRunner(env=store).invoke(command, ["retention", *arguments, *where])


@pytest.fixture
def delete_run(retention: Call, migrated_dsn: dict[str, str], tmp_path: Path) -> Call:
    """`agenttracer delete run default`, on the same store."""
    where, store = ["--state-dir", str(tmp_path)], {"AGENTTRACER_POSTGRES_DSN": migrated_dsn["owner"]}
    return lambda *arguments: CliRunner(env=store).invoke(command, ["delete", "run", "default", *arguments, *where])


def test_a_run_that_the_store_does_not_know_is_not_deleted(delete_run: Call, migrated_dsn: dict[str, str]) -> None:
    """Exit code 2, unless it is forced; a run that was deleted before is known."""
    unknown = str(uuid.uuid4())
    refused = delete_run(unknown)
    assert (refused.exit_code, "no such run" in refused.output) == (2, True)
    assert delete_run(unknown, "--force").exit_code == 0
    assert delete_run(unknown).exit_code == 0
    stored = str(asyncio.run(_fetch(migrated_dsn["owner"], "SELECT run_id FROM runs LIMIT 1")))
    removed = delete_run(stored)
    assert removed.exit_code == 0
    assert " 0 rows removed" not in removed.output


KEPT_FOR_EVER = {"project": "default", "days": None, "statistics_days": None}


def test_what_is_set_is_shown(retention: Call) -> None:
    """For all projects that have a retention, or for one that has none."""
    assert json.loads(retention("show", "--json").stdout) == []
    assert json.loads(retention("show", "--json", "--project", "default").stdout) == [KEPT_FOR_EVER]
    assert retention("set", "default", "5").exit_code == 0
    assert json.loads(retention("show", "--json").stdout) == [{**KEPT_FOR_EVER, "days": 5}]
    assert retention("show", "--project", "default").stdout.split()[-3:] == ["default", "5", "forever"]
    assert retention("show", "--project", "typo").exit_code == 2


def test_nothing_goes_that_nobody_said(retention: Call) -> None:
    """Without a retention every run is kept, and a timer that runs all the same does no harm."""
    done = retention("apply")
    assert done.exit_code == 0, done.output
    assert "0 runs removed" in done.output


def test_what_is_over_goes_and_what_is_held_is_left_with_exit_code_1(
    retention: Call, migrated_dsn: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that reads the steps holds the day; the next call drops it."""
    monkeypatch.setattr(session, "LOCK_TIMEOUT_MS", 200)
    monkeypatch.setattr(session, "_TRIES", 1)
    assert retention("set", "default", "5").exit_code == 0
    held = _while_reading(migrated_dsn["owner"], lambda: retention("apply"))
    assert held.exit_code == 1, held.output
    assert "the next call removes it" in held.output
    done = retention("apply")
    assert done.exit_code == 0, done.output
    assert "10 runs removed, 0 of them row by row; 1 days dropped as a whole" in done.output


def _while_reading(dsn: str, work: Callable[[], Any]) -> Any:
    async def run() -> Any:
        reader = await asyncpg.connect(dsn, server_settings={"search_path": SCHEMA})
        try:
            async with reader.transaction():
                await reader.fetchval("SELECT count(*) FROM steps")
                return await asyncio.to_thread(work)
        finally:
            await reader.close()

    return asyncio.run(run())


def test_a_project_that_the_store_does_not_know_is_refused(retention: Call, migrated_dsn: dict[str, str], tmp_path: Path) -> None:
    """Known is one with runs, keys, a retention or the mark of a deletion; exit code 2 else, and nothing is written."""
    assert retention("set", "defualt", "5").exit_code == 2
    assert "0 runs removed" in retention("apply").output
    assert retention("set", "defualt", "5", "--force").exit_code == 0
    assert retention("set", "defualt", "forever").exit_code == 0  # known by its retention now
    where, runner = ("--state-dir", str(tmp_path)), CliRunner(env={"AGENTTRACER_POSTGRES_DSN": migrated_dsn["owner"]})
    assert runner.invoke(command, ["delete", "project", "typo", "--yes", *where]).exit_code == 2
    assert runner.invoke(command, ["delete", "project", "default", "--yes", *where]).exit_code == 0
    assert runner.invoke(command, ["delete", "project", "default", "--yes", *where]).exit_code == 0  # by its mark


async def _fetch(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn, server_settings={"search_path": SCHEMA})
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()
