"""OpenTelemetry: a span processor that makes runs and steps of spans from any instrumentation.

`_otel_fields` reads the spans. A root span is a run under its trace id, and a step too unless its kind is `other`;
every other span is a step under its span id. A span that continues another process's trace is a run of its own, the child
of that trace's run.
"""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from agenttracer import AgentTracer
from agenttracer._events.traceparent import Origin
from agenttracer.integrations import _otel_fields as fields
from agenttracer.integrations._span_tracker import SpanTracker, guarded
from agenttracer.integrations._spans import SpanStart
from agenttracer.wire.events import Evidence
from agenttracer.wire.vocabulary import StepKind

try:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
    from opentelemetry.trace import SpanContext, StatusCode
except ImportError as missing:
    raise ImportError(
        "agenttracer.integrations.opentelemetry needs the OpenTelemetry SDK: pip install opentelemetry-sdk"
    ) from missing

_LAST_HALF: Final = (1 << 64) - 1


class AgentTracerSpanProcessor(SpanProcessor):
    """Install it with `provider.add_span_processor(AgentTracerSpanProcessor(tracer))`, beside or instead of others.

    It receives the spans that the provider samples. A root span that starts while a run of the same tracer is active becomes a
    step of that run.
    """

    def __init__(self, tracer: AgentTracer) -> None:
        self.tracker = SpanTracker(tracer, framework="opentelemetry")
        self._tracer = tracer

    @guarded
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """A span starts. Its attributes may be incomplete; they are read again at its end."""
        del parent_context  # the span knows its parent
        context, parent = span.get_span_context(), span.parent
        if context is None:
            return
        kind, name = self._kind_and_name(span)
        start = SpanStart(
            kind=kind,
            name=name,
            metadata={},
            bits=context.span_id,
            began_at_ns=span.start_time or 0,
            run_id=_run_id(context) if parent is None else None,
            origin=None if parent is None else _origin(parent),
        )
        self.tracker.start(_key(context), start, outer_key=None if parent is None else _key(parent))

    @guarded
    def on_end(self, span: ReadableSpan) -> None:
        """A span ended."""
        context = span.get_span_context()
        opened = None if context is None else self.tracker.find(_key(context))
        if context is None or opened is None:
            return
        kind, name = self._kind_and_name(span)
        if opened.step is not None:
            opened.step.name = name
        self.tracker.end(
            _key(context),
            fault=_error_of(span),
            kind=kind,
            metadata=fields.details(_attributes(span)),
            ended_at_ns=span.end_time or 0,
        )

    def shutdown(self) -> None:
        """Does nothing: the agent may go on using its tracer, which sends the rest when the process ends."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the tracer. Blocks for at most `timeout_millis`; true if everything was sent or dropped by then."""
        return self._tracer.flush(timeout_millis / 1_000).complete

    def _kind_and_name(self, span: ReadableSpan) -> tuple[StepKind, str]:
        known, name = fields.known(_attributes(span), span.name)
        return known.kind, name


def _key(context: SpanContext) -> tuple[int, int]:
    return context.trace_id, context.span_id


def _attributes(span: ReadableSpan) -> Mapping[str, object]:
    """A plain dict, since each look into OpenTelemetry's own takes a lock."""
    return dict(span.attributes or {})


def _run_id(context: SpanContext) -> str:
    return str(UUID(int=context.trace_id))


def _origin(parent: SpanContext) -> Origin:
    """The parent in another process. AgentTracer's own `traceparent` names the run itself by the last half of its id."""
    is_run = parent.span_id == parent.trace_id & _LAST_HALF
    return Origin(_run_id(parent), 0 if is_run else parent.span_id, sampled=parent.trace_flags.sampled)


def _error_of(span: ReadableSpan) -> Evidence | None:
    """The description of a status and the message of an exception are never read. An exception that was handled is no error."""
    if span.status.status_code is not StatusCode.ERROR:
        return None
    types = [(event.attributes or {}).get("exception.type") for event in span.events if event.name == "exception"]
    return fields.error_of(_attributes(span), types[-1] if types else None)
