"""`/v1/compare` of any filters and of two runs over the fake store, and the test of means against published examples."""

import math
import random
from typing import Any

import httpx
import pytest

from query_service.comparison.means import mean_difference, t_p_value
from query_service.store.rows import Moments
from query_service.testing import FakeStore
from query_service.testing_rows import NOON, FailureSeed, RunSeed, StepSeed
from tests.contract.run_readers import SECOND, run_id, step_id

pytestmark = pytest.mark.anyio
EXACT = 1e-9
DRUG_1 = (0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0)
DRUG_2 = (1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4)


def moments(values: tuple[float, ...] | list[float], *, scale: int = 1) -> Moments:
    whole = [round(value * scale) for value in values]
    return Moments(len(whole), sum(whole), sum(value * value for value in whole))


def test_means_as_published() -> None:
    """Student's sleep data (1908) by R's t.test: t = -1.8608, df = 17.776, p = 0.07939, -3.3654832 to 0.2054832."""
    found = mean_difference(moments(DRUG_2, scale=10), moments(DRUG_1, scale=10))
    assert found is not None
    assert found.p_value == pytest.approx(0.07939414018735820, abs=EXACT)
    assert (found.low, found.high) == pytest.approx((-33.654832, 2.054832), abs=1e-6)


@pytest.mark.parametrize("t", [0.0, 0.01, 0.5, 1.0, 2.5, 12.7, 400.0])
def test_students_distribution_in_closed_form(t: float) -> None:
    """Of one, two, three and four degrees of freedom."""
    angle = math.atan(t)
    assert t_p_value(t, 1) == pytest.approx(1 - 2 * angle / math.pi, abs=EXACT)
    assert t_p_value(t, 2) == pytest.approx(1 - t / math.sqrt(2 + t * t), abs=EXACT)
    third = math.atan(t / math.sqrt(3))
    assert t_p_value(t, 3) == pytest.approx(1 - 2 / math.pi * (third + math.sin(third) * math.cos(third)), abs=EXACT)
    x = t * t / (4 + t * t)
    assert t_p_value(t, 4) == pytest.approx(1 - math.sqrt(x) * (1 + (1 - x) / 2), abs=EXACT)


def test_students_distribution_becomes_normal() -> None:
    """With many degrees of freedom."""
    assert t_p_value(1.96, 1e7) == pytest.approx(math.erfc(1.96 / math.sqrt(2)), abs=1e-6)


def test_nothing_is_said_of_what_does_not_vary() -> None:
    """One value has no variance, and equal ones have no error."""
    assert mean_difference(Moments(0, 0, 0), Moments(5, 5, 5)) is None
    for one in (Moments(1, 3, 9), Moments(2, 6, 18)):
        found = mean_difference(one, Moments(2, 4, 8))
        assert found is not None
        assert (found.value, found.low, found.p_value) == (-1.0, None, None)


def test_equal_means_differ_seldom_and_unequal_ones_often() -> None:
    """One in twenty at most but for chance, over a thousand pairs of skewed cohorts; and half a deviation in nearly all."""
    draw = random.Random(11)

    def steps(mean: float) -> Moments:
        return moments([draw.expovariate(1 / mean) for _ in range(200)], scale=10)

    pairs = [(mean_difference(steps(8), steps(8)), mean_difference(steps(8), steps(12))) for _ in range(1_000)]
    alarms = sum(same is not None and (same.p_value or 0) < 0.05 for same, _ in pairs)
    found = sum(other is not None and (other.p_value or 1) < 0.05 for _, other in pairs)
    assert alarms <= 65
    assert found >= 900


@pytest.fixture
def runs(store: FakeStore) -> None:
    for number in range(120):
        failed = number % 2 == 1 and number % 3 == 0
        own: dict[str, Any] = {"run_id": run_id(number), "agent": f"agent-{number % 2}"}
        started = NOON - (number + 1) * SECOND
        store.rows += [
            RunSeed(
                **own,
                declared_started_at=started,
                ended_at=started + (1 + number % 2) * SECOND,
                end_status="failure" if failed else "success",
                failure_type="tool" if failed else None,
                failure_code="timeout" if failed else None,
                failure_id=step_id(1) if failed else None,
                step_count=1 + number % 2 * 3 + number % 5,
                failure_count=int(failed),
                metadata={"arm": "b" if number % 2 else "a"},
            ),
            StepSeed(**own, started_at=started, metadata={"model": "m", "input_tokens": 4}, input_tokens=4 + number % 3),
        ]


