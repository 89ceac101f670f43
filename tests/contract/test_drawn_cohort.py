"""What every store reader promises of one side of a comparison, run on the shipped fake and on real Postgres."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from query_service.percentiles import bucket_of, edges_us
from query_service.store.rows import DrawnCohort, DrawnRun, Moments
from query_service.store.store import EVERYTHING, RunFilter, RunSearch, StoreReader
from query_service.testing_rows import NOON, RunSeed
from tests.contract.run_readers import LONG_AGO, SECOND, Reading, run_id
from tests.contract.test_contrast import EVERY, FAILED, ROWS

pytestmark = pytest.mark.anyio


async def drawn(store: StoreReader, which: RunFilter, search: RunSearch = EVERYTHING, **within: Any) -> DrawnCohort:
    return await store.draw_cohort("default", which, search, within=replace(EVERY, **within))


def by_step(found: DrawnCohort) -> dict[tuple[str, str], Counter[str]]:
    sums: dict[tuple[str, str], Counter[str]] = {}
    for one in found.steps:
        said = {"steps": one.steps, "tokens": one.input_tokens + one.output_tokens, "cost": one.cost}
        sums.setdefault((one.name, one.status), Counter()).update(said | {"hits": sum(one.histogram.values())})
    return sums


async def test_runs_and_steps_are_those_of_the_filters(reading: Reading) -> None:
    """One by one with their first failure, and their steps with tokens and cost; means follow from every run."""
    silent = RunSeed(run_id=run_id(80), silent_after=LONG_AGO, step_count=4)
    found = await drawn(await reading(*ROWS, silent, RunSeed(project="other", run_id=run_id(81))), RunFilter())
    assert found.share == 1.0
    assert Counter(run[:3] for run in found.runs) == {
        ("success", "", ""): 40,
        ("failure", "tool", "timeout"): 20,
        ("abandoned", "orchestration", "abandoned"): 1,
    }
    assert sum(run.latency_us is None for run in found.runs) == 13
    assert found.steps_per_run == Moments(61, 60 + 4, sum((n % 3) ** 2 for n in range(60)) + 16)
    tokens = [n + n % 2 for n in range(60)]
    assert found.tokens_per_run == Moments(61, sum(tokens), sum(one * one for one in tokens))
    steps = by_step(found)
    assert steps["search", "error"] == {"steps": 20, "tokens": 0, "cost": 0, "hits": 20}
    assert steps["search", "ok"] == {"steps": 100, "tokens": sum(tokens), "cost": sum(range(60)), "hits": 100}


async def test_filters_and_population_bound_it(reading: Reading) -> None:
    """Nothing of nothing is a cohort too."""
    store = await reading(*ROWS)
    assert len((await drawn(store, FAILED, agent="agent-1")).runs) == 10
    assert len((await drawn(store, RunFilter(), RunSearch(model="small"), until=NOON + 30 * SECOND)).runs) == 10
    nothing = await drawn(store, FAILED, until=NOON)
    assert (nothing.runs, nothing.steps, nothing.tokens_per_run) == ([], [], Moments(0, 0, 0))


def test_buckets_are_those_of_the_store() -> None:
    """Every bucket begins where its edges say, and ends before the next."""
    for bucket in range(600):
        first, last = edges_us(bucket)
        assert (bucket_of(first), bucket_of(last)) == (bucket, bucket)
    assert DrawnRun._fields == ("status", "failure_type", "failure_code", "latency_us")
