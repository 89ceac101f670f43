"""Canaries where OpenTelemetry carries content: attributes, names made of data, events, exceptions, descriptions, links."""

import contextlib
from typing import Final

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

from agenttracer import AgentTracer
from agenttracer.integrations.opentelemetry import AgentTracerSpanProcessor
from tests.support.firewall.canaries import Canaries

_KEYS: Final = (
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.prompt.0.content",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.tool.call.id",
    "gen_ai.tool.description",
    "gen_ai.retrieval.query.text",
    "gen_ai.retrieval.documents",
    "gen_ai.conversation.id",
    "gen_ai.agent.description",
    "input.value",
    "output.value",
    "llm.input_messages.0.message.content",
    "llm.invocation_parameters",
    "retrieval.documents.0.document.content",
    "tool.parameters",
    "traceloop.entity.input",
    "traceloop.entity.output",
    "traceloop.association.properties.user",
    "session.id",
    "user.id",
    "db.statement",
    "url.full",
    "http.target",
    "exception.message",
    "anything",
    "gen_ai.memory.query.text",
    "gen_ai.memory.records",
    "gen_ai.tool.definitions",
    "gen_ai.evaluation.explanation",
    "ai.prompt",
    "ai.response.text",
    "ai.toolCall.args",
    "ai.toolCall.result",
    "url.path",
)
_UNFIT: Final = ("gen_ai.request.model", "gen_ai.system", "error.type", "llm.finish_reason")
_LINKED: Final = SpanContext(trace_id=1, span_id=2, is_remote=True)


def offer(tracer: AgentTracer, sing: Canaries) -> None:
    """A root with a child that carries everything, and a child that raises."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(AgentTracerSpanProcessor(tracer))
    spans = provider.get_tracer("test")
    with spans.start_as_current_span(f"ask {sing.text()}"):
        said = {key: sing.token() for key in _KEYS} | {key: sing.text() for key in _UNFIT}
        link = Link(_LINKED, {"why": sing.token()})
        with spans.start_as_current_span(sing.text(), attributes=said, links=[link]) as span:
            span.add_event("gen_ai.content.prompt", {"gen_ai.prompt": sing.text(), "user": sing.token()})
            span.set_status(Status(StatusCode.ERROR, sing.text()))
        with contextlib.suppress(ValueError), spans.start_as_current_span("raises"):
            raise ValueError(sing.text())
