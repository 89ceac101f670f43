"""A run document to the contract's events, as if an SDK had sent them. Pure: the time of receipt and a fresh id are arguments.

The same document with the same `run_id` gives the same ids, sequence numbers and producer, so that sending it again changes
nothing in the store.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from agenttracer.wire import reader
from agenttracer.wire.errors import ContractError
from agenttracer.wire.events import RUN_SCOPE_ID, TIME_MAX_US, TIME_MIN_US, Event
from agenttracer.wire.vocabulary import StepStatus
from producer_gateway.errors import UnprocessableError
from producer_gateway.events.run_document import FailureDocument, RunDocument, StepDocument
from producer_gateway.events.validate import FittingNames, ValidBatch

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
_HTTP_ERROR_MIN: Final = 400
_UUID_TIME_VERSION: Final = 7
_SAID: Final = {"duration_us": "latency_ms", "occurred_at": "step"}
"""Members of events that the document calls otherwise, or derives."""


class _Span(NamedTuple):
    """A step with its place in time, in microseconds."""

    step: StepDocument
    step_id: str
    started_at: int
    duration_us: int

    def ended_at(self) -> int:
        return self.started_at + self.duration_us


def new_run_id(now_us: int) -> str:
    """A UUID version 7 (RFC 9562) of the given time (us): 48 bits of milliseconds, then 74 random ones.

    Ids that grow with time keep indexes append-mostly.
    """
    value = (now_us // 1_000) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(UUID(int=value))


def to_events(document: RunDocument, *, run_id: str, received_at: int) -> ValidBatch:
    """The run's events. Raises UnprocessableError naming the document's field and the rule that it breaks."""
    started_at = _started_at(document, run_id=run_id, received_at=received_at)
    spans = _spans(document.steps, run_id=run_id, started_at=started_at)
    ended_at = _ended_at(document, spans, started_at=started_at)
    raw: list[tuple[str, dict[str, object]]] = [("", {"type": "run_started", "started_at": started_at})]
    raw += [(f"steps[{at}].", _step(span)) for at, span in enumerate(spans)]
    if document.failure is not None:
        raw.append(("failure.", _failure(document.failure, spans, ended_at=ended_at)))
    end = {"type": "run_finished", "ended_at": ended_at, "status": document.status, "emitted": len(raw) + 1}
    raw.append(("", {**end, "end_reason": document.end_reason}))
    return _read(document, raw, run_id=run_id)


def _read(document: RunDocument, raw: Sequence[tuple[str, Mapping[str, object]]], *, run_id: str) -> ValidBatch:
    unfit = FittingNames()
    events = [_read_one(path, {**members, "run_id": run_id, "seq": seq}, unfit) for seq, (path, members) in enumerate(raw)]
    # One run, one producer of its own: what it emitted is complete in itself, however often it is sent.
    said = {"id": f"document:{run_id}", "agent": document.agent_id, "agent_version": document.agent_version}
    producer = reader.read_producer(said, unfit)
    return ValidBatch(producer=producer, events=events, indices=range(len(events)), dropped=dict(unfit.notes.dropped))


def _read_one(path: str, members: Mapping[str, object], unfit: reader.Unfit) -> Event:
    try:
        return reader.read_event(members, unfit)
    except ContractError as error:
        raise UnprocessableError(field=path + _SAID.get(error.field, error.field), code=error.rule) from None


def _spans(steps: Sequence[StepDocument], *, run_id: str, started_at: int) -> list[_Span]:
    spans: list[_Span] = []
    begin = started_at
    for index, step in enumerate(steps):
        begin = begin if step.started_at is None else _us(step.started_at)
        spans.append(_Span(step, _step_id(run_id, index), begin, round(step.latency_ms * 1_000)))
        begin = spans[-1].ended_at()
    return spans


def _step_id(run_id: str, index: int) -> str:
    return hashlib.blake2b(f"{run_id}/{index}".encode(), digest_size=8).hexdigest()


def _step(span: _Span) -> dict[str, object]:
    step = span.step
    evidence = {"error_class": step.error_class, "error_code": step.error_code, "http_status": step.http_status}
    known = {name: value for name, value in evidence.items() if value is not None}
    return {
        "type": "step_finished",
        "step_id": span.step_id,
        "kind": step.kind,
        "name": step.name,
        "started_at": span.started_at,
        "duration_us": span.duration_us,
        "status": step.status or _status(step),
        "attempt": step.attempt,
        "evidence": known or None,
        "returned_error": None if step.returned_error is None else step.returned_error.model_dump(exclude_none=True),
        "metadata": step.metadata,
    }


def _status(step: StepDocument) -> StepStatus:
    failed = step.error_class or step.error_code or (step.http_status or 0) >= _HTTP_ERROR_MIN
    return StepStatus.ERROR if failed else StepStatus.OK


def _failure(failure: FailureDocument, spans: Sequence[_Span], *, ended_at: int) -> dict[str, object]:
    span = _failed_span(failure.step, spans)
    return {
        "type": "failure_recorded",
        "failure_id": RUN_SCOPE_ID if span is None else span.step_id,
        "step_id": None if span is None else span.step_id,
        "attempt": None if span is None else span.step.attempt,
        "occurred_at": ended_at if span is None else span.ended_at(),
        "failure_type": failure.failure_type,
        "failure_code": failure.failure_code,
        "message_chars": None if failure.message is None else len(failure.message),
    }


def _failed_span(step: int | str | None, spans: Sequence[_Span]) -> _Span | None:
    if step is None:
        return None
    found = spans[step : step + 1] if isinstance(step, int) else [span for span in spans if span.step.name == step]
    if not found:
        raise UnprocessableError(field="failure.step", code="unknown_step")
    return found[-1]


def _started_at(document: RunDocument, *, run_id: str, received_at: int) -> int:
    if document.started_at is not None:
        return _us(document.started_at)
    duration_us = _duration_us(document)
    if document.ended_at is not None:
        return _us(document.ended_at) - duration_us
    inside = _time_inside(run_id) if document.run_id is not None else None
    return received_at - duration_us if inside is None else inside


def _ended_at(document: RunDocument, spans: Sequence[_Span], *, started_at: int) -> int:
    if document.ended_at is None:
        steps_end = max((span.ended_at() for span in spans), default=started_at)
        return steps_end if document.latency_ms is None else started_at + _duration_us(document)
    ended_at = _us(document.ended_at)
    if ended_at < started_at:
        raise UnprocessableError(field="ended_at", code="before_start")
    return ended_at


def _duration_us(document: RunDocument) -> int:
    """The run's own latency, else its steps' one after another: the best there is without times."""
    latency_ms = sum(step.latency_ms for step in document.steps) if document.latency_ms is None else document.latency_ms
    return round(latency_ms * 1_000)


def _time_inside(run_id: str) -> int | None:
    """Microseconds of a version 7 UUID: the same at every re-send, unlike a time of receipt."""
    uuid = UUID(run_id)
    time_us = (uuid.int >> 80) * 1_000
    return time_us if uuid.version == _UUID_TIME_VERSION and TIME_MIN_US <= time_us <= TIME_MAX_US else None


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // _US
