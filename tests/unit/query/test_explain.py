"""What a selection shares: exact tests against published and counted examples, drawn cohorts, and the route over the fake."""

import math
import random
from fractions import Fraction

import httpx
import pytest

from query_service.comparison.attributes import shared
from query_service.comparison.intervals import Rate, exact_p_value
from query_service.store.rows import AttributeCount, Contrast
from query_service.testing import FakeStore
from query_service.testing_rows import NOON, FailureSeed, Row, RunSeed, StepSeed
from tests.contract.run_readers import SECOND, run_id, step_id

pytestmark = pytest.mark.anyio
EXACT = 1e-9


@pytest.mark.parametrize(
    ("a", "b", "p_value"),
    [
        ((3, 4), (1, 4), 0.4857142857142857),
        ((2, 12), (15, 18), 0.0005367241191434),  # Fisher 1962: convictions of twins, as R's fisher.test has it
        ((8, 10), (1, 6), 0.034965034965034965),
        ((0, 5), (5, 5), 0.007936507936507936),
        ((5, 10), (5, 10), 1.0),
        ((0, 10), (0, 9), 1.0),
    ],
)
def test_exact_p_values_as_published(a: tuple[int, int], b: tuple[int, int], p_value: float) -> None:
    """Whichever side is asked for first, and whether hits or misses are counted."""
    for one, other in ((a, b), (b, a)):
        assert exact_p_value(Rate(*one), Rate(*other)) == pytest.approx(p_value, abs=EXACT)
        misses = [Rate(n - hits, n) for hits, n in (one, other)]
        assert exact_p_value(*misses) == pytest.approx(p_value, abs=EXACT)


def counted_p_value(a: Rate, b: Rate) -> float:
    """The same by counting every table in whole numbers."""
    hits, n = a.hits + b.hits, a.n + b.n
    ways = [math.comb(a.n, k) * math.comb(b.n, hits - k) for k in range(max(0, hits - b.n), min(a.n, hits) + 1)]
    seen = math.comb(a.n, a.hits) * math.comb(b.n, b.hits)
    return float(Fraction(sum(way for way in ways if way <= seen), math.comb(n, hits)))


@pytest.mark.parametrize("most", [40, 1_500])
def test_exact_p_values_are_those_of_counting(most: int) -> None:
    """For small and large sides, alike or far apart."""
    draw = random.Random(most)
    for _ in range(400 if most < 100 else 20):
        rate, n_a, n_b = draw.random(), draw.randint(1, most), draw.randint(1, most)
        a, b = (Rate(sum(draw.random() < rate for _ in range(n)), n) for n in (n_a, n_b))
        assert exact_p_value(a, b) == pytest.approx(counted_p_value(a, b), abs=EXACT)


def drawn(draw: random.Random, *, n: int, odds: list[tuple[float, float]]) -> Contrast:
    """Two sides of n runs with attributes of these rates."""
    counts = [
        AttributeCount(
            attribute="step",
            value=f"tool/{place}",
            selection=sum(draw.random() < of_selection for _ in range(n)),
            rest=sum(draw.random() < of_rest for _ in range(n)),
        )
        for place, (of_selection, of_rest) in enumerate(odds)
    ]
    return Contrast(selection=n, rest=n, selection_share=1.0, rest_share=1.0, attributes=counts)


def test_equal_cohorts_raise_few_false_alarms() -> None:
    """At most one answer in twenty names anything, though each makes sixty tests, of rare and of frequent attributes."""
    draw = random.Random(3)
    answers = 300
    alarms = 0
    for _ in range(answers):
        rates = [draw.choice((0.01, 0.05, 0.3, 0.9)) for _ in range(60)]
        found = drawn(draw, n=200, odds=[(rate, rate) for rate in rates])
        alarms += any(one.significant for one in shared(found, found.attributes)[0])
    assert alarms <= 0.05 * answers


def test_a_real_difference_is_found_first() -> None:
    """Fifteen points among sixty attributes of a thousand runs, in each of fifty answers."""
    draw = random.Random(4)
    for _ in range(50):
        found = drawn(draw, n=1_000, odds=[*[(0.3, 0.3)] * 59, (0.45, 0.3)])
        first = shared(found, found.attributes)[0][0]
        assert (first.count.value, first.significant) == ("tool/59", True)
        assert first.difference.low is not None
        assert first.difference.low > 0


