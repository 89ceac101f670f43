"""Statistics over the fake store: windows, sums, rates and percentiles as the API gives them."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from query_service import testing_counts
from query_service.api.stats import whole_minutes
from query_service.testing import FakeStore
from query_service.testing_rows import DEFAULT_RUN, NOON, FailureSeed, RunRollupSeed, RunSeed, StepRollupSeed

pytestmark = pytest.mark.anyio
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


async def stats(client: httpx.AsyncClient, **params: str) -> dict[str, Any]:
    answer = await client.get("/v1/stats", params=params)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def test_empty_window(client: httpx.AsyncClient) -> None:
    """Without data there are no figures, and the window that was counted is said all the same: the last hour."""
    assert await stats(client) == {
        "window": {"since": "2026-01-31T11:00:00Z", "until": "2026-01-31T12:00:00Z"},
        "complete_to": None,
        "agents": [],
        "steps": [],
        "failure_groups": [],
    }


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, (NOON - timedelta(hours=1), NOON)),
        (NOON - MINUTE, None, (NOON - MINUTE, NOON)),
        (None, NOON - MINUTE, (NOON - timedelta(hours=1) - MINUTE, NOON - MINUTE)),
        (NOON + SECOND, NOON + 2 * SECOND, (NOON, NOON + MINUTE)),
        (NOON - SECOND, NOON, (NOON - MINUTE, NOON)),
        (None, NOON + SECOND, (NOON - timedelta(minutes=59), NOON + MINUTE)),
    ],
)
def test_window_is_whole_minutes(since: datetime | None, until: datetime | None, expected: tuple[datetime, datetime]) -> None:
    """The window counted is all the minutes that the asked one touches."""
    window = whole_minutes(since=since, until=until, now=NOON)
    assert (window.since, window.until) == expected


def test_default_window_is_sixty_minutes() -> None:
    """The window that nobody chose is 60 whole minutes, the one that now lies in among them."""
    window = whole_minutes(since=None, until=None, now=NOON + SECOND)
    assert (window.since, window.until) == (NOON - timedelta(minutes=59), NOON + MINUTE)


@pytest.mark.parametrize(
    ("asked", "counted"),
    [
        ("2026-01-29T13:07:31Z", "2026-01-29T13:07:00Z"),
        ("2026-01-27T13:07:31Z", "2026-01-27T13:00:00Z"),
        ("2026-01-02T13:07:31Z", "2026-01-02T13:00:00Z"),
        ("2025-06-02T13:07:31Z", "2025-06-02T00:00:00Z"),
    ],
)
async def test_an_old_window_is_widened(client: httpx.AsyncClient, store: FakeStore, asked: str, counted: str) -> None:
    """To the spans that are kept of its time; the answer says what was counted, and counts it."""
    store.rows.append(RunRollupSeed(minute=datetime.fromisoformat(counted)))
    answer = await stats(client, since=asked)
    assert answer["window"] == {"since": counted, "until": "2026-01-31T12:00:00Z"}
    assert [row["runs"] for row in answer["agents"]] == [1]


async def test_agents(client: httpx.AsyncClient, store: FakeStore) -> None:
    """Runs are counted by status, with abandoned ones taken out of the running; rates are of the runs that are over."""
    minute = NOON - MINUTE
    store.rows += [
        RunRollupSeed(minute=minute, status="success", runs=5, latency_bucket=20),
        RunRollupSeed(minute=minute, status="success", runs=1, latency_bucket=21, failure_type="tool", failure_code="auth"),
        RunRollupSeed(
            minute=minute - MINUTE, status="failure", runs=2, latency_bucket=22, failure_type="tool", failure_code="timeout"
        ),
        RunRollupSeed(minute=minute, status="running", runs=4, latency_bucket=-1),
        RunSeed(declared_started_at=minute, silent_after=minute),
        RunRollupSeed(minute=minute, agent="idle", status="running", runs=1, latency_bucket=-1),
        RunRollupSeed(minute=NOON, runs=99),
    ]
    answer = await stats(client)
    assert answer["agents"] == [
        {
            "agent_id": "idle",
            "agent_version": "1.0",
            "runs": 1,
            "by_status": {"running": 1, "success": 0, "partial": 0, "failure": 0, "abandoned": 0},
            "failure_rate": None,
            "failures": [],
            "latency_ms": None,
        },
        {
            "agent_id": "support-bot",
            "agent_version": "1.0",
            "runs": 12,
            "by_status": {"running": 3, "success": 6, "partial": 0, "failure": 2, "abandoned": 1},
            "failure_rate": 3 / 9,
            "failures": [
                {"failure_type": "tool", "failure_code": "timeout", "runs": 2},
                {"failure_type": "orchestration", "failure_code": "abandoned", "runs": 1},
                {"failure_type": "tool", "failure_code": "auth", "runs": 1},
            ],
            "latency_ms": {"p50": 0.02, "p95": 0.022, "p99": 0.022},
        },
    ]


async def test_abandoned_run_with_a_failure_counts_once(client: httpx.AsyncClient, store: FakeStore) -> None:
    """A run counts under its first failure alone, though it fell silent after it."""
    failure: dict[str, Any] = {"failure_type": "tool", "failure_code": "timeout"}
    minute = NOON - MINUTE
    store.rows += [
        RunRollupSeed(minute=minute, status="running", latency_bucket=-1, **failure),
        RunSeed(declared_started_at=minute, silent_after=minute, failure_id="1" * 16, **failure),
    ]
    [agent] = (await stats(client))["agents"]
    assert agent["failures"] == [{**failure, "runs": 1}]
    assert agent["failure_rate"] == 1.0


async def test_steps(client: httpx.AsyncClient, store: FakeStore) -> None:
    """Steps are counted by agent, version, kind and name, errors among them, with latencies of all."""
    minute = NOON - MINUTE
    store.rows += [
        StepRollupSeed(minute=minute, steps=97, latency_bucket=10),
        StepRollupSeed(minute=minute - MINUTE, steps=3, latency_bucket=31, status="error"),
        StepRollupSeed(minute=minute, kind="plan", name="decide", steps=1, latency_bucket=32),
    ]
    shared = {"agent_id": "support-bot", "agent_version": "1.0"}
    assert (await stats(client))["steps"] == [
        {
            **shared,
            "kind": "plan",
            "name": "decide",
            "steps": 1,
            "errors": 0,
            "error_rate": 0.0,
            "latency_ms": {"p50": 0.0325, "p95": 0.0325, "p99": 0.0325},
        },
        {
            **shared,
            "kind": "tool",
            "name": "search",
            "steps": 100,
            "errors": 3,
            "error_rate": 0.03,
            "latency_ms": {"p50": 0.01, "p95": 0.01, "p99": 0.031},
        },
    ]


async def test_filters(client: httpx.AsyncClient, store: FakeStore) -> None:
    """Agent, version and window choose what is counted."""
    minute = NOON - MINUTE
    for agent in ("a", "b"):
        for version in ("1", "2"):
            store.rows += [
                RunRollupSeed(minute=minute, agent=agent, agent_version=version),
                StepRollupSeed(minute=minute, agent=agent, agent_version=version),
            ]
    answer = await stats(client, agent_id="a", agent_version="2")
    assert [(row["agent_id"], row["agent_version"]) for row in answer["agents"] + answer["steps"]] == [("a", "2")] * 2
    answer = await stats(client, since="2026-01-31T11:00:00Z", until="2026-01-31T11:59:00Z")
    assert answer["agents"] == answer["steps"] == []
    assert len((await stats(client, since="2026-01-31T11:59:59Z"))["agents"]) == 4


async def test_too_many_figures(client: httpx.AsyncClient, store: FakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statistics of too much are refused with what to do about it, and a narrower question is answered."""
    monkeypatch.setattr(testing_counts, "FIGURES_MAX", 2)
    store.rows += [StepRollupSeed(minute=NOON - MINUTE, agent=agent, latency_bucket=at) for agent in ("a", "b") for at in (1, 2)]
    answer = await client.get("/v1/stats")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "too_many_figures")
    assert [row["steps"] for row in (await stats(client, agent_id="a"))["steps"]] == [2]


async def test_failure_groups_as_json(client: httpx.AsyncClient, store: FakeStore) -> None:
    """Failures of one fingerprint are one line, with how many were got over and the newest run to look at."""
    at = NOON - timedelta(minutes=5)
    store.rows += [
        FailureSeed(failure_id="1" * 16, occurred_at=at, fingerprint="a" * 16, outcome="recovered", error_class="ReadTimeout"),
        FailureSeed(failure_id="2" * 16, occurred_at=at, fingerprint="a" * 16, outcome="fatal", error_class="ReadTimeout"),
        FailureSeed(failure_id="3" * 16, occurred_at=NOON - timedelta(hours=2), fingerprint="b" * 16),
    ]
    assert (await stats(client))["failure_groups"] == [
        {
            "fingerprint": "a" * 16,
            "agent_id": "support-bot",
            "failure_type": "tool",
            "failure_code": "timeout",
            "error_class": "ReadTimeout",
            "failures": 2,
            "recovered": 1,
            "runs": 1,
            "last_occurred_at": "2026-01-31T11:55:00Z",
            "last_run_id": str(DEFAULT_RUN),
        }
    ]
