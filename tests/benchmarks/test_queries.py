"""The measuring code of `bench_queries` on two small stores, so that it is not found broken only when it is needed."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import httpx
import pytest

from stream_workers.operations.verify.statistics import wrong_statistics
from tests.benchmarks import bench_queries, verdict
from tests.benchmarks.queries_fill import DAYS, DETAIL_DAYS, RARE_AGENT, Ids, Store, fill
from tests.benchmarks.queries_rollups import STEPS_A_RUN
from tests.support.pipeline import Pipeline
from tests.support.stacks import Stack


def test_every_question_is_answered(stack: Stack) -> None:
    """Both stores are filled, a worker writes, every question is asked of both, and each has a verdict."""
    found = bench_queries.measure(stack, runs=3_000, small=900, times=2, half_rate=200, round_s=2)
    for name, runs in (("small", 900), ("large", 3_000)):
        one = found[name]
        assert one["runs"] == runs
        assert one["steps"] == runs * DETAIL_DAYS // DAYS * STEPS_A_RUN
        assert one["load"]["sent_events_per_s"] > 0
        assert not [question for question, asked in one["questions"].items() if asked["refused"]]
        assert one["sizes"]["rollup_bytes_a_step"] > 0
    assert found["sizes_by_ids"].keys() == {"random", "time_ordered"}
    assert found["small"]["questions"].keys() == found["large"]["questions"].keys()
    told = bench_queries.targets(found)
    assert len(told) == 5 + 2 * len(found["large"]["questions"])
    assert "p95" in verdict.table(told)


def test_what_is_rare_is_there(stack: Stack, migrated_dsn: dict[str, str]) -> None:
    """Of each kind a page, in any store: what a page of it costs is asked, and not what none costs."""

    async def counts() -> Mapping[str, int]:
        await fill(migrated_dsn["owner"], runs=3_000)
        connection = await asyncpg.connect(migrated_dsn["owner"], server_settings={"search_path": "agenttracer"})
        row = await connection.fetchrow(
            "SELECT count(*) FILTER (WHERE agent = 'agent-rare') AS agent, "
            "count(*) FILTER (WHERE end_status = 'partial') AS status, "
            "count(*) FILTER (WHERE agent_version = '0.9.0-rare') AS version, "
            "count(*) FILTER (WHERE latency_us >= 600000000) AS latency, count(*) FILTER (WHERE end_status IS NULL) AS open, "
            "(SELECT count(*) FROM failures WHERE failure_type = 'retrieval') AS type FROM runs"
        )
        await connection.close()
        assert row is not None
        return dict(row)

    found = asyncio.run(counts())
    assert {name: count for name, count in found.items() if count < 20} == {}


class Filled(NamedTuple):
    """A filled store, and the address of a query service on it."""

    store: Store
    dsn: str
    url: str


def _filled(pipeline: Pipeline, runs: int) -> Filled:
    dsn = pipeline.stack.dsn(database=pipeline.database, role="agenttracer_owner")
    return Filled(asyncio.run(fill(dsn, runs=runs)), dsn, pipeline.query().url)


async def _counted(dsn: str, since: datetime, until: datetime) -> Counter[tuple[str, ...]]:
    """What the rows say of a window: runs by agent, version and status, and steps by agent, version and whether they failed."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "agenttracer"})
    rows = await connection.fetch(
        "SELECT agent, agent_version, status_now, count(*) AS runs, sum(error_step_count) AS errors FROM runs_now "
        "WHERE project = 'default' AND started_at >= $1 AND started_at < $2 GROUP BY 1, 2, 3",
        since,
        until,
    )
    await connection.close()
    found: Counter[tuple[str, ...]] = Counter()
    for row in rows:
        found["run", row["agent"], row["agent_version"], row["status_now"]] += row["runs"]
        found["step", row["agent"], row["agent_version"]] += row["runs"] * STEPS_A_RUN
        found["error", row["agent"], row["agent_version"]] += row["errors"]
    return +found


