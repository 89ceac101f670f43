"""What every store reader promises of what was diagnosed, run on the shipped fake and on real Postgres."""

from typing import Any

import pytest

from query_service.store.rows import FailureGroup, RunFailure
from query_service.store.store import CountFilter, RunFilter
from query_service.testing_rows import (
    DEFAULT_RUN,
    NOON,
    FailureSeed,
    RunSeed,
)
from tests.contract.run_readers import LONG_AGO, SECOND, Reading, listed, run_id, step_id

pytestmark = pytest.mark.anyio


async def test_a_derived_failure_stands_for_a_run_without_another(reading: Reading) -> None:
    """A run that only goes in circles is known by that."""
    root = {"root_failure_type": "orchestration", "root_failure_code": "loop_suspected", "root_failure_id": step_id(8)}
    run = await (await reading(RunSeed(**root))).run("default", DEFAULT_RUN)
    assert (
        run.failure
        == run.root_cause
        == RunFailure(failure_type="orchestration", failure_code="loop_suspected", failure_id=step_id(8))
    )


async def test_failures_say_what_became_of_them(reading: Reading) -> None:
    """Outcome, cause, fingerprint, and which of them is the run's root cause; of what was not judged nothing."""
    rows = [
        FailureSeed(failure_id=step_id(1), outcome="fatal", fingerprint="0" * 16),
        FailureSeed(failure_id=step_id(2), outcome="recovered", caused_by=step_id(1), fingerprint="1" * 16),
        FailureSeed(failure_id=step_id(3)),
    ]
    root = {"root_failure_type": "tool", "root_failure_code": "timeout", "root_failure_id": step_id(1)}
    found = await (await reading(RunSeed(**root), *rows)).list_failures("default", DEFAULT_RUN, after=None, limit=9)
    assert [(one.outcome, one.caused_by, one.fingerprint, one.is_root) for one in found] == [
        ("fatal", None, "0" * 16, True),
        ("recovered", step_id(1), "1" * 16, False),
        (None, None, None, False),
    ]


@pytest.mark.parametrize(
    ("steps", "failures", "derived", "truncated"),
    [(1_000, 200, 0, False), (1_001, 0, 0, True), (0, 201, 0, True), (0, 201, 1, False), (0, 219, 19, False), (0, 220, 19, True)],
)
async def test_a_run_with_more_than_is_looked_at_is_truncated(
    reading: Reading, *, steps: int, failures: int, derived: int, truncated: bool
) -> None:
    """One more step or failure than that, derived ones aside, alone and in a list; what another run derived does not count."""
    found_over_steps = [FailureSeed(failure_id=step_id(number), failure_rank=3) for number in range(derived)]
    others = [FailureSeed(run_id=run_id(1), failure_rank=3)]
    store = await reading(RunSeed(step_count=steps, failure_count=failures), *found_over_steps, *others)
    assert (await store.run("default", DEFAULT_RUN)).truncated is truncated
    assert [run.truncated for run in await store.list_runs("default", RunFilter(), after=None, limit=9)] == [truncated]
    if derived:
        by_failure = RunFilter(failure_code="timeout")
        assert [run.truncated for run in await store.list_runs("default", by_failure, after=None, limit=9)] == [truncated]


async def test_runs_by_fingerprint_and_shape(reading: Reading) -> None:
    """Type, code and fingerprint must meet in one failure; a silence has no fingerprint; a shape is the run's."""
    store = await reading(
        RunSeed(run_id=run_id(1), shape="a" * 16),
        RunSeed(run_id=run_id(2), shape="b" * 16, silent_after=LONG_AGO),
        FailureSeed(run_id=run_id(1), fingerprint="0" * 16),
        FailureSeed(run_id=run_id(1), failure_id=step_id(2), failure_code="auth", fingerprint="1" * 16),
        FailureSeed(run_id=run_id(2), fingerprint="0" * 16),
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
        FailureSeed(run_id=run_id(1), fingerprint="0" * 16, outcome="recovered", error_class="E"),
        FailureSeed(run_id=run_id(1), failure_id=step_id(2), fingerprint="0" * 16, outcome="fatal", error_class="E"),
        FailureSeed(run_id=run_id(2), fingerprint="0" * 16, outcome="fatal", error_class="E", occurred_at=NOON + SECOND),
        FailureSeed(run_id=run_id(2), failure_id=step_id(3), fingerprint="1" * 16, agent="other-bot"),
        FailureSeed(run_id=run_id(3), failure_id=step_id(4)),
        FailureSeed(run_id=run_id(3), failure_id=step_id(5), fingerprint="0" * 16, occurred_at=NOON + 60 * SECOND),
    ]
    store = await reading(*rows)
    window: dict[str, Any] = {"since": NOON, "until": NOON + 60 * SECOND, "parts": ()}
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
