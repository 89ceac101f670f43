"""Pseudonyms of what is no name, and projects that are closed for all names but those that their owner allowed."""

import json
import re
from collections.abc import Generator, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agenttracer.rules.names.pseudonyms import Pseudonyms, project_key
from agenttracer.wire.envelope import Producer
from agenttracer.wire.reader import read_event
from agenttracer.wire.vocabulary import RESERVED_NAMES
from producer_gateway.events.name_lock import locking
from producer_gateway.events.validate import FittingNames, ValidBatch
from producer_gateway.names import vocabulary
from producer_gateway.names.closed import closing
from producer_gateway.testing import MemoryNames, MemoryRecordLog
from tests.unit.gateway import batches as make
from tests.unit.gateway.batches import Gateway, Records

pytestmark = pytest.mark.anyio

NAME_KEY = "n" * 32
OURS = Pseudonyms(project_key(NAME_KEY, "default").encode())
FOREIGN = "查询订单"
SPAN: dict[str, Any] = {
    "traceId": "0af7651916cd43dd8448eb211c80319c",
    "spanId": "00f067aa0ba902b7",
    "parentSpanId": "b7ad6b7169203331",
    "name": "execute_tool",
    "startTimeUnixNano": f"{make.NOW_US}000",
    "endTimeUnixNano": f"{make.NOW_US + 5}000",
}


def _said(**attributes: str) -> list[dict[str, Any]]:
    return [{"key": key.replace("__", "."), "value": {"stringValue": value}} for key, value in attributes.items()]


def _traces(resource: dict[str, str], *spans: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"resource": {"attributes": _said(**resource)}, "scopeSpans": [{"spans": list(spans)}]}]}


def _names_of(log: MemoryRecordLog) -> Iterator[str]:
    """Every name, label, key and code in the log."""
    for message in log.messages:
        record = json.loads(message.value)
        yield from record["producer"].values()
        for event in record["events"]:
            yield from event.get("metadata", ())
            for part in (event, event.get("metadata"), event.get("evidence"), event.get("agent"), event.get("returned_error")):
                for key, value in (part or {}).items():
                    if isinstance(value, str) and key not in {"type", "run_id", "step_id", "failure_id", "kind", "status"}:
                        yield value


async def test_an_open_project_stores_pseudonyms_for_other_scripts(gateway: Gateway, log: MemoryRecordLog) -> None:
    """Events, documents and spans alike, and two agents stay two."""
    producer = {"id": "p1", "agent": FOREIGN, "agent_version": "版本一"}
    document: dict[str, Any] = {"agent_id": FOREIGN, "agent_version": "1", "status": "success"}
    tool = _said(gen_ai__operation__name="execute_tool", gen_ai__tool__name=FOREIGN, gen_ai__agent__name=FOREIGN)
    other = _said(gen_ai__operation__name="execute_tool", gen_ai__tool__name="x", gen_ai__agent__name="订单")
    spans = _traces(
        {"service__name": "svc"}, {**SPAN, "attributes": tool}, {**SPAN, "spanId": "00f067aa0ba902b8", "attributes": other}
    )
    async with gateway(name_key=NAME_KEY) as client:
        answer = await client.post("/v1/events", json=make.batch(make.step(name=FOREIGN), producer=producer))
        assert answer.json()["dropped"] == {"name": 3}
        await client.post("/v1/runs", json={**document, "steps": [{"kind": "tool", "name": FOREIGN, "latency_ms": 1}]})
        assert (await client.post("/v1/traces", json=spans)).status_code == 200
    stored = [json.loads(message.value) for message in log.messages]
    events, run, *traces = stored
    assert events["producer"] == {"id": "p1", "agent": OURS.of(FOREIGN), "agent_version": OURS.of("版本一")}
    assert events["events"][0]["name"] == run["events"][1]["name"] == run["producer"]["agent"] == OURS.of(FOREIGN)
    assert {record["producer"]["agent"] for record in traces} == {OURS.of(FOREIGN), OURS.of("订单")}
    assert {record["events"][0]["name"] for record in traces} == {OURS.of(FOREIGN), "x"}


