"""What every store reader promises of steps, failures and counts, run on the shipped fake and on real Postgres."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from ddl.rollups import Part, minute_of
from query_service import testing_counts
from query_service.errors import TooManyFiguresError
from query_service.store import counts as on_postgres
from query_service.store.rows import AbandonedCount, RunCount, StepCount
from query_service.store.store import CountFilter, DetailPosition
from query_service.testing_rows import (
    DEFAULT_RUN,
    NOON,
    FailureSeed,
    RunRollupSeed,
    RunSeed,
    StepRollupSeed,
    StepSeed,
)
from tests.contract.run_readers import LONG_AGO, SECOND, Reading, run_id, step_id

pytestmark = pytest.mark.anyio


async def test_steps_come_in_order_and_page(reading: Reading) -> None:
    """Steps are ordered by start, seq and id, over days; pages joined are the whole."""
    rows = [
        StepSeed(step_id=step_id(5), started_at=NOON, seq=2),
        StepSeed(step_id=step_id(4), started_at=NOON, seq=2),
        StepSeed(step_id=step_id(9), started_at=NOON, seq=1),
        StepSeed(step_id=step_id(1), started_at=NOON + timedelta(hours=13), seq=1, metadata={"tokens": 3}),
        StepSeed(step_id=step_id(7), run_id=run_id(1)),
    ]
    store = await reading(RunSeed(), RunSeed(run_id=run_id(1)), *rows)
    page = await store.list_steps("default", DEFAULT_RUN, after=None, limit=9)
    assert page.run_started_at == NOON
    assert [step.step_id for step in page.steps] == [step_id(9), step_id(4), step_id(5), step_id(1)]
    assert page.steps[-1].metadata == {"tokens": 3}
    assert page.steps[0].metadata == {}
    for size in (1, 2, 3):
        joined: list[str] = []
        after = None
        while steps := (await store.list_steps("default", DEFAULT_RUN, after=after, limit=size)).steps:
            joined += [step.step_id for step in steps]
            after = DetailPosition(at=steps[-1].started_at, depth=steps[-1].depth, seq=steps[-1].seq, id=steps[-1].step_id)
        assert joined == [step.step_id for step in page.steps]


async def test_a_run_of_a_clock_that_is_off_is_moved_as_a_whole(reading: Reading) -> None:
    """Start, end and steps by the same amount, so that offsets, order and pages are what the sender said."""
    day = timedelta(days=1)
    steps = [StepSeed(step_id=step_id(number), started_at=NOON + number * SECOND, seq=number) for number in (1, 2)]
    run = RunSeed(first_received_at=NOON - day, first_sent_at=NOON, ended_at=NOON + 3 * SECOND, end_status="success")
    store = await reading(run, *steps)
    found = await store.run("default", DEFAULT_RUN)
    assert (found.started_at, found.ended_at, found.latency_us) == (NOON - day, NOON - day + 3 * SECOND, 3_000_000)
    page = await store.list_steps("default", DEFAULT_RUN, after=None, limit=9)
    assert page.run_started_at == NOON - day
    assert [step.started_at for step in page.steps] == [NOON - day + SECOND, NOON - day + 2 * SECOND]
    first = page.steps[0]
    after = DetailPosition(at=first.started_at, depth=first.depth, seq=first.seq, id=first.step_id)
    assert (await store.list_steps("default", DEFAULT_RUN, after=after, limit=9)).steps == page.steps[1:]
    assert (await store.step("default", DEFAULT_RUN, step_id(2))).steps == page.steps[1:]
    assert [step.started_at for step in (await store.tree("default", DEFAULT_RUN)).steps[0]] == [
        one.started_at for one in page.steps
    ]


async def test_a_parent_comes_before_its_children_at_equal_times(reading: Reading) -> None:
    """Steps that began in one moment go by depth before number and id, on every page; a ring of parents ends."""
    above = {7: None, 6: 7, 5: 6, 3: 9, 4: 2, 2: 4}
    rows = [
        StepSeed(step_id=step_id(number), parent_step_id=None if parent is None else step_id(parent), started_at=NOON, seq=0)
        for number, parent in above.items()
    ]
    early = StepSeed(step_id=step_id(8), parent_step_id=step_id(7), started_at=NOON - SECOND, seq=9)
    store = await reading(RunSeed(first_event_at=NOON - SECOND), early, *rows)
    wanted = [step_id(number) for number in (8, 3, 7, 6, 5, 2, 4)]
    for size in (1, 2, 9):
        joined: list[str] = []
        after = None
        while steps := (await store.list_steps("default", DEFAULT_RUN, after=after, limit=size)).steps:
            joined += [step.step_id for step in steps]
            after = DetailPosition(at=steps[-1].started_at, depth=steps[-1].depth, seq=steps[-1].seq, id=steps[-1].step_id)
        assert joined == wanted
    (tree,) = (await store.tree("default", DEFAULT_RUN)).steps
    assert [step.step_id for step in tree] == wanted


async def test_a_parent_is_a_step_that_can_be_read(reading: Reading) -> None:
    """One that the run does not have is told apart, on whichever page its child stands, and of one step too."""
    rows = [
        StepSeed(step_id=step_id(1), started_at=NOON),
        StepSeed(step_id=step_id(2), started_at=NOON + SECOND, parent_step_id=step_id(1)),
        StepSeed(step_id=step_id(3), started_at=NOON + 2 * SECOND, parent_step_id=step_id(9)),
        StepSeed(step_id=step_id(9), run_id=run_id(1), started_at=NOON),
    ]
    store = await reading(RunSeed(), RunSeed(run_id=run_id(1)), *rows)
    first = (await store.list_steps("default", DEFAULT_RUN, after=None, limit=1)).steps
    after = DetailPosition(at=first[0].started_at, depth=first[0].depth, seq=first[0].seq, id=first[0].step_id)
    rest = (await store.list_steps("default", DEFAULT_RUN, after=after, limit=9)).steps
    ones = [(await store.step("default", DEFAULT_RUN, step_id(number))).steps[0] for number in (1, 2, 3)]
    for steps in ([*first, *rest], ones):
        found = [(step.parent_step_id, step.unknown_parent_id) for step in steps]
        assert found == [(None, None), (step_id(1), None), (None, step_id(9))]


async def test_run_without_details(reading: Reading) -> None:
    """A run of which only its start is known has no steps and no failures, and that is no error."""
    store = await reading(RunSeed())
    assert (await store.list_steps("default", DEFAULT_RUN, after=None, limit=9)).steps == []
    assert await store.list_failures("default", DEFAULT_RUN, after=None, limit=9) == []


async def test_failures_of_an_abandoned_run(reading: Reading) -> None:
    """Failures are ordered by time, seq and id; an abandoned run's silence is one of them and pages like the others."""
    rows = [
        FailureSeed(failure_id=step_id(3), occurred_at=LONG_AGO, seq=2),
        FailureSeed(failure_id=step_id(2), occurred_at=LONG_AGO, seq=1, failure_rank=0, message_chars=12),
        FailureSeed(failure_id=step_id(1), occurred_at=LONG_AGO + 2 * SECOND),
    ]
    store = await reading(RunSeed(silent_after=LONG_AGO), *rows)
    found = await store.list_failures("default", DEFAULT_RUN, after=None, limit=9)
    assert [failure.failure_id for failure in found] == [step_id(2), step_id(3), "abandoned", step_id(1)]
    silence = found[2]
    assert (silence.failure_type, silence.failure_code, silence.rule_id) == ("orchestration", "abandoned", "silence")
    assert (silence.occurred_at, silence.failure_rank, silence.taxonomy_version) == (LONG_AGO, None, None)
    for last, rest in ((found[1], found[2:]), (found[2], found[3:])):
        after = DetailPosition(at=last.occurred_at, seq=last.seq, id=last.failure_id)
        assert await store.list_failures("default", DEFAULT_RUN, after=after, limit=9) == rest


