"""The mapping, row by row: each attribute alone on a span, with a value that fits and one that does not."""

import json
from collections import Counter
from typing import Any

import pytest

from agenttracer.rules import span_kinds
from agenttracer.wire import form
from agenttracer.wire.vocabulary import INVALID_NAME, StepKind
from producer_gateway.otlp import decode_protobuf, mapping
from producer_gateway.otlp.decode_json import decode
from producer_gateway.otlp.step import MappedStep, read
from tests.unit.gateway.otlp import spans as make
from tests.unit.gateway.otlp.spans import CHILD, ROOT

METADATA = [(target, name) for target, _, names in mapping.TABLE for name in names if target[0] != "@"]
FITS: dict[str, tuple[object, object]] = {
    "http_status": (429, 429),
    "provider": ("openai", "openai"),
    "model": ("gemini-2@001", "gemini-2:001"),
    "finish_reason": (["stop", "length"], "length"),
    "temperature": (0.5, 0.5),
    "top_p": (1, 1),
    "streamed": (True, True),
    "time_to_first_chunk_s": (0.25, 0.25),
    "tool_type": ("function", "function"),
    "agent_id": ("asst_7", "asst_7"),
    "workflow": ("refund flow", "refund-flow"),
    "prompt_name": ("refund prompt", "refund-prompt"),
    "prompt_version": (3, "3"),
    "evaluation_name": ("faithfulness", "faithfulness"),
    "evaluation_label": ("pass", "pass"),
    "evaluation_score": (0.5, 0.5),
    "guardrail_result": ("blocked", "blocked"),
    "guardrail_triggered": (True, True),
    "protocol_version": ("2025-06-18", "2025-06-18"),
    "ai.response.msToFirstChunk": (210.5, 0.2105),
    "ai.stream.msToFirstChunk": (250, 0.25),
}
MISFITS = ("it is free text, and more", "", "x" * 65, -1, 2**63, 1e400, [], ["it is free, text"], {"a": 1}, b"bytes")


def step(said: dict[str, object], /, **members: Any) -> tuple[MappedStep, Counter[str]]:
    decoded = decode(make.as_json(make.span(CHILD, ROOT, said=said, **members)), spans_max=1)
    dropped: Counter[str] = Counter()
    return read(decoded.parts[0].spans[0], dropped), dropped


@pytest.mark.parametrize(("target", "name"), METADATA)
def test_metadata(target: str, name: str) -> None:
    """A value that fits stands under the row's key; one that does not is left out and counted."""
    sent, stored = FITS.get(name, FITS.get(target, (7, 7)))
    assert step({name: sent})[0].metadata == {target: stored}
    for misfit in MISFITS:
        found, dropped = step({name: misfit})
        assert (found.metadata, dropped) == ({}, {"metadata_value": 1}), misfit


@pytest.mark.parametrize(("target", "names"), [(target, names) for target, _, names in mapping.TABLE if len(names) > 1])
def test_preference(target: str, names: tuple[str, ...]) -> None:
    """Of several attributes for one target the first of the row counts, in whatever order they come."""
    said = {name: mapping.ROWS[name].rank for name in names}
    fit = {name: mapping.Row(target, rank, lambda value: value) for name, rank in said.items()}  # type: ignore[arg-type,return-value]  # ints
    from producer_gateway.otlp.step import map_attributes

    first = {target: min(said.values())}
    assert map_attributes(said, fit, Counter()) == map_attributes(dict(reversed(said.items())), fit, Counter()) == first


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        ("gen_ai.operation.name", span_kinds.OPERATIONS),
        ("openinference.span.kind", span_kinds.OPENINFERENCE),
        ("traceloop.span.kind", span_kinds.TRACELOOP),
        ("llm.request.type", span_kinds.REQUEST_TYPES),
        ("db.system", span_kinds.PROTOCOLS),
    ],
)
def test_kinds(attribute: str, words: dict[str, span_kinds.KnownKind]) -> None:
    """Every known word of a convention gives its kind and names the step; an unknown one gives neither and is counted."""
    for said, known in words.items():
        found, _ = step({attribute: said}, name="(none)")
        assert (found.kind, found.name) == known[:2]
    found, dropped = step({attribute: "canary"}, name="(none)")
    assert (found.kind, found.name, dropped) == (StepKind.OTHER, "span", {"metadata_value": 1})


