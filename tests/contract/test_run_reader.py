"""What every store reader promises, run on the shipped fake and on real Postgres."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from pydantic import SecretStr

from query_service.errors import RunNotFoundError
from query_service.postgres import SCHEMA, Postgres
from query_service.reader import CountFilter, DetailPosition, RunFilter, RunPosition, StoreReader
from query_service.settings import QuerySettings
from query_service.store import PostgresReader
from query_service.stored import AbandonedCount, FailureGroup, FirstFailure, Producer, Run, RunCount, StepCount
from query_service.testing import FakeStore
from query_service.testing_rows import (
    DEFAULT_RUN,
    NOON,
    FailureRow,
    LossRow,
    ProducerRow,
    Row,
    RunRollupRow,
    RunRow,
    StepRollupRow,
    StepRow,
    insertion,
)

pytestmark = pytest.mark.anyio
LONG_AGO = NOON - timedelta(days=30)
SECOND = timedelta(seconds=1)
EVERY = RunFilter()
Reading = Callable[..., Awaitable[StoreReader]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def run_id(number: int) -> UUID:
    return UUID(int=DEFAULT_RUN.int + number)


def step_id(number: int) -> str:
    return f"{number:016x}"


@pytest.fixture(params=["fake", "postgres"])
def dsns(request: pytest.FixtureRequest) -> dict[str, str] | None:
    """Of a real store, or None for the fake; apart from `reading`, because it may run an event loop of its own."""
    return None if request.param == "fake" else request.getfixturevalue("migrated_dsn")


@pytest.fixture
async def reading(dsns: dict[str, str] | None) -> AsyncIterator[Reading]:
    """Gives a reader over exactly the rows that it is called with."""
    if dsns is None:

        async def fake(*rows: Row) -> StoreReader:
            return FakeStore(*rows)

        yield fake
        return
    owner = await asyncpg.connect(dsns["owner"], server_settings={"search_path": SCHEMA})
    postgres = Postgres(QuerySettings(postgres_dsn=SecretStr(dsns["query"]), pool_max=2))
    await postgres.open()

    async def real(*rows: Row) -> StoreReader:
        await owner.execute("TRUNCATE runs, steps, failures, run_producers, declared_losses, run_rollups, step_rollups")
        for row in rows:
            statement, values = insertion(row)
            await owner.execute(statement, *values)
        return PostgresReader(postgres)

    yield real
    await postgres.close()
    await owner.close()


async def listed(store: StoreReader, which: RunFilter = EVERY, *, limit: int = 100) -> list[int]:
    runs = await store.list_runs("default", which, after=None, limit=limit)
    return [run.run_id.int - DEFAULT_RUN.int for run in runs]


async def test_ready_when_reachable(reading: Reading) -> None:
    """A reader over a migrated store is ready."""
    assert await (await reading()).ready() is None


async def test_run_has_all_its_columns(reading: Reading) -> None:
    """A run comes back with what was stored, derived start, latency and status included."""
    row = RunRow(
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
        parent_run_id=run_id(9),
        metadata={"channel": "chat", "retries": 2, "score": 0.5, "vip": True},
    )
    run = await (await reading(row)).run("default", DEFAULT_RUN)
    assert run == Run(
        run_id=DEFAULT_RUN,
        agent="support-bot",
        agent_version="1.0",
        status="failure",
        started_at=NOON,
        ended_at=NOON + timedelta(microseconds=1_500_250),
        latency_us=1_500_250,
        step_count=3,
        error_step_count=2,
        failure_count=2,
        recorded_failure_count=1,
        failure=row.failure,
        root_cause=FirstFailure(failure_type="model", failure_code="auth", failure_id=step_id(5)),
        shape="5b1d9c0f3a7e2468",
        parent_run_id=run_id(9),
        metadata={"channel": "chat", "retries": 2, "score": 0.5, "vip": True},
        last_received_at=NOON,
        start_seen=False,
        emitted=7,
        producers=[],
    )


async def test_open_run_has_no_latency(reading: Reading) -> None:
    """A run that has not ended has no latency, and none is at least 0."""
    store = await reading(RunRow())
    assert (await store.run("default", DEFAULT_RUN)).latency_us is None
    assert await listed(store, RunFilter(min_latency_us=0)) == []


async def test_missing_run(reading: Reading) -> None:
    """A run that is not there, or is another project's, is not found, nor are its steps and failures."""
    store = await reading(RunRow(project="other"), StepRow(project="other"), FailureRow(project="other"))
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
        ProducerRow(producer="p1", seen=[(0, 3), (4, 6)], emitted=7),
        ProducerRow(producer="p3", seen=[(4, 5)]),
        ProducerRow(run_id=run_id(1), producer="p4"),
        LossRow(producer="p1", reason="queue_full", total=2),
        LossRow(producer="p2", reason="queue_full", total=3),
        LossRow(producer="p1", reason="exit", total=1),
        LossRow(run_id=run_id(1), reason="fork", total=9),
    ]
    store = await reading(RunRow(), *rows)
    run = await store.run("default", DEFAULT_RUN)
    assert run.producers == [
        Producer(producer="p1", emitted=7, stored=5, gaps=1, declared={"queue_full": 2, "exit": 1}),
        Producer(producer="p2", emitted=None, stored=None, gaps=0, declared={"queue_full": 3}),
        Producer(producer="p3", emitted=None, stored=1, gaps=0, declared={}),
    ]
    assert (await store.list_runs("default", RunFilter(), after=None, limit=1))[0].producers == run.producers