async def test_late_end_ends_abandonment(reading: Reading) -> None:
    """A run that was silent for too long and then ended is not abandoned and has no such failure."""
    store = await reading(RunSeed(silent_after=LONG_AGO, end_status="success", ended_at=NOON))
    assert (await store.run("default", DEFAULT_RUN)).status == "success"
    assert await store.list_failures("default", DEFAULT_RUN, after=None, limit=9) == []


def counted(since: datetime, until: datetime, **filters: str) -> CountFilter:
    """By the minute."""
    return CountFilter(since=since, until=until, parts=[Part(1, minute_of(since), minute_of(until))], **filters)


@pytest.mark.parametrize("compacting", [False, True])
async def test_counts_merge_minutes(reading: Reading) -> None:
    """The window's minutes are summed, compacted or not; its end, other projects and rows fallen to zero are left out."""
    minute = timedelta(minutes=1)
    store = await reading(
        RunRollupSeed(minute=NOON, runs=2),
        RunRollupSeed(minute=NOON + minute, runs=3),
        RunRollupSeed(minute=NOON + 2 * minute, runs=50),
        RunRollupSeed(minute=NOON, status="running", latency_bucket=-1, runs=0),
        RunRollupSeed(minute=NOON, project="other", runs=70),
        StepRollupSeed(minute=NOON, steps=4),
        StepRollupSeed(minute=NOON + minute, steps=5),
        StepRollupSeed(minute=NOON, status="error", steps=1),
        StepRollupSeed(minute=NOON - minute, steps=90),
        StepRollupSeed(minute=NOON, project="other", steps=70),
    )
    counts = await store.counts("default", counted(NOON, NOON + 2 * minute))
    run: dict[str, Any] = {
        "agent": "support-bot",
        "agent_version": "1.0",
        "failure_type": "",
        "failure_code": "",
    }
    assert counts.runs == [RunCount(**run, status="success", runs=5, histogram={111: 5})]
    step: dict[str, Any] = {
        "agent": "support-bot",
        "agent_version": "1.0",
        "kind": "tool",
        "name": "search",
    }
    expected = [
        StepCount(**step, status="error", steps=1, histogram={111: 1}),
        StepCount(**step, status="ok", steps=9, histogram={111: 9}),
    ]
    assert sorted(counts.steps, key=lambda row: row.status) == expected
    assert counts.abandoned == []


