"""What every store reader promises of steps, failures and counts, run on the shipped fake and on real Postgres."""

from datetime import timedelta
from typing import Any

import pytest

from query_service import store as on_postgres
from query_service import testing
from query_service.errors import TooManyFiguresError
from query_service.reader import CountFilter, DetailPosition
from query_service.stored import AbandonedCount, RunCount, StepCount
from query_service.testing_rows import (
    DEFAULT_RUN,
    NOON,
    FailureRow,
    RunRollupRow,
    RunRow,
    StepRollupRow,
    StepRow,
)
from tests.contract.run_readers import LONG_AGO, SECOND, Reading, run_id, step_id

pytestmark = pytest.mark.anyio


async def test_steps_come_in_order_and_page(reading: Reading) -> None:
    """Steps are ordered by start, seq and id, over days; pages joined are the whole."""
    rows = [
        StepRow(step_id=step_id(5), started_at=NOON, seq=2),
        StepRow(step_id=step_id(4), started_at=NOON, seq=2),
        StepRow(step_id=step_id(9), started_at=NOON, seq=1),
        StepRow(step_id=step_id(1), started_at=NOON + timedelta(hours=13), seq=1, metadata={"tokens": 3}),
        StepRow(step_id=step_id(7), run_id=run_id(1)),
    ]
    store = await reading(RunRow(), RunRow(run_id=run_id(1)), *rows)
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
            after = DetailPosition(at=steps[-1].started_at, seq=steps[-1].seq, id=steps[-1].step_id)
        assert joined == [step.step_id for step in page.steps]


async def test_run_without_details(reading: Reading) -> None:
    """A run of which only its start is known has no steps and no failures, and that is no error."""
    store = await reading(RunRow())
    assert (await store.list_steps("default", DEFAULT_RUN, after=None, limit=9)).steps == []
    assert await store.list_failures("default", DEFAULT_RUN, after=None, limit=9) == []


async def test_failures_of_an_abandoned_run(reading: Reading) -> None:
    """Failures are ordered by time, seq and id; an abandoned run's silence is one of them and pages like the others."""
    rows = [
        FailureRow(failure_id=step_id(3), occurred_at=LONG_AGO, seq=2),
        FailureRow(failure_id=step_id(2), occurred_at=LONG_AGO, seq=1, failure_rank=0, message_chars=12),
        FailureRow(failure_id=step_id(1), occurred_at=LONG_AGO + 2 * SECOND),
    ]
    store = await reading(RunRow(silent_after=LONG_AGO), *rows)
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
    store = await reading(RunRow(silent_after=LONG_AGO, end_status="success", ended_at=NOON))
    assert (await store.run("default", DEFAULT_RUN)).status == "success"
    assert await store.list_failures("default", DEFAULT_RUN, after=None, limit=9) == []


async def test_counts_merge_minutes(reading: Reading) -> None:
    """Rollups of the window's minutes are summed; its end, other projects and rows fallen to zero are left out."""
    minute = timedelta(minutes=1)
    store = await reading(
        RunRollupRow(minute=NOON, runs=2),
        RunRollupRow(minute=NOON + minute, runs=3),
        RunRollupRow(minute=NOON + 2 * minute, runs=50),
        RunRollupRow(minute=NOON, status="running", latency_bucket=-1, runs=0),
        RunRollupRow(minute=NOON, project="other", runs=70),
        StepRollupRow(minute=NOON, steps=4),
        StepRollupRow(minute=NOON + minute, steps=5),
        StepRollupRow(minute=NOON, status="error", steps=1),
        StepRollupRow(minute=NOON - minute, steps=90),
        StepRollupRow(minute=NOON, project="other", steps=70),
    )
    counts = await store.counts("default", CountFilter(since=NOON, until=NOON + 2 * minute))
    run: dict[str, Any] = {
        "agent": "support-bot",
        "agent_version": "1.0",
        "failure_type": "",
        "failure_code": "",
        "latency_bucket": 111,
    }
    assert counts.runs == [RunCount(**run, status="success", runs=5)]
    step: dict[str, Any] = {
        "agent": "support-bot",
        "agent_version": "1.0",
        "kind": "tool",
        "name": "search",
        "latency_bucket": 111,
    }
    expected = [StepCount(**step, status="error", steps=1), StepCount(**step, status="ok", steps=9)]
    assert sorted(counts.steps, key=lambda row: row.status) == expected
    assert counts.abandoned == []


async def test_counts_know_the_abandoned(reading: Reading) -> None:
    """Open runs that are silent for too long are counted by agent and version, within the window and the filters."""
    silent: dict[str, Any] = {"silent_after": LONG_AGO}
    failed: dict[str, Any] = {"failure_type": "tool", "failure_code": "timeout", "failure_id": step_id(1)}
    store = await reading(
        RunRow(run_id=run_id(1), **silent),
        RunRow(run_id=run_id(2), **silent, **failed),
        RunRow(run_id=run_id(3), **silent, agent="other"),
        RunRow(run_id=run_id(4), **silent, declared_started_at=NOON - SECOND),
        RunRow(run_id=run_id(5), **silent, end_status="success", ended_at=NOON),
        RunRow(run_id=run_id(6)),
        RunRow(run_id=run_id(7), **silent, project="other"),
    )
    window: dict[str, Any] = {"since": NOON, "until": NOON + SECOND}
    counts = await store.counts("default", CountFilter(**window, agent="support-bot", agent_version="1.0"))
    assert counts.abandoned == [AbandonedCount(agent="support-bot", agent_version="1.0", runs=2, unexplained=1)]
    assert len((await store.counts("default", CountFilter(**window))).abandoned) == 2


@pytest.mark.parametrize("kind", [RunRollupRow, StepRollupRow])
async def test_counts_are_bounded(reading: Reading, monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    """As many different counts as are allowed are given; one more is refused, since part of them would be wrong figures."""
    for module in (on_postgres, testing):
        monkeypatch.setattr(module, "FIGURES_MAX", 2)
    store = await reading(*(kind(latency_bucket=bucket) for bucket in (1, 2)), kind(latency_bucket=3, minute=NOON + SECOND * 60))
    which = CountFilter(since=NOON, until=NOON + SECOND * 60)
    counts = await store.counts("default", which)
    assert len(counts.runs) + len(counts.steps) == 2
    with pytest.raises(TooManyFiguresError):
        await store.counts("default", CountFilter(since=NOON, until=NOON + SECOND * 120))