async def test_a_derived_failure_stands_for_a_run_without_another(reading: Reading) -> None:
    """A run that only goes in circles is known by that."""
    root = {"root_failure_type": "orchestration", "root_failure_code": "loop_suspected", "root_failure_id": step_id(8)}
    run = await (await reading(RunRow(**root))).run("default", DEFAULT_RUN)
    assert (
        run.failure
        == run.root_cause
        == FirstFailure(failure_type="orchestration", failure_code="loop_suspected", failure_id=step_id(8))
    )


async def test_failures_say_what_became_of_them(reading: Reading) -> None:
    """Outcome, cause, fingerprint, and which of them is the run's root cause; of what was not judged nothing."""
    rows = [
        FailureRow(failure_id=step_id(1), outcome="fatal", fingerprint="0" * 16),
        FailureRow(failure_id=step_id(2), outcome="recovered", caused_by=step_id(1), fingerprint="1" * 16),
        FailureRow(failure_id=step_id(3)),
    ]
    root = {"root_failure_type": "tool", "root_failure_code": "timeout", "root_failure_id": step_id(1)}
    found = await (await reading(RunRow(**root), *rows)).list_failures("default", DEFAULT_RUN, after=None, limit=9)
    assert [(one.outcome, one.caused_by, one.fingerprint, one.is_root) for one in found] == [
        ("fatal", None, "0" * 16, True),
        ("recovered", step_id(1), "1" * 16, False),
        (None, None, None, False),
    ]


async def test_runs_by_fingerprint_and_shape(reading: Reading) -> None:
    """Type, code and fingerprint must meet in one failure; a silence has no fingerprint; a shape is the run's."""
    store = await reading(
        RunRow(run_id=run_id(1), shape="a" * 16),
        RunRow(run_id=run_id(2), shape="b" * 16, silent_after=LONG_AGO),
        FailureRow(run_id=run_id(1), fingerprint="0" * 16),
        FailureRow(run_id=run_id(1), failure_id=step_id(2), failure_code="auth", fingerprint="1" * 16),
        FailureRow(run_id=run_id(2), fingerprint="0" * 16),
    )
    assert await listed(store, RunFilter(fingerprint="0" * 16)) == [2, 1]
    assert await listed(store, RunFilter(fingerprint="1" * 16)) == [1]
    assert await listed(store, RunFilter(fingerprint="0" * 16, failure_code="auth")) == []
    assert await listed(store, RunFilter(fingerprint="0" * 16, shape="b" * 16)) == [2]
    assert await listed(store, RunFilter(shape="a" * 16)) == [1]
    assert await listed(store, RunFilter(shape="c" * 16)) == []


