"""Every statement of queries.sql against the migrated schema, as the role that runs it, and how PostgreSQL goes about it."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import query_service.store
from ddl.rollups import DAY, minute_of, moment, parts
from query_service.store.pool import STATEMENTS, Connection, PostgresPool
from query_service.testing_rows import DEFAULT_RUN, NOON
from servicekit.sql import load

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


RARE = """
UPDATE runs SET agent_version = 'rare', shape = '0123456789abcdef', end_status = 'partial',
                ended_at = started_at + interval '1 min'
WHERE run_id IN (SELECT run_id FROM runs WHERE agent_version = '1' AND end_status = 'success' ORDER BY started_at LIMIT 20);
UPDATE runs SET agent_version = 'old'
WHERE run_id IN (SELECT run_id FROM runs WHERE agent_version = '1' ORDER BY started_at LIMIT 5000);
"""


def test_no_two_statements_have_one_name() -> None:
    """One would silently take the other's place."""
    files = Path(query_service.store.__file__).parent.glob("*.sql")
    assert sum(len(load(file)) for file in files) == len(STATEMENTS)


@pytest.mark.parametrize("name", sorted(STATEMENTS))
async def test_statement_is_prepared(postgres: PostgresPool, name: str) -> None:
    """The role of the service can prepare the statement: every name in it exists, and every right is granted."""

    async def work(connection: Connection) -> None:
        await connection.prepare(STATEMENTS[name].text)

    await postgres.read("default", work)


async def test_role_cannot_write(postgres: PostgresPool) -> None:
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
async def test_terms_of_a_transaction(postgres: PostgresPool, setting: str, value: str) -> None:
    """Statements run on one snapshot, read-only, bounded in time, and are planned for their own values."""

    async def work(connection: Connection) -> str:
        shown: str = await connection.fetchval(f"SHOW {setting}")
        return shown

    assert await postgres.read("default", work) == value


async def plan(postgres: PostgresPool, name: str, **values: object) -> list[dict[str, Any]]:
    """All nodes of the plan of a statement, executed. Values that are not given are null."""
    statement = STATEMENTS[name]
    text, *arguments = statement.bind(**dict.fromkeys(statement.parameters) | {"project": "default"} | values)

    async def work(connection: Connection) -> str:
        found: str = await connection.fetchval(f"EXPLAIN (ANALYZE, TIMING off, FORMAT json) {text}", *arguments)
        return found

    nodes = [json.loads(await postgres.read("default", work))[0]["Plan"]]
    for node in nodes:
        nodes += node.get("Plans", [])
    return nodes


def read(node: dict[str, Any]) -> int:
    """Rows that a node looked at."""
    return int(node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)))


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
async def test_listing_walks_an_index(postgres: PostgresPool, agent: str | None, after: object, index: str) -> None:
    """A page of runs is read along the index of its order, from the cursor on, without sorting or reading further."""
    place = {"after_started_at": after, "after_run_id": DEFAULT_RUN if after else None}
    nodes = await plan(postgres, "list_runs", agent=agent, **place, limit=50)
    assert index in indexes(nodes)
    scan = next(node for node in nodes if node.get("Index Name") == index)
    assert scan["Actual Rows"] == 50
    assert scan.get("Rows Removed by Filter", 0) <= 50


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({"agent_version": "rare"}, "runs_newest_of_version"),
        ({"agent_version": "old"}, "runs_newest_of_version"),
        ({"status": "partial"}, "runs_newest_of_status"),
        ({"shape": "0123456789abcdef"}, "runs_by_shape"),
    ],
)
async def test_what_is_rare_or_old_is_found_along_its_own_index(
    owner: asyncpg.Connection, postgres: PostgresPool, filters: dict[str, str], index: str
) -> None:
    """A page by any one filter reads the rows that it shows, where the planner has statistics and where these are stale."""
    for statistics in ("", "ANALYZE runs"):
        await owner.execute(RARE + statistics)
        nodes = await plan(postgres, "list_runs", **filters, limit=50)
        assert index in indexes(nodes)
        assert max(read(node) for node in nodes if "Index Name" in node) <= 60


@pytest.mark.usefixtures("filled")
async def test_slow_runs_are_found_by_their_latency(owner: asyncpg.Connection, postgres: PostgresPool) -> None:
    """The few slow runs are all read, wherever they lie, and no other."""
    await owner.execute(RARE)
    nodes = await plan(postgres, "list_slow_runs", min_latency_us=1_000_000, limit=50)
    assert indexes(nodes) == {"runs_by_latency"}
    assert max(read(node) for node in nodes if "Index Name" in node) <= 60


