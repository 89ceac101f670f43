"""`/v1/series`, `/v1/agents` and `/v1/names` over the fake store."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from query_service.testing import FakeStore
from query_service.testing_rows import NOON, RunRollupSeed, RunSeed, StepRollupSeed

pytestmark = pytest.mark.anyio
MINUTE = timedelta(minutes=1)


async def answer(client: httpx.AsyncClient, path: str, **params: Any) -> dict[str, Any]:
    found = await client.get(path, params=params)
    assert found.status_code == 200, found.text
    document: dict[str, Any] = found.json()
    return document


async def test_without_runs_there_is_one_series_of_nothing(client: httpx.AsyncClient) -> None:
    """Sixty buckets of the last hour, with counts of 0 and rates that nobody can say."""
    found = await answer(client, "/v1/series")
    [one] = found["series"]
    assert (found["bucket"], len(found["times"]), one["key"], one["total"]) == ("1m", 60, {}, 0)
    assert one["values"]["runs"] == [0] * 60
    assert one["values"]["failure_rate"] == [None] * 60
    assert found["window"] == {"since": "2026-01-31T11:00:00Z", "until": "2026-01-31T12:00:00Z"}


async def test_runs_by_version_over_time(client: httpx.AsyncClient, store: FakeStore) -> None:
    """Each bucket has its own counts; a run that fell silent counts as abandoned in the bucket of its start."""
    store.rows += [
        RunRollupSeed(minute=NOON - 20 * MINUTE, runs=3, latency_bucket=10),
        RunRollupSeed(minute=NOON - 10 * MINUTE, runs=1, status="failure", latency_bucket=20),
        RunRollupSeed(minute=NOON - 10 * MINUTE, runs=1, status="running", latency_bucket=-1),
        RunSeed(declared_started_at=NOON - 10 * MINUTE, silent_after=NOON - MINUTE),
        RunRollupSeed(minute=NOON - 10 * MINUTE, agent_version="2.0", runs=1),
        RunRollupSeed(minute=NOON - 10 * MINUTE, project="other", runs=90),
    ]
    found = await answer(client, "/v1/series", by="version", bucket="15m", since="2026-01-31T11:30:00Z")
    first, second = found["series"]
    assert found["times"] == ["2026-01-31T11:30:00Z", "2026-01-31T11:45:00Z"]
    assert first["key"] == {"agent_id": "support-bot", "agent_version": "1.0"}
    assert (first["total"], second["total"]) == (5, 1)
    values = first["values"]
    assert (values["runs"], values["success"], values["failure"]) == ([3, 2], [3, 0], [0, 1])
    assert (values["running"], values["abandoned"], values["failure_rate"]) == ([0, 0], [0, 1], [0.0, 1.0])
    assert values["p50_ms"] == [0.01, 0.02]


async def test_runs_by_code(client: httpx.AsyncClient, store: FakeStore) -> None:
    """By first failure; a silence is a failure of its own, and runs without any have null."""
    store.rows += [
        RunRollupSeed(minute=NOON - MINUTE, runs=4),
        RunRollupSeed(minute=NOON - MINUTE, runs=2, status="failure", failure_type="tool", failure_code="timeout"),
        RunRollupSeed(minute=NOON - MINUTE, runs=1, status="running", latency_bucket=-1),
        RunSeed(declared_started_at=NOON - MINUTE, silent_after=NOON - MINUTE),
    ]
    found = await answer(client, "/v1/series", by="code")
    assert {(one["key"]["failure_type"], one["key"]["failure_code"]): one["total"] for one in found["series"]} == {
        (None, None): 4,
        ("tool", "timeout"): 2,
        ("orchestration", "abandoned"): 1,
    }
    [only] = (await answer(client, "/v1/series", failure_code="abandoned"))["series"]
    assert (sum(only["values"]["runs"]), sum(only["values"]["running"])) == (1, 0)


async def test_steps_have_tokens_and_cost(client: httpx.AsyncClient, store: FakeStore) -> None:
    """By model; cost is dollars, stored as billionths; what names no model is null."""
    store.rows += [
        StepRollupSeed(minute=NOON - MINUTE, model="gpt-4o", steps=3, input_tokens=300, output_tokens=30, cost=1_500_000_000),
        StepRollupSeed(minute=NOON - MINUTE, steps=1, status="error"),
    ]
    found = await answer(client, "/v1/series", of="steps", by="model")
    named, unnamed = found["series"]
    assert (named["key"], unnamed["key"]) == ({"model": "gpt-4o"}, {"model": None})
    values = named["values"]
    assert (sum(values["input_tokens"]), sum(values["output_tokens"]), sum(values["cost"])) == (300, 30, 1.5)
    assert unnamed["values"]["error_rate"][-1] == 1.0


async def test_the_rest_is_one_series(client: httpx.AsyncClient, store: FakeStore) -> None:
    """Beyond `groups`, the smaller ones are added up, so that nothing is missing from the sum."""
    store.rows += [StepRollupSeed(minute=NOON - MINUTE, name=f"step-{n}", steps=10 - n) for n in range(4)]
    found = await answer(client, "/v1/series", of="steps", by="tool", groups=2)
    assert [(one["rest"], one["total"]) for one in found["series"]] == [(False, 10), (False, 9), (True, 15)]
    assert found["series"][-1]["key"] is None
    assert sum(sum(one["values"]["steps"]) for one in found["series"]) == 34


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"of": "steps", "by": "code"}, "by"),
        ({"by": "tool"}, "by"),
        ({"model": "gpt-4o"}, "model"),
        ({"of": "steps", "failure_code": "timeout"}, "failure_code"),
        ({"zone": "Europe/Atlantis"}, "zone"),
        ({"bucket": "1m", "since": "2025-12-31T12:00:00Z"}, "bucket"),
        ({"groups": "0"}, "groups"),
        ({"since": "2026-01-31T12:00:00Z"}, "since"),
    ],
)
async def test_a_refusal_names_the_parameter(client: httpx.AsyncClient, params: dict[str, str], field: str) -> None:
    """And the rule, never the value."""
    found = await client.get("/v1/series", params=params)
    assert (found.status_code, found.json()["error"]["field"]) == (422, field)
    assert "Atlantis" not in found.text


async def test_agents_know_when_versions_began(client: httpx.AsyncClient, store: FakeStore) -> None:
    """The newest version first, also one without a run in the window; figures of the agent are the sum."""
    store.rows += [
        RunRollupSeed(minute=NOON - timedelta(days=20), agent_version="0.9"),
        RunRollupSeed(minute=NOON - timedelta(days=2), agent_version="1.0", runs=3),
        RunRollupSeed(minute=NOON - MINUTE, agent_version="1.1", status="failure"),
        RunRollupSeed(minute=NOON - MINUTE, agent="idle", project="other"),
    ]
    [agent] = (await answer(client, "/v1/agents"))["agents"]
    assert [(one["agent_version"], one["runs"]) for one in agent["versions"]] == [("1.1", 1), ("1.0", 3), ("0.9", 0)]
    assert (agent["runs"], agent["failure_rate"]) == (4, 0.25)
    assert (agent["first_seen"], agent["last_seen"]) == ("2026-01-11T12:00:00Z", "2026-01-31T11:59:00Z")


async def test_names_are_counted(client: httpx.AsyncClient, store: FakeStore) -> None:
    """By kind, the most frequent first; a tool is a step too."""
    store.rows += [
        RunRollupSeed(minute=NOON - MINUTE, runs=2),
        RunRollupSeed(minute=NOON - MINUTE, agent="z", status="failure", failure_type="tool", failure_code="timeout"),
        StepRollupSeed(minute=NOON - MINUTE, steps=5, model="m"),
        StepRollupSeed(minute=NOON - MINUTE, steps=7, kind="plan", name="think"),
    ]
    found = await answer(client, "/v1/names")
    names = {kind: [(one["name"], one["count"]) for one in listed] for kind, listed in found["names"].items()}
    assert names == {
        "agent": [("support-bot", 2), ("z", 1)],
        "version": [("1.0", 3)],
        "status": [("success", 2), ("failure", 1)],
        "failure_code": [("timeout", 1)],
        "step": [("think", 7), ("search", 5)],
        "tool": [("search", 5)],
        "model": [("m", 5)],
    }
    assert not any(found["more"].values())
