"""Every answer that is no data: its status, its one form, and that nothing of the request is in it."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from query_service.errors import (
    ProjectBusyError,
    QueryTimeoutError,
    StoreBusyError,
    StoreNotReadyError,
    StoreUnreachableError,
)
from query_service.testing import FakeStore
from query_service.testing_rows import DEFAULT_RUN, RunSeed, StepSeed
from servicekit.http.errors import UnavailableError

pytestmark = pytest.mark.anyio
RUN = f"/v1/runs/{DEFAULT_RUN}"
CANARY = "canary7f3a"
ROUTES = ["/v1/runs", RUN, f"{RUN}/steps", f"{RUN}/failures", "/v1/stats"]


async def refused(client: httpx.AsyncClient, path: str, *, status: int = 422) -> dict[str, Any]:
    answer = await client.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]
    assert CANARY not in answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) <= {"code", "field", "message"}
    assert error["message"]
    return error


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (f"agent_id={CANARY}%20x", "agent_id"),
        (f"agent_id={CANARY}%00", "agent_id"),
        (f"agent_id={CANARY}%ff", "agent_id"),
        (f"agent_id={CANARY}%0a", "agent_id"),
        ("agent_id=", "agent_id"),
        (f"agent_id={'a' * 65}", "agent_id"),
        (f"agent_version=@{CANARY}", "agent_version"),
        (f"status={CANARY}", "status"),
        ("status=null", "status"),
        (f"failure_type={CANARY}", "failure_type"),
        (f"failure_code={CANARY}-X", "failure_code"),
        ("failure_code=%00", "failure_code"),
        (f"failure_fingerprint={CANARY}", "failure_fingerprint"),
        ("shape=ABCDEF0123456789", "shape"),
        (f"since={CANARY}", "since"),
        ("since=2026-01-31", "since"),
        ("since=2026-01-31T12:00:00", "since"),
        ("since=1700000000", "since"),
        ("since=2026-01-31T12:00:00+00:00", "since"),
        ("until=2026-02-30T12:00:00Z", "until"),
        ("until=99999-01-01T00:00:00Z", "until"),
        (f"min_latency_ms={CANARY}", "min_latency_ms"),
        ("min_latency_ms=-1", "min_latency_ms"),
        ("min_latency_ms=nan", "min_latency_ms"),
        ("min_latency_ms=inf", "min_latency_ms"),
        ("min_latency_ms=1e300", "min_latency_ms"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=-1", "limit"),
        ("limit=99999999999999999999999", "limit"),
        ("limit=1.5", "limit"),
        ("limit=1_0", "limit"),
        ("limit=%2010", "limit"),
        ("min_latency_ms=1_0", "min_latency_ms"),
        (f"limit={CANARY}", "limit"),
        ("cursor=", "cursor"),
        (f"cursor={CANARY}", "cursor"),
        (f"cursor={CANARY}%00", "cursor"),
        (f"cursor={'A' * 40}", "cursor"),
        (f"cursor={'A' * 4000}", "cursor"),
    ],
)
async def test_bad_parameter(client: httpx.AsyncClient, query: str, field: str) -> None:
    """A parameter that breaks its rule is refused by its name and the rule, never by its value."""
    error = await refused(client, f"/v1/runs?{query}")
    assert error["field"] == field
    assert error["code"] == "invalid_parameter"
    assert error["message"].startswith(f"{field} must be ")


@pytest.mark.parametrize("path", ["/v1/runs", "/v1/stats"])
@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00Z", "2026-01-31T13:00:00%2B01:00"),
        ("2026-01-31T12:00:01Z", "2026-01-31T12:00:00Z"),
        ("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00%2B14:00"),
    ],
)
async def test_nothing_between(client: httpx.AsyncClient, path: str, since: str, until: str) -> None:
    """Bounds with nothing between them are refused by name: an empty answer would hide the slip."""
    error = await refused(client, f"{path}?since={since}&until={until}")
    assert (error["code"], error["field"], error["message"]) == ("invalid_parameter", "since", "since must be before until")


async def test_nothing_yet(client: httpx.AsyncClient) -> None:
    """Statistics end now by default, so they cannot begin later."""
    assert (await refused(client, "/v1/stats?since=2026-01-31T12:00:00Z"))["field"] == "since"


@pytest.mark.parametrize("path", ["/v1/runs", "/v1/stats"])
@pytest.mark.parametrize("years", [(1990, 1995), (2200, 2300)])
async def test_times_of_no_run(client: httpx.AsyncClient, path: str, years: tuple[int, int]) -> None:
    """Bounds that are both beyond the contract's times are in order, though no run lies between them."""
    since, until = (f"{year}-01-01T00:00:00Z" for year in years)
    assert (await client.get(f"{path}?since={since}&until={until}")).status_code == 200