@pytest.mark.usefixtures("filled")
async def test_a_rare_type_of_failure_leads_to_its_runs(owner: asyncpg.Connection, postgres: PostgresPool) -> None:
    """No run is probed for it."""
    await owner.execute("UPDATE failures SET failure_type = 'retrieval' WHERE failure_code = 'rare'; ANALYZE failures")
    nodes = await plan(postgres, "list_failed_runs", limit=50, failures_max=1_000, failure_type="retrieval")
    assert "failures_by_type" in indexes(nodes)


@pytest.mark.usefixtures("filled")
async def test_abandoned_runs_are_found_by_their_index(postgres: PostgresPool) -> None:
    """Open runs are few: they are found by an index in which they stand together."""
    nodes = await plan(postgres, "list_runs", status="abandoned", limit=500)
    assert indexes(nodes) & {"runs_open", "runs_newest_of_status"}
    assert max(read(node) for node in nodes if "Index Name" in node) <= 500
    window = {"since": NOON, "until": NOON + timedelta(days=1)}
    assert "runs_open" in indexes(await plan(postgres, "count_abandoned", **window))


RUNNING = """
UPDATE runs SET silent_after = 'infinity'
WHERE run_id IN (SELECT run_id FROM runs WHERE end_status IS NULL ORDER BY started_at LIMIT 3)
"""


@pytest.mark.usefixtures("filled")
async def test_running_runs_are_found_by_their_index(owner: asyncpg.Connection, postgres: PostgresPool) -> None:
    """Three runs that run are found without a look at those that ended, or that fell silent."""
    await owner.execute(RUNNING)
    recent = {"failure_code": "timeout", "newest_max": 2_000}
    for name, more in (("list_runs", {}), ("list_recent_failed_runs", recent)):
        nodes = await plan(postgres, name, status="running", limit=50, **more)
        scans = [node for node in nodes if node.get("Relation Name") == "runs" and node["Actual Loops"] == 1]
        assert "runs_open" in indexes(nodes)
        assert max(node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in scans) <= 50


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("code", ["rare", "timeout", "none"])
async def test_runs_with_a_failure_are_found_from_its_failures(postgres: PostgresPool, code: str) -> None:
    """As many runs and failures are read as failures are looked at, however many or few there are."""
    nodes = await plan(postgres, "list_failed_runs", limit=50, failures_max=100, failure_code=code)
    assert "failures_by_code" in indexes(nodes) or code == "timeout"  # nearly all failures are that: any order finds them
    assert max(read(node) for node in nodes if "Relation Name" in node or "Index Name" in node) <= 101


@pytest.mark.usefixtures("filled")
async def test_frequent_failures_are_found_among_the_newest_runs(postgres: PostgresPool) -> None:
    """They are probed along the index of their order, and no further than asked for."""
    nodes = await plan(postgres, "list_recent_failed_runs", limit=50, newest_max=200, failure_code="timeout")
    assert "runs_newest" in indexes(nodes)
    assert max(read(node) for node in nodes if "Index Name" in node) <= 200


@pytest.mark.usefixtures("filled")
async def test_failures_of_a_fingerprint_and_of_a_window_have_an_index(postgres: PostgresPool) -> None:
    """A rare fingerprint leads to its runs; groups are made of the window's failures alone."""
    nodes = await plan(postgres, "list_failed_runs", limit=50, failures_max=1_000, fingerprint="rare")
    assert "failures_by_fingerprint" in indexes(nodes)
    window = {"since": NOON, "until": NOON + timedelta(minutes=5)}
    assert "failures_by_time" in indexes(await plan(postgres, "group_failures", **window, limit=100))


TOTALS = f"""
INSERT INTO step_rollup_totals
SELECT project, span, date_bin(make_interval(mins => span), '{NOON.isoformat()}', 'epoch') - n * make_interval(mins => span),
       'agent-' || agent, '1', 'tool', 'search', 'ok', '', 1, 1, 0, 0, 0, int2send(5::smallint) || int8send(1)
FROM unnest(ARRAY['default', 'other']) AS project, generate_series(0, 9) AS agent,
     (VALUES (1, 2000), (15, 500), (60, 700), (1440, 60)) AS kept (span, periods), generate_series(0, periods - 1) AS n;
ANALYZE step_rollup_totals
"""