def test_a_model_that_calls_tools_plans() -> None:
    """A model call that ends in a tool call decided what to do next."""
    found, _ = step({"gen_ai.operation.name": "chat", "gen_ai.response.finish_reasons": ["tool_calls"]})
    assert found.kind is StepKind.PLAN


@pytest.mark.parametrize(
    ("name", "kind", "stored"),
    [
        ("chat gpt-4o", StepKind.RESPOND, "chat"),
        ("execute_tool get_weather", StepKind.TOOL, "get_weather"),
        ("execute_tool (merged)", StepKind.TOOL, "execute_tool"),
        ("openai.chat", StepKind.RESPOND, "openai.chat"),
        ("search.tool", StepKind.TOOL, "search"),
        ("tools/call get_weather", StepKind.TOOL, "get_weather"),
        ("call_llm", StepKind.RESPOND, "call_llm"),
        ("agent_run [planner]", StepKind.OTHER, "planner"),
        ("Research Crew.workflow", StepKind.OTHER, "Research-Crew"),
        ("plan_trip", StepKind.OTHER, "plan_trip"),
        ("Plan the trip", StepKind.OTHER, "Plan-the-trip"),
        ("RunnableSequence", StepKind.OTHER, "RunnableSequence"),
        ("handoff to Refund agent", StepKind.OTHER, "handoff-to-Refund-agent"),
        ("Crew_0b0e0a4a-1111-4222-8333-444455556666.kickoff", StepKind.OTHER, "Crew.kickoff"),
        ("a2a.server.request_handlers.default_request_handler.DefaultRequestHandler.on_message_send", StepKind.OTHER, None),
        ("what is the weather", StepKind.OTHER, "span"),
        ("Please find all orders of this customer", StepKind.OTHER, "span"),
        ("SELECT * FROM users WHERE name='alice'", StepKind.OTHER, "span"),
        ("GET /users/alice", StepKind.OTHER, "GET"),
        ("GET /users/{user_id}/orders/{id:int}", StepKind.OTHER, "GET-/users/:user_id/orders/:id"),
        ("GET /users/{id} http send", StepKind.OTHER, "http-send"),
        ("/users/alice", StepKind.OTHER, "span"),
        ("chat " * 100, StepKind.OTHER, "span"),
        ("名前", StepKind.OTHER, "span"),
        ("", StepKind.OTHER, "span"),
    ],
)
def test_span_names(name: str, kind: StepKind, stored: str | None) -> None:
    """Without attributes a span's name gives the kind, where it has a known form, and the name, where it is one."""
    found, _ = step({}, name=name)
    assert (found.kind, found.name) == (kind, stored or "DefaultRequestHandler.on_message_send")


