"""The routes under /v1/runs, over the fake store. What the store itself promises is in tests/contract."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from query_service.testing import FakeStore
from query_service.testing_rows import (
    DEFAULT_RUN,
    NOON,
    FailureSeed,
    LossSeed,
    ProducerSeed,
    RunSeed,
    StepSeed,
)

pytestmark = pytest.mark.anyio
LONG_AGO = NOON - timedelta(days=30)
SECOND = timedelta(seconds=1)
RUN = f"/v1/runs/{DEFAULT_RUN}"


def run_id(number: int) -> UUID:
    return UUID(int=DEFAULT_RUN.int + number)


async def ok(client: httpx.AsyncClient, path: str, params: Mapping[str, Any] | None = None) -> Any:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_run_as_json(client: httpx.AsyncClient, store: FakeStore) -> None:
    """A run's JSON has times in UTC, latency in milliseconds with fractions, its first failure and its completeness."""
    store.rows += [
        RunSeed(
            agent="support-bot",
            ended_at=NOON + timedelta(microseconds=2_341_500),
            end_status="failure",
            emitted=9,
            end_reason="limit_time",
            session_digest="0" * 32,
            step_count=5,
            error_step_count=2,
            failure_count=2,
            recorded_failure_count=1,
            failure_type="tool",
            failure_code="timeout",
            failure_id="00f067aa0ba902b7",
            root_failure_type="tool",
            root_failure_code="timeout",
            root_failure_id="00f067aa0ba902b7",
            shape="5b1d9c0f3a7e2468",
            metadata={"channel": "chat", "n": 1, "f": 0.5, "b": True},
        ),
        ProducerSeed(seen=[(0, 4), (5, 9)], emitted=9),
        LossSeed(reason="queue_full", total=1),
    ]
    assert await ok(client, RUN) == {
        "run_id": str(DEFAULT_RUN),
        "agent_id": "support-bot",
        "agent_version": "1.0",
        "status": "failure",
        "started_at": "2026-01-31T12:00:00Z",
        "ended_at": "2026-01-31T12:00:02.341500Z",
        "time_shift_ms": 0.0,
        "latency_ms": 2341.5,
        "end_reason": "limit_time",
        "session_digest": "0" * 32,
        "step_count": 5,
        "error_step_count": 2,
        "failure_count": 2,
        "failure": {"failure_type": "tool", "failure_code": "timeout", "failure_id": "00f067aa0ba902b7"},
        "root_cause": {"failure_type": "tool", "failure_code": "timeout", "failure_id": "00f067aa0ba902b7"},
        "shape": "5b1d9c0f3a7e2468",
        "truncated": False,
        "parent_run_id": None,
        "parent_step_id": None,
        "metadata": {"channel": "chat", "n": 1, "f": 0.5, "b": True},
        "complete_to": None,
        "last_received_at": "2026-01-31T12:00:00Z",
        "completeness": {
            "state": "lost",
            "lost_events": 1,
            "stored_events": 8,
            "declared": {"queue_full": 1},
            "producer_count": 1,
            "producers": [
                {
                    "producer": "p1",
                    "state": "lost",
                    "lost_events": 1,
                    "stored_events": 8,
                    "declared": {"queue_full": 1},
                    "unexplained_events": 0,
                    "gaps": 1,
                }
            ],
        },
    }


@pytest.mark.parametrize("path", [RUN, "/v1/runs"])
async def test_of_many_producers_those_that_lost_most_are_shown(client: httpx.AsyncClient, store: FakeStore, path: str) -> None:
    """Fifty of a run, in order; all of them are counted and summed up."""
    store.rows.append(RunSeed())
    store.rows += [ProducerSeed(producer=f"p{number:03}", seen=((0, 1),), emitted=1 + number % 80) for number in range(120)]
    answer = await ok(client, path)
    said = (answer if path == RUN else answer["runs"][0])["completeness"]
    lost = [one["lost_events"] for one in said["producers"]]
    assert (said["producer_count"], said["lost_events"]) == (120, sum(number % 80 for number in range(120)))
    assert sorted(lost) == sorted((number % 80 for number in range(120)), reverse=True)[:50][::-1]
    assert [one["producer"] for one in said["producers"]] == sorted(one["producer"] for one in said["producers"])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (RunSeed(), None),
        (RunSeed(silent_after=LONG_AGO), None),
        (RunSeed(ended_at=NOON, end_status="success"), "completed"),
        (RunSeed(ended_at=NOON, end_status="partial"), "completed"),
        (RunSeed(ended_at=NOON, end_status="partial", end_reason="cancelled"), "cancelled"),
        (RunSeed(ended_at=NOON, end_status="failure"), "error"),
    ],
)
async def test_an_end_without_a_reason_has_that_of_its_status(
    client: httpx.AsyncClient, store: FakeStore, row: RunSeed, reason: str | None
) -> None:
    """`completed`, or `error` of a failure; a run that has not ended has none."""
    store.rows.append(row)
    assert (await ok(client, RUN))["end_reason"] == reason


