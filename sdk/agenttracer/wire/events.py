"""The events of the contract: one frozen dataclass per kind, identified by the literal tag in the JSON member `type`.

Units: every time is an integer of microseconds since 1970-01-01 UTC, every duration an integer of microseconds.
Field constraints stand in the annotations as `Form` and `Range`; every validator is built from them.

Sequenced events (`seq`) are counted by `RunFinished.emitted`. `RunHeartbeat` and `EventsDropped` are not: both carry
running totals or the latest time, so that repeating or reordering them changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final, Literal

from agenttracer.wire import form, metadata
from agenttracer.wire.vocabulary import DropReason, EndReason, FailureType, RunEnd, RunKind, StepKind, StepStatus

SECOND_US: Final = 1_000_000
TIME_MIN_US: Final = 946_684_800 * SECOND_US  # 2000-01-01: earlier is a broken clock, not an agent
TIME_MAX_US: Final = 4_102_444_800 * SECOND_US  # 2100-01-01
DURATION_MAX_US: Final = 366 * 86_400 * SECOND_US
INT64_MIN: Final = metadata.INT64_MIN
INT64_MAX: Final = metadata.INT64_MAX
COUNT_MAX: Final = 2**31 - 1
NANO_MAX: Final = 10**12 - 1  # a thousand of the currency, and a digit less than the shortest number of a payment card
SEQ_MAX: Final = COUNT_MAX - 1  # numbers are kept as ranges without their ends, and the end of the last one is a count as well
METADATA_MAX_KEYS: Final = metadata.MAX_KEYS
RUN_SCOPE_ID: Final = "0" * 16
"""Failure id of a run's own failure, outside any step. OTLP forbids an all-zero span id, so no step can have it."""


@dataclass(frozen=True, slots=True)
class Form:
    """A string of a bounded form: `check` tests it, `rule` is the code of its refusal."""

    rule: str
    check: Callable[[str], bool]
    max_chars: int


@dataclass(frozen=True, slots=True)
class Range:
    """An integer from `low` to `high`, both included."""

    low: int
    high: int


Name = Annotated[str, Form("name", form.is_name, 64)]
RequiredName = Annotated[str, Form("name", form.is_required_name, 64)]
Code = Annotated[str, Form("code", form.is_code, 64)]
RunId = Annotated[str, Form("run_id", form.is_run_id, 36)]
StepId = Annotated[str, Form("step_id", form.is_step_id, 16)]
Fingerprint = Annotated[str, Form("fingerprint", form.is_fingerprint, 32)]
WorkDigest = Annotated[str, Form("work_digest", form.is_step_id, 16)]
SessionDigest = Annotated[str, Form("session_digest", form.is_fingerprint, 32)]
Currency = Annotated[str, Form("currency", form.is_currency, 3)]
TimeUs = Annotated[int, Range(TIME_MIN_US, TIME_MAX_US)]
DurationUs = Annotated[int, Range(0, DURATION_MAX_US)]
Count = Annotated[int, Range(0, COUNT_MAX)]
Seq = Annotated[int, Range(0, SEQ_MAX)]
Attempt = Annotated[int, Range(1, 10_000)]
HttpStatus = Annotated[int, Range(100, 599)]
Errno = Annotated[int, Range(0, 65_535)]
ExitStatus = Annotated[int, Range(-(2**31), 2**31 - 1)]
Nano = Annotated[int, Range(0, NANO_MAX)]
Redacted = Annotated[int, Range(1, 10_000)]
Seconds = Annotated[int, Range(1, 31 * 86_400)]

