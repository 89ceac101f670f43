"""Every statement of queries.sql against the migrated schema, as the role that runs it, and how Postgres goes about it."""

import json
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from query_service.postgres import STATEMENTS, Connection, Postgres
from query_service.testing_rows import DEFAULT_RUN, NOON

pytestmark = pytest.mark.anyio
DAYS = 20
FILL = f"""
INSERT INTO runs (project, run_id, identity_rank, agent, agent_version, declared_started_at, ended_at, end_status,
                  first_event_at, last_event_at, last_received_at, silent_after, step_count, error_step_count, failure_count,
                  recorded_failure_count)
SELECT 'default', gen_random_uuid(), 0, 'agent-' || n % 50, '1', at, CASE WHEN n % 100 > 0 THEN at END,
       CASE WHEN n % 100 > 0 THEN 'success' END, at, at, at, at, 0, 0, 0, 0
FROM (SELECT n, timestamptz '{NOON.isoformat()}' + n * interval '1 second' AS at FROM generate_series(1, 20000) AS n) AS made;

INSERT INTO failures (project, run_id, failure_id, failure_rank, occurred_at, failure_type, failure_code, rule_id,
                      taxonomy_version, seq, agent, agent_version, fingerprint)
SELECT project, run_id, '0000000000000001', 1, started_at, 'tool',
       CASE WHEN extract(epoch FROM started_at)::bigint % 1000 = 0 THEN 'rare' ELSE 'timeout' END, 'r', 1, 1,
       agent, agent_version, CASE WHEN extract(epoch FROM started_at)::bigint % 1000 = 0 THEN 'rare' ELSE 'frequent' END
FROM runs;

ANALYZE runs, failures
"""


@pytest.mark.parametrize("name", sorted(STATEMENTS))
async def test_statement_is_prepared(postgres: Postgres, name: str) -> None:
    """The role of the service can prepare the statement: every name in it exists, and every right is granted."""

    async def work(connection: Connection) -> None:
        await connection.prepare(STATEMENTS[name])

    await postgres.read("default", work)


async def test_role_cannot_write(postgres: Postgres) -> None:
    """The role has no right to write, so even a statement of ours by mistake could not."""

    async def work(connection: Connection) -> None:
        await connection.execute("DELETE FROM runs")

    with pytest.raises((asyncpg.ReadOnlySQLTransactionError, asyncpg.InsufficientPrivilegeError)):
        await postgres.read("default", work)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("plan_cache_mode", "force_custom_plan"),
        ("transaction_isolation", "repeatable read"),
        ("transaction_read_only", "on"),
        ("statement_timeout", "5s"),
        ("search_path", "agenttracer"),
    ],
)
async def test_terms_of_a_transaction(postgres: Postgres, setting: str, value: str) -> None:
    """Statements run on one snapshot, read-only, bounded in time, and are planned for their own values."""

    async def work(connection: Connection) -> str:
        shown: str = await connection.fetchval(f"SHOW {setting}")
        return shown

    assert await postgres.read("default", work) == value


async def plan(postgres: Postgres, name: str, *values: object) -> list[dict[str, Any]]:
    """All nodes of the plan of a statement, executed."""

    async def work(connection: Connection) -> str:
        text: str = await connection.fetchval(f"EXPLAIN (ANALYZE, TIMING off, FORMAT json) {STATEMENTS[name]}", *values)
        return text

    nodes = [json.loads(await postgres.read("default", work))[0]["Plan"]]
    for node in nodes:
        nodes += node.get("Plans", [])
    return nodes


def indexes(nodes: list[dict[str, Any]]) -> set[str]:
    return {node["Index Name"] for node in nodes if "Index Name" in node}


@pytest.fixture
async def filled(owner: asyncpg.Connection) -> None:
    await owner.execute(FILL)


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("agent", "after", "index"),
    [
        (None, None, "runs_newest"),
        (None, NOON + timedelta(seconds=9_000), "runs_newest"),
        ("agent-7", None, "runs_newest_of_agent"),
        ("agent-7", NOON + timedelta(seconds=9_000), "runs_newest_of_agent"),
    ],
)
async def test_listing_walks_an_index(postgres: Postgres, agent: str | None, after: object, index: str) -> None:
    """A page of runs is read along the index of its order, from the cursor on, without sorting or reading further."""
    place = (after, DEFAULT_RUN if after else None)
    nodes = await plan(postgres, "list_runs", "default", agent, None, None, None, None, None, *place, 50, None)
    assert index in indexes(nodes)
    scan = next(node for node in nodes if node.get("Index Name") == index)
    assert scan["Actual Rows"] == 50
    assert scan.get("Rows Removed by Filter", 0) <= 50


@pytest.mark.usefixtures("filled")
async def test_abandoned_runs_are_found_by_their_index(postgres: Postgres) -> None:
    """Open runs are few: they are found by the partial index that holds them alone."""
    nodes = await plan(postgres, "list_runs", "default", None, None, "abandoned", None, None, None, None, None, 500, None)
    assert "runs_open" in indexes(nodes)
    window = ("default", NOON, NOON + timedelta(days=1), None, None)
    assert "runs_open" in indexes(await plan(postgres, "count_abandoned", *window))


RUNNING = """
UPDATE runs SET silent_after = 'infinity'
WHERE run_id IN (SELECT run_id FROM runs WHERE end_status IS NULL ORDER BY started_at LIMIT 3)
"""