async def test_without_a_key_they_are_invalid(client: httpx.AsyncClient, records: Records) -> None:
    """As they were, and nothing else can be made of them."""
    await client.post("/v1/events", json=make.batch(make.step(name=FOREIGN)))
    assert records()[0]["events"][0]["name"] == "__invalid__"


async def test_a_closed_project_stores_what_is_allowed_and_pseudonyms(
    gateway: Gateway, names: MemoryNames, records: Records
) -> None:
    """Names, labels, keys, codes, producers; words of ours stay, so that failures are still told apart."""
    names.closed["default"] = frozenset({"refund-api", "channel", "chat", OURS.of(FOREIGN)})
    step = make.step(
        name="secret-plan",
        evidence={"error_class": "TimeoutError", "error_code": "my_own_code"},
        returned_error={"code": "not_found", "error_class": "MyError"},
        agent={"name": "inner", "version": "2"},
        cost={"nano": 5, "currency": "ABC"},
        metadata={"model": "gpt-4o", "channel": "chat", "mood": "bad", "finish_reason": "stop", "input_tokens": 5},
    )
    foreign = make.step(name=FOREIGN, step_id="b7ad6b7169203332")
    told = make.step(name=OURS.of("订单"), step_id="b7ad6b7169203333")  # by an SDK with the key
    failure = make.failed(failure_code="my_own_code")
    producer = {"id": "host-17", "agent": "support", "agent_version": "1", "sdk": "python/0.9.1"}
    async with gateway(name_key=NAME_KEY) as client:
        plain = make.batch(make.step(), step, failure, foreign, told, producer=producer)
        answer = await client.post("/v1/events", json=plain)
    assert answer.json()["dropped"] == {"not_allowed": 12, "name": 1}
    (record,) = records()
    first, stored, failed, named, again = record["events"]
    assert record["producer"] == {
        "id": OURS.of("host-17"),
        "agent": OURS.of("support"),
        "agent_version": OURS.of("1"),
        "sdk": "python/0.9.1",
    }
    assert (first["name"], stored["name"], named["name"]) == ("refund-api", OURS.of("secret-plan"), OURS.of(FOREIGN))
    assert again["name"] == OURS.of(OURS.of("订单")), "ten digits of a sender could be anything"
    assert stored["evidence"] == {"error_class": "TimeoutError", "error_code": OURS.of("my_own_code")}
    assert stored["returned_error"] == {"code": "not_found", "error_class": OURS.of("MyError")}
    assert stored["agent"] == {"name": OURS.of("inner"), "version": OURS.of("2")}
    assert "cost" not in stored
    assert stored["metadata"] == {"model": OURS.of("gpt-4o"), "channel": "chat", "finish_reason": "stop", "input_tokens": 5}
    assert failed["failure_code"] == OURS.of_code("my_own_code")
    assert "redacted" not in stored


async def test_closed_for_documents_and_spans_too(gateway: Gateway, names: MemoryNames, log: MemoryRecordLog) -> None:
    """The same rule by every way in."""
    names.closed["default"] = frozenset({"svc"})
    document: dict[str, Any] = {"agent_id": "hidden-agent", "agent_version": "1", "status": "success"}
    attributes = _said(
        gen_ai__operation__name="execute_tool", gen_ai__tool__name="hidden-tool", gen_ai__request__model="hidden-model"
    )
    async with gateway(name_key=NAME_KEY) as client:
        step = {"kind": "tool", "name": "hidden-step", "latency_ms": 1, "metadata": {"hidden_key": 1, "model": "hidden-label"}}
        assert (await client.post("/v1/runs", json={**document, "steps": [step]})).status_code == 202
        spans = _traces({"service__name": "svc", "service__version": "hidden-version"}, {**SPAN, "attributes": attributes})
        assert (await client.post("/v1/traces", json=spans)).status_code == 200
    stored = b"".join(bytes(message.value) for message in log.messages)
    assert b"hidden" not in stored
    for name in ("hidden-agent", "hidden-tool", "hidden-model", "hidden-step", "hidden-label", "hidden-version"):
        assert OURS.of(name).encode() in stored


