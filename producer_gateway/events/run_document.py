"""One whole run as a document: what people and simple clients post to `/v1/runs`, and its conversion's input.

Shape, examples, the meaning of absent members and the reading of a body live here. The contract decides which names, codes and
metadata fit, when the document is turned into events (`run_to_events`). Times are ISO 8601 with an offset, durations are in ms.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AliasChoices, AwareDatetime, BaseModel, ConfigDict, FailFast, Field, ValidationError

from agenttracer.wire.envelope import BATCH_MAX_EVENTS
from agenttracer.wire.events import DURATION_MAX_US
from agenttracer.wire.form import CODE_PATTERN, RUN_ID_PATTERN
from agenttracer.wire.vocabulary import EndReason, FailureType, RunEnd, StepKind, StepStatus
from producer_gateway.errors import NotJsonError, UnprocessableError

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


class ReturnedErrorDocument(_Document):
    """An error that a tool returned instead of raising it: a result with `isError`, an exit status, an HTTP status."""

    code: str | None = None
    http_status: int | None = Field(default=None, ge=100, le=599)
    exit_status: int | None = None
    error_class: str | None = None


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
    returned_error: ReturnedErrorDocument | None = Field(
        default=None, description="The call went well and returned an error. It marks the step, not the run."
    )


class FailureDocument(_Document):
    """A failure that the agent itself reports."""

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
    end_reason: EndReason | None = Field(
        default=None, description="Absent: `completed`, or `error` of a failure. One that contradicts `status` is left out."
    )


_RULES: Final[Mapping[str, str]] = {
    "missing": "missing",
    "extra_forbidden": "unknown_member",
    "enum": "unknown_value",
    "string_pattern_mismatch": "run_id",
    "timezone_aware": "offset_missing",
    "greater_than_equal": "range",
    "less_than_equal": "range",
    "finite_number": "range",
    "too_long": "range",
}
_IN_WORDS: Final[Mapping[str, str]] = {
    "enum": "must be one of {expected}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
    "too_long": "must have at most {max_length} items",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
}
"""By pydantic's type of error. Placeholders are filled from the model's own declarations."""


def _names(*models: type[BaseModel]) -> frozenset[str]:
    return frozenset({name for model in models for name in model.model_fields} | {"step_type"})


_OUR_NAMES: Final = _names(RunDocument, StepDocument, ReturnedErrorDocument, FailureDocument)


def read_document(body: bytes) -> RunDocument:
    """Raises NotJsonError, or UnprocessableError with the first field at fault and its rule.

    pydantic's own messages echo input; none is used.
    """
    try:
        return RunDocument.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
    kind = first["type"]
    if kind == "json_invalid":
        raise NotJsonError
    raise UnprocessableError(field=_path(first["loc"]) or None, code=_rule(kind), rule=_in_words(kind, first.get("ctx", {})))


def _in_words(kind: str, bounds: Mapping[str, Any]) -> str | None:
    plain = {name: int(value) if isinstance(value, float) and value.is_integer() else value for name, value in bounds.items()}
    return _IN_WORDS[kind].format(**plain) if kind in _IN_WORDS else None


def _path(loc: tuple[int | str, ...]) -> str:
    """As far as it is made of our own names: the rest is the sender's, such as a key of metadata or an unknown member."""
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part in _OUR_NAMES:
            path += f".{part}" if path else part
        else:
            break
    return path


def _rule(pydantic_type: str) -> str:
    if pydantic_type.startswith("datetime"):
        return "time"
    return _RULES.get(pydantic_type, "type")
