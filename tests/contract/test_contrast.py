"""What every store reader promises of two sides of runs, run on the shipped fake and on real Postgres."""

from dataclasses import astuple
from datetime import timedelta
from typing import Any

import pytest

from query_service.store import contrast
from query_service.store.rows import Contrast
from query_service.store.store import EVERYTHING, Population, RunFilter, RunSearch, StoreReader
from query_service.testing import FakeStore
from query_service.testing_rows import NOON, FailureSeed, Row, RunSeed, StepSeed
from tests.contract.run_readers import LONG_AGO, SECOND, Reading, run_id, step_id

pytestmark = pytest.mark.anyio
HOUR = timedelta(hours=1)
EVERY = Population(since=NOON, until=NOON + HOUR, expected=60)
FAILED = RunFilter(status="failure")


def _rows(number: int) -> list[Row]:
    """Every third run fails, with a model and a label of its own; some have what few have, and numbers that differ."""
    failed = number % 3 == 0
    own: dict[str, Any] = {"run_id": run_id(number), "agent": f"agent-{number % 2}", "agent_version": f"1.{number % 4}"}
    at = NOON + number * SECOND
    run = RunSeed(
        **own,
        declared_started_at=at,
        ended_at=at + (number % 10 + failed) * SECOND if number % 5 else None,
        end_status="failure" if failed else "success",
        metadata={"channel": "chat" if failed else "mail", "retries": number % 7, "good": number % 4 == 0},
        parent_run_id=run_id(99) if number % 6 == 0 else None,
        shape="ab" * 8 if number % 4 else None,
        step_count=number % 3,
        failure_count=1 if failed else 0,
        root_failure_type="tool" if failed else None,
        root_failure_code="timeout" if failed else None,
        root_failure_id=step_id(1) if failed else None,
    )
    said: dict[str, Any] = {"model": "small" if failed else "large", "provider": "p", "index": "main", "n": 4}
    spent: dict[str, Any] = {"input_tokens": number, "output_tokens": 1 if number % 2 else None, "cost_nano": number}
    steps = [
        StepSeed(**own, step_id=step_id(1), started_at=at, metadata=said, cost_currency="USD", **spent),
        StepSeed(**own, step_id=step_id(2), started_at=at, metadata=said, kind="plan", name="think"),
        StepSeed(
            **own, step_id=step_id(3), started_at=at, status="error" if failed else "ok", http_status=503 if failed else None
        ),
    ]
    failures = [FailureSeed(**own, outcome="fatal"), FailureSeed(**own, failure_id=step_id(2), outcome="fatal")] if failed else []
    return [run, *steps, *failures]


ROWS = [row for number in range(60) for row in _rows(number)]


async def told(store: StoreReader, which: RunFilter, search: RunSearch = EVERYTHING, within: Population = EVERY) -> Contrast:
    return await store.contrast("default", which, search, within=within)


def counted(found: Contrast) -> dict[tuple[Any, ...], tuple[int, int]]:
    return {astuple(one)[:4]: (one.selection, one.rest) for one in found.attributes}


async def test_each_run_counts_once_for_what_it_has(reading: Reading) -> None:
    """Of itself, its failures and its steps; what fewer than five have is left out."""
    counts = counted(found := await told(await reading(*ROWS), FAILED))
    assert (found.selection, found.rest, found.selection_share, found.rest_share) == (20, 40, 1.0, 1.0)
    expected = {
        ("agent", None, "agent-0", None): (10, 20),
        ("agent_version", None, "1.3", None): (5, 10),
        ("status", None, "failure", None): (20, 0),
        ("end_reason", None, "completed", None): (0, 40),
        ("root_cause", None, "tool/timeout", None): (20, 0),
        ("shape", None, "ab" * 8, None): (15, 30),
        ("nested", None, "true", None): (10, 0),
        ("metadata", "channel", "chat", None): (20, 0),
        ("metadata", "good", "true", None): (5, 10),
        ("failure_code", None, "tool/timeout", None): (20, 0),
        ("failure_outcome", None, "fatal", None): (20, 0),
        ("step", None, "tool/search", None): (20, 40),
        ("step", None, "plan/think", None): (20, 40),
        ("failed_step", None, "tool/search", None): (20, 0),
        ("model", None, "small", None): (20, 0),
        ("provider", None, "p", None): (20, 40),
        ("http_status", None, "503", None): (20, 0),
        ("step_metadata", "index", "main", None): (20, 40),
    }
    assert {key: counts.get(key) for key in expected} == expected
    assert not any(key[0] == "step_metadata" and key[1] in {"model", "provider", "n"} for key in counts)