@pytest.mark.usefixtures("filled")
async def test_running_runs_are_found_by_their_index(owner: asyncpg.Connection, postgres: Postgres) -> None:
    """Three runs that run are found without a look at those that ended, or that fell silent."""
    await owner.execute(RUNNING)
    for name, more in (("list_runs", ()), ("list_failed_runs", (None, "timeout", None))):
        nodes = await plan(postgres, name, "default", None, None, "running", None, None, None, None, None, 50, None, *more)
        scans = [node for node in nodes if node.get("Relation Name") == "runs" and node["Actual Loops"] == 1]
        assert "runs_open" in indexes(nodes)
        assert max(node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in scans) <= 50


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(("code", "index"), [("rare", "failures_by_code"), ("timeout", "runs_newest")])
async def test_failures_are_looked_up_the_cheaper_way(postgres: Postgres, code: str, index: str) -> None:
    """Runs with a rare failure are found from the failures, those with a frequent one along the newest runs."""
    nodes = await plan(postgres, "list_failed_runs", "default", *[None] * 8, 50, None, None, code, None)
    assert index in indexes(nodes)
    assert not [node for node in nodes if node["Node Type"] == "Seq Scan" and node["Actual Rows"] > 1_000]


@pytest.mark.usefixtures("filled")
async def test_failures_of_a_fingerprint_and_of_a_window_have_an_index(postgres: Postgres) -> None:
    """A rare fingerprint leads to its runs; groups are made of the window's failures alone."""
    nodes = await plan(postgres, "list_failed_runs", "default", *[None] * 8, 50, None, None, None, "rare")
    assert "failures_by_fingerprint" in indexes(nodes)
    window = ("default", NOON, NOON + timedelta(minutes=5), None, None, 100)
    assert "failures_by_time" in indexes(await plan(postgres, "group_failures", *window))


async def test_steps_prune_partitions(owner: asyncpg.Connection, postgres: Postgres) -> None:
    """Reading a run's steps touches the partitions of the run's own days and no other; a cursor leaves the earlier ones out."""
    first = NOON.date()
    for day in range(DAYS):
        await owner.execute("SELECT ensure_steps_partition($1)", first + timedelta(days=day))
    bounds = (NOON + timedelta(days=3), NOON + timedelta(days=4))

    def touched(nodes: list[dict[str, Any]]) -> set[str]:
        return {node["Relation Name"] for node in nodes if "Relation Name" in node}

    whole = await plan(postgres, "list_steps", "default", DEFAULT_RUN, *bounds, None, None, None, 50)
    assert touched(whole) <= {"steps_20260203", "steps_20260204", "steps_default"}
    later = (NOON + timedelta(days=4), bounds[1])
    rest = await plan(postgres, "list_steps", "default", DEFAULT_RUN, *later, later[0], 1, "0" * 16, 50)
    assert touched(rest) <= {"steps_20260204", "steps_default"}


LONG = f"""
SELECT ensure_steps_partition('{NOON.date().isoformat()}');

INSERT INTO runs (project, run_id, identity_rank, agent, agent_version, declared_started_at, first_event_at, last_event_at,
                  last_received_at, silent_after, step_count, error_step_count, failure_count, recorded_failure_count)
SELECT 'default', '{DEFAULT_RUN}', 0, 'a', '1', noon, noon, noon + interval '30 s', noon, noon, 30000, 10000, 10000, 0
FROM (VALUES (timestamptz '{NOON.isoformat()}')) AS at (noon);

INSERT INTO steps (project, run_id, step_id, started_at, duration_us, seq, latency_bucket, attempt, kind, name, status, agent,
                   agent_version)
SELECT project, run_id, lpad(to_hex(n), 16, '0'), started_at + n * interval '1 ms', 1, n, 1, 1, 'tool', 'n', 'ok', 'a', '1'
FROM runs, generate_series(1, 30000) AS n;

INSERT INTO failures (project, run_id, failure_id, failure_rank, occurred_at, failure_type, failure_code, rule_id,
                      taxonomy_version, step_id, seq, agent, agent_version)
SELECT project, run_id, step_id, 1, started_at, 'tool', 'timeout', 'r', 1, step_id, seq, 'a', '1' FROM steps WHERE seq % 3 = 0;
"""


@pytest.mark.parametrize("statistics", ["", "ANALYZE runs, steps, failures"], ids=["no statistics", "statistics"])
@pytest.mark.parametrize("after_s", [None, 20], ids=["first page", "a later page"])
async def test_a_page_of_a_long_run_reads_no_further(
    owner: asyncpg.Connection, postgres: Postgres, statistics: str, after_s: int | None
) -> None:
    """A page of fifty out of 30,000 steps or 10,000 failures reads some rows more than it shows, wherever it lies."""
    await owner.execute(LONG + statistics)
    after = None if after_s is None else NOON + timedelta(seconds=after_s)
    place = (after, *((None, None) if after is None else (20_000, "0" * 16)))
    bounds = (after or NOON, NOON + timedelta(seconds=30))

    def read(nodes: list[dict[str, Any]]) -> float:
        tables = [node for node in nodes if "Relation Name" in node]
        return max(node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) for node in tables)

    assert read(await plan(postgres, "list_steps", "default", DEFAULT_RUN, *bounds, *place, 51)) <= 200
    assert read(await plan(postgres, "list_failures", "default", DEFAULT_RUN, *place, 51)) <= 200