MetadataValue = metadata.MetadataValue
Metadata = metadata.Metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The facts of an error without its content. `error_class` is a class's name, never its message."""

    error_class: Name | None = None
    error_code: Name | None = None
    http_status: HttpStatus | None = None
    errno: Errno | None = None
    retry_after_s: Count | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnedError:
    """An error that a tool returned instead of raising it. Without any member: something said so, and nothing more is known."""

    code: Code | None = None
    http_status: HttpStatus | None = None
    exit_status: ExitStatus | None = None
    error_class: Name | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentExecution:
    """The agent that a step executes, inside a run of something else. Without a version it is the producer's."""

    name: RequiredName
    version: RequiredName | None = None
    end_reason: EndReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The price of a step as its instrumentation said it, in billionths (`nano`) of a currency by its ISO 4217 code."""

    nano: Nano
    currency: Currency


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A run started. The batch's `Producer` names the agent."""

    type: ClassVar[Literal["run_started"]] = "run_started"
    run_id: RunId
    seq: Seq
    started_at: TimeUs
    parent_run_id: RunId | None = None
    parent_step_id: StepId | None = None
    """A step of the parent run.

    Without a parent run, a step of this run: the run began in another process, and that process's start names the agent.
    """
    abandon_after_s: Seconds | None = None
    """Silence after which the run counts as abandoned; the producer promises heartbeats more often than that."""
    session_digest: SessionDigest | None = None
    """A keyed digest of the session, conversation or thread that the run belongs to; never its id. Since 1.1."""
    kind: RunKind = RunKind.AGENT
    """`trace`: its root is known to be no agent, such as a web request. Since 1.1."""
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished:
    """A step ended, well or not. `seq` was given when it began, so steps of a run order by (started_at, seq, step_id)."""

    type: ClassVar[Literal["step_finished"]] = "step_finished"
    run_id: RunId
    seq: Seq
    step_id: StepId
    kind: StepKind
    name: RequiredName
    started_at: TimeUs
    duration_us: DurationUs
    status: StepStatus
    parent_step_id: StepId | None = None
    attempt: Attempt = 1
    evidence: Evidence | None = None
    cause_step_id: StepId | None = None
    """The nested step whose error passed through this one. The failure is that step's, not this one's."""
    work_digest: WorkDigest | None = None
    """Equal for the same work (tool and arguments), comparable within the run only: its key is the run's own. Since 1.1."""
    returned_error: ReturnedError | None = None
    """The step returned an error. It marks the step and not the run; `status` says how the call itself ended. Since 1.1."""
    agent: AgentExecution | None = None
    """The step is an execution of this agent, inside the run. Since 1.1."""
    cost: Cost | None = None
    """Since 1.1. Models and tokens are metadata (`model`, `input_tokens`, `output_tokens`, ...)."""
    session_digest: SessionDigest | None = None
    """As that of `RunStarted`, where a step names a session. Since 1.1."""
    redacted: Redacted | None = None
    """How many of the step's values a detector found not to be names: they were replaced or left out. Since 1.1."""
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRecorded:
    """The agent's own code recorded a failure.

    The first failure recorded in a step has the step's id as its `failure_id` (`RUN_SCOPE_ID` outside any step), so that it
    replaces the failure that classification would find for the same step. Further ones have ids of their own.
    """

    type: ClassVar[Literal["failure_recorded"]] = "failure_recorded"
    run_id: RunId
    seq: Seq
    failure_id: StepId
    occurred_at: TimeUs
    failure_type: FailureType
    failure_code: Code
    step_id: StepId | None = None
    attempt: Attempt | None = None
    message_chars: Count | None = None
    message_fingerprint: Fingerprint | None = None
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """A run ended. `emitted` counts the run's sequenced events of this producer, this one included; 0: it does not count."""

    type: ClassVar[Literal["run_finished"]] = "run_finished"
    run_id: RunId
    seq: Seq
    ended_at: TimeUs
    status: RunEnd
    emitted: Count
    evidence: Evidence | None = None
    cause_step_id: StepId | None = None
    """The step whose error ended the run, if it came out of a step."""
    end_reason: EndReason | None = None
    """Absent: `completed`, or `error` of a failure. `vocabulary.END_STATUS` says what goes with which status. Since 1.1."""
    parent_step_id: StepId | None = None
    """As that of `RunStarted` without a parent run: what ended is the run's part in another process. It counts as the run's
    end where the run's own is not known. Since 1.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHeartbeat:
    """A long run is still alive."""

    type: ClassVar[Literal["run_heartbeat"]] = "run_heartbeat"
    run_id: RunId
    at: TimeUs


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsDropped:
    """How many of a run's sequenced events this producer has dropped so far for one reason: a running total."""

    type: ClassVar[Literal["events_dropped"]] = "events_dropped"
    run_id: RunId
    reason: DropReason
    total: Count


NESTED: Final = (Evidence, ReturnedError, AgentExecution, Cost)
"""The classes of members of events that have members of their own; none of these has such a one."""
Event = RunStarted | StepFinished | FailureRecorded | RunFinished | RunHeartbeat | EventsDropped
EVENT_KINDS: Final[tuple[type[Event], ...]] = (
    RunStarted,
    StepFinished,
    FailureRecorded,
    RunFinished,
    RunHeartbeat,
    EventsDropped,
)
