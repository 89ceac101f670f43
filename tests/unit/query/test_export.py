"""`/v1/export` over the fake store: the same runs as the list, as CSV and as lines of JSON."""

import csv
import io
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from query_service.api.files import export
from query_service.errors import StoreUnreachableError
from query_service.testing import FakeStore
from query_service.testing_rows import NOON, RunSeed
from tests.contract.run_readers import run_id

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def runs(store: FakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven, in pages of three."""
    monkeypatch.setattr(export, "_PAGE", 3)
    store.rows += [
        RunSeed(
            run_id=run_id(n),
            declared_started_at=NOON + n * timedelta(seconds=1),
            metadata={"n": n % 2},
            failure_type="tool" if n == 1 else None,
            failure_code="timeout" if n == 1 else None,
            failure_id="1" * 16 if n == 1 else None,
        )
        for n in range(7)
    ]


async def listed(client: httpx.AsyncClient, **params: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get("/v1/runs", params={"limit": "500", **params})).json()["runs"]
    return found


async def test_lines_of_json_are_the_list(client: httpx.AsyncClient) -> None:
    """Run by run and in its order, with the same filters."""
    for params in ({}, {"metadata": "n:1"}, {"failure_code": "timeout"}):
        answer = await client.get("/v1/export", params={"format": "jsonl", **params})
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        assert [json.loads(line) for line in answer.text.splitlines()] == await listed(client, **params)


async def test_csv_has_a_line_for_each_run(client: httpx.AsyncClient) -> None:
    """Under the names of its columns."""
    rows = list(csv.DictReader(io.StringIO((await client.get("/v1/export")).text)))
    assert [row["run_id"] for row in rows] == [run["run_id"] for run in await listed(client)]
    assert [row["failure_code"] for row in rows] == ["", "", "", "", "", "timeout", ""]
    assert {row["completeness"] for row in rows} == {"unknown"}


async def test_what_cannot_be_read_is_refused_before_the_first_line(client: httpx.AsyncClient, store: FakeStore) -> None:
    """As any other answer."""
    store.outage = StoreUnreachableError()
    assert (await client.get("/v1/export")).status_code == 503
    store.outage = None
    assert (await client.get("/v1/export", params={"format": "xml"})).status_code == 422
