"""One span read: its place, time, kind, name, error and metadata, from the span alone, so that it reads the same every time."""

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, cast

import msgspec

from agenttracer.wire.errors import ContractError
from agenttracer.wire.events import DURATION_MAX_US, TIME_MAX_US, TIME_MIN_US, Evidence, Metadata
from agenttracer.wire.vocabulary import StepKind
from producer_gateway.otlp.kind import Known, known_as
from producer_gateway.otlp.span import Placed, Said, Span
from producer_gateway.otlp.table import NAMES, ROWS, Row, label, status
from servicekit import codec

_EVIDENCE: Final[Any] = codec.struct_of(Evidence)
_NO_ID: Final = bytes(8)
_NO_TRACE: Final = bytes(16)
_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8
_PARENT_IS_REMOTE: Final = 0x300
"""OTLP's flags: it is known whether the parent is remote, and it is."""


class Step(msgspec.Struct, gc=False):
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


def read(span: Span, dropped: Counter[str]) -> Step:
    """Raises ContractError when the span's ids or times cannot be stored."""
    parent = _parent(span)
    started_at, duration_us = _times(span, dropped)
    placed = _split(place(span.said or {}, ROWS, dropped)) if span.placed is None else span.placed
    known = known_as(placed, span.name)
    marks = placed.marks
    failed = span.failed
    return Step(
        _run_id(span.trace_id),
        span.span_id.hex(),
        parent,
        parent is None or span.flags & _PARENT_IS_REMOTE == _PARENT_IS_REMOTE,
        parent is not None or known.kind is not StepKind.OTHER,
        known.kind,
        _name(known, marks),
        started_at,
        duration_us,
        failed,
        _evidence(placed, span.exception_type, dropped) if failed else None,
        marks.get("@attempt", 0) + 1,
        placed.metadata,
        marks.get("@agent"),
        marks.get("@agent_version"),
    )


def _split(placed: dict[str, Any]) -> Placed:
    marks = {target: value for target, value in placed.items() if target[0] == "@"}
    return Placed(marks, {target: value for target, value in placed.items() if target not in marks})


@lru_cache(maxsize=4_096)
def _run_id(trace_id: bytes) -> str:
    digits = trace_id.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def place(said: Said, rows: Mapping[str, Row], dropped: Counter[str]) -> dict[str, Any]:
    """Attributes by target, each in the form that its row asks for. What does not fit is counted."""
    placed: dict[str, Any] = {}
    ranks: dict[str, int] = {}
    for name, raw in said.items():
        target, rank, fit = rows[name]
        value = fit(raw)
        if value is None:
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


def _name(known: Known, marks: Mapping[str, str]) -> str:
    """What the developer named, else the word for what is done: a span's own name may hold anything."""
    if known.kind is StepKind.TOOL:
        return marks.get("@tool") or marks.get("@entity") or known.word
    if known.word in _FRAMES:
        return marks.get("@agent") or marks.get("@entity") or known.word
    return marks.get("@entity") or known.word


_FRAMES: Final = frozenset({"invoke_agent", "create_agent", "agent"})


def _class_name(exception_type: str | None) -> str | None:
    """A class's name without Python's marks for scripts and functions, which are none of the contract's form."""
    if exception_type is None or len(exception_type) > _CLASS_MAX:
        return None
    return label(exception_type.replace("<locals>.", "").removeprefix("__main__.").lstrip("_"))


_CLASS_MAX: Final = 256


def _evidence(placed: Placed, exception_type: str | None, dropped: Counter[str]) -> Evidence | None:
    """The exception's class, else `error.type` where that is one; codes are lower case, statuses digits."""
    said = label(placed.marks.get("@error_type"))
    error_class = _class_name(exception_type)
    if exception_type is not None and error_class is None:
        dropped["name"] += 1
    code = said if said is not None and said.islower() else None
    if said is not None and code is None and not said.isdigit():
        error_class = error_class or said
    code = code or placed.marks.get("@error_code")
    http_status = placed.metadata.get("http_status") or status(said)
    if error_class is None and code is None and http_status is None:
        return None
    return cast("Evidence", _EVIDENCE(error_class=error_class, error_code=code, http_status=http_status))
