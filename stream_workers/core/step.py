"""Events to rows, one at a time: a finished step, a recorded failure, and the failure that a step or an end turns out to be."""

from typing import Any, Final

from agenttracer.wire.envelope import Record
from agenttracer.wire.events import (
    COUNT_MAX,
    RUN_SCOPE_ID,
    Evidence,
    FailureRecorded,
    Metadata,
    ReturnedError,
    RunFinished,
    StepFinished,
)
from agenttracer.wire.vocabulary import EndReason, RunEnd, StepStatus
from stream_workers.core.failures.classify import PRESENT, classify
from stream_workers.core.failures.evidence import Facts, facts_of_end, facts_of_limit, facts_of_returned, facts_of_step
from stream_workers.core.failures.rules import type_of
from stream_workers.core.histogram import latency_bucket
from stream_workers.core.rows import RANK_RECORDED, RANK_RUN, RANK_STEP, FailureRow, StepRow
from stream_workers.core.run import Json

_NO_EVIDENCE = Evidence()
RETURNED_CODE: Final = "error"
"""Stored where a returned error came without a code."""
_LIMITS: Final = frozenset(reason for reason in EndReason if reason.startswith("limit_"))
_NOTHING_SAID: Final = (None,) * 12
_NO_USAGE: Final = (None,) * 5


def step_row(event: StepFinished, record: Record, json: Json) -> StepRow:
    """The row of a finished step."""
    evidence, metadata, producer = event.evidence or _NO_EVIDENCE, event.metadata, record.producer
    return StepRow._make(  # a third of what a call with so many arguments costs
        (
            record.project,
            event.run_id,
            event.step_id,
            event.started_at,
            event.duration_us,
            event.seq,
            evidence.http_status,
            latency_bucket(event.duration_us),
            event.attempt,
            evidence.errno,
            event.kind,
            event.name,
            event.status,
            producer.agent,
            producer.agent_version,
            event.parent_step_id,
            event.cause_step_id,
            evidence.error_class,
            evidence.error_code,
            evidence.retry_after_s,
            json(metadata) if metadata else None,
            *_said_since_1_1(event),
            *(_usage(metadata) if metadata else _NO_USAGE),
        )
    )


def _said_since_1_1(event: StepFinished) -> tuple[Any, ...]:
    """`work_digest` to `cost_currency` of a row. Nearly all steps say nothing of it, or the digest alone."""
    error, agent, cost = event.returned_error, event.agent, event.cost
    if error is None and agent is None and cost is None and event.session_digest is None and event.redacted is None:
        return (event.work_digest, *_NOTHING_SAID[1:])
    return (
        event.work_digest,
        *((None,) * 4 if error is None else _returned(error)),
        *((None,) * 3 if agent is None else (agent.name, agent.version, agent.end_reason)),
        event.session_digest,
        event.redacted,
        *((None,) * 2 if cost is None else (cost.nano, cost.currency)),
    )


def _returned(error: ReturnedError) -> tuple[Any, ...]:
    return error.code or RETURNED_CODE, error.http_status, error.exit_status, error.error_class


def _usage(metadata: Metadata) -> tuple[Any, ...]:
    """`model` to `reasoning_tokens` of a row: what metadata says of them, where it is of their form."""
    said = metadata.get
    model, given, made = said("model"), said("input_tokens"), said("output_tokens")
    cached, reasoned = said("cache_read_tokens"), said("reasoning_tokens")
    return (
        model if isinstance(model, str) else None,
        None if given is None else _tokens(given),
        None if made is None else _tokens(made),
        None if cached is None else _tokens(cached),
        None if reasoned is None else _tokens(reasoned),
    )


def _tokens(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= COUNT_MAX else None


def recorded_failure(event: FailureRecorded, record: Record) -> FailureRow:
    """The row of a failure that the agent's own code recorded."""
    evidence = event.evidence or _NO_EVIDENCE
    return FailureRow(
        project=record.project,
        run_id=event.run_id,
        failure_id=event.failure_id,
        failure_rank=RANK_RECORDED,
        occurred_at=event.occurred_at,
        failure_type=str(event.failure_type),
        failure_code=event.failure_code,
        rule_id="recorded",
        taxonomy_version=PRESENT.version,
        step_id=event.step_id,
        attempt=event.attempt,
        error_class=evidence.error_class,
        error_code=evidence.error_code,
        http_status=evidence.http_status,
        errno=evidence.errno,
        retry_after_s=evidence.retry_after_s,
        message_chars=event.message_chars,
        message_fingerprint=event.message_fingerprint,
        seq=event.seq,
        agent=record.producer.agent,
        agent_version=record.producer.agent_version,
    )


def failure_of_step(event: StepFinished, record: Record) -> FailureRow | None:
    """The failure found in a step, under the step's own id; None when it went well or only passed on a nested step's error."""
    returned = event.returned_error if event.status == StepStatus.OK else None
    if (
        returned is None
        and event.status == StepStatus.OK
        and "result_count" not in event.metadata
        and "finish_reason" not in event.metadata
    ):
        return None  # the common case, before any work
    if event.cause_step_id is not None:
        return None
    evidence = event.evidence
    if returned is not None:
        code = returned.code or RETURNED_CODE
        evidence = Evidence(error_class=returned.error_class, error_code=code, http_status=returned.http_status)
    return _found(
        facts_of_step(event) if returned is None else facts_of_returned(event),
        record,
        event,
        evidence,
        rank=RANK_STEP,
        occurred_at=event.started_at + event.duration_us,
        step_id=event.step_id,
        attempt=event.attempt,
    )


def failure_of_end(event: RunFinished, record: Record) -> FailureRow | None:
    """The failure found in a run's end, outside any step. A limit that ended it is one, whatever else was raised for it."""
    if event.end_reason in _LIMITS and event.status == RunEnd.FAILURE:
        evidence = event.evidence or _NO_EVIDENCE
        said = Evidence(error_class=evidence.error_class, error_code=str(event.end_reason))
        return _found(facts_of_limit(event), record, event, said, rank=RANK_RUN, occurred_at=event.ended_at)
    if event.evidence is None or event.cause_step_id is not None:
        return None  # a good end, or one that its steps explain
    return _found(facts_of_end(event), record, event, event.evidence, rank=RANK_RUN, occurred_at=event.ended_at)


def _found(
    facts: Facts,
    record: Record,
    event: StepFinished | RunFinished,
    said: Evidence | None,
    *,
    rank: int,
    occurred_at: int,
    step_id: str | None = None,
    attempt: int | None = None,
) -> FailureRow | None:
    rule = classify(facts)
    if rule is None:
        return None
    evidence = said or _NO_EVIDENCE
    return FailureRow(
        project=record.project,
        run_id=event.run_id,
        failure_id=step_id or RUN_SCOPE_ID,
        failure_rank=rank,
        occurred_at=occurred_at,
        failure_type=str(rule.type or type_of(facts.kind)),
        failure_code=str(rule.code),
        rule_id=rule.id,
        taxonomy_version=PRESENT.version,
        step_id=step_id,
        attempt=attempt,
        error_class=evidence.error_class,
        error_code=evidence.error_code,
        http_status=evidence.http_status,
        errno=evidence.errno,
        retry_after_s=evidence.retry_after_s,
        message_chars=None,
        message_fingerprint=None,
        seq=event.seq,
        agent=record.producer.agent,
        agent_version=record.producer.agent_version,
    )
