"""`/v1/runs/{id}/tree`, `/children`, `/steps/{id}` and `/v1/failures` over the fake store: places, pages and refusals."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from query_service.testing import FakeStore
from query_service.testing_rows import DEFAULT_RUN, NOON, FailureSeed, RunRollupSeed, RunSeed, StepSeed
from tests.contract.run_readers import run_id, step_id

pytestmark = pytest.mark.anyio
SECOND = timedelta(seconds=1)
FINGERPRINT = "a" * 16
ROOT: dict[str, Any] = {"root_failure_id": step_id(3), "root_failure_type": "tool", "root_failure_code": "timeout"}


@pytest.fixture
def run(store: FakeStore) -> None:
    store.rows += [
        RunSeed(step_count=2),
        RunSeed(run_id=run_id(1), parent_run_id=DEFAULT_RUN, parent_step_id=step_id(2), step_count=1, **ROOT),
        StepSeed(step_id=step_id(1), kind="plan", name="decide", seq=1),
        StepSeed(step_id=step_id(2), parent_step_id=step_id(1), started_at=NOON + SECOND, error_class="X", status="error"),
        StepSeed(run_id=run_id(1), step_id=step_id(3), started_at=NOON - SECOND, parent_step_id=step_id(7)),
        FailureSeed(failure_id=step_id(2), step_id=step_id(2), fingerprint=FINGERPRINT, outcome="recovered"),
        FailureSeed(run_id=run_id(1), failure_id=step_id(3), step_id=step_id(3), caused_by=None, occurred_at=NOON + SECOND),
        FailureSeed(run_id=run_id(1), failure_id=step_id(4), caused_by=step_id(3), occurred_at=NOON + 2 * SECOND),
        RunRollupSeed(minute=NOON - SECOND * 60, runs=4),
    ]


@pytest.mark.usefixtures("run")
async def test_a_tree_says_places(client: httpx.AsyncClient) -> None:
    """Rows, texts and runs by their place; offsets from the first run's start; what is not there is -1."""
    found = (await client.get(f"/v1/runs/{DEFAULT_RUN}/tree")).json()
    steps, failures, strings = found["steps"], found["failures"], found["strings"]
    assert (found["runs_parent"], found["runs_step"]) == ([-1, 0], [-1, 1])
    assert (steps["id"], steps["run"], steps["parent"]) == ([step_id(1), step_id(2), step_id(3)], [0, 0, 1], [-1, 0, -1])
    assert (steps["start_us"], steps["error"]) == ([0, 1_000_000, -1_000_000], [0, 1, 0])
    assert [strings[place] for place in steps["name"]] == ["decide", "search", "search"]
    assert [found["kinds"][place] for place in steps["kind"]] == ["plan", "tool", "tool"]
    assert [place if place < 0 else strings[place] for place in steps["error_class"]] == [-1, "X", -1]
    assert (failures["step"], failures["run"], failures["caused_by"]) == ([1, 2, -1], [0, 1, 1], [-1, -1, 1])
    assert (failures["outcome"], failures["root"]) == ([1, 0, 0], [0, 1, 0])
    assert (found["steps_total"], found["steps_more"], found["truncated_diagnosis"]) == (3, False, False)


@pytest.mark.usefixtures("run")
async def test_a_run_is_a_trace_for_perfetto(client: httpx.AsyncClient, store: FakeStore) -> None:
    """A process for each run; steps that overlap without nesting are in lanes of their own."""
    store.rows += [
        StepSeed(step_id=step_id(11), started_at=NOON + 3 * SECOND, duration_us=9_000_000),
        StepSeed(step_id=step_id(12), started_at=NOON + 4 * SECOND, duration_us=1_000_000),
        StepSeed(step_id=step_id(13), started_at=NOON + 4.5 * SECOND, duration_us=1_000_000),
    ]
    found = (await client.get(f"/v1/runs/{DEFAULT_RUN}/export", params={"format": "chrome"})).json()
    names = [event["args"]["name"] for event in found["traceEvents"] if event["ph"] == "M"]
    assert names == [f"support-bot 1.0 {DEFAULT_RUN}", f"support-bot 1.0 {run_id(1)}"]
    lanes = {event["args"]["step_id"]: event["tid"] for event in found["traceEvents"] if event["ph"] == "X"}
    assert (lanes[step_id(11)], lanes[step_id(12)], lanes[step_id(13)]) == (1, 1, 2)
    assert (await client.get(f"/v1/runs/{DEFAULT_RUN}/export", params={"format": "odd"})).status_code == 422


@pytest.mark.usefixtures("run")
async def test_children_page_by_cursor(client: httpx.AsyncClient, store: FakeStore) -> None:
    """Of this run alone: the cursor of another listing is refused."""
    store.rows.append(RunSeed(run_id=run_id(2), parent_run_id=DEFAULT_RUN, declared_started_at=NOON + SECOND))
    first = (await client.get(f"/v1/runs/{DEFAULT_RUN}/children", params={"limit": 1})).json()
    rest = (await client.get(f"/v1/runs/{DEFAULT_RUN}/children", params={"cursor": first["next_cursor"]})).json()
    assert [run["run_id"] for run in (*first["runs"], *rest["runs"])] == [str(run_id(1)), str(run_id(2))]
    assert rest["next_cursor"] is None
    foreign = await client.get(f"/v1/runs/{run_id(1)}/children", params={"cursor": first["next_cursor"]})
    assert foreign.json()["error"]["field"] == "cursor"


@pytest.mark.usefixtures("run")
async def test_one_step(client: httpx.AsyncClient) -> None:
    """In the form of the list; what is not there is 404, and what is no id is refused."""
    listed = (await client.get(f"/v1/runs/{DEFAULT_RUN}/steps")).json()["steps"]
    assert (await client.get(f"/v1/runs/{DEFAULT_RUN}/steps/{step_id(2)}")).json() == listed[1]
    missing = await client.get(f"/v1/runs/{DEFAULT_RUN}/steps/{step_id(9)}")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "step_not_found")
    malformed = await client.get(f"/v1/runs/{DEFAULT_RUN}/steps/x")
    assert (malformed.status_code, malformed.json()["error"]["field"]) == (422, "step_id")


@pytest.mark.usefixtures("run")
async def test_kinds_of_failure(client: httpx.AsyncClient, store: FakeStore) -> None:
    """A group, and its story with the rate by version: runs with it of all runs of that version."""
    store.rows.append(FailureSeed(fingerprint=FINGERPRINT, failure_id=step_id(8), occurred_at=NOON - 30 * SECOND))
    listed = (await client.get("/v1/failures")).json()
    [group] = listed["groups"]
    assert (group["fingerprint"], group["failures"], sum(group["trend"]), listed["more"]) == (FINGERPRINT, 1, 1, False)
    story = (await client.get(f"/v1/failures/{FINGERPRINT}")).json()
    [version] = story["by_version"]
    assert version == {"agent_version": "1.0", "failures": 1, "runs": 1, "all_runs": 4, "rate": 0.25}
    assert [each["run_id"] for each in story["sample_runs"]] == [str(DEFAULT_RUN)]
    missing = await client.get(f"/v1/failures/{'c' * 16}")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "failure_not_found")
    malformed = await client.get("/v1/failures/x")
    assert (malformed.status_code, malformed.json()["error"]["field"]) == (422, "fingerprint")