async def test_abandoned_run_names_its_silence(client: httpx.AsyncClient, store: FakeStore) -> None:
    """An abandoned run without another failure is known by its silence, and counts as many failures as are listed."""
    store.rows.append(RunSeed(silent_after=LONG_AGO))
    run = await ok(client, RUN)
    assert run["status"] == "abandoned"
    assert run["failure"] == {"failure_type": "orchestration", "failure_code": "abandoned", "failure_id": "abandoned"}
    failures = (await ok(client, f"{RUN}/failures"))["failures"]
    assert run["failure_count"] == len(failures) == 1
    assert failures[0]["source"] == failures[0]["rule_id"] == "silence"
    assert failures[0]["occurred_at"] == "2026-01-01T12:00:00Z"


async def test_abandoned_run_keeps_its_first_failure(client: httpx.AsyncClient, store: FakeStore) -> None:
    """An abandoned run that failed before is still known by that failure."""
    store.rows.append(RunSeed(silent_after=LONG_AGO, failure_type="model", failure_code="auth", failure_id="1" * 16))
    assert (await ok(client, RUN))["failure"]["failure_code"] == "auth"


async def test_trace_id_finds_its_run(client: httpx.AsyncClient, store: FakeStore) -> None:
    """A run is found by its trace id too: 32 hex digits, which is how other tracing backends write it."""
    store.rows.append(RunSeed())
    assert (await ok(client, f"/v1/runs/{DEFAULT_RUN.hex}"))["run_id"] == str(DEFAULT_RUN)