def _answered(answer: Mapping[str, Any]) -> Counter[tuple[str, ...]]:
    found: Counter[tuple[str, ...]] = Counter()
    for one in answer["agents"]:
        for status, runs in one["by_status"].items():
            found["run", one["agent_id"], one["agent_version"], status] += runs
    for one in answer["steps"]:
        found["step", one["agent_id"], one["agent_version"]] += one["steps"]
        found["error", one["agent_id"], one["agent_version"]] += one["errors"]
    return +found


def test_the_api_answers_what_was_filled(stack: Stack) -> None:
    """Statistics of short, long and old windows are those of the rows, of steps without detail too; a rare agent has its page."""
    pipeline = Pipeline(stack)
    try:
        filled = _filled(pipeline, 3_000)
        end, day = filled.store.end, timedelta(days=1)
        windows = [(end - length, end) for length in (day / 24, day, 7 * day, DAYS * day)]
        windows += [(filled.store.begin + 3 * day, filled.store.begin + 4 * day)]
        with httpx.Client(base_url=filled.url, timeout=60) as client:
            for since, until in windows:
                answer = client.get("/v1/stats", params={"since": since.isoformat(), "until": until.isoformat()}).json()
                told = answer["window"]
                rows = asyncio.run(
                    _counted(filled.dsn, datetime.fromisoformat(told["since"]), datetime.fromisoformat(told["until"]))
                )
                assert rows, "a window without runs shows nothing"
                assert _answered(answer) == rows
            rare = client.get("/v1/runs", params={"agent_id": RARE_AGENT, "limit": 5}).json()["runs"]
            assert [run["agent_id"] for run in rare] == [RARE_AGENT] * 5
    finally:
        pipeline.close()


@pytest.mark.parametrize("ids", Ids)
def test_filled_statistics_are_those_of_the_detail(migrated_dsn: dict[str, str], ids: Ids) -> None:
    """To the bucket, where `verify` compares them; totals of short spans add up to those of days. With either kind of ids."""

    async def wrong() -> tuple[list[str], int]:
        await fill(migrated_dsn["owner"], runs=900, ids=ids)
        settings = {"search_path": "agenttracer", "timezone": "UTC"}
        connection = await asyncpg.connect(migrated_dsn["owner"], server_settings=settings)
        found = [line async for line in wrong_statistics(connection)]
        random = await connection.fetchval("SELECT count(*) FROM runs WHERE substr(run_id::text, 15, 1) <> '7'")
        await connection.close()
        return found, random

    found, random = asyncio.run(wrong())
    assert found == []
    assert {Ids.RANDOM: random > 800, Ids.BOTH: 300 < random < 600, Ids.TIME_ORDERED: random == 0}[ids]


def figures(*, runs: int = 10_000_000, small_ms: float = 30, large_ms: float = 40, refused: int = 0) -> dict[str, Any]:
    def store(count: int, ms: float) -> dict[str, Any]:
        asked = {"bound_ms": 50, "p95_ms": ms, "refused": refused}
        sizes = {"runs": 10, "failures": 1, "run_producers": 1, "steps": 20, "step_rollup_totals": 1}
        load = {"sent_events_per_s": 100}
        return {
            "runs": count,
            "steps": count * 2,
            "fill_s": 60,
            "bytes": sizes,
            "sizes": {"rollups_share": 0.02},
            "load": load,
            "questions": {"runs: newest": asked},
        }

    return {"half_rate": 100, "small": store(100_000, small_ms), "large": store(runs, large_ms)}


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        ({}, []),
        ({"large_ms": 51}, ["runs: newest: p95 in ms", "runs: newest: beside few runs"]),
        ({"large_ms": 46}, ["runs: newest: beside few runs"]),
        ({"small_ms": 2, "large_ms": 20}, []),
        ({"refused": 1}, ["runs: newest: p95 in ms"]),
    ],
)
def test_a_target_is_missed_where_it_is(changed: dict[str, Any], missed: list[str]) -> None:
    """By time, by growth, or by an answer that was none."""
    told = bench_queries.targets(figures(**changed))
    assert [target.name for target in told if target.passed is False] == missed


def test_a_small_run_judges_no_size() -> None:
    """Seconds and bytes are judged where there are as many runs as are wanted."""
    told = bench_queries.targets(figures(runs=1_000))
    assert [target.passed for target in told[:3]] == [None] * 3
