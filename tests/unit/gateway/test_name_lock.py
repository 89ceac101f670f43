"""The second lock on names, by every way in."""

import json
from typing import Any

import httpx
import pytest

from producer_gateway.testing import MemoryRecordLog
from tests.unit.gateway import batches as make
from tests.unit.gateway.batches import Gateway, Records

pytestmark = pytest.mark.anyio

CARD, MAIL, TOKEN = "4111111111111111", "jane.doe-at-example.com", "x8Kd93mZpQ2vT7wLr5Yb"


def _stored(log: MemoryRecordLog) -> bytes:
    return b"".join(bytes(message.value) for message in log.messages)


async def test_events(client: httpx.AsyncClient, records: Records, log: MemoryRecordLog) -> None:
    """Names are replaced, labels and numbers left out, the step says how many, and the answer counts by detector."""
    event = make.step(
        name=f"pay-{CARD}",
        evidence={"error_class": TOKEN, "error_code": "timeout"},
        returned_error={"code": f"card_{CARD}", "error_class": "ValueError"},
        agent={"name": MAIL, "version": "1.2.3.4"},
        metadata={"order": int(CARD), "host": "10.0.0.12", "model": "gpt-4o", "app_version": "1.2.3.4", "system_prompt": "short"},
    )
    answer = await client.post("/v1/events", json=make.batch(event))
    dropped = {"redacted_card": 3, "redacted_entropy": 1, "redacted_email": 1, "redacted_ipv4": 1, "content_key": 1}
    assert answer.json()["dropped"] == dropped
    (stored,) = records()[0]["events"]
    assert stored["name"] == "__redacted__"
    assert stored["evidence"] == {"error_code": "timeout"}
    assert stored["returned_error"] == {"code": "redacted", "error_class": "ValueError"}
    assert stored["agent"] == {"name": "__redacted__", "version": "1.2.3.4"}
    assert stored["metadata"] == {"model": "gpt-4o", "app_version": "1.2.3.4"}
    assert stored["redacted"] == 7
    assert not [text for text in (CARD, MAIL, TOKEN, "10.0.0.12") if text.encode() in _stored(log)]


@pytest.mark.parametrize("extra", [{}, {"news": 1}])
async def test_a_batch_that_is_clean_is_stored_as_it_is(
    client: httpx.AsyncClient, records: Records, extra: dict[str, object]
) -> None:
    """Whether the fast reader took it, or the reference reader because of something else in it."""
    event = make.step(name="look_up", metadata={"model": "gpt-4o", "took": 10**11, "at": 1_768_469_400_050_000}, **extra)
    answer = await client.post("/v1/events", json=make.batch(event))
    assert answer.json()["dropped"] == {}
    (stored,) = records()[0]["events"]
    assert (stored["name"], stored["metadata"]) == (event["name"], event["metadata"])
    assert "redacted" not in stored


async def test_a_producer(client: httpx.AsyncClient, records: Records, log: MemoryRecordLog) -> None:
    """Its names are replaced; its id identifies sequence numbers, so the batch is refused without repeating it."""
    producer = {"id": "p1", "agent": f"agent-{CARD}", "agent_version": "1.2.3.4", "sdk": MAIL}
    answer = await client.post("/v1/events", json=make.batch(make.step(), producer=producer))
    assert answer.json()["dropped"] == {"redacted_card": 1, "redacted_email": 1}
    assert records()[0]["producer"] == {"id": "p1", "agent": "__redacted__", "agent_version": "1.2.3.4"}
    refused = await client.post("/v1/events", json=make.batch(make.step(), producer={**producer, "id": CARD}))
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "producer.id")
    assert CARD not in refused.text
    assert CARD.encode() not in _stored(log)


async def test_labels_are_sixteen_at_most(client: httpx.AsyncClient, records: Records) -> None:
    """Those under registered keys aside."""
    labels = {f"k{number}": "x" for number in range(18)}
    await client.post("/v1/events", json=make.batch(make.step(metadata={"model": "m", **labels, "n": 1})))
    (stored,) = records()[0]["events"]
    assert len(stored["metadata"]) == 1 + 16 + 1


async def test_failures_starts_and_ends(client: httpx.AsyncClient, records: Records) -> None:
    """Every kind of event that has names."""
    events = [
        make.started(metadata={"customer": MAIL}),
        make.failed(failure_code=f"card_{CARD}", evidence={"error_code": CARD}),
        make.finished(status="failure", evidence={"error_class": TOKEN}),
    ]
    await client.post("/v1/events", json=make.batch(*events))
    start, failure, end = records()[0]["events"]
    assert "metadata" not in start
    assert (failure["failure_code"], failure["evidence"], end["evidence"]) == ("redacted", {}, {})


