"""How a run's steps and failures look in JSON. Nothing is judged or fetched here."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import ConfigDict, Field

from agenttracer.wire.events import MetadataValue
from agenttracer.wire.vocabulary import FailureType, StepKind, StepStatus
from query_service.run_answer import Answer, Ms, to_ms
from query_service.stored import Failure, Step

_STEP: Final[dict[str, Any]] = {
    "step_id": "00f067aa0ba902b7",
    "parent_step_id": None,
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


class Outcome(StrEnum):
    """What became of a failure."""

    RECOVERED = "recovered"
    FATAL = "fatal"


class StepAnswer(Answer):
    """One step of a run."""

    model_config = ConfigDict(json_schema_extra={"examples": [_STEP]})

    step_id: str
    parent_step_id: str | None
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
    metadata: Mapping[str, MetadataValue]

    @classmethod
    def of(cls, step: Step, *, run_started_at: datetime) -> Self:
        """The answer for a stored step."""
        return cls(
            step_id=step.step_id,
            parent_step_id=step.parent_step_id,
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
            metadata=step.metadata,
        )


class StepsAnswer(Answer):
    """A page of a run's steps, in the order in which they began."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"steps": [_STEP], "next_cursor": None}]})

    steps: list[StepAnswer]
    next_cursor: Annotated[str | None, _NEXT]


class FailureAnswer(Answer):
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
        Outcome | None,
        Field(
            description="`recovered`: tried again with success. Null where not judged: its step is not known, or one of the two "
            "is beyond what is looked at of a `truncated` run."
        ),
    ]
    is_root_cause: Annotated[bool, Field(description="Whether it is what the run failed of.")]
    caused_by: Annotated[str | None, Field(description="The failure further inside that this one only followed from.")]
    fingerprint: Annotated[
        str | None,
        Field(
            description="Equal for failures of one agent, path of steps, kind, code and class; holds no content. Null beyond "
            "what is looked at of a `truncated` run."
        ),
    ]

    @classmethod
    def of(cls, failure: Failure) -> Self:
        """The answer for a stored failure."""
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
            outcome=None if failure.outcome is None else Outcome(failure.outcome),
            is_root_cause=failure.is_root,
            caused_by=failure.caused_by,
            fingerprint=failure.fingerprint,
        )


class FailuresAnswer(Answer):
    """A page of a run's failures, in the order in which they occurred."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"failures": [_FAILURE], "next_cursor": None}]})

    failures: list[FailureAnswer]
    next_cursor: Annotated[str | None, _NEXT]
