"""One whole run as a document: what people and simple clients post to `/v1/runs`, and its conversion's input.

Shape, examples and the meaning of absent members live here. Which names, codes and metadata fit is the contract's to say,
when the document is turned into events (`run_events`). Times are ISO-8601 with an offset, durations are milliseconds.
"""

from typing import Annotated, Any

from pydantic import AliasChoices, AwareDatetime, BaseModel, ConfigDict, FailFast, Field

from agenttracer.wire.envelope import BATCH_MAX_EVENTS
from agenttracer.wire.events import DURATION_MAX_US
from agenttracer.wire.form import CODE_PATTERN, RUN_ID_PATTERN
from agenttracer.wire.vocabulary import FailureType, RunEnd, StepKind, StepStatus

LatencyMs = Annotated[float, Field(ge=0, le=DURATION_MAX_US / 1_000, allow_inf_nan=False)]
STEPS_MAX = BATCH_MAX_EVENTS - 3
"""A run's start, end and failure are events too."""

EXAMPLE: dict[str, Any] = {
    "agent_id": "support-agent",
    "agent_version": "1.4.2",
    "status": "failure",
    "started_at": "2026-01-15T09:30:00Z",
    "steps": [
        {"kind": "plan", "name": "choose-tools", "latency_ms": 120.5},
        {"kind": "retrieve", "name": "search-orders", "latency_ms": 85, "metadata": {"documents_found": 3}},
        {"kind": "tool", "name": "refund-api", "latency_ms": 5000, "status": "error", "error_class": "ReadTimeout", "attempt": 2},
    ],
    "failure": {"failure_type": "tool", "failure_code": "timeout", "step": "refund-api"},
}
MINIMAL_EXAMPLE: dict[str, Any] = {
    "agent_id": "support-agent",
    "agent_version": "1.4.2",
    "status": "success",
    "steps": [{"kind": "respond", "name": "answer", "latency_ms": 840}],
}


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class StepDocument(_Document):
    """One step. Steps stand in the order in which they began."""

    kind: StepKind = Field(validation_alias=AliasChoices("kind", "step_type"))
    name: str
    latency_ms: LatencyMs
    started_at: AwareDatetime | None = Field(default=None, description="Absent: when the step before it ended.")
    status: StepStatus | None = Field(default=None, description="Absent: `error` if an error is given, else `ok`.")
    attempt: int = Field(default=1, ge=1, le=10_000)
    metadata: dict[str, Any] = Field(
        default_factory=dict, description="Booleans, numbers and labels, at most 32; what does not fit is left out and counted."
    )
    error_class: str | None = Field(default=None, description="Name of the exception's class; never its message.")
    error_code: str | None = None
    http_status: int | None = Field(default=None, ge=100, le=599)


class FailureDocument(_Document):
    """What the agent itself says went wrong."""

    failure_type: FailureType
    failure_code: str = Field(
        description="Lower case with underscores: `timeout`, `schema_invalid`, or a code of your own.",
        json_schema_extra={"pattern": f"^{CODE_PATTERN}$"},  # for the document alone: the contract checks it, by its own rule
    )
    step: Annotated[int, Field(ge=0)] | str | None = Field(
        default=None, description="Where: a step's place, from 0, or its name (the last of that name). Absent: the run itself."
    )
    message: str | None = Field(default=None, description="Only its length is kept.")


class RunDocument(_Document):
    """A run that has ended, from 2000 to 2100. Posting it again with the same `run_id` and times changes nothing."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE, MINIMAL_EXAMPLE]})

    run_id: Annotated[str, Field(pattern=f"^{RUN_ID_PATTERN}$")] | None = Field(
        default=None, description="A UUID in lower case. Absent: one is made and returned."
    )
    agent_id: str
    agent_version: str
    status: RunEnd
    started_at: AwareDatetime | None = Field(
        default=None, description="Absent: `latency_ms` before the end, or the time inside a version 7 `run_id`, or on receipt."
    )
    ended_at: AwareDatetime | None = Field(
        default=None, description="Absent: `latency_ms` after the start, or the last step's end."
    )
    latency_ms: LatencyMs | None = Field(default=None, description="Of the whole run. Given both times, these count.")
    steps: Annotated[list[StepDocument], FailFast()] = Field(max_length=STEPS_MAX)
    failure: FailureDocument | None = None
