"""The OpenAI Agents SDK: a tracing processor that makes runs of its traces and steps of its spans.

What it reads stands in `_openai_reading`. A trace that starts while a run of the same tracer is active becomes a step of
that run.
"""

import sys
from asyncio import CancelledError

from agenttracer import AgentTracer
from agenttracer.integrations import _openai_reading as reading
from agenttracer.integrations._labels import run_id_of
from agenttracer.integrations._spans import Fault, Opening
from agenttracer.integrations._trail import Open, Trail, guarded
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
        self.trail = Trail(tracer, framework="openai-agents")
        self._tracer = tracer

    @guarded
    def on_trace_start(self, trace: Trace) -> None:
        """A workflow starts."""
        name = self.trail.name(trace.name, otherwise="trace")
        run_id = run_id_of(trace.trace_id.removeprefix(_TRACE_PREFIX))
        opened = self.trail.start(trace.trace_id, Opening(kind=StepKind.OTHER, name=name, metadata={}, run_id=run_id))
        _remember_exception(opened)

    @guarded
    def on_trace_end(self, trace: Trace) -> None:
        """A workflow ended, as a failure when an exception is what ended it."""
        self.trail.end(trace.trace_id, fault=_new_exception(self.trail.find(trace.trace_id)))

    @guarded
    def on_span_start(self, span: Span[SpanData]) -> None:
        """An agent, turn, model call, tool, handoff or guardrail starts."""
        span_type = span.span_data.type
        name = self.trail.name(getattr(span.span_data, "name", None), otherwise=span_type)
        opening = Opening(kind=reading.kind_of(span_type), name=name, metadata={})
        parent = span.parent_id if self.trail.find(span.parent_id) is not None else span.trace_id
        _remember_exception(self.trail.start(span.span_id, opening, outer_key=parent))

    @guarded
    def on_span_end(self, span: Span[SpanData]) -> None:
        """It ended."""
        data = span.span_data
        fault = _fault(_new_exception(self.trail.find(span.span_id)), span)
        kind = StepKind.PLAN if data.type in reading.MODEL_SPANS and reading.decides(data) else None
        self.trail.end(span.span_id, fault=fault, kind=kind, metadata=reading.details(data.type, data))

    def shutdown(self) -> None:
        """Nothing: the tracer is the agent's own, which may go on using it, and it sends what is left when the process ends."""

    def force_flush(self) -> None:
        """Flush the tracer. Blocks for at most its default of 10 s."""
        self._tracer.flush()


def _fault(error: BaseException | None, span: Span[SpanData]) -> Fault | None:
    """What ended a span badly. Cancelling is how the Agents SDK ends a model's call in time, and then the span says more."""
    said = reading.error_of(span.error)
    return said if error is None or (isinstance(error, CancelledError) and said is not None) else error


def _remember_exception(opened: Open | None) -> None:
    """Note which exception is being handled around the start, as a number, so that it is not taken for one from inside."""
    if opened is not None:
        opened.mark = id(sys.exception()) if sys.exception() is not None else 0


def _new_exception(opened: Open | None) -> BaseException | None:
    """The exception that is unwinding the span's block right now. The Agents SDK itself passes on texts alone."""
    error = sys.exception()
    return None if opened is None or error is None or id(error) == opened.mark else error