@pytest.mark.parametrize(
    ("route", "name"),
    [
        ("/users/{id}", "POST-/users/:id"),
        ("/users/<int:user_id>/", "POST-/users/:user_id/"),
        ("users/<id>", "POST-/users/:id"),
        ("/users/:id", "POST-/users/:id"),
        ("/users/[id]", "POST-/users/:id"),
        ("/files/[...path]", "POST-/files/:path"),
        ("/files/*rest", "POST-/files/:rest"),
        ("^users/(?P<pk>[0-9]+)$", "POST-/users/:pk"),
        ("/", "POST-/"),
        ("/what did they say", "POST"),
        ("/who@example.com", "POST"),
        ("/" + "x" * 80, "POST"),
    ],
)
def test_routes(route: str, name: str) -> None:
    """A request is named by its method and its route's template, in one form whatever the framework; never by its path."""
    said = {"http.request.method": "POST", "http.route": route, "url.path": "/users/alice"}
    assert step(said, name="POST /users/alice")[0].name == name


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund-api"}, "refund-api"),
        ({"openinference.span.kind": "TOOL", "tool.name": "refund-api"}, "refund-api"),
        ({"traceloop.span.kind": "tool", "traceloop.entity.name": "refund_api"}, "refund_api"),
        ({"openinference.span.kind": "TOOL", "tool.name": "refund api"}, "refund-api"),
        ({"openinference.span.kind": "TOOL", "tool.name": "refund (api)"}, INVALID_NAME),
        ({"openinference.span.kind": "TOOL", "tool.name": 7}, INVALID_NAME),
        ({"openinference.span.kind": "TOOL"}, "given-name"),
        ({"openinference.span.kind": "AGENT", "agent.name": "Refund Agent"}, "Refund-Agent"),
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "(" * 9}, INVALID_NAME),
        ({"traceloop.span.kind": "task", "traceloop.entity.name": "two words"}, "two-words"),
        ({"openinference.span.kind": "CHAIN"}, "given-name"),
        ({"gen_ai.operation.name": "chat", "gen_ai.agent.name": "refund"}, "given-name"),
        ({"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": "orders"}, "orders"),
        ({"ai.operationId": "ai.toolCall", "ai.toolCall.name": "get_weather"}, "get_weather"),
        ({"haystack.component.type": "OpenAIGenerator", "haystack.component.name": "llm"}, "llm"),
    ],
)
def test_step_names(said: dict[str, object], name: str) -> None:
    """A tool has its own name, an agent its own, everything else what its attributes or its span are called."""
    assert step(said, name="given name")[0].name == name


@pytest.mark.parametrize(
    ("said", "name", "agent"),
    [
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "Refund Agent"}, "x", "Refund-Agent"),
        ({"gen_ai.operation.name": "invoke_agent"}, "invoke_agent planner", "planner"),
        ({}, "invoke_agent planner", "planner"),
        ({"openinference.span.kind": "AGENT"}, "Agent workflow", None),
        ({"traceloop.span.kind": "agent", "traceloop.entity.name": "planner"}, "planner.agent", "planner"),
        ({"ai.operationId": "ai.streamText", "ai.telemetry.functionId": "weather-agent"}, "ai.streamText", "weather-agent"),
        ({"openinference.span.kind": "CHAIN"}, "planner", None),
    ],
)
def test_agents(said: dict[str, object], name: str, agent: str | None) -> None:
    """An agent's span names the agent, by its attributes or by itself."""
    assert step(said, name=name)[0].agent == agent


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        *[(reason, "tool_calls") for reason in ("tool-calls", "TOOL_CALLS", '["tool_calls"]', "['tool_calls']", "toolCalls")],
        *[(reason, "safety") for reason in ("SAFETY", "FinishReason.SAFETY", "FINISH_REASON_SAFETY", "<FinishReason.SAFETY: 3>")],
        ("content-filter", "content_filter"),
        ("endTurn", "end_turn"),
        (["stop", "length"], "length"),
        ('["stop", "length"]', "length"),
        ("they said: stop", None),
        ("[they said, stop]", "stop"),
        ("(none of it!)", None),
        ("x" * 300, None),
    ],
)
def test_finish_reasons(sent: object, stored: str | None) -> None:
    """One form for every spelling."""
    found, _ = step({"gen_ai.operation.name": "chat", "gen_ai.response.finish_reasons": sent})
    assert found.metadata.get("finish_reason") == stored
    assert (found.kind is StepKind.PLAN) == (stored == "tool_calls")


@pytest.mark.parametrize(
    ("sent", "stored"), [(7, 7), (7.0, 7), ("7", 7), (7.5, None), ("7.0", None), ("seven", None), (True, None), (-1.0, None)]
)
def test_counts(sent: object, stored: int | None) -> None:
    """Tokens come as whole numbers, doubles or digits."""
    assert step({"gen_ai.usage.input_tokens": sent})[0].metadata.get("input_tokens") == stored