async def test_failures_are_grouped(reading: Reading) -> None:
    """By fingerprint and when they occurred, the most frequent first; what was not judged is not counted."""
    rows = [
        FailureRow(run_id=run_id(1), fingerprint="0" * 16, outcome="recovered", error_class="E"),
        FailureRow(run_id=run_id(1), failure_id=step_id(2), fingerprint="0" * 16, outcome="fatal", error_class="E"),
        FailureRow(run_id=run_id(2), fingerprint="0" * 16, outcome="fatal", error_class="E", occurred_at=NOON + SECOND),
        FailureRow(run_id=run_id(2), failure_id=step_id(3), fingerprint="1" * 16, agent="other-bot"),
        FailureRow(run_id=run_id(3), failure_id=step_id(4)),
        FailureRow(run_id=run_id(3), failure_id=step_id(5), fingerprint="0" * 16, occurred_at=NOON + 60 * SECOND),
    ]
    store = await reading(*rows)
    window = {"since": NOON, "until": NOON + 60 * SECOND}
    groups = (await store.counts("default", CountFilter(**window))).groups
    assert [group.fingerprint for group in groups] == ["0" * 16, "1" * 16]
    assert groups[0] == FailureGroup(
        fingerprint="0" * 16,
        agent="support-bot",
        failure_type="tool",
        failure_code="timeout",
        error_class="E",
        failures=3,
        recovered=1,
        runs=2,
        last_occurred_at=NOON + SECOND,
        last_run_id=run_id(2),
    )
    of_other = (await store.counts("default", CountFilter(**window, agent="other-bot"))).groups
    assert [group.fingerprint for group in of_other] == ["1" * 16]


async def test_runs_come_newest_first(reading: Reading) -> None:
    """Runs are ordered by start, then id, both descending; those of other projects are not listed."""
    store = await reading(
        RunRow(run_id=run_id(1), declared_started_at=NOON),
        RunRow(run_id=run_id(3), declared_started_at=NOON),
        RunRow(run_id=run_id(2), declared_started_at=NOON + SECOND),
        RunRow(run_id=run_id(4), project="other"),
    )
    assert await listed(store) == [2, 3, 1]
    assert await listed(store, limit=2) == [2, 3]


async def test_runs_page_without_gap_or_double(reading: Reading) -> None:
    """Pages of any size joined are the whole list, runs that start at the same microsecond included."""
    rows = [RunRow(run_id=run_id(n), declared_started_at=NOON + SECOND * (n // 4)) for n in range(11)]
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
        RunRow(**named(1, "a", "1"), **ended(1, "success", 1_000)),
        RunRow(**named(2, "a", "2"), **ended(2, "partial", 2_000)),
        RunRow(**named(3, "b", "2"), **ended(3, "failure", 3_000)),
        RunRow(**named(4, "b", "3")),
        RunRow(**named(5, "c", "3"), silent_after=LONG_AGO),
        FailureRow(run_id=run_id(2), failure_type="tool", failure_code="auth"),
        FailureRow(run_id=run_id(3), failure_type="tool", failure_code="timeout"),
        FailureRow(run_id=run_id(3), failure_type="tool", failure_code="timeout", failure_id=step_id(2)),
        FailureRow(run_id=run_id(4), failure_type="model", failure_code="timeout"),
        FailureRow(run_id=run_id(4), project="other", failure_type="tool", failure_code="auth"),
    )
    assert await listed(store, RunFilter(**which)) == numbers


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
