"""The benchmark's traffic: runs of steps as the SDK's bodies and as OpenTelemetry exports, of any number of events a request.

Nothing here measures. The same number makes the same runs, so that both sides of a round carry the same events.
"""

import itertools
import json
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from agenttracer._events.encode import batch_body, encode_event
from agenttracer._export.transport import ENCODINGS
from agenttracer.wire.envelope import Producer
from agenttracer.wire.events import Event, Evidence, RunFinished, RunStarted, StepFinished
from agenttracer.wire.vocabulary import RunEnd, StepKind, StepStatus
from agenttracer.wire.writer import to_json

_T = TypeVar("_T")

SPAN_EVERY_US = 2_000
_ENCODING = ENCODINGS[0]  # the SDK's first choice
_KINDS = (StepKind.PLAN, StepKind.RETRIEVE, StepKind.RESPOND, StepKind.TOOL, StepKind.RESPOND)
_NAMES = ("choose_tools", "search_kb", "write_answer", "issue_refund", "gpt-4o")
_PRODUCER = to_json(Producer(id="p-4f2a", agent="support-agent", agent_version="1.4.2", sdk="python-0.1.0"))
_RESOURCE = Resource(
    {
        "service.name": "support-agent",
        "service.version": "1.4.2",
        "service.instance.id": "627cc493-f310-47de-96bd-71410b7dec09",
        "deployment.environment.name": "production",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": "1.45.2",
    }
)
_SCOPE = InstrumentationScope("opentelemetry.instrumentation.openai_v2", "2.1b0")


@dataclass(frozen=True, slots=True)
class Request:
    """One POST, and how many events come of it."""

    path: str
    headers: dict[str, str]
    body: bytes
    events: int


def native(runs: int, *, agents: int, steps: int, events_a_request: int, base_us: int) -> list[Request]:
    """Runs of so many agents at a time in batches, encoded and compressed as the SDK does."""
    events = _in_turns((_run(number, steps, base_us) for number in range(runs)), agents)
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", "Content-Encoding": _ENCODING.name}
    return [
        Request(
            "/v1/events",
            headers,
            _ENCODING.compress(batch_body([encode_event(event) for event in batch], producer=_PRODUCER)),
            len(batch),
        )
        for batch in _batched(events, events_a_request)
    ]


def otlp(runs: int, *, agents: int, steps: int, events_a_request: int, base_us: int) -> list[Request]:
    """The same runs as spans, encoded as OpenTelemetry's exporter does; a run's root span is two events."""
    headers = {"Content-Type": "application/x-protobuf", "Accept-Encoding": "gzip, deflate", "User-Agent": "OTel-OTLP-Exporter"}
    requests = []
    spans: list[ReadableSpan] = []
    events = 0
    for span in _in_turns((_trace(number, steps, base_us) for number in range(runs)), agents):
        spans.append(span)
        events += 1 if span.parent else 2
        if events >= events_a_request:
            requests.append(Request("/v1/traces", headers, encode_spans(spans).SerializePartialToString(), events))
            spans, events = [], 0
    return requests


def _in_turns(runs: Iterator[Iterator[_T]], agents: int) -> Iterator[_T]:
    """What the runs say, `agents` of them at a time, each one thing in its turn; whose run is over begins the next."""
    at_work = deque(itertools.islice(runs, agents))
    while at_work:
        run = at_work.popleft()
        for said in itertools.islice(run, 1):
            yield said
            at_work.append(run)
            break
        else:
            at_work.extend(itertools.islice(runs, 1))


def _batched(events: Iterator[Event], size: int) -> Iterator[Sequence[Event]]:
    while len(batch := list(itertools.islice(events, size))) == size:
        yield batch


def _failed(number: int, seq: int) -> bool:
    return number % 20 == 0 and seq == 4