@pytest.mark.parametrize(
    ("params", "numbers"),
    [
        ({}, [5, 4, 3, 2, 1]),
        ({"agent_id": "a"}, [2, 1]),
        ({"agent_version": "2"}, [3, 2]),
        ({"agent_id": "__invalid__"}, []),
        ({"status": "running"}, [4]),
        ({"status": "abandoned"}, [5]),
        ({"status": "success"}, [1]),
        ({"failure_type": "tool"}, [2]),
        ({"failure_code": "timeout"}, [3, 2]),
        ({"failure_code": "abandoned"}, [5]),
        ({"failure_fingerprint": "a" * 16}, [3]),
        ({"shape": "b" * 16}, [1]),
        ({"failure_type": "orchestration", "failure_code": "abandoned"}, [5]),
        ({"since": "2026-01-31T12:00:03Z"}, [5, 4, 3]),
        ({"since": "2026-01-31T13:00:03+01:00"}, [5, 4, 3]),
        ({"until": "2026-01-31T12:00:03Z"}, [2, 1]),
        ({"since": "2026-01-31T12:00:03Z", "until": "2026-01-31T12:00:03.000001Z"}, [3]),
        ({"since": "0001-01-01T00:00:00+14:00", "until": "9999-12-31T23:59:59.999999-14:00"}, [5, 4, 3, 2, 1]),
        ({"min_latency_ms": "2"}, [3, 2]),
        ({"min_latency_ms": "2.001"}, [3]),
        ({"agent_id": "b", "status": "failure", "min_latency_ms": "3", "limit": "1"}, [3]),
    ],
)
async def test_filters(client: httpx.AsyncClient, store: FakeStore, params: dict[str, str], numbers: list[int]) -> None:
    """Each parameter filters as it says, and filters add up."""

    def named(number: int, agent: str, version: str) -> dict[str, Any]:
        return {
            "run_id": run_id(number),
            "agent": agent,
            "agent_version": version,
            "declared_started_at": NOON + number * SECOND,
        }

    def ended(number: int, status: str) -> dict[str, Any]:
        return {"end_status": status, "ended_at": NOON + number * SECOND + timedelta(milliseconds=number)}

    store.rows += [
        RunSeed(**named(1, "a", "1"), **ended(1, "success"), shape="b" * 16),
        RunSeed(**named(2, "a", "2"), **ended(2, "partial")),
        RunSeed(**named(3, "b", "2"), **ended(3, "failure")),
        RunSeed(**named(4, "b", "3")),
        RunSeed(**named(5, "c", "3"), silent_after=LONG_AGO),
        RunSeed(run_id=run_id(6), project="other"),
        FailureSeed(run_id=run_id(2), failure_type="tool", failure_code="timeout"),
        FailureSeed(run_id=run_id(3), failure_type="model", failure_code="timeout", fingerprint="a" * 16),
    ]
    runs = (await ok(client, "/v1/runs", params))["runs"]
    assert [UUID(run["run_id"]).int - DEFAULT_RUN.int for run in runs] == numbers


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 500])
async def test_runs_page_without_gap_or_double(client: httpx.AsyncClient, store: FakeStore, limit: int) -> None:
    """Following next_cursor to its end gives every run once, in order, though some start together."""
    store.rows += [RunSeed(run_id=run_id(n), declared_started_at=NOON + SECOND * (n // 3)) for n in range(7)]
    seen: list[int] = []
    params: dict[str, Any] = {"limit": limit}
    while True:
        page = await ok(client, "/v1/runs", params)
        assert len(page["runs"]) <= limit
        seen += [UUID(run["run_id"]).int - DEFAULT_RUN.int for run in page["runs"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert seen == [6, 5, 4, 3, 2, 1, 0]


async def test_runs_default_page(client: httpx.AsyncClient, store: FakeStore) -> None:
    """A page holds 50 runs unless asked otherwise."""
    store.rows += [RunSeed(run_id=run_id(n)) for n in range(51)]
    page = await ok(client, "/v1/runs")
    assert len(page["runs"]) == 50
    assert page["next_cursor"]


async def test_run_that_begins_meanwhile_changes_no_later_page(client: httpx.AsyncClient, store: FakeStore) -> None:
    """A run that begins between two pages stands before the first; the second goes on where the first ended."""
    store.rows += [RunSeed(run_id=run_id(n), declared_started_at=NOON + SECOND * n) for n in range(4)]
    first = await ok(client, "/v1/runs", {"limit": 2})
    store.rows.append(RunSeed(run_id=run_id(9), declared_started_at=NOON + SECOND * 9))
    second = await ok(client, "/v1/runs", {"limit": 2, "cursor": first["next_cursor"]})
    assert [run["run_id"] for run in second["runs"]] == [str(run_id(1)), str(run_id(0))]


async def test_steps_as_json(client: httpx.AsyncClient, store: FakeStore) -> None:
    """A step's JSON says when it began from the run's start on, in milliseconds with fractions, and its evidence."""
    store.rows += [
        RunSeed(),
        StepSeed(
            step_id="2" * 16,
            parent_step_id="1" * 16,
            cause_step_id="3" * 16,
            kind="retrieve",
            name="search",
            status="error",
            attempt=2,
            started_at=NOON + timedelta(microseconds=120_250),
            duration_us=1_001,
            error_class="ReadTimeout",
            error_code="ETIME",
            http_status=504,
            metadata={"tokens": 3},
            work_digest="a" * 16,
            returned_code="error",
            returned_exit_status=2,
            own_agent="refund",
            own_end_reason="limit_steps",
            session_digest="b" * 32,
            redacted=1,
            cost_nano=5,
            cost_currency="USD",
        ),
        StepSeed(step_id="1" * 16, started_at=NOON - timedelta(milliseconds=1)),
    ]
    answer = await ok(client, f"{RUN}/steps")
    assert answer["next_cursor"] is None
    assert [step["offset_ms"] for step in answer["steps"]] == [-1.0, 120.25]
    assert answer["steps"][1] == {
        "step_id": "2" * 16,
        "parent_step_id": "1" * 16,
        "unknown_parent_id": None,
        "cause_step_id": "3" * 16,
        "kind": "retrieve",
        "name": "search",
        "status": "error",
        "attempt": 2,
        "started_at": "2026-01-31T12:00:00.120250Z",
        "offset_ms": 120.25,
        "latency_ms": 1.001,
        "error_class": "ReadTimeout",
        "error_code": "ETIME",
        "http_status": 504,
        "work_digest": "a" * 16,
        "returned_error": {"code": "error", "http_status": None, "exit_status": 2, "error_class": None},
        "agent": {"name": "refund", "version": None, "end_reason": "limit_steps"},
        "session_digest": "b" * 32,
        "redacted": 1,
        "cost": {"nano": 5, "currency": "USD"},
        "metadata": {"tokens": 3},
    }


@pytest.mark.parametrize("kind", ["steps", "failures"])
async def test_details_page_without_gap_or_double(client: httpx.AsyncClient, store: FakeStore, kind: str) -> None:
    """Following next_cursor through steps or failures gives every row once, in order, an abandoned run's silence included."""
    store.rows.append(RunSeed(silent_after=LONG_AGO))
    ids = [f"{n:016x}" for n in range(1, 8)]
    store.rows += [StepSeed(step_id=i, seq=int(i, 16) // 3) for i in ids]
    store.rows += [FailureSeed(failure_id=i, seq=int(i, 16) // 3, occurred_at=LONG_AGO) for i in ids]
    name = kind.removesuffix("s") + "_id"
    whole = [row[name] for row in (await ok(client, f"{RUN}/{kind}"))[kind]]
    assert whole == (ids if kind == "steps" else [*ids, "abandoned"])
    for limit in (1, 3, 7):
        joined: list[str] = []
        params: dict[str, Any] = {"limit": limit}
        while True:
            page = await ok(client, f"{RUN}/{kind}", params)
            joined += [row[name] for row in page[kind]]
            if page["next_cursor"] is None:
                break
            params["cursor"] = page["next_cursor"]
        assert joined == whole


@pytest.mark.parametrize(("rank", "source"), [(0, "recorded"), (1, "step"), (2, "run_end"), (3, "run_steps")])
async def test_failures_as_json(client: httpx.AsyncClient, store: FakeStore, rank: int, source: str) -> None:
    """A failure's JSON says where it comes from, which rule of which taxonomy named it, and all its evidence."""
    store.rows += [
        RunSeed(root_failure_type="tool", root_failure_code="timeout", root_failure_id="0" * 15 + "1"),
        FailureSeed(
            failure_rank=rank,
            step_id="1" * 16,
            attempt=3,
            errno=110,
            retry_after_s=5,
            message_chars=40,
            http_status=429,
            outcome="recovered",
            caused_by="2" * 16,
            fingerprint="3" * 16,
        ),
    ]
    [failure] = (await ok(client, f"{RUN}/failures"))["failures"]
    assert failure == {
        "failure_id": "0" * 15 + "1",
        "failure_type": "tool",
        "failure_code": "timeout",
        "source": source,
        "rule_id": "timeout.class",
        "taxonomy_version": 1,
        "occurred_at": "2026-01-31T12:00:00Z",
        "step_id": "1" * 16,
        "attempt": 3,
        "error_class": None,
        "error_code": None,
        "http_status": 429,
        "errno": 110,
        "retry_after_s": 5,
        "message_chars": 40,
        "message_fingerprint": None,
        "outcome": "recovered",
        "is_root_cause": True,
        "caused_by": "2" * 16,
        "fingerprint": "3" * 16,
    }


async def test_answers_say_up_to_when_they_are_complete(client: httpx.AsyncClient, store: FakeStore) -> None:
    """A page, one run and statistics alike; null before the store knows."""
    store.rows.append(RunSeed())
    paths = ("/v1/runs", f"/v1/runs/{DEFAULT_RUN}", "/v1/stats")
    assert [(await ok(client, path, {}))["complete_to"] for path in paths] == [None] * 3
    store.stored_to = NOON
    assert [(await ok(client, path, {}))["complete_to"] for path in paths] == ["2026-01-31T12:00:00Z"] * 3
