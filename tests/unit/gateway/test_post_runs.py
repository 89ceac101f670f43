"""`POST /v1/runs`: a document in, the events of a run in the log."""

import copy
from typing import Any
from uuid import UUID

import httpx
import pytest

from producer_gateway.events.run_document import EXAMPLE, MINIMAL_EXAMPLE
from producer_gateway.metrics import GatewayMetrics
from producer_gateway.testing import MemoryRecordLog
from tests.unit.gateway import batches as make
from tests.unit.gateway.batches import Gateway, Records

pytestmark = pytest.mark.anyio
CANARY = "canary7f3a"
RUN_ID = "7f1b2c3d-0000-4000-8000-00000000abcd"


def _document(**members: object) -> dict[str, Any]:
    return {**copy.deepcopy(EXAMPLE), **members}


async def _events(client: httpx.AsyncClient, records: Records, document: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await client.post("/v1/runs", json=document)
    assert answer.status_code == 202, answer.text
    return [event for record in records() for event in record["events"]]


async def test_run(client: httpx.AsyncClient, records: Records) -> None:
    """A document becomes the events that an SDK would have sent, in one record."""
    answer = await client.post("/v1/runs", json=_document(run_id=RUN_ID))
    assert (answer.status_code, answer.json()) == (202, {"run_id": RUN_ID, "accepted": 6, "dropped": {}})
    (record,) = records()
    assert record["producer"] == {"id": f"document:{RUN_ID}", "agent": "support-agent", "agent_version": "1.4.2"}
    start, plan, retrieve, tool, failure, end = record["events"]
    assert (start["type"], start["started_at"]) == ("run_started", make.NOW_US)
    assert [event["seq"] for event in record["events"]] == list(range(6))
    assert (plan["started_at"], plan["duration_us"]) == (make.NOW_US, 120_500)
    assert (retrieve["started_at"], retrieve["metadata"]) == (make.NOW_US + 120_500, {"documents_found": 3})
    assert (tool["status"], tool["attempt"], tool["evidence"]) == ("error", 2, {"error_class": "ReadTimeout"})
    assert (failure["failure_id"], failure["step_id"], failure["attempt"]) == (tool["step_id"], tool["step_id"], 2)
    assert (failure["failure_type"], failure["failure_code"]) == ("tool", "timeout")
    assert (end["status"], end["emitted"], end["ended_at"]) == ("failure", 6, make.NOW_US + 5_205_500)


async def test_run_without_id(client: httpx.AsyncClient, records: Records) -> None:
    """A run without an id gets a UUIDv7 of the time of receipt, and the answer tells it."""
    answer = await client.post("/v1/runs", json=MINIMAL_EXAMPLE)
    run_id = UUID(answer.json()["run_id"])
    assert (run_id.version, run_id.variant, run_id.int >> 80) == (7, "specified in RFC 4122", make.NOW_US // 1_000)
    assert records()[0]["events"][-1]["ended_at"] == make.NOW_US


async def test_sent_again(client: httpx.AsyncClient, records: Records) -> None:
    """The same document sent again gives the same events of the same producer."""
    for _ in range(2):
        await client.post("/v1/runs", json=_document(run_id=RUN_ID))
    first, second = records()
    assert first == second


async def test_sent_again_without_times(
    gateway: Gateway, log: MemoryRecordLog, metrics: GatewayMetrics, records: Records
) -> None:
    """Without times, the time inside a version 7 id stands for the start, so that sending again still changes nothing."""
    run_id = "019bbfa2-7c1e-7d3a-9f00-5b6c7d8e9fa0"
    async with gateway() as client:
        (start, *_) = await _events(client, records, {**MINIMAL_EXAMPLE, "run_id": run_id})
    assert start["started_at"] == 0x019BBFA27C1E * 1_000


@pytest.mark.parametrize(
    ("times", "start_ms", "end_ms"),
    [
        ({"started_at": "2026-01-15T09:30:00Z"}, 0, 5_205.5),
        ({"started_at": "2026-01-15T10:30:00+01:00", "latency_ms": 7_000}, 0, 7_000),
        ({"started_at": "2026-01-15T09:30:00Z", "ended_at": "2026-01-15T09:30:08.5Z"}, 0, 8_500),
        ({"started_at": None, "ended_at": "2026-01-15T09:30:08Z"}, 2_794.5, 8_000),
        ({"started_at": None, "ended_at": "2026-01-15T09:30:08Z", "latency_ms": 6_000}, 2_000, 8_000),
        ({"started_at": None}, -5_205.5, 0),
        ({"started_at": None, "latency_ms": 6_000}, -6_000, 0),
    ],
)
async def test_times(client: httpx.AsyncClient, records: Records, times: dict[str, Any], start_ms: float, end_ms: float) -> None:
    """Whatever times are given, the rest follows from the latencies; with none, the run ends on receipt."""
    events = await _events(client, records, _document(**times))
    assert (events[0]["started_at"] - make.NOW_US, events[-1]["ended_at"] - make.NOW_US) == (start_ms * 1_000, end_ms * 1_000)


async def test_steps_with_times_of_their_own(client: httpx.AsyncClient, records: Records) -> None:
    """A step's own time counts, and the next one begins when it ended."""
    steps = [
        {"kind": "plan", "name": "a", "latency_ms": 1},
        {"step_type": "tool", "name": "b", "latency_ms": 2, "started_at": "2026-01-15T09:30:10Z"},
        {"kind": "respond", "name": "c", "latency_ms": 3},
    ]
    _, a, b, c, _ = await _events(client, records, _document(steps=steps, failure=None))
    assert [event["started_at"] - make.NOW_US for event in (a, b, c)] == [0, 10_000_000, 10_002_000]
    assert b["kind"] == "tool"


@pytest.mark.parametrize(("where", "place"), [(0, 1), (2, 3), ("plan-it", 2), (None, None)])
async def test_where_it_failed(client: httpx.AsyncClient, records: Records, where: int | str | None, place: int | None) -> None:
    """A failure points at a step by place, at the last step of a name, or at the run."""
    steps = [{"kind": "plan", "name": name, "latency_ms": 1} for name in ("plan-it", "plan-it", "answer")]
    failure = {"failure_type": "model", "failure_code": "own_code", "step": where, "message": "secret words"}
    events = await _events(client, records, _document(steps=steps, failure=failure))
    (recorded,) = [event for event in events if event["type"] == "failure_recorded"]
    assert recorded["failure_id"] == ("0" * 16 if place is None else events[place]["step_id"])
    assert recorded["message_chars"] == 12


async def test_status_of_a_step(client: httpx.AsyncClient, records: Records) -> None:
    """A step that names an error is an error unless it says otherwise."""
    said = [
        {},
        {"error_class": "E"},
        {"error_code": "e"},
        {"http_status": 500},
        {"http_status": 200},
        {"error_class": "E", "status": "ok"},
    ]
    steps = [{"kind": "tool", "name": "t", "latency_ms": 1, **evidence} for evidence in said]
    events = await _events(client, records, _document(steps=steps, failure=None))
    assert [event["status"] for event in events[1:-1]] == ["ok", "error", "error", "error", "ok", "ok"]


async def test_an_error_that_a_tool_returned(client: httpx.AsyncClient, records: Records) -> None:
    """It marks its step, which went well; the run says why it ended."""
    steps = [
        {"kind": "tool", "name": "t", "latency_ms": 1, "returned_error": {"code": "not_found", "exit_status": 2}},
        {"kind": "tool", "name": "t", "latency_ms": 1, "returned_error": {}},
    ]
    events = await _events(client, records, _document(steps=steps, failure=None, end_reason="limit_steps", status="failure"))
    assert [event["status"] for event in events[1:-1]] == ["ok", "ok"]
    assert [event["returned_error"] for event in events[1:-1]] == [{"code": "not_found", "exit_status": 2}, {}]
    assert events[-1]["end_reason"] == "limit_steps"


async def test_what_does_not_fit_is_left_out(client: httpx.AsyncClient, records: Records) -> None:
    """Names and metadata are held to the contract as everywhere: mended or left out, and counted."""
    steps = [{"kind": "tool", "name": "look up", "latency_ms": 1, "metadata": {"prompt": "hello", "n": 1, "deep": {"a": [1]}}}]
    answer = await client.post("/v1/runs", json=_document(steps=steps, failure=None, agent_id="Support Agent"))
    assert answer.json()["dropped"] == {"name": 2, "content_key": 1, "metadata_value": 1}
    assert records()[0]["producer"]["agent"] == "Support-Agent"
    assert records()[0]["events"][1]["metadata"] == {"n": 1}


STEP = {"kind": "tool", "name": "t", "latency_ms": 1}
FAILURE = {"failure_type": "tool", "failure_code": "timeout"}


@pytest.mark.parametrize(
    ("members", "field", "code"),
    [
        ({"status": "running"}, "status", "unknown_value"),
        ({"run_id": "7F1B2C3D-0000-4000-8000-00000000ABCD"}, "run_id", "run_id"),
        ({"agent_id": None}, "agent_id", "type"),
        ({"steps": [STEP, {"kind": "tool", "latency_ms": 1}]}, "steps[1].name", "missing"),
        ({"steps": [{**STEP, "kind": "think"}]}, "steps[0].kind", "unknown_value"),
        ({"steps": [{**STEP, "latency_ms": -1}]}, "steps[0].latency_ms", "range"),
        ({"steps": [{**STEP, "latency_ms": "12"}]}, "steps[0].latency_ms", "type"),
        ({"steps": [{**STEP, "attempt": 0}]}, "steps[0].attempt", "range"),
        ({"steps": [{**STEP, "secret": 1}]}, "steps[0]", "unknown_member"),
        ({"failure": None, "steps": [{**STEP, "started_at": "1980-01-01T00:00:00Z"}]}, "steps[0].started_at", "range"),
        ({"steps": [STEP] * 4_998}, "steps", "range"),
        ({"started_at": "2026-01-15T09:30:00"}, "started_at", "offset_missing"),
        ({"started_at": "yesterday"}, "started_at", "time"),
        ({"started_at": 1768469400}, "started_at", "time"),
        ({"ended_at": "2026-01-15T09:29:00Z"}, "ended_at", "before_start"),
        ({"failure": {**FAILURE, "step": 3}}, "failure.step", "unknown_step"),
        ({"failure": {**FAILURE, "step": "nope"}}, "failure.step", "unknown_step"),
        ({"failure": {**FAILURE, "step": -1}}, "failure.step", "range"),
        ({"failure": {**FAILURE, "failure_code": "Not A Code"}}, "failure.failure_code", "code"),
        ({"failure": {"failure_type": "luck", "failure_code": "x"}}, "failure.failure_type", "unknown_value"),
    ],
)
async def test_refused_by_field(
    client: httpx.AsyncClient, log: MemoryRecordLog, members: dict[str, Any], field: str | None, code: str
) -> None:
    """What cannot become events is refused with the document's own field and the rule that it breaks."""
    answer = await client.post("/v1/runs", json=_document(**members))
    assert answer.status_code == 422
    assert (answer.json()["error"]["field"], answer.json()["error"]["code"]) == (field, code)
    assert log.messages == []


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"status": CANARY}, "status must be one of 'success', 'partial' or 'failure'."),
        ({"agent_id": [CANARY]}, "agent_id must be a string."),
        ({CANARY: 1}, "The body has a member that is not part of the document."),
        ({"steps": [{"kind": "tool", "latency_ms": 1}]}, "steps[0].name is required."),
        ({"steps": [{**STEP, "latency_ms": -1.5}]}, "steps[0].latency_ms must be at least 0."),
        ({"started_at": CANARY}, "started_at must be an ISO 8601 time with an offset, such as 2026-01-15T09:30:00Z."),
        ({"started_at": "1980-01-01T00:00:00Z"}, "started_at must be from 2000 to 2100."),
        ({"failure": {**FAILURE, "step": CANARY}}, "failure.step must be the place of a step, from 0, or the name of one."),
    ],
)
async def test_refused_in_words(client: httpx.AsyncClient, members: dict[str, Any], said: str) -> None:
    """The message says which field breaks which rule, and repeats nothing that was sent."""
    answer = await client.post("/v1/runs", json=_document(**members))
    assert answer.json()["error"]["message"] == said
    assert CANARY not in answer.text


async def test_unknown_member(client: httpx.AsyncClient) -> None:
    """A member that the document does not have is refused, without repeating its name."""
    answer = await client.post("/v1/runs", json=_document(lattency_ms=3))
    assert (answer.status_code, answer.json()["error"]["code"], answer.json()["error"]["field"]) == (422, "unknown_member", None)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe"])
async def test_not_json(client: httpx.AsyncClient, body: bytes) -> None:
    """What is not JSON is a 400."""
    answer = await client.post("/v1/runs", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "json")