def _run_id(number: int, began: int) -> str:
    scattered = number * 0x9E3779B97F4A7C15 % 2**62
    return str(uuid.UUID(int=(began // 1000 << 80) | (7 << 76) | (2 << 62) | scattered))  # a UUIDv7, as the SDK makes them


def _run(number: int, steps: int, base_us: int) -> Iterator[Event]:
    began = base_us + number * 37
    run_id = _run_id(number, began)
    yield RunStarted(run_id=run_id, seq=0, started_at=began)
    for seq in range(1, steps + 1):
        failed = _failed(number, seq)
        yield StepFinished(
            run_id=run_id,
            seq=seq,
            step_id=_span_id(number, seq),
            kind=_KINDS[seq % 5],
            name=_NAMES[seq % 5],
            started_at=began + seq * SPAN_EVERY_US,
            duration_us=_duration_us(number, seq),
            status=StepStatus.ERROR if failed else StepStatus.OK,
            evidence=Evidence(error_class="ReadTimeout") if failed else None,
            metadata={"model": "gpt-4o", "input_tokens": 800 + (number * 31 + seq) % 4_000, "output_tokens": 90 + number % 400},
        )
    ended = began + (steps + 1) * SPAN_EVERY_US
    yield RunFinished(run_id=run_id, seq=steps + 1, ended_at=ended, status=RunEnd.SUCCESS, emitted=steps + 2)


def _span_id(number: int, seq: int) -> str:
    return f"{((number << 8 | seq) * 0x9E3779B97F4A7C15 | 1) % 2**64:016x}"


def _duration_us(number: int, seq: int) -> int:
    return 500 + (number * 7919 + seq * 104_729) % 900_000


# --- the same as spans ---------------------------------------------------------------------------------------------------


def _trace(number: int, steps: int, base_us: int) -> Iterator[ReadableSpan]:
    """In the order of their ends: the root last."""
    began = base_us + number * 37
    trace_id = int(_run_id(number, began).replace("-", ""), 16)
    for seq in range(1, steps + 1):
        start = began + seq * SPAN_EVERY_US
        said = (_chat, _retrieval, _chat, _tool, _chat)[seq % 5](number, seq)
        yield _span(
            trace_id,
            _span_id(number, seq),
            said,
            start,
            _duration_us(number, seq),
            parent=_span_id(number, 0),
            failed=_failed(number, seq),
        )
    yield _span(trace_id, _span_id(number, 0), _agent(number), began, (steps + 1) * SPAN_EVERY_US)


def _span(
    trace_id: int,
    span_id: str,
    said: tuple[str, dict[str, object]],
    start_us: int,
    duration_us: int,
    *,
    parent: str = "",
    failed: bool = False,
) -> ReadableSpan:
    name, attributes = said
    events = []
    if failed:
        from opentelemetry.sdk.trace import Event as SpanEvent

        exception = {
            "exception.type": "ReadTimeout",
            "exception.message": "The read operation timed out",
            "exception.escaped": "False",
        }
        events.append(SpanEvent("exception", {**exception, "exception.stacktrace": "Traceback (most recent call last):\n" * 20}))
    return ReadableSpan(
        name=name,
        context=_context(trace_id, span_id),
        parent=_context(trace_id, parent) if parent else None,
        resource=_RESOURCE,
        attributes=attributes,  # type: ignore[arg-type]  # of the types that spans take
        events=events,
        kind=SpanKind.CLIENT if parent else SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR, "The read operation timed out") if failed else Status(),
        start_time=start_us * 1_000,
        end_time=(start_us + duration_us) * 1_000,
        instrumentation_scope=_SCOPE,
    )


def _context(trace_id: int, span_id: str) -> SpanContext:
    return SpanContext(trace_id, int(span_id, 16), is_remote=False, trace_flags=TraceFlags(1))


def _chat(number: int, seq: int) -> tuple[str, dict[str, object]]:
    """As OpenTelemetry's instrumentation of OpenAI's client says it: twelve attributes."""
    return "chat gpt-4o", {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 1_024,
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": f"chatcmpl-{number:012d}{seq:04d}",
        "gen_ai.response.finish_reasons": ("tool_calls",) if seq % 5 == 0 else ("stop",),
        "gen_ai.usage.input_tokens": 800 + (number * 31 + seq) % 4_000,
        "gen_ai.usage.output_tokens": 90 + number % 400,
        "server.address": "api.openai.com",
        "server.port": 443,
    }


def _tool(number: int, seq: int) -> tuple[str, dict[str, object]]:
    """Eight attributes, content among them."""
    return "execute_tool issue_refund", {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "issue_refund",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": f"call_{number:012d}{seq:04d}",
        "gen_ai.tool.description": "Refunds an order in full or in part",
        "gen_ai.tool.call.arguments": json.dumps({"order": f"A-{number}", "amount": 4_200, "reason": "arrived broken"}),
        "gen_ai.tool.call.result": json.dumps({"refund": f"R-{number}", "state": "pending"}),
        "gen_ai.conversation.id": f"conv_{number}",
    }


def _retrieval(number: int, seq: int) -> tuple[str, dict[str, object]]:
    """Ten attributes, a query among them."""
    return "retrieval kb", {
        "gen_ai.operation.name": "retrieval",
        "gen_ai.data_source.id": "kb",
        "gen_ai.conversation.id": f"conv_{number}",
        "db.system.name": "qdrant",
        "db.operation.name": "query",
        "db.collection.name": "articles",
        "db.query.text": f"how do I return order {number} that arrived broken",
        "db.response.returned_rows": 1 + seq % 8,
        "server.address": "10.0.4.17",
        "server.port": 6333,
    }


def _agent(number: int) -> tuple[str, dict[str, object]]:
    """The root: eight attributes."""
    return "invoke_agent support-agent", {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "openai",
        "gen_ai.agent.name": "support-agent",
        "gen_ai.agent.id": "asst_5j66UpCpwteGg4YSxUnt7lPY",
        "gen_ai.agent.version": "1.4.2",
        "gen_ai.conversation.id": f"conv_{number}",
        "gen_ai.request.model": "gpt-4o",
        "enduser.id": f"user-{number % 977}",
    }
