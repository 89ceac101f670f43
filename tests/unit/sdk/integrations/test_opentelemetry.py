"""Spans of the OpenTelemetry SDK, seen through the span processor."""

import threading
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from agenttracer import AgentTracer
from agenttracer.integrations.opentelemetry import AgentTracerSpanProcessor
from tests.unit.sdk.integrations.seen import Seen


@pytest.fixture
def spans(tracer: AgentTracer) -> Iterator[Tracer]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(AgentTracerSpanProcessor(tracer))
    yield provider.get_tracer("test")
    provider.shutdown()


def test_a_root_span_is_a_run_and_those_below_are_steps_under_their_own_ids(spans: Tracer, seen: Seen) -> None:
    """The trace id is the run id, a span id the step id."""
    with (
        spans.start_as_current_span("invoke_agent helper", attributes={"gen_ai.agent.name": "Help desk"}) as root,
        spans.start_as_current_span("execute_tool lookup", attributes=tool("lookup")) as child,
        spans.start_as_current_span("GET"),
    ):
        pass
    assert seen.starts[0].run_id.replace("-", "") == f"{root.get_span_context().trace_id:032x}"
    assert seen.starts[0].metadata == {"framework": "opentelemetry", "workflow": "Help-desk"}
    assert seen.tree() == ["tool:lookup", "  other:GET"]
    assert seen.step("lookup").step_id == f"{child.get_span_context().span_id:016x}"
    assert seen.end.status == "success"
    seen.assert_whole()


def tool(name: str) -> dict[str, str]:
    return {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}


@pytest.mark.parametrize(
    ("attributes", "kind", "name"),
    [
        ({"gen_ai.operation.name": "chat"}, "respond", "given"),
        ({"gen_ai.operation.name": "chat", "gen_ai.response.finish_reasons": ["tool-calls"]}, "plan", "given"),
        ({"gen_ai.operation.name": "text_completion"}, "respond", "given"),
        ({"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": "kb"}, "retrieve", "kb"),
        ({"gen_ai.operation.name": "embeddings"}, "other", "given"),
        ({"openinference.span.kind": "LLM"}, "respond", "given"),
        ({"openinference.span.kind": "RETRIEVER"}, "retrieve", "given"),
        ({"openinference.span.kind": "TOOL", "tool.name": "search"}, "tool", "search"),
        ({"openinference.span.kind": "AGENT", "agent.name": "help desk"}, "other", "help-desk"),
        ({"openinference.span.kind": "CHAIN"}, "other", "given"),
        ({"traceloop.span.kind": "tool", "traceloop.entity.name": "search"}, "tool", "search"),
        ({"traceloop.span.kind": "workflow", "traceloop.entity.name": "flow"}, "other", "flow"),
        ({"llm.request.type": "chat"}, "respond", "given"),
        ({"gen_ai.operation.name": "something-new"}, "other", "something-new"),
        ({}, "other", "given"),
    ],
)
def test_kinds_and_names_come_from_three_conventions(
    spans: Tracer, seen: Seen, attributes: dict[str, str], kind: str, name: str
) -> None:
    """OpenTelemetry's, OpenInference's and OpenLLMetry's attributes each say what a span does."""
    with spans.start_as_current_span("root"), spans.start_as_current_span("given", attributes=attributes):
        pass
    assert seen.tree() == [f"{kind}:{name}"]


def test_a_root_that_does_something_is_a_step_too(spans: Tracer, seen: Seen) -> None:
    """A model call without an agent around it is a run of one step."""
    with spans.start_as_current_span("chat gpt-x", attributes={"gen_ai.operation.name": "chat"}):
        pass
    assert seen.tree() == ["respond:chat"]
    seen.assert_whole()


def test_attributes_that_come_late_count(spans: Tracer, seen: Seen) -> None:
    """Instrumentations learn of model, tokens and reason when the answer is there."""
    with spans.start_as_current_span("root"), spans.start_as_current_span("given") as span:
        span.set_attributes(
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt",
                "gen_ai.response.model": "gpt-x",
                "gen_ai.usage.input_tokens": 3,
                "gen_ai.usage.output_tokens": 4,
                "gen_ai.response.finish_reasons": ["stop"],
                "gen_ai.request.temperature": 0.5,
                "app.tenant": "acme",
            }
        )
    (step,) = seen.steps
    assert (step.kind, step.name) == ("respond", "given")
    assert step.metadata == {
        "operation": "chat",
        "provider": "openai",
        "model": "gpt-x",
        "input_tokens": 3,
        "output_tokens": 4,
        "finish_reason": "stop",
    }


def test_openinference_documents_are_counted_by_their_keys(spans: Tracer, seen: Seen) -> None:
    """What the documents say is not looked at."""
    documents = {f"retrieval.documents.{n}.document.{part}": "secret" for n in range(3) for part in ("id", "content")}
    attributes = {"openinference.span.kind": "RETRIEVER", **documents}
    with spans.start_as_current_span("root"), spans.start_as_current_span("r", attributes=attributes):
        pass
    assert seen.steps[0].metadata == {"operation": "RETRIEVER", "result_count": 3}


