"""`/v1/usage`, `/v1/heatmap` and `/v1/compare` over the fake store."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from query_service.prices.table import SHIPPED, BadPricesError, read_prices
from query_service.testing import FakeStore
from query_service.testing_rows import NOON, RunRollupSeed, StepRollupSeed

pytestmark = pytest.mark.anyio
MINUTE = timedelta(minutes=1)


async def answer(client: httpx.AsyncClient, path: str, **params: Any) -> dict[str, Any]:
    found = await client.get(path, params=params)
    assert found.status_code == 200, found.text
    document: dict[str, Any] = found.json()
    return document


async def test_cost_that_was_said_wins(client: httpx.AsyncClient, store: FakeStore) -> None:
    """Else list prices, else tokens that nobody prices; steps that call no model are left out."""
    tokens = {"input_tokens": 1_000_000, "output_tokens": 100_000}
    store.rows += [
        StepRollupSeed(minute=NOON - MINUTE, model="gpt-4o-2024-08-06", **tokens),
        StepRollupSeed(minute=NOON - MINUTE, model="gpt-4o-mini", cost=5_000_000_000, **tokens),
        StepRollupSeed(minute=NOON - MINUTE, model="house-model", agent="other", **tokens),
        StepRollupSeed(minute=NOON - MINUTE, steps=9),
        StepRollupSeed(minute=NOON - MINUTE, model="gpt-4o", project="other", **tokens),
    ]
    found = await answer(client, "/v1/usage")
    assert [(row["key"]["model"], row["cost_said"], row["cost_priced"], row["unpriced_tokens"]) for row in found["rows"]] == [
        ("gpt-4o-mini", 5.0, 0.0, 0),
        ("gpt-4o-2024-08-06", 0.0, 3.5, 0),
        ("house-model", 0.0, 0.0, 1_100_000),
    ]
    by_agent = await answer(client, "/v1/usage", by="agent")
    assert [(row["key"], row["cost"]) for row in by_agent["rows"]] == [
        ({"agent_id": "support-bot"}, 8.5),
        ({"agent_id": "other"}, 0),
    ]
    [day] = (await answer(client, "/v1/usage", by="day", since="2026-01-31T00:00:00Z"))["rows"]
    assert (day["key"], day["input_tokens"]) == ({"day": "2026-01-31T00:00:00+00:00"}, 3_000_000)


def test_prices_go_by_the_longest_name(tmp_path: Path) -> None:
    """Versions and providers' prefixes do not matter; a name that only looks alike has no price."""
    table = read_prices()
    assert table.price("openai/gpt-4o-mini-2024-07-18") == table.per_million_tokens["gpt-4o-mini"]
    assert table.price("GPT-4o") == table.per_million_tokens["gpt-4o"]
    assert table.price("gpt-4omni") is None
    assert table.price("") is None
    own = tmp_path / "prices.json"
    own.write_text(SHIPPED.read_text(encoding="utf-8").replace("USD", "EUR"), encoding="utf-8")
    with pytest.raises(BadPricesError):
        read_prices(own)


async def test_a_heatmap_counts_by_time_and_latency(client: httpx.AsyncClient, store: FakeStore) -> None:
    """In ranges that double, from the shortest to the longest; open runs have no latency."""
    store.rows += [
        RunRollupSeed(minute=NOON - MINUTE, runs=3, latency_bucket=20),
        RunRollupSeed(minute=NOON - MINUTE, runs=2, latency_bucket=64, status="failure"),
        RunRollupSeed(minute=NOON - 20 * MINUTE, runs=1, latency_bucket=40),
        RunRollupSeed(minute=NOON - MINUTE, runs=7, latency_bucket=-1, status="running"),
    ]
    found = await answer(client, "/v1/heatmap", bucket="15m", since="2026-01-31T11:30:00Z")
    assert [(row["low"], row["high"]) for row in found["latency_ms"]] == [
        (0.016, 0.032),
        (0.032, 0.064),
        (0.064, 0.128),
        (0.128, 0.256),
    ]
    assert found["cells"] == [[0, 3], [1, 0], [0, 0], [0, 2]]
    assert found["failed"] == [[0, 0], [0, 0], [0, 0], [0, 2]]
    empty = await answer(client, "/v1/heatmap", of="steps")
    assert (empty["latency_ms"], empty["cells"]) == ([], [])


async def test_cohorts_are_compared(client: httpx.AsyncClient, store: FakeStore) -> None:
    """A version that fails more often and is slower differs from the one before; one that is alike does not."""
    for version, failed, bucket in (("1.0", 100, 200), ("1.1", 190, 260), ("1.2", 104, 200)):
        of = {"minute": NOON - MINUTE, "agent_version": version}
        failure = {"status": "failure", "failure_type": "tool", "failure_code": "timeout"}
        store.rows += [
            RunRollupSeed(**of, runs=1_000 - failed, latency_bucket=bucket),
            RunRollupSeed(**of, **failure, runs=failed, latency_bucket=bucket + 1),
            StepRollupSeed(**of, steps=2_000, input_tokens=500),
        ]
    worse = await answer(client, "/v1/compare", a_agent_version="1.0", b_agent_version="1.1")
    by_name = {one["measure"]: one for one in worse["measures"]}
    rate = by_name["failure_rate"]
    assert (rate["a"], rate["b"], rate["n_a"], rate["significant"]) == (0.1, 0.19, 1_000, True)
    assert 0 < rate["low"] < rate["difference"] < rate["high"]
    assert by_name["p50_ms"]["significant"]
    assert by_name["failure_code_rate"]["failure"] == {"failure_type": "tool", "failure_code": "timeout"}
    assert by_name["step_error_rate"]["step"] == {"kind": "tool", "name": "search"}
    assert (by_name["steps_per_run"]["a"], by_name["tokens_per_run"]["b"], by_name["steps_per_run"]["low"]) == (2.0, 0.5, None)
    alike = await answer(client, "/v1/compare", a_agent_version="1.0", b_agent_version="1.2")
    assert not any(one["significant"] for one in alike["measures"])
    nothing = await answer(client, "/v1/compare", a_agent_version="1.0", b_agent_version="9")
    assert nothing["measures"][0]["difference"] is None


async def test_a_window_of_a_side_is_refused_by_its_name(client: httpx.AsyncClient) -> None:
    """So that the caller knows which one is empty."""
    times = {"b_since": "2026-01-31T12:00:00Z", "b_until": "2026-01-31T11:00:00Z"}
    found = await client.get("/v1/compare", params=times)
    assert (found.status_code, found.json()["error"]["field"]) == (422, "b_since")
