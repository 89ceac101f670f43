"""What spans say beside their attributes' values: sessions, work, returned errors, agents, cost, ends."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from producer_gateway.events.record_builder import Envelope, build_records
from producer_gateway.otlp import attributes, decode_json, decode_protobuf
from producer_gateway.otlp.convert import to_events
from producer_gateway.otlp.reading.digests import Digests
from tests.unit.gateway.batches import NOW_US
from tests.unit.gateway.otlp import spans as make
from tests.unit.gateway.otlp.spans import CHILD, LEAF, ROOT, Json

TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
DIGESTS = Digests(b"secret", "shop")


def _from_json(body: Json, digests: Digests | None = DIGESTS) -> list[dict[str, Any]]:
    return _events(decode_json.decode(json.dumps(body).encode(), spans_max=100), digests)


def _from_protobuf(body: Json, digests: Digests | None = DIGESTS) -> list[dict[str, Any]]:
    return _events(decode_protobuf.decode(make.protobuf(body), spans_max=100), digests)


def _events(decoded: Any, digests: Digests | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for batch in to_events(decoded, digests).batches:
        for each in build_records(batch.events, envelope=Envelope("shop", batch.producer, NOW_US), record_max_bytes=900_000):
            assert each.message is not None
            found.extend(json.loads(each.message.value)["events"])
    return found


Read = Callable[..., list[dict[str, Any]]]
both = pytest.mark.parametrize("read", [_from_json, _from_protobuf])


def _step(read: Read, said: dict[str, object], **members: Any) -> dict[str, Any]:
    (event,) = read(make.request(make.span(CHILD, ROOT, said=said, **members)))
    return event


@both
def test_a_session_is_a_digest(read: Read) -> None:
    """Equal for one session of a project, whatever attribute says it; another in another project; never the id itself."""
    first = _step(read, {"gen_ai.conversation.id": "session-1"})["session_digest"]
    assert len(first) == 32
    assert _step(read, {"session.id": "session-1"})["session_digest"] == first
    assert _step(read, {"session.id": "session-2"})["session_digest"] != first
    body = make.request(make.span(CHILD, ROOT, said={"session.id": "session-1"}))
    assert read(body, Digests(b"secret", "other"))[0]["session_digest"] != first
    assert read(body, Digests(b"another", "shop"))[0]["session_digest"] != first
    assert "session_digest" not in read(body, None)[0]
    start = read(make.request(make.span(said={"session.id": "session-1"})))[0]
    assert (start["type"], start["session_digest"]) == ("run_started", first)


@both
def test_the_same_work_has_the_same_digest(read: Read) -> None:
    """Of one tool with the same arguments in one run; another tool, other arguments and another run differ."""

    def digest(said: dict[str, object], **members: object) -> str:
        return str(_step(read, said, **members)["work_digest"])

    first = digest({**TOOL, "gen_ai.tool.call.arguments": '{"order": "a"}'})
    assert len(first) == 16
    assert digest({**TOOL, "input.value": '{"order": "a"}'}) == first
    assert digest({**TOOL, "input.value": '{"order": "b"}'}) != first
    assert digest({**TOOL, "gen_ai.tool.name": "other", "input.value": '{"order": "a"}'}) != first
    assert digest({**TOOL, "input.value": '{"order": "a"}'}, traceId=make.TRACE[::-1]) != first
    assert "work_digest" not in _step(read, {"openinference.span.kind": "LLM", "input.value": "a question"})
    assert "work_digest" not in _step(read, TOOL)


@both
@pytest.mark.parametrize(
    ("said", "returned"),
    [
        ({"gen_ai.tool.call.result": '{"isError": true, "content": [{"type": "text", "text": "it broke"}]}'}, True),
        ({"output.value": "Error: connection refused"}, True),
        ({"ai.toolCall.result": '{"error": "rate limit exceeded", "status": 429}'}, True),
        ({"gen_ai.tool.status": "error"}, True),
        ({"mcp.tool.result.is_error": True}, True),
        ({"error.type": "tool_error"}, True),
        ({"http.response.status_code": 503}, True),
        ({"gen_ai.tool.status": "success", "output.value": "12 orders found"}, False),
        ({"http.response.status_code": 200}, False),
        ({}, False),
    ],
)
def test_an_error_that_a_tool_returned(read: Read, said: dict[str, object], *, returned: bool) -> None:
    """It marks the step, whose status stays what the call was; nothing of the text is kept."""
    step = _step(read, {**TOOL, **said})
    assert ("returned_error" in step) is returned
    assert step["status"] == "ok"
    assert not any(word in json.dumps(step) for word in ("broke", "refused", "exceeded", "orders"))


@both
def test_a_returned_error_has_a_code(read: Read) -> None:
    """By the closed table, or by the status."""
    assert _step(read, {**TOOL, "output.value": "Error: connection refused"})["returned_error"]["code"] == "connection"
    assert _step(read, {**TOOL, "http.response.status_code": 503})["returned_error"]["http_status"] == 503
    assert "returned_error" not in _step(read, {"gen_ai.operation.name": "chat", "output.value": "Error: connection refused"})


@both
@pytest.mark.parametrize("place", ["exception", "status"])
def test_a_message_is_read_for_a_known_error(read: Read, place: str) -> None:
    """A provider's words in an exception's message or a status' description give the code, and go no further."""
    told = "This model's maximum context length is 8192 tokens"
    failed = make.failed("BadRequestError")
    if place == "exception":
        failed["events"][0]["attributes"][1]["value"] = {"stringValue": told}
    else:
        failed = {"status": {"code": 2, "message": told}}
    step = _step(read, {"gen_ai.operation.name": "chat"}, **failed)
    assert step["evidence"]["error_code"] == "context_overflow"
    assert "8192" not in json.dumps(step)