def test_an_exception_is_known_by_its_type_and_where_it_arose(spans: Tracer, seen: Seen) -> None:
    """The message that OpenTelemetry records with it stays behind; outer spans name the inner one as the cause."""
    with (
        pytest.raises(TimeoutError),
        spans.start_as_current_span("root"),
        spans.start_as_current_span("middle"),
        spans.start_as_current_span("inner", attributes=tool("lookup")),
    ):
        raise TimeoutError("secret")
    inner = seen.step("lookup")
    assert inner.evidence is not None
    assert (inner.evidence.error_class, inner.cause_step_id) == ("TimeoutError", None)
    assert seen.step("middle").cause_step_id == inner.step_id
    assert (seen.end.status, seen.end.cause_step_id) == ("failure", inner.step_id)
    assert b"secret" not in seen.sent()


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"error.type": "openai.RateLimitError", "http.response.status_code": 429}, ("openai.RateLimitError", None, 429)),
        ({"error.type": "503"}, (None, "503", 503)),
        ({"error.type": "timeout"}, (None, "timeout", None)),
        ({"error.type": "a sentence, no type"}, (None, None, None)),
        ({}, (None, None, None)),
    ],
)
def test_an_error_without_exception_is_known_by_its_type_and_status(
    spans: Tracer, seen: Seen, attributes: dict[str, str], expected: tuple[object, ...]
) -> None:
    """`error.type` may be a class, a status or a word."""
    with spans.start_as_current_span("root"), spans.start_as_current_span("call", attributes=attributes) as span:
        span.set_status(Status(StatusCode.ERROR, "secret"))
    evidence = seen.step("call").evidence
    assert evidence is not None
    assert (evidence.error_class, evidence.error_code, evidence.http_status) == expected
    assert seen.end.status == "partial"


def test_an_exception_that_was_handled_is_no_error(spans: Tracer, seen: Seen) -> None:
    """A recorded exception alone does not mark the step."""
    with spans.start_as_current_span("root"), spans.start_as_current_span("call") as span:
        span.record_exception(ValueError("x"))
    assert seen.step("call").evidence is None


def test_names_made_of_data_are_not_kept(spans: Tracer, seen: Seen) -> None:
    """Spans of databases and servers are named after statements and paths: no path and no statement is a name."""
    for name in ("SELECT * FROM users WHERE name='alice'", "GET /users/alice", ""):
        with spans.start_as_current_span("root"), spans.start_as_current_span(name):
            pass
    assert [step.name for step in seen.steps] == ["span", "GET", "span"]


def test_given_times_are_kept(spans: Tracer, seen: Seen) -> None:
    """Spans may be recorded later, with their own times in ns."""
    began = 1_700_000_000_000_000_000
    root = spans.start_span("root", start_time=began)
    with trace.use_span(root, end_on_exit=False):
        spans.start_span("child", start_time=began + 5_000_000).end(began + 7_000_000)
    root.end(began + 9_000_000)
    (step,) = seen.steps
    assert seen.starts[0].started_at == began // 1_000
    assert (step.started_at - began // 1_000, step.duration_us) == (5_000, 2_000)
    assert seen.end.ended_at == began // 1_000 + 9_000


def test_another_process_continues_a_trace_as_a_child_run(spans: Tracer, seen: Seen) -> None:
    """The run of the trace belongs to the process that started it; this run is linked to that process's step."""
    remote = SpanContext(trace_id=0xABC, span_id=0xDEF, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    context = trace.set_span_in_context(NonRecordingSpan(remote))
    with spans.start_as_current_span("serve", context=context), spans.start_as_current_span("work"):
        pass
    (start,) = seen.starts
    assert start.parent_run_id == "00000000-0000-0000-0000-000000000abc"
    assert start.parent_step_id == "0000000000000def"
    assert start.run_id != start.parent_run_id
    assert seen.tree() == ["other:work"]


def test_a_run_of_another_process_outside_any_step_is_the_parent_itself(tracer: AgentTracer, spans: Tracer, seen: Seen) -> None:
    """AgentTracer's own header, read by OpenTelemetry's propagator, leads back to that run."""
    with tracer.start_run() as run:
        header = run.traceparent()
    context = TraceContextTextMapPropagator().extract({"traceparent": header})
    with spans.start_as_current_span("serve", context=context):
        pass
    assert (seen.starts[1].parent_run_id, seen.starts[1].parent_step_id) == (run.run_id, None)


def test_a_span_that_starts_after_its_root_ended_is_a_child_run(spans: Tracer, seen: Seen) -> None:
    """A task that outlives its agent does not change the agent's finished run."""
    with spans.start_as_current_span("root") as root:
        pass
    with trace.use_span(root), spans.start_as_current_span("late", attributes=tool("cleanup")):
        pass
    assert [start.parent_run_id for start in seen.starts] == [None, seen.starts[0].run_id]
    seen.assert_whole()


def test_threads_with_roots_of_their_own_do_not_mix(spans: Tracer, seen: Seen) -> None:
    """Sixteen threads, each with a root and ten nested spans, are sixteen whole runs."""

    def work() -> None:
        with spans.start_as_current_span("root"):
            for number in range(10):
                with spans.start_as_current_span(f"outer{number}"), spans.start_as_current_span("inner"):
                    pass

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen.ends) == 16
    assert all(end.emitted == 22 for end in seen.ends)
    seen.assert_whole()


def test_inside_a_run_of_the_agent_a_root_span_is_a_step(tracer: AgentTracer, spans: Tracer, seen: Seen) -> None:
    """Instrumented libraries nest where the agent's own code is."""
    with tracer.start_run() as run, run.step("plan", "own"), spans.start_as_current_span("chat"):
        pass
    assert seen.tree() == ["plan:own", "  respond:chat"]
    assert len(seen.starts) == 1


def test_flushing_the_provider_flushes_the_tracer(tracer: AgentTracer) -> None:
    """With nothing to send it is complete at once."""
    assert AgentTracerSpanProcessor(tracer).force_flush(1_000)
