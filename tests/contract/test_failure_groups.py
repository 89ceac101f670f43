"""What every store reader promises of kinds of failure, run on the shipped fake and on real Postgres."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from query_service.errors import FailureNotFoundError
from query_service.store.rows import EvidenceCount, StepName, VersionFailures
from query_service.store.store import FailureFilter, GroupOrder
from query_service.testing_rows import NOON, FailureSeed, RunSeed, StepSeed
from tests.contract.run_readers import LONG_AGO, Reading, run_id, step_id

pytestmark = pytest.mark.anyio
HOUR = timedelta(hours=1)
TIMEOUT, AUTH = "a" * 16, "b" * 16
WINDOW = FailureFilter(since=NOON, until=NOON + 2 * HOUR, starts=[NOON, NOON + HOUR])
ROWS = (
    RunSeed(run_id=run_id(1), shape="5" * 16),
    RunSeed(run_id=run_id(2)),
    RunSeed(run_id=run_id(3), agent_version="2.0"),
    RunSeed(run_id=run_id(4), shape="5" * 16, end_status="success"),
    RunSeed(run_id=run_id(5), shape="5" * 16, end_status="success", project="other"),
    StepSeed(run_id=run_id(1), step_id=step_id(1), kind="plan", name="decide"),
    StepSeed(run_id=run_id(1), step_id=step_id(2), kind="tool", name="fetch", parent_step_id=step_id(1)),
    FailureSeed(run_id=run_id(1), failure_id=step_id(2), step_id=step_id(2), fingerprint=TIMEOUT, outcome="fatal"),
    FailureSeed(run_id=run_id(1), failure_id=step_id(9), fingerprint=TIMEOUT, outcome="recovered", occurred_at=NOON - HOUR),
    FailureSeed(run_id=run_id(2), fingerprint=AUTH, failure_code="auth", occurred_at=NOON + HOUR, http_status=401),
    FailureSeed(run_id=run_id(2), failure_id=step_id(8), fingerprint=AUTH, failure_code="auth", occurred_at=NOON + HOUR),
    FailureSeed(
        run_id=run_id(3), fingerprint=AUTH, failure_code="auth", occurred_at=NOON + 2 * HOUR - HOUR / 60, agent_version="2.0"
    ),
    FailureSeed(run_id=run_id(2), failure_id=step_id(7)),
    FailureSeed(run_id=run_id(6), fingerprint=TIMEOUT, project="other"),
)


async def test_groups_of_a_window(reading: Reading) -> None:
    """What is outside of it, without a fingerprint, or of another project counts nowhere, but for when a kind came first."""
    store = await reading(*ROWS)
    auth, timeout = await store.failure_groups("default", WINDOW, order=GroupOrder.FAILURES, limit=9)
    assert (auth.fingerprint, auth.failures, auth.runs, auth.trend, auth.step) == (AUTH, 3, 2, [0, 3], None)
    assert sorted(auth.versions) == ["1.0", "2.0"]
    assert auth.last_run_id == run_id(3)
    assert (timeout.failures, timeout.fatal, timeout.recovered, timeout.trend) == (1, 1, 0, [1, 0])
    assert (timeout.first_occurred_at, timeout.last_occurred_at) == (NOON - HOUR, NOON)
    assert timeout.step == StepName(kind="tool", name="fetch")


@pytest.mark.parametrize(
    ("order", "first"),
    [
        (GroupOrder.FAILURES, AUTH),
        (GroupOrder.RUNS, AUTH),
        (GroupOrder.LAST_SEEN, AUTH),
        (GroupOrder.FIRST_SEEN, AUTH),
    ],
)
async def test_groups_come_in_the_order_asked_for(reading: Reading, order: GroupOrder, first: str) -> None:
    """The most, or the newest, first; the limit cuts after that."""
    store = await reading(*ROWS)
    assert [group.fingerprint for group in await store.failure_groups("default", WINDOW, order=order, limit=1)] == [first]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"failure_code": "auth"}, [AUTH]),
        ({"outcome": "fatal"}, [TIMEOUT]),
        ({"agent_version": "2.0"}, [AUTH]),
        ({"failure_type": "model"}, []),
        ({"agent": "other"}, []),
    ],
)
async def test_groups_are_filtered(reading: Reading, filters: dict[str, Any], expected: list[str]) -> None:
    """Also their counts are of the filtered failures alone."""
    store = await reading(*ROWS)
    groups = await store.failure_groups("default", replace(WINDOW, **filters), order=GroupOrder.FAILURES, limit=9)
    assert [group.fingerprint for group in groups] == expected
    assert all(sum(group.trend) == group.failures for group in groups)


async def test_the_story_of_a_kind(reading: Reading) -> None:
    """Versions and evidence of the window, the path to the newest failure, its runs, and a run that did without it."""
    store = await reading(*ROWS)
    story = await store.failure_story("default", TIMEOUT, WINDOW)
    assert story.path == [StepName(kind="plan", name="decide"), StepName(kind="tool", name="fetch")]
    assert [run.run_id for run in story.runs] == [run_id(1)]
    assert story.peer_run_id == run_id(4)
    assert story.by_version == [VersionFailures(agent_version="1.0", failures=1, runs=1)]
    auth = await store.failure_story("default", AUTH, WINDOW)
    assert auth.by_version == [
        VersionFailures(agent_version="1.0", failures=2, runs=1),
        VersionFailures(agent_version="2.0", failures=1, runs=1),
    ]
    evidence = {"error_class": None, "error_code": None, "rule_id": "timeout.class", "taxonomy_version": 1}
    assert list(auth.evidence) == [
        EvidenceCount(**evidence, http_status=None, failures=2),
        EvidenceCount(**evidence, http_status=401, failures=1),
    ]
    assert auth.peer_run_id is None


async def test_a_kind_that_the_window_lacks_has_a_story(reading: Reading) -> None:
    """Of zeros, with what it is and when it was first and last seen. One that the project lacks has none."""
    store = await reading(*ROWS)
    long_ago = replace(WINDOW, since=LONG_AGO, until=LONG_AGO + HOUR, starts=[LONG_AGO])
    story = await store.failure_story("default", TIMEOUT, long_ago)
    assert (story.group.failures, story.group.trend, story.by_version) == (0, [0], [])
    assert (story.group.failure_code, story.group.first_occurred_at) == ("timeout", NOON - HOUR)
    for project, fingerprint in (("default", "c" * 16), ("other", AUTH)):
        with pytest.raises(FailureNotFoundError):
            await store.failure_story(project, fingerprint, WINDOW)