@pytest.mark.parametrize("days", [0.04, 1, 7, 30])
async def test_statistics_read_the_totals_of_their_parts_alone(
    owner: asyncpg.Connection, postgres: PostgresPool, days: float
) -> None:
    """Along the key, part by part: what is read is what is added up, however long the window is."""
    await owner.execute(TOTALS)
    now = minute_of(NOON)
    window = parts(now - int(days * DAY), now, now=now)
    values = {
        "spans": [part.span for part in window],
        "sinces": [moment(part.since) for part in window],
        "untils": [moment(part.until) for part in window],
    }
    bounds = {"since": moment(window[0].since), "until": NOON, "limit": 100_000}
    nodes = await plan(postgres, "count_steps", **values, **bounds)
    scans = [node for node in nodes if node.get("Relation Name") == "step_rollup_totals"]
    read = sum(node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) for node in scans)
    assert "step_rollup_totals_pkey" in indexes(nodes)
    assert read <= 1.1 * 10 * sum((part.until - part.since) // part.span for part in window)


async def test_steps_prune_partitions(owner: asyncpg.Connection, postgres: PostgresPool) -> None:
    """Reading a run's steps touches the partitions of the run's own days and no other; a cursor leaves the earlier ones out."""
    first = NOON.date()
    for day in range(DAYS):
        await owner.execute("SELECT ensure_steps_partition($1)", first + timedelta(days=day))

    def touched(nodes: list[dict[str, Any]]) -> set[str]:
        return {node["Relation Name"] for node in nodes if "Relation Name" in node}

    run = {"run_id": DEFAULT_RUN, "last_at": NOON + timedelta(days=4), "limit": 50}
    whole = await plan(postgres, "list_steps", **run, first_at=NOON + timedelta(days=3))
    assert touched(whole) <= {"steps_20260203", "steps_20260204", "steps_default"}
    later = NOON + timedelta(days=4)
    place = {"first_at": later, "after_at": later, "after_depth": 0, "after_seq": 1, "after_id": "0" * 16}
    rest = await plan(postgres, "list_steps", **run, **place)
    assert touched(rest) <= {"steps_20260204", "steps_default"}


LONG = f"""
SELECT ensure_steps_partition('{NOON.date().isoformat()}');

INSERT INTO runs (project, run_id, identity_rank, agent, agent_version, declared_started_at, first_event_at, last_event_at,
                  last_received_at, silent_after, step_count, error_step_count, failure_count, recorded_failure_count)
SELECT 'default', '{DEFAULT_RUN}', 0, 'a', '1', noon, noon, noon + interval '30 s', noon, noon, 30000, 10000, 10000, 0
FROM (VALUES (timestamptz '{NOON.isoformat()}')) AS at (noon);

INSERT INTO steps (project, run_id, step_id, started_at, duration_us, seq, latency_bucket, attempt, kind, name, status, agent,
                   agent_version, parent_step_id)
SELECT project, run_id, lpad(to_hex(n), 16, '0'), started_at + n * interval '1 ms', 1, n, 1, 1, 'tool', 'n', 'ok', 'a', '1',
       lpad(to_hex(n / 100), 16, '0')
FROM runs, generate_series(1, 30000) AS n;

INSERT INTO failures (project, run_id, failure_id, failure_rank, occurred_at, failure_type, failure_code, rule_id,
                      taxonomy_version, step_id, seq, agent, agent_version)
SELECT project, run_id, step_id, 1, started_at, 'tool', 'timeout', 'r', 1, step_id, seq, 'a', '1' FROM steps WHERE seq % 3 = 0;
"""


@pytest.mark.parametrize("statistics", ["", "ANALYZE runs, steps, failures"], ids=["no statistics", "statistics"])
@pytest.mark.parametrize("after_s", [None, 20], ids=["first page", "a later page"])
async def test_a_page_of_a_long_run_reads_no_further(
    owner: asyncpg.Connection, postgres: PostgresPool, statistics: str, after_s: int | None
) -> None:
    """A page of fifty out of 30,000 steps or 10,000 failures reads some rows more than it shows, wherever it lies."""
    await owner.execute(LONG + statistics)
    after = None if after_s is None else NOON + timedelta(seconds=after_s)
    page: dict[str, object] = {"run_id": DEFAULT_RUN, "limit": 51}
    if after is not None:
        page |= {"after_at": after, "after_seq": 20_000, "after_id": "0" * 16}
    bounds = {"first_at": after or NOON, "last_at": NOON + timedelta(seconds=30), "after_depth": None if after is None else 0}

    def read(nodes: list[dict[str, Any]]) -> float:
        tables = [node for node in nodes if "Relation Name" in node]
        return max(node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) for node in tables)

    assert read(await plan(postgres, "list_steps", **page, **bounds)) <= 200
    assert read(await plan(postgres, "list_failures", **page)) <= 200