async def test_numbers_are_cut_at_percentiles_of_both_sides(reading: Reading) -> None:
    """Whatever the side is; what all reach is no bound, but of a key that not all runs have."""
    counts = counted(await told(await reading(*ROWS), FAILED))
    numbers = {key: sums for key, sums in counts.items() if key[3] is not None}
    assert numbers[("failures", None, "", 1.0)] == (20, 0)
    assert [key[3] for key in numbers if key[0] == "steps"] == [1.0, 2.0]
    assert [key[3] for key in numbers if key[:2] == ("metadata_number", "retries")] == [0.0, 1.0, 3.0, 5.0, 6.0]
    assert numbers[("metadata_number", "retries", "", 0.0)] == (20, 40)
    tokens = [key[3] for key in numbers if key[0] == "tokens"]
    assert len(tokens) == 6
    assert numbers[("tokens", None, "", tokens[2])][0] + numbers[("tokens", None, "", tokens[2])][1] == 31
    assert {key[0] for key in numbers} >= {"latency_ms", "cost_usd"}


@pytest.mark.parametrize(
    ("which", "search", "within", "sides"),
    [
        (RunFilter(agent="agent-1"), EVERYTHING, {}, (30, 30)),
        (FAILED, EVERYTHING, {"agent": "agent-1"}, (10, 20)),
        (FAILED, EVERYTHING, {"agent_version": "1.1", "agent": "agent-1"}, (5, 10)),
        (RunFilter(failure_code="timeout"), RunSearch(outcome="fatal"), {}, (20, 40)),
        (RunFilter(), RunSearch(model="small", step_kind="tool"), {}, (20, 40)),
        (RunFilter(), RunSearch(metadata=(("channel", "chat"),)), {"until": NOON + 30 * SECOND}, (10, 20)),
        (RunFilter(status="abandoned"), EVERYTHING, {}, (0, 60)),
        (RunFilter(), RunSearch(step_kind="tool"), {}, (60, 0)),
        (FAILED, EVERYTHING, {"since": LONG_AGO, "until": LONG_AGO + HOUR}, (0, 0)),
    ],
)
async def test_the_rest_is_what_the_filters_leave_of_the_population(
    reading: Reading, which: RunFilter, search: RunSearch, within: dict[str, Any], sides: tuple[int, int]
) -> None:
    """Another project's runs are in neither side, and where one is empty nothing is counted."""
    theirs = [RunSeed(project="other", run_id=run_id(100), end_status="failure")]
    values = {"since": EVERY.since, "until": EVERY.until, "expected": 60} | within
    found = await told(await reading(*ROWS, *theirs), which, search, Population(**values))
    assert (found.selection, found.rest) == sides
    assert bool(found.attributes) is all(sides)


async def test_many_runs_are_drawn(reading: Reading, dsns: dict[str, str] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same ones each time, as many as may be looked at; of a rare selection more. Shares say so."""
    if dsns is None:
        pytest.skip("the fake looks at all")
    store = await reading(*ROWS)
    monkeypatch.setattr(contrast, "RUNS_MAX", 10)
    found = await told(store, FAILED)
    assert found == await told(store, FAILED)
    assert 0 < found.rest <= 10
    assert found.rest_share == pytest.approx(found.rest / 40, abs=0.25)
    assert found.selection > found.rest / 2, "a second draw finds more of what is rare"
    monkeypatch.setattr(contrast, "RUNS_MAX", 50_000)
    monkeypatch.setattr(contrast, "STEPS_MAX", 5)
    assert 3 <= (await told(store, FAILED)).rest <= 5, "runs, until these have so many steps"


async def test_the_fake_counts_as_postgres_does(reading: Reading, dsns: dict[str, str] | None) -> None:
    """All of it, so that what is told of the fake is told of the store."""
    if dsns is None:
        pytest.skip("the fake is what the store is compared with")
    store = await reading(*ROWS)
    for which in (FAILED, RunFilter(agent="agent-1")):
        assert counted(await told(store, which)) == counted(await told(FakeStore(*ROWS), which))
