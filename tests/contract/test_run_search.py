"""What every store reader promises of runs found by any filter, run on the shipped fake and on real Postgres."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from query_service.store import run_scan
from query_service.store.store import EVERYTHING, RunOrder, RunPosition, RunSearch, SessionPosition, SortPosition, StoreReader
from query_service.testing_rows import DEFAULT_RUN, NOON, FailureSeed, RunSeed, StepSeed
from tests.contract.run_readers import EVERY, LONG_AGO, SECOND, Reading, run_id, step_id

pytestmark = pytest.mark.anyio
HOUR = timedelta(hours=1)
SESSION = "5" * 32
ENDED: dict[str, Any] = {"end_status": "success"}
SPENT: dict[str, Any] = {"input_tokens": 3, "output_tokens": 1}
ROWS = (
    RunSeed(run_id=run_id(1), metadata={"channel": "chat", "retries": 1, "good": True}, ended_at=NOON + 2 * SECOND, **ENDED),
    RunSeed(run_id=run_id(2), metadata={"channel": "mail", "retries": 7}, parent_run_id=run_id(1), session_digest=SESSION),
    RunSeed(run_id=run_id(3), ended_at=NOON + 9 * SECOND, end_status="failure", failure_count=3),
    RunSeed(run_id=run_id(4), silent_after=LONG_AGO, step_count=5, last_event_at=NOON),
    RunSeed(run_id=run_id(5), project="other", metadata={"channel": "chat"}),
    RunSeed(run_id=run_id(6), project="ahead", first_received_at=NOON, first_sent_at=NOON + HOUR),
    StepSeed(
        run_id=run_id(1), kind="tool", name="search", metadata={"model": "m", "provider": "p"}, input_tokens=3, output_tokens=1
    ),
    StepSeed(run_id=run_id(1), step_id=step_id(8), input_tokens=3, cost_nano=2, cost_currency="USD"),
    StepSeed(run_id=run_id(2), step_id=step_id(8), kind="plan", cost_nano=9, cost_currency="EUR"),
    StepSeed(run_id=run_id(2), kind="plan", name="search"),
    StepSeed(run_id=run_id(5), kind="tool", name="search"),
    FailureSeed(run_id=run_id(3), outcome="fatal"),
    FailureSeed(run_id=run_id(3), failure_id=step_id(2), failure_code="auth", outcome="recovered"),
)


async def found(store: StoreReader, search: RunSearch, **filters: Any) -> set[int]:
    page = await store.scan_runs("default", replace(EVERY, **filters), search, after=None, limit=9)
    assert page.after is None
    return {run.run_id.int - DEFAULT_RUN.int for run in page.runs}


@pytest.mark.parametrize(
    ("search", "filters", "expected"),
    [
        (EVERYTHING, {}, {1, 2, 3, 4}),
        (RunSearch(metadata=(("channel", "chat"),)), {}, {1}),
        (RunSearch(metadata=(("retries", "7"), ("channel", "mail"))), {}, {2}),
        (RunSearch(metadata=(("good", "true"),)), {}, {1}),
        (RunSearch(metadata=(("absent", "x"),)), {}, set()),
        (RunSearch(ranges=(("retries", 1, 6),)), {}, {1}),
        (RunSearch(ranges=(("retries", float("-inf"), float("inf")),)), {}, {1, 2}),
        (RunSearch(ranges=(("channel", 0, 9), ("good", 0, 9))), {}, set()),
        (RunSearch(parent_run_id=run_id(1)), {}, {2}),
        (RunSearch(session=SESSION), {}, {2}),
        (RunSearch(end_reason="completed"), {}, {1}),
        (RunSearch(end_reason="error"), {}, {3}),
        (RunSearch(time_shifted=False), {}, {1, 2, 3, 4}),
        (RunSearch(time_shifted=True), {}, set()),
        (RunSearch(step_name="search"), {}, {1, 2}),
        (RunSearch(step_kind="tool", step_name="search"), {}, {1}),
        (RunSearch(model="m"), {}, {1}),
        (RunSearch(provider="p", step_kind="plan"), {}, set()),
        (RunSearch(max_latency_us=2_000_000), {}, {1}),
        (RunSearch(outcome="fatal"), {"failure_code": "timeout"}, {3}),
        (RunSearch(outcome="fatal"), {"failure_code": "auth"}, set()),
        (RunSearch(max_latency_us=9_000_000), {"min_latency_us": 3_000_000}, {3}),
        (RunSearch(active=True), {"since": NOON + HOUR}, {1, 2, 3}),
        (RunSearch(), {"since": NOON + HOUR}, set()),
        (RunSearch(step_name="search"), {"status": "abandoned"}, set()),
        (RunSearch(), {"failure_code": "abandoned"}, {4}),
        (RunSearch(min_tokens=7), {}, {1}),
        (RunSearch(min_tokens=8), {}, set()),
        (RunSearch(max_tokens=6), {}, {2, 3, 4}),
        (RunSearch(min_cost_nano=2, max_cost_nano=2), {}, {1}),
        (RunSearch(max_cost_nano=1), {}, {2, 3, 4}),
        (RunSearch(min_tokens=1, max_cost_nano=1), {}, set()),
    ],
)
async def test_any_filter_is_kept(reading: Reading, search: RunSearch, filters: dict[str, Any], expected: set[int]) -> None:
    """Each alone and together; those of one step or failure meet in one."""
    assert await found(await reading(*ROWS), search, **filters) == expected


async def test_runs_of_clocks_that_are_far_off_are_found(reading: Reading) -> None:
    """By flag, in every order, and by the time that counts for them."""
    store = await reading(*ROWS)
    for search, numbers in ((RunSearch(time_shifted=True), [6]), (RunSearch(time_shifted=False), [])):
        page = await store.scan_runs("ahead", EVERY, search, after=None, limit=9)
        ordered = await store.sort_runs("ahead", EVERY, search, order=RunOrder.STEPS, after=None, limit=9)
        assert [run.run_id for run in page.runs] == [run.run_id for run in ordered] == [run_id(number) for number in numbers]
    assert [(run.started_at, run.time_shift_us) for run in await store.list_runs("ahead", EVERY, after=None, limit=9)] == [
        (NOON - HOUR, -3_600_000_000)
    ]
    for since, count in ((NOON - HOUR, 1), (NOON - HOUR + SECOND, 0)):
        assert len(await store.list_runs("ahead", replace(EVERY, since=since), after=None, limit=9)) == count


async def test_pages_joined_are_the_whole(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a page ends because enough runs were looked at: it can be empty, and goes on."""
    monkeypatch.setattr(run_scan, "LOOKED_AT_MAX", 3)
    monkeypatch.setattr(run_scan, "_FIRST", 2)
    rows = [RunSeed(run_id=run_id(n), metadata={"n": n % 5}, declared_started_at=NOON + n * SECOND) for n in range(1, 21)]
    store = await reading(*rows)
    search, after, listed, pages = RunSearch(metadata=(("n", "0"),)), None, [], 0
    while True:
        page = await store.scan_runs("default", EVERY, search, after=after, limit=2)
        listed += [run.run_id for run in page.runs]
        after, pages = page.after, pages + 1
        if after is None:
            break
        assert isinstance(after, RunPosition)
    assert listed == [run_id(n) for n in (20, 15, 10, 5)]
    assert pages >= 2


