"""What every store reader promises of runs, run on the shipped fake and on real Postgres."""

from datetime import timedelta
from typing import Any

import pytest

from query_service.errors import RunNotFoundError
from query_service.store.rows import ProducerAccount, RunFailure, StoredRun
from query_service.store.store import RunFilter, RunPosition
from query_service.testing_rows import (
    DEFAULT_RUN,
    NOON,
    FailureSeed,
    LossSeed,
    ProducerSeed,
    RunSeed,
    StepSeed,
)
from tests.contract.run_readers import LONG_AGO, SECOND, Reading, listed, run_id, step_id

pytestmark = pytest.mark.anyio


async def test_ready_when_reachable(reading: Reading) -> None:
    """A reader over a migrated store is ready."""
    assert await (await reading()).ready() is None


async def test_nothing_is_complete_before_workers_say_so(reading: Reading) -> None:
    """Rows alone do not tell that nothing is missing."""
    assert await (await reading(RunSeed())).complete_to() is None


async def test_run_has_all_its_columns(reading: Reading) -> None:
    """A run comes back with what was stored, derived start, latency and status included."""
    row = RunSeed(
        declared_started_at=None,
        ended_at=NOON + timedelta(microseconds=1_500_250),
        end_status="failure",
        emitted=7,
        step_count=3,
        error_step_count=2,
        failure_count=2,
        recorded_failure_count=1,
        failure_type="tool",
        failure_code="timeout",
        failure_id=step_id(4),
        root_failure_type="model",
        root_failure_code="auth",
        root_failure_id=step_id(5),
        shape="5b1d9c0f3a7e2468",
        end_reason="limit_steps",
        session_digest="a" * 32,
        parent_run_id=run_id(9),
        metadata={"channel": "chat", "retries": 2, "score": 0.5, "vip": True},
    )
    run = await (await reading(row)).run("default", DEFAULT_RUN)
    assert run == StoredRun(
        run_id=DEFAULT_RUN,
        agent="support-bot",
        agent_version="1.0",
        status="failure",
        started_at=NOON,
        ended_at=NOON + timedelta(microseconds=1_500_250),
        latency_us=1_500_250,
        end_reason="limit_steps",
        session_digest="a" * 32,
        step_count=3,
        error_step_count=2,
        failure_count=2,
        recorded_failure_count=1,
        failure=row.failure,
        root_cause=RunFailure(failure_type="model", failure_code="auth", failure_id=step_id(5)),
        shape="5b1d9c0f3a7e2468",
        truncated=False,
        parent_run_id=run_id(9),
        parent_step_id=None,
        metadata={"channel": "chat", "retries": 2, "score": 0.5, "vip": True},
        time_shift_us=0,
        last_received_at=NOON,
        start_seen=False,
        emitted=7,
        producers=[],
    )


async def test_open_run_has_no_latency(reading: Reading) -> None:
    """A run that has not ended has no latency, and none is at least 0."""
    store = await reading(RunSeed())
    assert (await store.run("default", DEFAULT_RUN)).latency_us is None
    assert await listed(store, RunFilter(min_latency_us=0)) == []


async def test_missing_run(reading: Reading) -> None:
    """A run that is not there, or is another project's, is not found, nor are its steps and failures."""
    store = await reading(RunSeed(project="other"), StepSeed(project="other"), FailureSeed(project="other"))
    for call in (
        store.run("default", DEFAULT_RUN),
        store.list_steps("default", DEFAULT_RUN, after=None, limit=9),
        store.list_failures("default", DEFAULT_RUN, after=None, limit=9),
    ):
        with pytest.raises(RunNotFoundError):
            await call


async def test_producers_have_an_account_each(reading: Reading) -> None:
    """Stored numbers, gaps between them and declared losses, by producer; another run's are not among them."""
    rows = [
        ProducerSeed(producer="p1", seen=[(0, 3), (4, 6)], emitted=7),
        ProducerSeed(producer="p3", seen=[(4, 5)]),
        ProducerSeed(run_id=run_id(1), producer="p4"),
        LossSeed(producer="p1", reason="queue_full", total=2),
        LossSeed(producer="p2", reason="queue_full", total=3),
        LossSeed(producer="p1", reason="exit", total=1),
        LossSeed(run_id=run_id(1), reason="fork", total=9),
    ]
    store = await reading(RunSeed(), *rows)
    run = await store.run("default", DEFAULT_RUN)
    assert run.producers == [
        ProducerAccount(producer="p1", emitted=7, stored=5, gaps=1, declared={"queue_full": 2, "exit": 1}),
        ProducerAccount(producer="p2", emitted=None, stored=None, gaps=0, declared={"queue_full": 3}),
        ProducerAccount(producer="p3", emitted=None, stored=1, gaps=0, declared={}),
    ]
    assert (await store.list_runs("default", RunFilter(), after=None, limit=1))[0].producers == run.producers