@pytest.mark.usefixtures("runs")
async def test_any_filters_are_compared(client: httpx.AsyncClient) -> None:
    """From the runs themselves, with intervals of means too; the same filters by name are echoed."""
    answer = (await client.get("/v1/compare", params={"a_metadata": "arm:a", "b_metadata": "arm:b"})).json()
    assert answer["source"] == "runs"
    assert [(answer[side]["runs"], answer[side]["over"], answer[side]["share"]) for side in "ab"] == [(60, 60, 1.0)] * 2
    assert answer["a"]["filters"] == {"metadata": "arm:a"}
    measures = {(one["measure"], (one["failure"] or {}).get("failure_code")): one for one in answer["measures"]}
    rate = measures["failure_rate", None]
    assert (rate["a"], rate["b"], rate["significant"]) == (0.0, pytest.approx(1 / 3), True)
    assert measures["failure_code_rate", "timeout"]["difference"] == pytest.approx(1 / 3)
    assert measures["p50_ms", None]["a"] == pytest.approx(1_000, rel=0.04)
    assert measures["steps_per_run", None]["difference"] == pytest.approx(3.0)
    assert measures["steps_per_run", None]["low"] < 3 < measures["steps_per_run", None]["high"]
    assert measures["tokens_per_run", None]["p_value"] > 0.05
    assert sum(one["p_corrected"] is not None for one in answer["measures"]) > 5


@pytest.mark.usefixtures("runs")
async def test_sides_are_bounded_apart(client: httpx.AsyncClient) -> None:
    """Each by its agent, window and filters; agent and window alone are told by statistics."""
    params = {"a_agent_id": "agent-1", "a_status": "failure", "b_since": "2026-01-31T11:59:30Z"}
    answer = (await client.get("/v1/compare", params=params)).json()
    assert [answer[side]["runs"] for side in "ab"] == [20, 30]
    assert (await client.get("/v1/compare", params={"b_agent_id": "agent-1"})).json()["source"] == "statistics"


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"a_status": "odd"}, "a_status"),
        ({"b_tool": "x", "b_step_name": "y"}, "b_tool"),
        ({"a_since": "2026-02-01T00:00:00Z"}, "a_since"),
        ({"b_metadata_range": "n:1..2"}, "b_metadata_range"),
        ({"a_status": "failure", "b_since": "2026-01-01T00:00:00Z"}, "b_since"),
        ({"a_window": "active"}, None),
    ],
)
async def test_a_side_is_refused_by_its_own_name(client: httpx.AsyncClient, params: dict[str, str], field: str | None) -> None:
    """With the rule of the parameter; windows of runs themselves are at most seven days."""
    answer = await client.get("/v1/compare", params=params)
    assert (answer.status_code, answer.json()["error"].get("field")) == (422, field)


async def test_two_runs_are_laid_beside_each_other(client: httpx.AsyncClient, store: FakeStore) -> None:
    """Figures, the first step that differs, and steps and failures by name; what nobody said is null."""
    said: dict[str, Any] = {"model": "m", "input_tokens": 3, "output_tokens": 4}
    store.rows += [
        RunSeed(run_id=run_id(1), ended_at=NOON + 2 * SECOND, end_status="success", step_count=3),
        RunSeed(run_id=run_id(2), step_count=2, failure_count=1),
        StepSeed(run_id=run_id(1), step_id=step_id(1), seq=1, kind="plan", name="think"),
        StepSeed(run_id=run_id(1), step_id=step_id(2), seq=2, metadata=said, cost_nano=5_000_000, cost_currency="USD"),
        StepSeed(run_id=run_id(1), step_id=step_id(3), seq=3),
        StepSeed(run_id=run_id(2), step_id=step_id(1), seq=1, kind="plan", name="think"),
        StepSeed(run_id=run_id(2), step_id=step_id(2), seq=2, status="error"),
        FailureSeed(run_id=run_id(2)),
    ]
    params = {"a": str(run_id(1)), "b": str(run_id(2))}
    answer = (await client.get("/v1/compare/runs", params=params)).json()
    assert [answer[side]["run_id"] for side in "ab"] == list(params.values())
    measures = {one["measure"]: (one["a"], one["b"], one["difference"]) for one in answer["measures"]}
    assert measures["latency_ms"] == (2_000.0, None, None)
    assert measures["steps"] == (3, 2, -1)
    assert (measures["tokens"], measures["cost_usd"]) == ((7, None, None), (0.005, None, None))
    assert answer["diverges_at"] == 1
    [_, search] = answer["steps"]
    assert search["a"] == {"calls": 2, "errors": 0, "latency_ms": 2.0, "tokens": 7, "models": ["m"]}
    assert search["b"]["errors"] == 1
    assert answer["failures"] == [{"failure_type": "tool", "failure_code": "timeout", "a": 0, "b": 1}]
    same = (await client.get("/v1/compare/runs", params={**params, "b": params["a"]})).json()
    assert (same["diverges_at"], {one["difference"] for one in same["measures"]}) == (None, {0})
    missing = await client.get("/v1/compare/runs", params={**params, "b": str(run_id(9))})
    assert missing.json()["error"]["code"] == "run_not_found"
