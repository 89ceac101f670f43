"""The JSON form of a run's steps and failures. Nothing is computed or read here."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import ConfigDict, Field

from agenttracer.wire.events import MetadataValue
from agenttracer.wire.vocabulary import EndReason, FailureType, StepKind, StepStatus
from query_service.api.run_schema import Ms, ResponseSchema, to_ms
from query_service.store.rows import StoredFailure, StoredStep

_STEP: Final[dict[str, Any]] = {
    "step_id": "00f067aa0ba902b7",
    "parent_step_id": None,
    "unknown_parent_id": None,
    "cause_step_id": None,
    "kind": "tool",
    "name": "search_orders",
    "status": "error",
    "attempt": 1,
    "started_at": "2026-01-31T12:00:00.120250Z",
    "offset_ms": 120.0,
    "latency_ms": 1500.25,
    "error_class": "ReadTimeout",
    "error_code": None,
    "http_status": None,
    "work_digest": "3f0a6c1de2b94875",
    "returned_error": None,
    "agent": None,
    "session_digest": None,
    "redacted": None,
    "cost": None,
    "metadata": {"input_tokens": 211},
}
_FAILURE: Final[dict[str, Any]] = {
    "failure_id": "00f067aa0ba902b7",
    "failure_type": "tool",
    "failure_code": "timeout",
    "source": "step",
    "rule_id": "timeout.class",
    "taxonomy_version": 1,
    "occurred_at": "2026-01-31T12:00:01.620500Z",
    "step_id": "00f067aa0ba902b7",
    "attempt": 1,
    "error_class": "ReadTimeout",
    "error_code": None,
    "http_status": None,
    "errno": None,
    "retry_after_s": None,
    "message_chars": None,
    "message_fingerprint": None,
    "outcome": "fatal",
    "is_root_cause": True,
    "caused_by": None,
    "fingerprint": "9ae0c8f1d2b34567",
}
_NEXT: Final = Field(description="Give it as `cursor` to go on; null on the last page.")


class FailureSource(StrEnum):
    """Where a failure comes from."""

    RECORDED = "recorded"
    STEP = "step"
    RUN_END = "run_end"
    RUN_STEPS = "run_steps"
    SILENCE = "silence"


_SOURCES: Final[Mapping[int | None, FailureSource]] = {
    0: FailureSource.RECORDED,
    1: FailureSource.STEP,
    2: FailureSource.RUN_END,
    3: FailureSource.RUN_STEPS,
    None: FailureSource.SILENCE,
}
"""By the rank that the store keeps."""


class FailureOutcome(StrEnum):
    """Whether the run recovered from a failure."""

    RECOVERED = "recovered"
    UNRECOVERED = "unrecovered"
    FATAL = "fatal"


class ReturnedErrorSchema(ResponseSchema):
    """An error that a tool returned instead of raising it."""

    code: Annotated[str, Field(description="`error` where nothing more is known.")]
    http_status: int | None
    exit_status: int | None
    error_class: str | None


class AgentExecutionSchema(ResponseSchema):
    """The agent that a step executes inside the run."""

    name: str
    version: Annotated[str | None, Field(description="Null: that of the run.")]
    end_reason: EndReason | None


class CostSchema(ResponseSchema):
    """The price of a step as its instrumentation said it."""

    nano: Annotated[int, Field(description="Billionths of the currency.")]
    currency: Annotated[str, Field(description="ISO 4217.")]


class StepSchema(ResponseSchema):
    """One step of a run."""

    model_config = ConfigDict(json_schema_extra={"examples": [_STEP]})

    step_id: str
    parent_step_id: Annotated[str | None, Field(description="The step that it stands under: a step of this run, else null.")]
    unknown_parent_id: Annotated[
        str | None,
        Field(
            description="The parent that its sender named, where the run has no such step: the span that frames the run, or one "
            "that has not come."
        ),
    ]
    cause_step_id: Annotated[str | None, Field(description="The nested step whose error only passed through this one.")]
    kind: StepKind
    name: str
    status: Annotated[StepStatus, Field(description="Of this attempt alone: a later one may have succeeded.")]
    attempt: int
    started_at: datetime
    offset_ms: Annotated[float, Field(description="Milliseconds from the run's start; below 0 where clocks disagree.")]
    latency_ms: Ms
    error_class: Annotated[str | None, Field(description="The error's class, never its message.")]
    error_code: str | None
    http_status: int | None
    work_digest: Annotated[str | None, Field(description="Equal for the same work (tool and arguments) within the run.")]
    returned_error: ReturnedErrorSchema | None
    agent: AgentExecutionSchema | None
    session_digest: Annotated[str | None, Field(description="As that of the run, where the step names a session.")]
    redacted: Annotated[int | None, Field(description="How many of its values were no names, and are not stored.")]
    cost: CostSchema | None
    metadata: Mapping[str, MetadataValue]

    @classmethod
    def of(cls, step: StoredStep, *, run_started_at: datetime) -> Self:
        """The answer for a stored step."""
        return cls(
            step_id=step.step_id,
            parent_step_id=step.parent_step_id,
            unknown_parent_id=step.unknown_parent_id,
            cause_step_id=step.cause_step_id,
            kind=StepKind(step.kind),
            name=step.name,
            status=StepStatus(step.status),
            attempt=step.attempt,
            started_at=step.started_at,
            offset_ms=to_ms((step.started_at - run_started_at) // timedelta(microseconds=1)),
            latency_ms=to_ms(step.duration_us),
            error_class=step.error_class,
            error_code=step.error_code,
            http_status=step.http_status,
            work_digest=step.work_digest,
            returned_error=_returned_error(step),
            agent=_agent(step),
            session_digest=step.session_digest,
            redacted=step.redacted,
            cost=None
            if step.cost_nano is None or step.cost_currency is None
            else CostSchema(nano=step.cost_nano, currency=step.cost_currency),
            metadata=step.metadata,
        )


def _returned_error(step: StoredStep) -> ReturnedErrorSchema | None:
    if step.returned_code is None:
        return None
    return ReturnedErrorSchema(
        code=step.returned_code,
        http_status=step.returned_http_status,
        exit_status=step.returned_exit_status,
        error_class=step.returned_error_class,
    )


def _agent(step: StoredStep) -> AgentExecutionSchema | None:
    if step.own_agent is None:
        return None
    end_reason = None if step.own_end_reason is None else EndReason(step.own_end_reason)
    return AgentExecutionSchema(name=step.own_agent, version=step.own_agent_version, end_reason=end_reason)


class StepsSchema(ResponseSchema):
    """A page of a run's steps, in the order in which they began."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"steps": [_STEP], "next_cursor": None}]})

    steps: list[StepSchema]
    next_cursor: Annotated[str | None, _NEXT]