@both
def test_an_agent_inside_of_a_run(read: Read) -> None:
    """Its step says that it executes an agent; the root's start does not, and steps of other kinds neither."""
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "Refund Agent", "gen_ai.agent.version": "3"}
    nested = make.span(CHILD, ROOT, said=agent)
    raw = make.span(LEAF, CHILD, said={"openinference.span.kind": "AGENT"}, name="planner")
    chain = make.span("00f067aa0ba902ba", CHILD, said={"openinference.span.kind": "CHAIN"})
    events = {event.get("step_id"): event for event in read(make.request(make.span(said=agent), nested, raw, chain))}
    assert events[CHILD]["agent"] == {"name": "Refund-Agent", "version": "3"}
    assert events[LEAF]["agent"] == {"name": "planner"}
    assert "agent" not in events["00f067aa0ba902ba"]


@both
def test_a_request_is_no_run_of_an_agent(read: Read) -> None:
    """A root that is a web request starts a run of the kind `trace`; an agent or a span by hand does not."""
    request = {"http.request.method": "POST", "http.route": "/chat"}
    assert read(make.request(make.span(said=request)))[0]["kind"] == "trace"
    assert "kind" not in read(make.request(make.span(name="planner")))[0]
    assert "kind" not in read(make.request(make.span(said={"gen_ai.operation.name": "invoke_agent"})))[0]


@both
@pytest.mark.parametrize(
    ("said", "cost"),
    [
        ({"operation.cost": 0.000123}, {"nano": 123_000, "currency": "USD"}),
        ({"gen_ai.usage.cost": "0.5", "gen_ai.usage.cost.currency": "EUR"}, {"nano": 500_000_000, "currency": "EUR"}),
        ({"llm.cost.total": 2}, {"nano": 2_000_000_000, "currency": "USD"}),
        ({"llm.cost.total": -1.0}, None),
        ({"llm.cost.total": 1e9}, None),
        ({"llm.cost.total": "two"}, None),
        ({"llm.cost.total": True}, None),
        ({"llm.cost.total": 1.0, "llm.cost.currency": "dollars"}, {"nano": 1_000_000_000, "currency": "USD"}),
    ],
)
def test_cost(read: Read, said: dict[str, object], cost: dict[str, object] | None) -> None:
    """Kept as it was said, in billionths."""
    assert _step(read, said).get("cost") == cost


@both
@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        ("asyncio.exceptions.CancelledError", "partial", "cancelled"),
        ("AbortError", "partial", "cancelled"),
        ("ERR_CANCELED", "partial", "cancelled"),
        ("20", "partial", "cancelled"),
        ("langgraph.errors.GraphInterrupt", "partial", "interrupted"),
        ("agents.exceptions.MaxTurnsExceeded", "failure", "limit_steps"),
        ("ValueError", "failure", None),
    ],
)
def test_why_a_run_ended(read: Read, error: str, status: str, reason: str | None) -> None:
    """By the class of what left the root; a step that was interrupted has not failed."""
    failed = make.failed(error)
    step, _, end = read(make.request(make.span(CHILD, ROOT, **failed), make.span(**failed)))
    assert (end["type"], end["status"], end.get("end_reason")) == ("run_finished", status, reason)
    assert step["status"] == ("ok" if reason == "interrupted" else "error")


@both
def test_a_span_in_progress(read: Read) -> None:
    """Told without an end it starts the run, or says that it is alive; told again with one it is the step, and the end."""
    early = {"endTimeUnixNano": "0"}
    assert [event["type"] for event in read(make.request(make.span(CHILD, ROOT, **early)))] == ["run_heartbeat"]
    assert [event["type"] for event in read(make.request(make.span(**early)))] == ["run_started"]
    both_told = read(make.request(make.span(CHILD, ROOT, **early), make.span(CHILD, ROOT, said=TOOL)))
    assert [event["type"] for event in both_told] == ["run_heartbeat", "step_finished"]


def test_nothing_of_content_is_remembered() -> None:
    """Neither sessions nor arguments nor results, though they may have the form of names."""
    attributes.remembered.clear()
    said = {**TOOL, "session.id": "abc", "input.value": "secret-word", "output.value": "other-word"}
    _from_protobuf(make.request(make.span(CHILD, ROOT, said=said)))
    assert not any(b"abc" in raw or b"-word" in raw for raw in attributes.remembered)
    assert attributes.remembered