@pytest.mark.parametrize("path", ROUTES)
async def test_unknown_parameter(client: httpx.AsyncClient, store: FakeStore, path: str) -> None:
    """A parameter that a route does not know is refused; the known ones are listed, the unknown one is not repeated."""
    store.rows.append(RunSeed())
    error = await refused(client, f"{path}?{CANARY}=1")
    assert error["code"] == "unknown_parameter"
    assert "field" not in error
    known = {RUN: "none", "/v1/stats": "since, until, agent_id, agent_version"}
    assert error["message"].endswith(known.get(path, "cursor, limit"))


async def test_repeated_parameter(client: httpx.AsyncClient) -> None:
    """A parameter that is given twice is refused: nobody can tell which one was meant."""
    error = await refused(client, "/v1/runs?limit=1&limit=2")
    assert (error["code"], error["field"]) == ("repeated_parameter", "limit")


@pytest.mark.parametrize("suffix", ["", "/steps", "/failures"])
@pytest.mark.parametrize("bad", [CANARY, "%00", "%ff", "1", "019ab0de-7c1e-7000-8000-00000000000g", "a" * 4000])
async def test_bad_run_id(client: httpx.AsyncClient, bad: str, suffix: str) -> None:
    """A run id that is no UUID is refused as such."""
    error = await refused(client, f"/v1/runs/{bad}{suffix}")
    assert (error["field"], error["message"]) == ("run_id", "run_id must be a UUID")


@pytest.mark.parametrize("suffix", ["", "/steps", "/failures"])
async def test_missing_run(client: httpx.AsyncClient, store: FakeStore, suffix: str) -> None:
    """A run that does not exist, or belongs to another project, is not found."""
    store.rows.append(RunSeed(project="other"))
    for run_id in (DEFAULT_RUN, uuid4()):
        assert (await refused(client, f"/v1/runs/{run_id}{suffix}", status=404))["code"] == "run_not_found"


@pytest.mark.parametrize("path", [f"/{CANARY}", f"/v1/runs/?x={CANARY}", "/v1", "/redoc", f"{RUN}/steps/{CANARY}/x"])
async def test_unknown_path(client: httpx.AsyncClient, path: str) -> None:
    """A path without a route is not found; nothing redirects, and no page loads scripts from elsewhere."""
    assert (await refused(client, path, status=404))["code"] == "not_found"


async def test_wrong_method(client: httpx.AsyncClient) -> None:
    """A method that a route does not have gives 405, names those it has, in the one form of errors."""
    answer = await client.post("/v1/runs", content=CANARY)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"
    assert answer.json()["error"]["code"] == "method_not_allowed"


async def test_cursor_of_another_listing(client: httpx.AsyncClient, store: FakeStore) -> None:
    """A cursor is good for the listing, and the run, that it came from and for no other."""
    other = uuid4()
    store.rows += [RunSeed(), RunSeed(run_id=other), StepSeed(), StepSeed(step_id="2" * 16)]
    runs_cursor = (await client.get("/v1/runs?limit=1")).json()["next_cursor"]
    steps_cursor = (await client.get(f"{RUN}/steps?limit=1")).json()["next_cursor"]
    for path in (
        f"/v1/runs?cursor={steps_cursor}",
        f"{RUN}/steps?cursor={runs_cursor}",
        f"{RUN}/failures?cursor={steps_cursor}",
        f"/v1/runs/{other}/steps?cursor={steps_cursor}",
        f"/v1/runs?agent_id=support-bot&cursor={runs_cursor}",
        f"/v1/runs?cursor={runs_cursor[:-1]}",
        f"/v1/runs?cursor={runs_cursor[::-1]}",
    ):
        assert (await refused(client, path))["field"] == "cursor"


@pytest.mark.parametrize(
    "outage", [StoreUnreachableError(), StoreBusyError(), ProjectBusyError(), StoreNotReadyError(), QueryTimeoutError()]
)
@pytest.mark.parametrize("path", ROUTES)
async def test_store_away(client: httpx.AsyncClient, store: FakeStore, path: str, outage: UnavailableError) -> None:
    """While the store cannot answer, every route says so with 503 and when to ask again, and readiness gives the reason."""
    store.outage = outage
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert answer.json()["error"]["code"] == outage.code
    assert (await client.get("/health")).status_code == 200
    ready = await client.get("/ready")
    assert (ready.status_code, ready.json()["reason"]) == (503, outage.code)
    store.outage = None
    assert (await client.get("/ready")).status_code == 200


async def test_mistake_of_ours(client: httpx.AsyncClient, store: FakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody foresaw gives 500 in the one form, without its text."""

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr(store, "list_runs", broken)
    assert (await refused(client, "/v1/runs", status=500))["code"] == "internal"
