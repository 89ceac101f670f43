"""`POST /v1/events`: what is accepted, what is refused, and what lies in the log afterwards."""

import json

import httpx
import pytest

from agenttracer.wire.envelope import VERSION
from producer_gateway.metrics import GatewayMetrics
from producer_gateway.testing import MemoryRecordLog
from tests.unit.gateway import batches as make
from tests.unit.gateway.batches import Gateway, Records

pytestmark = pytest.mark.anyio


async def test_flawless_batch(client: httpx.AsyncClient, records: Records) -> None:
    """A flawless batch is answered with 202 and lies in the log as one record of its run."""
    answer = await client.post("/v1/events", json=make.batch(make.started(), make.step()))
    assert (answer.status_code, answer.json()) == (202, {"accepted": 2, "rejected": [], "dropped": {}})
    (record,) = records()
    assert record == {
        "v": VERSION,
        "project": "default",
        "producer": make.PRODUCER,
        "received_at": make.NOW_US,
        "events": [make.started(), make.step()],
    }


async def test_one_record_per_run(client: httpx.AsyncClient, log: MemoryRecordLog, records: Records) -> None:
    """Events are grouped by run in the order in which they came, each group under the key of its run."""
    events = [make.started(), make.started(make.OTHER_RUN), make.step(seq=1), make.step(make.OTHER_RUN), make.step(seq=2)]
    answer = await client.post("/v1/events", json=make.batch(*events))
    assert answer.json()["accepted"] == 5
    assert [message.key for message in log.messages] == [f"default:{make.RUN}".encode(), f"default:{make.OTHER_RUN}".encode()]
    assert [[event["seq"] for event in record["events"]] for record in records()] == [[0, 1, 2], [0, 1]]


async def test_bad_item_is_refused_alone(client: httpx.AsyncClient, records: Records) -> None:
    """An item that breaks the contract is named by place, field and rule; the others are accepted."""
    events = [make.started(), make.step(step_id="short"), {"type": "step_deleted"}, make.step(seq=3)]
    answer = await client.post("/v1/events", json=make.batch(*events))
    assert answer.status_code == 202
    assert answer.json() == {
        "accepted": 2,
        "rejected": [
            {"index": 1, "field": "step_id", "code": "step_id"},
            {"index": 2, "field": "type", "code": "unknown_value"},
        ],
        "dropped": {},
    }
    assert [event["seq"] for event in records()[0]["events"]] == [0, 3]


async def test_what_may_be_left_out_is(client: httpx.AsyncClient, records: Records) -> None:
    """Optional values that do not fit are left out and counted; the event survives."""
    event = make.step(name="refund api", attempt=0, metadata={"ok": 1, "prompt": "free text", "model": "x y"})
    answer = await client.post("/v1/events", json=make.batch(event))
    assert answer.json() == {"accepted": 1, "rejected": [], "dropped": {"name": 1, "range": 1, "metadata_value": 2}}
    (stored,) = records()[0]["events"]
    assert (stored["name"], stored["metadata"], "attempt" in stored) == ("refund-api", {"ok": 1}, False)


async def test_newer_minor_version(client: httpx.AsyncClient, records: Records, metrics: GatewayMetrics) -> None:
    """Of a newer minor version what is known is kept, and what is not known is counted."""
    answer = await client.post("/v1/events", json=make.batch(make.started(mood="good"), v="1.7", extra=[1]))
    assert answer.json()["accepted"] == 1
    assert records()[0]["v"] == VERSION
    assert metrics.registry.get_sample_value("agenttracer_gateway_unknown_members_total") == 2


async def test_nothing_acceptable(client: httpx.AsyncClient, log: MemoryRecordLog) -> None:
    """When no item can be accepted the answer is 422 with the same list."""
    answer = await client.post("/v1/events", json=make.batch(make.step(run_id="x"), 7))
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "nothing_accepted"
    assert answer.json()["rejected"] == [
        {"index": 0, "field": "run_id", "code": "run_id"},
        {"index": 1, "field": "", "code": "type"},
    ]
    assert log.messages == []


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        (b"", 400, "json", None),
        (b"{", 400, "json", None),
        (b'"\xff"', 400, "json", None),
        (b"[" * 100_000, 400, "json", None),
        (b"[]", 422, "type", None),
        (b"null", 422, "missing", None),
        (b"{}", 422, "missing", "v"),
        (b'{"v":1}', 422, "type", "v"),
        (b'{"v":"2.0"}', 400, "unsupported_version", "v"),
        (b'{"v":"1.0"}', 422, "missing", "producer"),
        (b'{"v":"1.0","producer":{"id":"p"}}', 422, "missing", "producer.agent"),
        (b'{"v":"1.0","producer":{"id":"p","agent":"a","agent_version":"1"}}', 422, "missing", "events"),
        (b'{"v":"1.0","producer":{"id":"p","agent":"a","agent_version":"1"},"events":[]}', 422, "range", "events"),
    ],
)
async def test_unreadable_as_a_whole(client: httpx.AsyncClient, body: bytes, status: int, code: str, field: str | None) -> None:
    """A body that is no batch is refused by rule and field."""
    answer = await client.post("/v1/events", content=body)
    assert answer.status_code == status
    assert (answer.json()["error"]["code"], answer.json()["error"]["field"]) == (code, field)


async def test_unknown_major_version_says_what_is_read(client: httpx.AsyncClient) -> None:
    """The refusal of a major version carries the supported range."""
    answer = await client.post("/v1/events", json=make.batch(make.started(), v="2.0"))
    assert answer.json()["supported"] == "1.x"


async def test_both_ways_of_reading_count_events(gateway: Gateway) -> None:
    """The limit on events holds for flawless batches and for others."""
    async with gateway(events_max=2) as client:
        for event in (make.started(), make.started(unknown=1)):
            answer = await client.post("/v1/events", json=make.batch(*[event] * 3))
            assert (answer.status_code, answer.json()["error"]["field"]) == (422, "events")


async def test_large_run_is_split(gateway: Gateway, records: Records) -> None:
    """A run too large for one record becomes several of the same key, in order and complete."""
    async with gateway(record_max_bytes=10_000) as client:
        answer = await client.post("/v1/events", json=make.batch(*[make.step(seq=seq) for seq in range(200)]))
    assert answer.json()["accepted"] == 200
    assert len(records()) > 1
    assert all(len(json.dumps(record)) < 12_000 for record in records())
    assert [event["seq"] for record in records() for event in record["events"]] == list(range(200))


async def test_record_that_the_log_refuses(client: httpx.AsyncClient, log: MemoryRecordLog) -> None:
    """Events of a record that can never be durable are refused one by one, by their places in the request."""
    log._message_max_bytes = 400
    events = [make.started(make.OTHER_RUN), make.step(seq=1, metadata={f"k{n}": n for n in range(30)}), {"type": "none"}]
    answer = await client.post("/v1/events", json=make.batch(*events))
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 1
    assert [(each["index"], each["code"]) for each in answer.json()["rejected"]] == [
        (1, "record_too_large"),
        (2, "unknown_value"),
    ]


async def test_however_many_names_none_is_renamed(client: httpx.AsyncClient, records: Records) -> None:
    """Names are bounded in statistics alone: more than these hold lie in the log as they came."""
    names = [f"name-{number}" for number in range(1_100)]
    for at in (0, 550):
        events = [make.step(seq=1 + number, name=names[number]) for number in range(at, at + 550)]
        answer = await client.post("/v1/events", json=make.batch(*events))
        assert answer.json() == {"accepted": 550, "rejected": [], "dropped": {}}
    assert [event["name"] for record in records() for event in record["events"]] == names
