"""Events to rows, one at a time: a finished step, a recorded failure, and the failure that a step or an end turns out to be."""

from agenttracer.wire.envelope import Record
from agenttracer.wire.events import RUN_SCOPE_ID, Evidence, FailureRecorded, RunFinished, StepFinished
from agenttracer.wire.vocabulary import StepStatus
from stream_workers.core.failures.classify import PRESENT, classify
from stream_workers.core.failures.evidence import Facts, facts_of_end, facts_of_step
from stream_workers.core.failures.rules import type_of
from stream_workers.core.histogram import latency_bucket
from stream_workers.core.rows import RANK_RECORDED, RANK_RUN, RANK_STEP, FailureRow, StepRow
from stream_workers.core.run import Json

_NO_EVIDENCE = Evidence()


def step_row(event: StepFinished, record: Record, json: Json) -> StepRow:
    """The row of a finished step."""
    evidence = event.evidence or _NO_EVIDENCE
    return StepRow(
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
        record.producer.agent,
        record.producer.agent_version,
        event.parent_step_id,
        event.cause_step_id,
        evidence.error_class,
        evidence.error_code,
        evidence.retry_after_s,
        json(event.metadata) if event.metadata else None,
    )


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
    if event.status == StepStatus.OK and "result_count" not in event.metadata and "finish_reason" not in event.metadata:
        return None  # the common case, before any work
    if event.cause_step_id is not None:
        return None
    ended_at = event.started_at + event.duration_us
    return _found(
        facts_of_step(event),
        record,
        event,
        rank=RANK_STEP,
        occurred_at=ended_at,
        step_id=event.step_id,
        attempt=event.attempt,
    )


def failure_of_end(event: RunFinished, record: Record) -> FailureRow | None:
    """The failure found in a run's end, outside any step."""
    if event.evidence is None or event.cause_step_id is not None:
        return None  # a good end, or one that its steps explain
    return _found(facts_of_end(event), record, event, rank=RANK_RUN, occurred_at=event.ended_at)


def _found(
    facts: Facts,
    record: Record,
    event: StepFinished | RunFinished,
    *,
    rank: int,
    occurred_at: int,
    step_id: str | None = None,
    attempt: int | None = None,
) -> FailureRow | None:
    rule = classify(facts)
    if rule is None:
        return None
    evidence = event.evidence or _NO_EVIDENCE
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