async def test_a_run_document(client: httpx.AsyncClient, log: MemoryRecordLog) -> None:
    """The same rule."""
    step = {"kind": "tool", "name": "please refund the order today", "latency_ms": 1}
    document: dict[str, Any] = {
        "agent_id": "jane.doe@example.com",
        "agent_version": "1",
        "status": "success",
        "steps": [{**step, "metadata": {"card": int(CARD), "to": MAIL}}],
    }
    answer = await client.post("/v1/runs", json=document)
    assert answer.json()["dropped"] == {"redacted_email": 2, "redacted_prose": 1, "redacted_card": 1}
    stored = [json.loads(message.value) for message in log.messages]
    assert stored[0]["producer"]["agent"] == stored[0]["events"][1]["name"] == "__redacted__"
    assert not [text for text in (CARD, MAIL, "jane", "please") if text.encode() in _stored(log)]


async def test_spans(client: httpx.AsyncClient, log: MemoryRecordLog) -> None:
    """Every attribute that the mapping names, of spans and of resources."""

    def said(**attributes: str) -> list[dict[str, Any]]:
        return [{"key": key.replace("__", "."), "value": {"stringValue": value}} for key, value in attributes.items()]

    span = {
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "00f067aa0ba902b7",
        "parentSpanId": "b7ad6b7169203331",
        "name": "execute_tool",
        "startTimeUnixNano": f"{make.NOW_US}000",
        "endTimeUnixNano": f"{make.NOW_US + 5}000",
        "attributes": said(
            gen_ai__operation__name="execute_tool",
            gen_ai__tool__name=MAIL,
            gen_ai__response__model=CARD,
            gen_ai__agent__name=TOKEN,
        ),
    }
    resource = {"attributes": said(service__name=f"svc-{CARD}", service__version="1.2.3.4")}
    body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}
    answer = await client.post("/v1/traces", json=body)
    assert answer.status_code == 200
    stored = _stored(log)
    assert b"__redacted__" in stored
    assert not [text for text in (CARD, MAIL, TOKEN) if text.encode() in stored]


@pytest.mark.parametrize("key", ["phone", "caller_phone", "customer.mobile", "ssn"])
async def test_numbers_of_persons(client: httpx.AsyncClient, records: Records, key: str) -> None:
    """Under a key that says so they are left out, from seven digits on; under any other they are times, sizes and counts."""
    said = {key: 4_915_112_345_679, f"{key}_count": 3, "took_us": 4_915_112_345_679, "phones": 12, "phonetic": 10**9}
    answer = await client.post("/v1/events", json=make.batch(make.step(metadata=said)))
    rule = "redacted_national_id" if key == "ssn" else "redacted_phone"
    assert answer.json()["dropped"] == {rule: 1}
    assert records()[0]["events"][0]["metadata"] == {name: value for name, value in said.items() if name != key}


@pytest.mark.parametrize(
    "machine",
    [
        "ip-10-0-123-45-6789",
        "web-7d9f8b6c5-x2x7k",
        "checkout-5f6d7c8b94-abcde-4412",
        "i-0abcd1234ef567890",
        "ecs-task-3f2504e04f8911d39a0c0305e82c3301",
        "gke-prod-pool-1-8f3c2a1b-xk2p:17",
        "9c2f7ab04d11",
    ],
)
async def test_machines_are_no_addresses_by_chance(client: httpx.AsyncClient, records: Records, machine: str) -> None:
    """Names that clouds and clusters give: whatever is sent under one is stored, with its sequence numbers."""
    producer = {"id": machine, "agent": "a", "agent_version": "1"}
    answer = await client.post("/v1/events", json=make.batch(make.step(), producer=producer))
    assert (answer.status_code, answer.json()["dropped"]) == (202, {})
    assert records()[0]["producer"]["id"] == machine


async def test_a_machine_that_is_called_after_its_address_has_a_pseudonym(gateway: Gateway, records: Records) -> None:
    """The same with every batch, so that its sequence numbers are still counted."""
    producer = {"id": "ip-10-0-123-45", "agent": "a", "agent_version": "1"}
    async with gateway(name_key="n" * 32) as client:
        for _ in range(2):
            answer = await client.post("/v1/events", json=make.batch(make.step(), producer=producer))
            assert (answer.status_code, answer.json()["dropped"]) == (202, {"redacted_ipv4": 1})
    ids = {record["producer"]["id"] for record in records()}
    assert len(ids) == 1
    assert ids.pop().startswith("~")