@pytest.mark.parametrize(
    ("order", "expected"),
    [(RunOrder.LATENCY, [3, 1, 4, 2]), (RunOrder.FAILURES, [3, 4, 2, 1]), (RunOrder.STEPS, [4, 3, 2, 1])],
)
async def test_runs_are_put_in_order(reading: Reading, order: RunOrder, expected: list[int]) -> None:
    """The most first, and by id among equals; pages joined are the whole."""
    store = await reading(*ROWS)
    first = await store.sort_runs("default", EVERY, EVERYTHING, order=order, after=None, limit=2)
    last = first[-1]
    key = {RunOrder.LATENCY: last.latency_us, RunOrder.FAILURES: last.failure_count}.get(order, last.step_count)
    after = SortPosition(key=-1 if key is None else key, run_id=last.run_id)
    rest = await store.sort_runs("default", EVERY, EVERYTHING, order=order, after=after, limit=9)
    assert [run.run_id for run in (*first, *rest)] == [run_id(n) for n in expected]
    chat = RunSearch(metadata=(("channel", "chat"),))
    assert [run.run_id for run in await store.sort_runs("default", EVERY, chat, order=order, after=None, limit=9)] == [run_id(1)]


async def test_facets_are_counted(reading: Reading) -> None:
    """By status now and first failure; all of them where they are few."""
    store = await reading(*ROWS)
    rows, exact = await store.count_facets("default", EVERY, EVERYTHING)
    assert exact
    assert sorted((row.status, row.failure_code, row.runs) for row in rows) == [
        ("abandoned", "abandoned", 1),
        ("failure", "", 1),
        ("running", "", 1),
        ("success", "", 1),
    ]


async def test_facets_of_too_many_say_so(dsns: dict[str, str] | None, reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are counted. The fake counts all."""
    monkeypatch.setattr(run_scan, "FACETS_MAX", 3)
    rows, exact = await (await reading(*ROWS)).count_facets("default", EVERY, EVERYTHING)
    assert (sum(row.runs for row in rows), exact) == ((4, True) if dsns is None else (3, False))


async def test_sessions_come_by_their_newest_run(reading: Reading) -> None:
    """Of the window and project, with how many of their runs failed; pages joined are the whole."""
    other = "6" * 32
    store = await reading(
        RunSeed(run_id=run_id(1), session_digest=SESSION, end_status="failure", ended_at=NOON),
        RunSeed(run_id=run_id(2), session_digest=SESSION, agent="other", declared_started_at=NOON + 2 * SECOND),
        RunSeed(run_id=run_id(3), session_digest=other, declared_started_at=NOON + SECOND),
        RunSeed(run_id=run_id(4), session_digest="7" * 32, declared_started_at=NOON - SECOND),
        RunSeed(run_id=run_id(5), session_digest=other, project="other"),
        RunSeed(run_id=run_id(6)),
    )
    window = {"since": NOON, "until": NOON + HOUR}
    [first] = await store.list_sessions("default", **window, after=None, limit=1)
    assert (first.session, first.runs, first.failed, sorted(first.agents)) == (SESSION, 2, 1, ["other", "support-bot"])
    after = SessionPosition(started_at=first.last_started_at, session=first.session)
    rest = await store.list_sessions("default", **window, after=after, limit=9)
    assert [(one.session, one.runs) for one in rest] == [(other, 1)]