@pytest.mark.parametrize(
    ("said", "exception_type", "evidence"),
    [
        ({}, None, None),
        ({}, "ReadTimeout", ("ReadTimeout", None, None)),
        ({}, "not a class name", None),
        ({}, "__main__.Agent.run.<locals>.Refused", ("Agent.run.Refused", None, None)),
        ({}, "_private.Refused", ("private.Refused", None, None)),
        ({}, "x" * 300, None),
        ({"error.type": "openai.RateLimitError"}, None, ("openai.RateLimitError", None, None)),
        ({"error.type": "rate_limit_exceeded"}, "APIError", ("APIError", "rate_limit_exceeded", None)),
        ({"error.type": "429"}, None, (None, None, 429)),
        ({"error.type": "_OTHER"}, None, None),
        ({"http.response.status_code": 503}, "HTTPError", ("HTTPError", None, 503)),
        ({"http.status_code": 404, "error.type": "404"}, None, (None, None, 404)),
        ({"db.response.status_code": "40P01"}, "DeadlockDetected", ("DeadlockDetected", "40P01", None)),
        ({}, "*net.OpError", ("net.OpError", None, None)),
        ({}, "com.x.Client$RateLimitException", ("com.x.Client.RateLimitException", None, None)),
        ({}, "RateLimitException`1", ("RateLimitException", None, None)),
        ({}, "RateLimitException`1[[System.String, mscorlib]]", ("RateLimitException", None, None)),
        ({}, "App\\Exception\\RateLimitException", ("App.Exception.RateLimitException", None, None)),
        ({}, "Net::ReadTimeout", ("Net::ReadTimeout", None, None)),
        ({}, "AbortError", ("AbortError", None, None)),
        ({}, "20", ("AbortError", None, None)),
        ({}, "429", (None, None, 429)),
        ({}, "ECONNREFUSED", ("ECONNREFUSED", "ECONNREFUSED", None)),
        ({}, "rate_limit_exceeded", ("rate_limit_exceeded", "rate_limit_exceeded", None)),
    ],
)
def test_evidence(said: dict[str, object], exception_type: str | None, evidence: tuple[object, ...] | None) -> None:
    """The exception's class, the code and the status of a failed span are evidence; no message is."""
    found, _ = step(said, **make.failed(exception_type))
    known = found.evidence
    assert (None if known is None else (known.error_class, known.error_code, known.http_status)) == evidence
    assert found.failed


@pytest.mark.parametrize(
    ("said", "dropped"), [("what they said", {"metadata_value": 1}), (7, {"metadata_value": 1}), ("_OTHER", {}), ("429", {})]
)
def test_an_error_type_that_is_none(said: object, dropped: dict[str, int]) -> None:
    """It is left out and counted, of spans that failed and of others; OpenTelemetry's own word for `unknown` is no loss."""
    for members in (make.failed(), {}):
        assert step({"error.type": said}, **members)[1] == dropped


def test_a_handled_exception_is_no_error() -> None:
    """An exception event on a span that did not end in an error says nothing."""
    found, _ = step({"error.type": "x"}, events=make.failed("ValueError")["events"])
    assert (found.failed, found.evidence) == (False, None)


def test_documents_are_counted_by_their_keys() -> None:
    """OpenInference numbers what was found in attribute names; only the highest number is looked at."""
    said = {f"retrieval.documents.{n}.document.content": "free text" for n in range(3)}
    assert step({"openinference.span.kind": "RETRIEVER", **said})[0].metadata == {"result_count": 3}


