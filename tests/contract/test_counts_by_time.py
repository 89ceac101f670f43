"""What every store reader promises of counts by time bucket and name, run on the shipped fake and on real Postgres."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ddl.rollups import Part, minute_of
from query_service.aggregate import settled
from query_service.store.store import Column, CountFilter
from query_service.testing_rows import NOON, RunRollupSeed, RunSeed, StepRollupSeed
from tests.contract.run_readers import LONG_AGO, Reading, run_id, step_id

pytestmark = pytest.mark.anyio
MINUTE = timedelta(minutes=1)
QUARTERS = [NOON, NOON + 15 * MINUTE]
END = NOON + 30 * MINUTE
WINDOW = CountFilter(
    since=NOON, until=END, parts=[Part(15, minute_of(NOON), minute_of(END))], starts=QUARTERS, by=frozenset({Column.STATUS})
)


@pytest.mark.parametrize("compacting", [False, True])
async def test_counts_fall_into_their_buckets(reading: Reading) -> None:
    """Told apart by the columns that are asked for, and by no other; compacted or not."""
    store = await reading(
        RunRollupSeed(minute=NOON, runs=2),
        RunRollupSeed(minute=NOON + 14 * MINUTE, runs=1, agent="other"),
        RunRollupSeed(minute=NOON + 15 * MINUTE, runs=5, status="failure", failure_type="tool", failure_code="timeout"),
        RunRollupSeed(minute=NOON - MINUTE, runs=50),
        RunRollupSeed(minute=END, runs=50),
        RunRollupSeed(minute=NOON, project="other", runs=70),
        StepRollupSeed(minute=NOON, steps=4, model="m", input_tokens=10, output_tokens=1, cost=7),
        StepRollupSeed(minute=NOON + MINUTE, steps=1, model="n", input_tokens=5),
        StepRollupSeed(minute=NOON, project="other", steps=70),
    )
    runs = (await store.run_counts("default", WINDOW)).runs
    assert sorted((row.bucket, row.agent, row.status, row.failure_code, row.runs) for row in runs) == [
        (0, "", "success", "", 3),
        (1, "", "failure", "", 5),
    ]
    assert [row.histogram for row in runs if row.bucket == 0] == [{111: 3}]
    steps = await store.step_counts("default", replace(WINDOW, by=frozenset({Column.MODEL}), histograms=False))
    assert sorted((row.model, row.steps, row.input_tokens, row.output_tokens, row.cost) for row in steps) == [
        ("m", 4, 10, 1, 7),
        ("n", 1, 5, 0, 0),
    ]
    assert [dict(row.histogram) for row in steps] == [{}, {}]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [({"name": "search"}, 4), ({"kind": "plan"}, 1), ({"model": "m"}, 4), ({"agent": "a"}, 1), ({"agent_version": "2"}, 1)],
)
async def test_steps_are_filtered(reading: Reading, filters: dict[str, str], expected: int) -> None:
    """By any one column."""
    store = await reading(
        StepRollupSeed(minute=NOON, steps=4, model="m"),
        StepRollupSeed(minute=NOON, steps=1, kind="plan", name="think", agent="a", agent_version="2"),
    )
    found = await store.step_counts("default", replace(WINDOW, **filters))
    assert sum(row.steps for row in found) == expected


async def test_silent_runs_move(reading: Reading) -> None:
    """From running to abandoned, in the bucket of their start, under the failure that they have or else that of silence."""
    failed: dict[str, Any] = {"failure_type": "tool", "failure_code": "timeout"}
    running: dict[str, Any] = {"status": "running", "latency_bucket": -1}
    store = await reading(
        RunSeed(run_id=run_id(1), silent_after=LONG_AGO),
        RunSeed(run_id=run_id(2), silent_after=LONG_AGO, declared_started_at=NOON + 20 * MINUTE, failure_id=step_id(1), **failed),
        RunRollupSeed(minute=NOON, **running),
        RunRollupSeed(minute=NOON + 20 * MINUTE, **running, **failed),
    )
    by = frozenset({Column.STATUS, Column.FAILURE_TYPE, Column.FAILURE_CODE})

    async def counted(**filters: str) -> dict[tuple[int, str, str], int]:
        which = replace(WINDOW, by=by, **filters)
        sums: dict[tuple[int, str, str], int] = {}
        for row in settled(await store.run_counts("default", which), which):
            key = row.bucket, row.status, row.failure_code
            sums[key] = sums.get(key, 0) + row.runs
        return {key: runs for key, runs in sums.items() if runs}

    assert await counted() == {(0, "abandoned", "abandoned"): 1, (1, "abandoned", "timeout"): 1}
    assert await counted(failure_code="timeout") == {(1, "abandoned", "timeout"): 1}
    assert await counted(failure_code="abandoned") == {(0, "abandoned", "abandoned"): 1}


@pytest.mark.parametrize("compacting", [False, True])
async def test_versions_are_seen_from_their_first_run_on(reading: Reading, *, compacting: bool) -> None:
    """Over all that statistics hold, of one project; to the hour where it is compacted, and else to the minute."""
    day = timedelta(days=1)
    store = await reading(
        RunRollupSeed(minute=NOON - 3 * day + MINUTE),
        RunRollupSeed(minute=NOON - 2 * day),
        RunRollupSeed(minute=NOON + MINUTE),
        RunRollupSeed(minute=NOON, agent_version="2.0"),
        RunRollupSeed(minute=NOON, agent="other"),
        RunRollupSeed(minute=NOON - 9 * day, project="other"),
    )
    found = {(one.agent, one.agent_version): (one.first, one.last) for one in await store.seen("default", agent="support-bot")}
    precise = {
        ("support-bot", "1.0"): (NOON - 3 * day + MINUTE, NOON + MINUTE),
        ("support-bot", "2.0"): (NOON, NOON),
    }
    by_the_hour = {
        ("support-bot", "1.0"): (NOON - 3 * day, NOON),
        ("support-bot", "2.0"): (NOON, NOON),
    }
    assert found in ([precise, by_the_hour] if compacting else [precise])  # the fake store knows no compaction