def test_what_all_or_none_have_is_no_test() -> None:
    """It says nothing, and makes nothing else harder to see. Of a number's bounds the surest is told."""
    counts = [
        AttributeCount(attribute="step", value="tool/all", selection=10, rest=20),
        AttributeCount(attribute="model", value="m", selection=9, rest=1),
        AttributeCount(attribute="steps", bound=2.0, selection=10, rest=10),
        AttributeCount(attribute="steps", bound=5.0, selection=10, rest=2),
    ]
    found, tested = shared(Contrast(selection=10, rest=20, selection_share=1.0, rest_share=1.0, attributes=counts), counts)
    assert tested == 3
    assert [(one.count.attribute, one.count.bound) for one in found] == [("steps", 5.0), ("model", None)]
    assert found[0].p_corrected == pytest.approx(3 * exact_p_value(Rate(10, 10), Rate(2, 20)), abs=EXACT)


def rows(number: int) -> list[Row]:
    failed = number % 4 == 0
    said = {"model": "small" if failed else "large"}
    run = RunSeed(
        run_id=run_id(number),
        declared_started_at=NOON - (number + 1) * SECOND,
        agent=f"agent-{number % 2}",
        agent_version="1.1" if number % 3 else "1.0",
        end_status="failure" if failed else "success",
        ended_at=NOON + (99 if failed else 1) * SECOND,
        metadata={"channel": "chat", "flag": failed},
    )
    step = StepSeed(run_id=run_id(number), started_at=NOON - SECOND, step_id=step_id(1), metadata=said)
    return [run, step, *([FailureSeed(run_id=run_id(number), outcome="fatal")] if failed else [])]


@pytest.fixture
def runs(store: FakeStore) -> None:
    for number in range(80):
        store.rows += rows(number)


@pytest.mark.usefixtures("runs")
async def test_what_failed_runs_share(client: httpx.AsyncClient) -> None:
    """What the filter says itself is left out; each attribute says how to list its runs."""
    answer = (await client.get("/v1/explain", params={"status": "failure"})).json()
    assert answer["selection"] == {"runs": 20, "share": 1.0}
    assert answer["rest"] == {"runs": 60, "share": 1.0}
    filters = {(one["attribute"], one["value"]): one["filter"] for one in answer["attributes"] if one["significant"]}
    assert filters[("model", "small")] == {"model": "small"}
    assert filters[("failure_code", "tool/timeout")] == {"failure_type": "tool", "failure_code": "timeout"}
    assert filters[("metadata", "true")] == {"metadata": "flag:true"}
    assert not any(attribute == "status" for attribute, _ in filters)
    [latency] = [one for one in answer["attributes"] if one["attribute"] == "latency_ms"]
    assert (latency["operator"], latency["significant"]) == ("at_least", True)
    found = (await client.get("/v1/runs", params={**latency["filter"], "limit": "500"})).json()["runs"]
    assert len(found) == latency["selection"] + latency["rest"]
    assert answer["attributes"] == sorted(answer["attributes"], key=lambda one: one["p_value"])


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(
    ("params", "sides"),
    [
        ({"agent_id": "agent-0", "status": "failure"}, (20, 20)),
        ({"agent_id": "agent-0", "within": "project"}, (40, 40)),
        ({"agent_id": "agent-0", "agent_version": "1.0", "within": "agent"}, (14, 26)),
        ({"agent_version": "1.0", "status": "failure"}, (7, 20)),
        ({}, (20, 60)),
        ({"agent_id": "agent-0", "agent_version": "1.0"}, (7, 7)),
        ({"agent_id": "agent-0", "within": "agent"}, (20, 20)),
        ({"model": "small", "since": "2026-01-31T11:59:40Z"}, (5, 15)),
    ],
)
async def test_what_both_sides_have_in_common(client: httpx.AsyncClient, params: dict[str, str], sides: tuple[int, int]) -> None:
    """The filters that `within` names bound both sides, and the window always does. Where nothing selects, failed runs are it."""
    answer = (await client.get("/v1/explain", params=params)).json()
    assert (answer["selection"]["runs"], answer["rest"]["runs"]) == sides


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"status": "failure", "since": "2026-01-24T11:59:59Z"}, "since"),
        ({"status": "failure", "since": "2026-02-01T00:00:00Z"}, "since"),
        ({"status": "failure", "within": "nothing"}, "within"),
        ({"metadata_range": "n:1..2", "since": "2026-01-30T11:59:59Z"}, "metadata_range"),
    ],
)
async def test_refused(client: httpx.AsyncClient, params: dict[str, str], field: str) -> None:
    """Where the window is too long or empty."""
    answer = await client.get("/v1/explain", params=params)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)
