"""What every store reader promises of runs by receipt, run on the shipped fake and on real Postgres."""

from datetime import timedelta

import pytest

from query_service.store.store import EVERYTHING, ChangePosition, RunFilter, RunSearch, StoreReader
from query_service.testing_rows import DEFAULT_RUN, NOON, FailureSeed, RunSeed, StepSeed
from tests.contract.run_readers import SECOND, Reading, run_id

pytestmark = pytest.mark.anyio
ROWS = (
    *(
        RunSeed(run_id=run_id(n), last_received_at=NOON + n // 2 * SECOND, end_status="failure" if n % 3 else None)
        for n in range(9)
    ),
    RunSeed(project="other", run_id=run_id(20), last_received_at=NOON + SECOND),
    StepSeed(run_id=run_id(3), kind="tool", name="search", metadata={"model": "small"}),
    FailureSeed(run_id=run_id(4), failure_code="timeout"),
)


async def test_pages_joined_are_what_was_received_since(reading: Reading) -> None:
    """By time and then by id, each with whether it has ended; of one project."""
    store = await reading(*ROWS)
    for limit in (2, 3, 100):
        after, found = ChangePosition(received_at=NOON, run_id=run_id(0)), []
        while page := await store.list_changes("default", after=after, limit=limit):
            assert len(page) <= limit
            found += page
            after = ChangePosition(received_at=page[-1].received_at, run_id=page[-1].run_id)
        assert [(one.run_id.int - DEFAULT_RUN.int, one.over) for one in found] == [(n, n % 3 > 0) for n in range(1, 9)]
        assert found[-1].received_at == NOON + timedelta(seconds=4)


async def picked(store: StoreReader, which: RunFilter, search: RunSearch = EVERYTHING) -> set[int]:
    runs = await store.pick_runs("default", [run_id(n) for n in (1, 3, 4, 6, 20, 77)], which, search)
    return {run.run_id.int - DEFAULT_RUN.int for run in runs}


async def test_of_given_runs_those_that_pass_are_picked(reading: Reading) -> None:
    """By any filter; another project's and unknown ones are none of them."""
    store = await reading(*ROWS)
    assert await picked(store, RunFilter()) == {1, 3, 4, 6}
    assert await picked(store, RunFilter(status="failure")) == {1, 4}
    assert await picked(store, RunFilter(failure_code="timeout")) == {4}
    assert await picked(store, RunFilter(), RunSearch(model="small")) == {3}
    assert await store.pick_runs("default", [], RunFilter(), EVERYTHING) == []