async def test_a_closed_project_waits_for_a_key_of_pseudonyms(gateway: Gateway, names: MemoryNames, log: MemoryRecordLog) -> None:
    """Nothing of it is stored by a gateway without one; other projects go on. So does nothing where the registry is not known."""
    names.closed["default"] = frozenset()
    async with gateway() as client:
        answer = await client.post("/v1/events", json=make.batch(make.step()))
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "name_key_missing")
        del names.closed["default"]
        assert (await client.post("/v1/events", json=make.batch(make.step()))).status_code == 202
        names.away = True
        answer = await client.post("/v1/events", json=make.batch(make.step()))
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "names_unavailable")
        assert "retry-after" in answer.headers
    assert len(log.messages) == 1


async def test_a_prompt_cut_into_names_leaves_nothing_to_read(gateway: Gateway, names: MemoryNames, log: MemoryRecordLog) -> None:
    """In every field that takes a name; letters that happen to be words of ours aside."""
    names.closed["default"] = frozenset()
    pieces = [f"w{number}ord" for number in range(200)]
    events = [
        make.step(
            name=piece, step_id=f"{number:016x}", metadata={"model": piece, f"k_{piece}": piece}, evidence={"error_class": piece}
        )
        for number, piece in enumerate(pieces)
    ]
    failures = [make.failed(failure_code=piece, failure_id=f"{number:016x}") for number, piece in enumerate(pieces)]
    producer = {"id": "w1ord", "agent": "w2ord", "agent_version": "w3ord", "sdk": "w4ord"}
    async with gateway(name_key=NAME_KEY) as client:
        answer = await client.post("/v1/events", json=make.batch(*events, *failures, producer=producer))
    assert answer.json()["accepted"] == 400
    stored = b"".join(bytes(message.value) for message in log.messages)
    assert not [piece for piece in pieces if piece.encode() in stored or piece[:-1].encode() in stored]
    assert len(set(_names_of(log)) & {OURS.of(piece) for piece in pieces}) == 200, "and they can still be told apart"


def _done(work: Generator[None, None, ValidBatch]) -> ValidBatch:
    while True:
        try:
            next(work)
        except StopIteration as end:
            batch: ValidBatch = end.value
            return batch


_TEXTS = st.one_of(
    st.text(max_size=80),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:/+-]{0,63}", fullmatch=True),
    st.sampled_from(["allowed", "timeout"]),
)
_CODES = st.from_regex(r"[a-z][a-z0-9_]{0,63}", fullmatch=True)
_KEYS = st.one_of(st.from_regex(r"[a-z][a-z0-9_.]{0,63}", fullmatch=True), st.sampled_from(["model", "allowed"]))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(name=_TEXTS, code=_CODES, error_class=_TEXTS, label=_TEXTS, key=_KEYS)
def test_every_stored_name_is_allowed_ours_or_a_pseudonym_of_the_right_key(
    name: str, code: str, error_class: str, label: str, key: str
) -> None:
    """Whatever is sent, in the form of names or not."""
    step = make.step(name=name, evidence={"error_class": error_class}, metadata={key: label, "n": 1})
    failure = make.failed(failure_code=code)
    unfit = FittingNames()
    events = [read_event(each, unfit) for each in (step, failure)]
    producer = Producer(id="p", agent="allowed", agent_version="1")
    allowed = frozenset({"allowed"})
    known = allowed | vocabulary.NAMES | RESERVED_NAMES
    batch = _done(locking(ValidBatch(producer=producer, events=events, indices=range(2)), OURS))
    told, failed = _done(closing(batch, allowed, OURS)).events
    plain, hidden = {name, error_class, label}, re.compile(r"~[0-9a-f]{10}")
    said = [told.name, *((told.evidence and [told.evidence.error_class]) or []), *told.metadata.values()]  # type: ignore[union-attr]
    for each in said:
        assert not isinstance(each, str) or each in known or each in {OURS.of(one) for one in plain | {*map(OURS.of, plain)}}, (
            each
        )
        assert not isinstance(each, str) or each in known or hidden.fullmatch(each)
    assert told.metadata.keys() <= vocabulary.KEYS | allowed  # type: ignore[union-attr]
    assert failed.failure_code in {*vocabulary.CODES, OURS.of_code(code), OURS.of_code("redacted")}  # type: ignore[union-attr]
