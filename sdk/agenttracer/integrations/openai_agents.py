"""The OpenAI Agents SDK: a tracing processor that makes runs of its traces and steps of its spans.

`_openai_fields` reads the spans. A trace that starts while a run of the same tracer is active becomes a step of that run.
"""

import sys
from asyncio import CancelledError

from agenttracer import AgentTracer
from agenttracer.integrations import _openai_fields as fields
from agenttracer.integrations._labels import run_id_of
from agenttracer.integrations._span_tracker import OpenSpan, SpanTracker, guarded
from agenttracer.integrations._spans import Fault, SpanStart
from agenttracer.wire.vocabulary import StepKind

try:
    from agents.tracing import Span, SpanData, Trace, TracingProcessor
except ImportError as missing:
    raise ImportError(
        "agenttracer.integrations.openai_agents needs the OpenAI Agents SDK: pip install openai-agents"
    ) from missing

_TRACE_PREFIX = "trace_"


class AgentTracerTracingProcessor(TracingProcessor):
    """Install it with `agents.set_trace_processors([AgentTracerTracingProcessor(tracer)])`.

    That call replaces the processor that sends prompts and answers to OpenAI; `add_trace_processor` would keep it. A
    trace id `trace_<32 hex digits>`, the usual form, is the run id.
    """

    def __init__(self, tracer: AgentTracer) -> None:
        self.tracker = SpanTracker(tracer, framework="openai-agents")
        self._tracer = tracer

    @guarded
    def on_trace_start(self, trace: Trace) -> None:
        """A workflow starts."""
        name = self.tracker.name(trace.name, otherwise="trace")
        run_id = run_id_of(trace.trace_id.removeprefix(_TRACE_PREFIX))
        opened = self.tracker.start(trace.trace_id, SpanStart(kind=StepKind.OTHER, name=name, metadata={}, run_id=run_id))
        _remember_exception(opened)

    @guarded
    def on_trace_end(self, trace: Trace) -> None:
        """A workflow ended; as a failure if an exception ended it."""
        self.tracker.end(trace.trace_id, fault=_new_exception(self.tracker.find(trace.trace_id)))

    @guarded
    def on_span_start(self, span: Span[SpanData]) -> None:
        """An agent, turn, model call, tool, handoff or guardrail starts."""
        span_type = span.span_data.type
        name = self.tracker.name(getattr(span.span_data, "name", None), otherwise=span_type)
        start = SpanStart(kind=fields.kind_of(span_type), name=name, metadata={})
        parent = span.parent_id if self.tracker.find(span.parent_id) is not None else span.trace_id
        _remember_exception(self.tracker.start(span.span_id, start, outer_key=parent))

    @guarded
    def on_span_end(self, span: Span[SpanData]) -> None:
        """It ended."""
        data = span.span_data
        fault = _fault(_new_exception(self.tracker.find(span.span_id)), span)
        kind = StepKind.PLAN if data.type in fields.MODEL_SPANS and fields.calls_tools(data) else None
        is_tool = data.type == "function"
        self.tracker.end(
            span.span_id,
            fault=fault,
            returned=self.tracker.returned_error(getattr(data, "output", None)) if is_tool and fault is None else None,
            work=getattr(data, "input", None) if is_tool else None,
            kind=kind,
            metadata=fields.details(data.type, data),
        )

    def shutdown(self) -> None:
        """Does nothing: the agent may go on using its tracer, which sends the rest when the process ends."""

    def force_flush(self) -> None:
        """Flush the tracer. Blocks for at most its default of 10 s."""
        self._tracer.flush()


def _fault(error: BaseException | None, span: Span[SpanData]) -> Fault | None:
    """The reason of a span's failure. The Agents SDK cancels a model's call that takes too long: the span's error says more."""
    said = fields.error_of(span.error)
    return said if error is None or (isinstance(error, CancelledError) and said is not None) else error


def _remember_exception(opened: OpenSpan | None) -> None:
    """Note the exception that is being handled at the start, as a number, so that the end does not take it for the span's own."""
    if opened is not None:
        opened.mark = id(sys.exception()) if sys.exception() is not None else 0


def _new_exception(opened: OpenSpan | None) -> BaseException | None:
    """The exception that is unwinding the span's block right now. The Agents SDK itself passes on only texts."""
    error = sys.exception()
    return None if opened is None or error is None or id(error) == opened.mark else error
