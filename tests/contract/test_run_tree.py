"""What every store reader promises of a run that is read as a whole, run on the shipped fake and on real Postgres."""

from datetime import timedelta

import pytest

from query_service.errors import RunNotFoundError, StepNotFoundError
from query_service.store.store import RunPosition
from query_service.testing_rows import NOON, FailureSeed, RunSeed, StepSeed
from tests.contract.run_readers import SECOND, Reading, run_id, step_id

pytestmark = pytest.mark.anyio
ROWS = (
    RunSeed(run_id=run_id(1)),
    RunSeed(run_id=run_id(2), parent_run_id=run_id(1), parent_step_id=step_id(1), declared_started_at=NOON + 2 * SECOND),
    RunSeed(run_id=run_id(3), parent_run_id=run_id(1), declared_started_at=NOON + SECOND),
    RunSeed(run_id=run_id(4), parent_run_id=run_id(2), declared_started_at=NOON + 3 * SECOND),
    RunSeed(run_id=run_id(5), parent_run_id=run_id(1), project="other"),
    StepSeed(run_id=run_id(1), step_id=step_id(1), metadata={"model": "m"}),
    StepSeed(run_id=run_id(4), step_id=step_id(3), started_at=NOON + 3 * SECOND),
    StepSeed(run_id=run_id(4), step_id=step_id(4), started_at=NOON + 2 * SECOND),
    StepSeed(run_id=run_id(1), step_id=step_id(9), project="other"),
    FailureSeed(run_id=run_id(4), failure_id=step_id(3), step_id=step_id(3)),
    FailureSeed(run_id=run_id(6), failure_id=step_id(3)),
)


async def test_children_come_oldest_first_and_page(reading: Reading) -> None:
    """Those of one run and project, and of no level below."""
    store = await reading(*ROWS)
    first = await store.children("default", run_id(1), after=None, limit=1)
    after = RunPosition(started_at=first[0].started_at, run_id=first[0].run_id)
    rest = await store.children("default", run_id(1), after=after, limit=9)
    assert [[run.run_id for run in page] for page in (first, rest)] == [[run_id(3)], [run_id(2)]]
    assert rest[0].parent_step_id == step_id(1)
    with pytest.raises(RunNotFoundError):
        await store.children("other", run_id(1), after=None, limit=9)


async def test_a_tree_holds_every_level(reading: Reading) -> None:
    """Each run with the run above it, its steps in order, and the failures of all."""
    store = await reading(*ROWS)
    tree = await store.tree("default", run_id(1))
    assert [run.run_id for run in tree.runs] == [run_id(number) for number in (1, 3, 2, 4)]
    assert list(tree.parents) == [None, run_id(1), run_id(1), run_id(2)]
    assert [[step.step_id for step in steps] for steps in tree.steps] == [[step_id(1)], [], [], [step_id(4), step_id(3)]]
    assert [step.model for step in tree.steps[0]] == ["m"]
    assert [(failure.run_id, failure.failure_id) for failure in tree.failures] == [(run_id(4), step_id(3))]
    assert (tree.runs_more, tree.steps_more, tree.failures_more) == (False, False, False)
    assert [run.run_id for run in (await store.tree("default", run_id(2))).runs] == [run_id(2), run_id(4)]
    with pytest.raises(RunNotFoundError):
        await store.tree("other", run_id(2))


async def test_runs_that_start_each_other_are_read_once(reading: Reading) -> None:
    """A circle, and a run that names itself, end."""
    store = await reading(
        RunSeed(run_id=run_id(1), parent_run_id=run_id(2)),
        RunSeed(run_id=run_id(2), parent_run_id=run_id(1), declared_started_at=NOON + SECOND),
        RunSeed(run_id=run_id(3), parent_run_id=run_id(3)),
    )
    assert [run.run_id for run in (await store.tree("default", run_id(1))).runs] == [run_id(1), run_id(2)]
    assert [run.run_id for run in (await store.tree("default", run_id(3))).runs] == [run_id(3)]


async def test_one_step(reading: Reading) -> None:
    """With its metadata; one that the run lacks is none, and neither is one of another project's run."""
    store = await reading(*ROWS)
    found = await store.step("default", run_id(1), step_id(1))
    assert (found.steps[0].metadata, found.run_started_at) == ({"model": "m"}, NOON)
    with pytest.raises(StepNotFoundError):
        await store.step("default", run_id(1), step_id(9))
    with pytest.raises(RunNotFoundError):
        await store.step("other", run_id(1), step_id(1))


async def test_a_step_a_day_later_is_found(reading: Reading) -> None:
    """In another partition than that of the run's start."""
    late = NOON + timedelta(hours=20)
    store = await reading(RunSeed(run_id=run_id(1)), StepSeed(run_id=run_id(1), step_id=step_id(5), started_at=late))
    assert [step.step_id for step in (await store.step("default", run_id(1), step_id(5))).steps] == [step_id(5)]