@pytest.mark.parametrize(
    ("start", "end", "expected", "dropped"),
    [(1_999, 3_000, 2, {}), (5_000, 4_000, 0, {"range": 1}), (5_000, -make.START_NS, 0, {"range": 1})],
)
def test_times(start: int, end: int, expected: int, dropped: dict[str, int]) -> None:
    """Nanoseconds are cut to microseconds; an end before the start, or none, leaves a duration of 0 and is counted."""
    base = 1_768_469_400_000_000_000
    found, counted = step({}, startTimeUnixNano=str(base + start), endTimeUnixNano=str(base + end))
    assert (found.started_at, found.duration_us, counted) == ((base + start) // 1_000, expected, dropped)


def test_resends_are_attempts() -> None:
    """The second sending of a request is the second attempt."""
    assert step({"http.request.resend_count": 1})[0].attempt == 2


def test_our_own_words_fit_the_contract() -> None:
    """Whatever the tables can put into an event has the contract's form."""
    words = [
        span_kinds.UNKNOWN.word,
        *(known.word for row in (*span_kinds.SIGNALS, ("", span_kinds.PROTOCOLS)) for known in row[1].values()),
    ]
    assert all(form.is_name(word) for word in words)
    assert all(form.is_metadata_key(target) and not form.names_content(target) for target, _ in METADATA)


def test_json_and_table_speak_of_the_same_values() -> None:
    """A JSON number where OTLP has a string, or the other way round, is the same value."""
    body = json.loads(make.as_json(make.span(said={"gen_ai.usage.input_tokens": 7})))
    body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"][0]["value"] = {"intValue": 7}
    assert decode(json.dumps(body).encode(), spans_max=1).parts[0].spans[0].said == {"gen_ai.usage.input_tokens": 7}


def test_what_stands_for_documents_does_not_confuse_their_count() -> None:
    """An attribute with the name that stands for the numbered ones changes nothing beside them, whatever it holds."""
    said = {mapping.DOCUMENTS: "free text", f"{mapping.DOCUMENTS}.1.document.id": "x"}
    assert step(said)[0].metadata == step(dict(reversed(said.items())))[0].metadata == {"result_count": 2}


CALLED = "llm.output_messages.1.message.tool_calls.0.tool_call.function.name"
PARTS = '[{"role": "assistant", "parts": [{"type":"tool_call", "name": "refund"}], "finish_reason": "stop"}]'
QUOTED = json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": PARTS}]}])


@pytest.mark.parametrize("reason", [None, "stop", "completed"])
@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({CALLED: "refund"}, StepKind.PLAN),
        ({"ai.response.toolCalls": "[{}]"}, StepKind.PLAN),
        ({"gen_ai.output.messages": PARTS}, StepKind.PLAN),
        ({"gen_ai.output.messages": '[{"role":"assistant","tool_calls":[{"id":"1"}]}]'}, StepKind.PLAN),
        ({"gen_ai.output.messages": QUOTED}, StepKind.RESPOND),
        ({"gen_ai.input.messages": PARTS}, StepKind.RESPOND),
        ({CALLED: ""}, StepKind.RESPOND),
    ],
)
def test_an_answer_that_calls_tools_is_a_plan(said: dict[str, object], kind: StepKind, reason: str | None) -> None:
    """Where the reason to end says nothing of them, as in OpenAI's Responses; an answer that quotes such an answer calls none."""
    ended = {} if reason is None else {"gen_ai.response.finish_reasons": [reason]}
    request = make.request(make.span(CHILD, ROOT, said={"gen_ai.operation.name": "chat", **ended, **said}))
    for decoded in (
        decode(json.dumps(request).encode(), spans_max=1),
        decode_protobuf.decode(make.protobuf(request), spans_max=1),
    ):
        found = read(decoded.parts[0].spans[0], Counter())
        assert (found.kind, found.metadata) == (kind, {} if reason is None else {"finish_reason": reason})


def test_a_reason_that_says_more_counts_before_the_answer() -> None:
    """A model that was cut off or filtered decided nothing, whatever it had begun to call."""
    assert step({"gen_ai.operation.name": "chat", CALLED: "refund", "gen_ai.response.finish_reasons": ["length"]})[0].kind is (
        StepKind.RESPOND
    )


