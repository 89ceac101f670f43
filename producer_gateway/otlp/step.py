"""Reads one span: its parent, times, kind, name, error and metadata. It looks at that span alone, so the result never changes."""

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from agenttracer.rules.control_flow import end_reason_of
from agenttracer.rules.span_kinds import KnownKind, known_as
from agenttracer.rules.span_names import agent_name, step_name
from agenttracer.wire.errors import ContractError
from agenttracer.wire.events import DURATION_MAX_US, TIME_MAX_US, TIME_MIN_US, Cost, Evidence, Metadata, ReturnedError
from agenttracer.wire.vocabulary import EndReason, StepKind
from producer_gateway.otlp.mapping import ROWS, Row
from producer_gateway.otlp.reading.digests import Digests
from producer_gateway.otlp.reading.errors import evidence_of, returned_error, text_of
from producer_gateway.otlp.span import CONTENT, NAMES, UNREADABLE, Attributes, MappedAttributes, Span
from servicekit import codec

_COST: Final[Any] = codec.struct_of(Cost)
_DOLLARS: Final = "USD"
_NO_ID: Final = bytes(8)
_NO_TRACE: Final = bytes(16)
_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8
_PARENT_IS_REMOTE: Final = 0x300
"""OTLP's flags: it is known whether the parent is remote, and it is."""


class MappedStep(msgspec.Struct, gc=False):
    """A span as the contract can say it. Times are microseconds."""

    run_id: str
    step_id: str
    parent_step_id: str | None
    opens_run: bool
    """It has no parent, or one in another process: where a run, or this process's part of it, begins and ends."""
    is_step: bool
    """A root that only frames its run is none."""
    kind: StepKind
    name: str
    started_at: int
    duration_us: int
    failed: bool
    evidence: Evidence | None
    attempt: int
    metadata: Metadata
    agent: str | None
    agent_version: str | None
    executes_agent: bool
    """It is an execution of an agent."""
    is_request: bool
    """It is a request of a protocol, or sets an agent up, and is of no agent: at the root it opens a trace."""
    in_progress: bool
    """Its end has not come yet: it will be told again."""
    end_reason: EndReason | None
    """Known from the class of what it was left by: it was cut off, interrupted or stopped by a limit."""
    returned_error: ReturnedError | None
    cost: Cost | None
    session_digest: str | None
    work_digest: str | None


def read(span: Span, dropped: Counter[str], digests: Digests | None = None) -> MappedStep:
    """Raises ContractError when the span's ids or times cannot be stored. Without `digests` none are made."""
    if span is UNREADABLE:
        raise ContractError(field="span", rule="malformed")
    parent = _parent(span)
    started_at, duration_us = _times(span, dropped)
    placed = _split(map_attributes(span.said or {}, ROWS, dropped)) if span.placed is None else span.placed
    marks, metadata = placed.marks, placed.metadata
    known = known_as(marks, span.name, finish_reason=metadata.get("finish_reason"))
    name, run_id, is_tool = step_name(known, marks, span.name), _run_id(span.trace_id), known.kind is StepKind.TOOL
    evidence = evidence_of(span, marks, metadata.get("http_status"), dropped) if span.failed else None
    end_reason = None if evidence is None or evidence.error_class is None else end_reason_of([evidence.error_class])
    failed = span.failed and end_reason not in _NO_ERRORS
    return MappedStep(
        run_id,
        span.span_id.hex(),
        parent,
        parent is None or span.flags & _PARENT_IS_REMOTE == _PARENT_IS_REMOTE,
        parent is not None or known.kind is not StepKind.OTHER,
        known.kind,
        name,
        started_at,
        duration_us,
        failed,
        evidence if failed else None,
        marks.get("@attempt", 0) + 1,
        metadata,
        agent_name(known, marks, span.name) if known.is_agent else marks.get("@agent"),
        marks.get("@agent_version"),
        known.is_agent or _is_named_loop(known, marks),
        ("@protocol" in marks or known.word == _SET_UP) and known.kind is StepKind.OTHER and not known.is_agent,
        span.end_ns == 0,
        end_reason,
        returned_error(marks, metadata.get("http_status")) if is_tool and not span.failed else None,
        _COST(nano=marks["@cost"], currency=marks.get("@currency", _DOLLARS)) if "@cost" in marks else None,
        digests.session(marks["@session"]) if digests is not None and "@session" in marks else None,
        digests.work(run_id, name, text) if digests and is_tool and (text := text_of(marks.get("@arguments"))) else None,
    )


_NO_ERRORS: Final = frozenset({EndReason.INTERRUPTED, EndReason.COMPLETED})
"""Ends of control flow: a step that was left by one has not failed."""
_SET_UP: Final = "create_agent"
_LOOPS: Final = frozenset({"ai.generateText", "ai.streamText"})


def _is_named_loop(known: KnownKind, marks: Mapping[str, Any]) -> bool:
    """Vercel's loop of model calls and tools is an agent where the developer gave it a name."""
    return known.word in _LOOPS and "@agent" in marks


def _split(placed: dict[str, Any]) -> MappedAttributes:
    marks = {target: value for target, value in placed.items() if target[0] == "@"}
    return MappedAttributes(marks, {target: value for target, value in placed.items() if target not in marks})


@lru_cache(maxsize=4_096)
def _run_id(trace_id: bytes) -> str:
    digits = trace_id.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def map_attributes(said: Attributes, rows: Mapping[str, Row], dropped: Counter[str]) -> dict[str, Any]:
    """Attributes by target, each in the form that its row asks for. Values that do not fit are counted."""
    placed: dict[str, Any] = {}
    ranks: dict[str, int] = {}
    for name, raw in said.items():
        target, rank, fit = rows[name]
        value = fit(raw)
        if value is None and target not in CONTENT:
            dropped["metadata_value"] += 1
            continue
        if target in NAMES and value != raw:
            dropped["name"] += 1
        if ranks.get(target, rank) >= rank:
            placed[target] = value
            ranks[target] = rank
    return placed


def _parent(span: Span) -> str | None:
    if len(span.trace_id) != _TRACE_BYTES or span.trace_id == _NO_TRACE:
        raise ContractError(field="trace_id", rule="run_id")
    if len(span.span_id) != _SPAN_BYTES or span.span_id == _NO_ID:
        raise ContractError(field="span_id", rule="step_id")
    parent = span.parent_id
    if not parent or parent == _NO_ID:
        return None
    if len(parent) != _SPAN_BYTES or parent == span.span_id:
        raise ContractError(field="parent_span_id", rule="step_id")
    return parent.hex()


def _times(span: Span, dropped: Counter[str]) -> tuple[int, int]:
    started_at, ended_at = span.start_ns // 1_000, span.end_ns // 1_000
    if not TIME_MIN_US <= started_at <= TIME_MAX_US:
        raise ContractError(field="start_time_unix_nano", rule="range")
    if ended_at < started_at:
        # A clock was set back meanwhile, or the end was never set: the span is there, its duration is not known.
        dropped["range"] += 1
        return started_at, 0
    if ended_at > TIME_MAX_US or ended_at - started_at > DURATION_MAX_US:
        raise ContractError(field="end_time_unix_nano", rule="range")
    return started_at, ended_at - started_at