class FailureSchema(ResponseSchema):
    """One failure of a run."""

    model_config = ConfigDict(json_schema_extra={"examples": [_FAILURE]})

    failure_id: str
    failure_type: FailureType
    failure_code: str
    source: Annotated[
        FailureSource,
        Field(description="Recorded by the agent's code, found in a step, the run's end or all its steps, or a silence."),
    ]
    rule_id: Annotated[str, Field(description="The rule that classified it.")]
    taxonomy_version: Annotated[int | None, Field(description="Of the rules; null for a silence, which is judged on reading.")]
    occurred_at: datetime
    step_id: str | None
    attempt: int | None
    error_class: str | None
    error_code: str | None
    http_status: int | None
    errno: int | None
    retry_after_s: int | None
    message_chars: Annotated[int | None, Field(description="Length of the message, which itself never left the agent.")]
    message_fingerprint: Annotated[str | None, Field(description="Keyed hash of the message: equal messages have equal ones.")]
    outcome: Annotated[
        FailureOutcome | None,
        Field(
            description="`recovered`: a later call made it good. `fatal`: nothing did and the run failed; `unrecovered`: nothing "
            "did, and the run ended otherwise or is open. Null where not judged: its step is not known, or one of the two is "
            "beyond what is looked at of a `truncated` run."
        ),
    ]
    is_root_cause: Annotated[bool, Field(description="Whether this failure is the root cause of the run's failure.")]
    caused_by: Annotated[str | None, Field(description="The nested failure from which this one followed.")]
    fingerprint: Annotated[
        str | None,
        Field(
            description="Equal for failures of one agent, path of steps, kind, code and class; holds no content. Null beyond "
            "what is looked at of a `truncated` run."
        ),
    ]

    @classmethod
    def of(cls, failure: StoredFailure) -> Self:
        """Convert the stored row."""
        return cls(
            failure_id=failure.failure_id,
            failure_type=FailureType(failure.failure_type),
            failure_code=failure.failure_code,
            source=_SOURCES[failure.failure_rank],
            rule_id=failure.rule_id,
            taxonomy_version=failure.taxonomy_version,
            occurred_at=failure.occurred_at,
            step_id=failure.step_id,
            attempt=failure.attempt,
            error_class=failure.error_class,
            error_code=failure.error_code,
            http_status=failure.http_status,
            errno=failure.errno,
            retry_after_s=failure.retry_after_s,
            message_chars=failure.message_chars,
            message_fingerprint=failure.message_fingerprint,
            outcome=None if failure.outcome is None else FailureOutcome(failure.outcome),
            is_root_cause=failure.is_root,
            caused_by=failure.caused_by,
            fingerprint=failure.fingerprint,
        )


class FailuresSchema(ResponseSchema):
    """A page of a run's failures, in the order in which they occurred."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"failures": [_FAILURE], "next_cursor": None}]})

    failures: list[FailureSchema]
    next_cursor: Annotated[str | None, _NEXT]