@pytest.mark.parametrize(
    ("span_name", "said", "agent"),
    [
        ("support-agent", {"openinference.span.kind": "AGENT"}, "support-agent"),
        ("Support Agent", {"openinference.span.kind": "AGENT"}, "Support-Agent"),
        ("planner", {"langfuse.observation.type": "agent"}, "planner"),
        ("support-agent", {"openinference.span.kind": "AGENT", "agent.name": "billing"}, "billing"),
        ("LangGraph", {"openinference.span.kind": "AGENT"}, None),
        ("Agent workflow", {"openinference.span.kind": "AGENT"}, None),
        ("AgentRunner.achat", {"openinference.span.kind": "AGENT"}, None),
        ("support-agent", {"openinference.span.kind": "CHAIN"}, None),
        ("planner.run", {"openinference.span.kind": "AGENT"}, "planner"),
        ("Senior Researcher._execute_core", {"openinference.span.kind": "AGENT"}, "Senior-Researcher"),
        ("ToolCallingAgent.run", {"openinference.span.kind": "AGENT"}, None),
        ("some span", {"gen_ai.operation.name": "invoke_agent"}, None),
    ],
)
def test_an_agents_span_that_is_called_as_the_agent_is(span_name: str, said: dict[str, object], agent: str | None) -> None:
    """The span's name is the agent's, or what stands before its method, if nothing else names it; a class or default is none."""
    assert step(said, name=span_name)[0].agent == agent


@pytest.mark.parametrize(
    ("span_name", "word", "kind"),
    [
        ("OpenAI._prepare_chat_with_tools", "LLM", StepKind.OTHER),
        ("OpenAI.achat", "LLM", StepKind.RESPOND),
        ("Policies._retrieve", "RETRIEVER", StepKind.OTHER),
        ("Policies.retrieve", "RETRIEVER", StepKind.RETRIEVE),
    ],
)
def test_a_methods_inner_part_is_counted_once(span_name: str, word: str, kind: StepKind) -> None:
    """A method that is private to its class lies within the one that is counted: of a model's call or retrieval there is one."""
    found = step({"openinference.span.kind": word}, name=span_name)[0]
    assert (found.kind, found.name) == (kind, span_name)


@pytest.mark.parametrize(
    ("event", "attributes", "kind"),
    [
        ("gen_ai.choice", {"finish_reason": "tool_use", "message": "free text"}, StepKind.PLAN),
        ("gen_ai.client.inference.operation.details", {"gen_ai.output.messages": PARTS}, StepKind.PLAN),
        ("gen_ai.choice", {"finish_reason": "end_turn"}, StepKind.RESPOND),
        ("gen_ai.user.message", {"finish_reason": "tool_use"}, StepKind.RESPOND),
    ],
)
def test_an_event_tells_of_the_models_answer(event: str, attributes: dict[str, object], kind: StepKind) -> None:
    """The conventions had the reason to end, or the answer, in an event of the span; both encodings agree."""
    said = {"gen_ai.operation.name": "chat"}
    events = [{"name": event, "attributes": make.attributes(attributes)}]
    request = make.request(make.span(CHILD, ROOT, said=said, events=events))
    for decoded in (
        decode(json.dumps(request).encode(), spans_max=1),
        decode_protobuf.decode(make.protobuf(request), spans_max=1),
    ):
        found = read(decoded.parts[0].spans[0], Counter())
        assert found.kind is kind
        assert "free" not in str(found.metadata)


def test_the_spans_own_reason_counts_before_an_events() -> None:
    """Both encodings agree."""
    said = {"gen_ai.operation.name": "chat", "ai.response.finishReason": "stop"}
    events = [{"name": "gen_ai.choice", "attributes": make.attributes({"finish_reason": "tool_use"})}]
    request = make.request(make.span(CHILD, ROOT, said=said, events=events))
    for decoded in (
        decode(json.dumps(request).encode(), spans_max=1),
        decode_protobuf.decode(make.protobuf(request), spans_max=1),
    ):
        assert read(decoded.parts[0].spans[0], Counter()).metadata == {"finish_reason": "stop"}


def test_what_sets_an_agent_up_is_no_run_of_it() -> None:
    """As AutoGen traces it by itself: at the root it is a trace, which no agent's figures count."""
    created = read(
        decode(make.as_json(make.span(said={"gen_ai.operation.name": "create_agent"})), spans_max=1).parts[0].spans[0], Counter()
    )
    assert (created.opens_run, created.is_request, created.executes_agent) == (True, True, False)


def test_what_gathers_calls_of_tools_is_no_call() -> None:
    """Google ADK's span for answers of tools that were called at once: the calls have spans of their own."""
    said = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "(merged tools)"}
    assert step(said, name="execute_tool (merged)")[0].kind is StepKind.OTHER