async def test_counts_know_the_abandoned(reading: Reading) -> None:
    """Open runs that are silent for too long are counted by agent and version, within the window and the filters."""
    silent: dict[str, Any] = {"silent_after": LONG_AGO}
    failed: dict[str, Any] = {"failure_type": "tool", "failure_code": "timeout", "failure_id": step_id(1)}
    store = await reading(
        RunSeed(run_id=run_id(1), **silent),
        RunSeed(run_id=run_id(2), **silent, **failed),
        RunSeed(run_id=run_id(3), **silent, agent="other"),
        RunSeed(run_id=run_id(4), **silent, declared_started_at=NOON - SECOND),
        RunSeed(run_id=run_id(5), **silent, end_status="success", ended_at=NOON),
        RunSeed(run_id=run_id(6)),
        RunSeed(run_id=run_id(7), **silent, project="other"),
    )
    window = NOON, NOON + SECOND
    counts = await store.counts("default", counted(*window, agent="support-bot", agent_version="1.0"))
    named = {"agent": "support-bot", "agent_version": "1.0", "runs": 1}
    assert sorted(counts.abandoned, key=lambda one: one.failure_type) == [
        AbandonedCount(**named, failure_type="", failure_code=""),
        AbandonedCount(**named, failure_type="tool", failure_code="timeout"),
    ]
    assert len((await store.counts("default", counted(*window))).abandoned) == 3


@pytest.mark.parametrize("kind", [RunRollupSeed, StepRollupSeed])
async def test_counts_are_bounded(reading: Reading, monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    """As many deltas as are allowed are added up; one more is refused, since part of them would be wrong figures."""
    for module in (on_postgres, testing_counts):
        monkeypatch.setattr(module, "FIGURES_MAX", 2)
    store = await reading(*(kind(latency_bucket=bucket) for bucket in (1, 2)), kind(latency_bucket=3, minute=NOON + SECOND * 60))
    counts = await store.counts("default", counted(NOON, NOON + SECOND * 60))
    assert [one.histogram for one in (*counts.runs, *counts.steps)] == [{1: 1, 2: 1}]
    with pytest.raises(TooManyFiguresError):
        await store.counts("default", counted(NOON, NOON + SECOND * 120))