async def test_runs_come_newest_first(reading: Reading) -> None:
    """Runs are ordered by start, then id, both descending; those of other projects are not listed."""
    store = await reading(
        RunSeed(run_id=run_id(1), declared_started_at=NOON),
        RunSeed(run_id=run_id(3), declared_started_at=NOON),
        RunSeed(run_id=run_id(2), declared_started_at=NOON + SECOND),
        RunSeed(run_id=run_id(4), project="other"),
    )
    assert await listed(store) == [2, 3, 1]
    assert await listed(store, limit=2) == [2, 3]


async def test_runs_page_without_gap_or_double(reading: Reading) -> None:
    """Pages of any size joined are the whole list, runs that start at the same microsecond included."""
    rows = [RunSeed(run_id=run_id(n), declared_started_at=NOON + SECOND * (n // 4)) for n in range(11)]
    store = await reading(*rows)
    whole = await listed(store)
    for size in (1, 2, 3, 11):
        joined: list[int] = []
        after = None
        while page := await store.list_runs("default", RunFilter(), after=after, limit=size):
            joined += [run.run_id.int - DEFAULT_RUN.int for run in page]
            after = RunPosition(started_at=page[-1].started_at, run_id=page[-1].run_id)
        assert joined == whole


@pytest.mark.parametrize(
    ("which", "numbers"),
    [
        ({"agent": "a"}, [2, 1]),
        ({"agent": "a", "agent_version": "2"}, [2]),
        ({"agent_version": "2"}, [3, 2]),
        ({"status": "running"}, [4]),
        ({"status": "success"}, [1]),
        ({"status": "partial"}, [2]),
        ({"status": "failure"}, [3]),
        ({"status": "abandoned"}, [5]),
        ({"since": NOON + 3 * SECOND}, [5, 4, 3]),
        ({"until": NOON + 3 * SECOND}, [2, 1]),
        ({"since": NOON + 2 * SECOND, "until": NOON + 4 * SECOND}, [3, 2]),
        ({"min_latency_us": 2_000}, [3, 2]),
        ({"min_latency_us": 2_001}, [3]),
        ({"failure_type": "tool"}, [3, 2]),
        ({"failure_code": "timeout"}, [4, 3]),
        ({"failure_type": "tool", "failure_code": "timeout"}, [3]),
        ({"failure_type": "tool", "failure_code": "abandoned"}, []),
        ({"failure_type": "orchestration"}, [5]),
        ({"failure_code": "abandoned"}, [5]),
        ({"failure_code": "timeout", "status": "running"}, [4]),
        ({"failure_code": "timeout", "agent_version": "2", "since": NOON, "min_latency_us": 1}, [3]),
        ({"agent": "nobody"}, []),
    ],
)
async def test_run_filters(reading: Reading, which: dict[str, Any], numbers: list[int]) -> None:
    """Every filter keeps exactly the runs it names; filters add up; type and code must meet in one failure."""

    def named(number: int, agent: str, version: str) -> dict[str, Any]:
        started = NOON + number * SECOND
        return {"run_id": run_id(number), "agent": agent, "agent_version": version, "declared_started_at": started}

    def ended(number: int, status: str, latency_us: int) -> dict[str, Any]:
        return {"end_status": status, "ended_at": NOON + number * SECOND + timedelta(microseconds=latency_us)}

    store = await reading(
        RunSeed(**named(1, "a", "1"), **ended(1, "success", 1_000)),
        RunSeed(**named(2, "a", "2"), **ended(2, "partial", 2_000)),
        RunSeed(**named(3, "b", "2"), **ended(3, "failure", 3_000)),
        RunSeed(**named(4, "b", "3")),
        RunSeed(**named(5, "c", "3"), silent_after=LONG_AGO),
        FailureSeed(run_id=run_id(2), failure_type="tool", failure_code="auth"),
        FailureSeed(run_id=run_id(3), failure_type="tool", failure_code="timeout"),
        FailureSeed(run_id=run_id(3), failure_type="tool", failure_code="timeout", failure_id=step_id(2)),
        FailureSeed(run_id=run_id(4), failure_type="model", failure_code="timeout"),
        FailureSeed(run_id=run_id(4), project="other", failure_type="tool", failure_code="auth"),
    )
    assert await listed(store, RunFilter(**which)) == numbers
