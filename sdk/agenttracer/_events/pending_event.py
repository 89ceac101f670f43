"""Pending events: the agent's thread queues them, unchecked and cheap; the sender's thread builds contract events from them.

A pending event holds plain values only: no exception, no message, no object of the agent's. The contract's events are loaded
where they are built, not with this module, so that `import agenttracer` stays cheap.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from agenttracer._ids import step_id
from agenttracer.wire.metadata import MetadataValue
from agenttracer.wire.vocabulary import REDACTED_NAME, EndReason, FailureType, RunEnd, StepKind, StepStatus

if TYPE_CHECKING:
    from agenttracer._events.sanitize import Sanitizer
    from agenttracer.wire.events import Event, Evidence, FailureRecorded, ReturnedError, RunFinished, StepFinished

MetadataInput = Mapping[str, MetadataValue]


class RunHead:
    """The part of a run that its events refer to: the id, and the two clocks at its start."""

    __slots__ = ("run_id", "started_ns", "started_us")

    run_id: str
    started_us: int
    """Unix time at its start."""
    started_ns: int
    """The monotonic clock at its start."""

    def at_us(self, moment_ns: int) -> int:
        """Wall clock microseconds at a reading of the monotonic clock, so that a stepping wall clock cannot reorder a run."""
        from agenttracer.wire import events  # noqa: PLC0415 - see the module's opening

        moment = self.started_us + (moment_ns - self.started_ns) // 1_000
        return min(max(moment, events.TIME_MIN_US), events.TIME_MAX_US)


class PendingEvent(Protocol):
    """An event that waits in the queue."""

    @property
    def run(self) -> RunHead:
        """The run it belongs to."""

    @property
    def metadata(self) -> Mapping[str, object] | None:
        """The metadata, if any: the one part whose size is not known beforehand."""

    def build(self, sanitizer: "Sanitizer") -> "Event":
        """The contract object. Called once, in the sender's thread."""


class StepFacts:
    """What few steps have, kept apart so that the others need no room for it."""

    __slots__ = ("failures", "returned_error", "work_digest")

    def __init__(self) -> None:
        self.failures = 0
        """How many failures the agent recorded for it."""
        self.work_digest: str | None = None
        self.returned_error: ReturnedError | None = None


class PendingStep:
    """A step. `agenttracer.Step` is one, so that ending a step queues the step itself and creates nothing."""

    __slots__ = (
        "attempt",
        "began_ns",
        "bits",
        "cause_bits",
        "ended_ns",
        "evidence",
        "facts",
        "kind",
        "metadata",
        "name",
        "parent_bits",
        "run",
        "seq",
    )

    run: RunHead
    facts: StepFacts | None
    kind: StepKind
    name: str
    """A text as short as a name, judged when the event is built."""
    attempt: int
    """Below 0 if the agent's code said it."""
    bits: int
    parent_bits: int
    seq: int
    began_ns: int
    ended_ns: int
    evidence: "Evidence | None"
    """Of the exception that ended the step; None says that it ended well."""
    cause_bits: int
    """The nested step that raised the exception, 0 for this one. Set with the evidence."""
    metadata: dict[str, object] | None

    def build(self, sanitizer: "Sanitizer") -> "StepFinished":
        """The step as the contract has it."""
        from agenttracer.wire import events  # noqa: PLC0415 - see the module's opening

        facts = self.facts
        before = sanitizer.redacted
        name, evidence = sanitizer.name(self.name, field="step name"), sanitizer.evidence(self.evidence)
        metadata = sanitizer.metadata(self.metadata)
        returned = None if facts is None else sanitizer.returned_error(facts.returned_error)
        redacted = sanitizer.redacted - before + (self.name == REDACTED_NAME)
        return events.StepFinished(
            run_id=self.run.run_id,
            seq=self.seq,
            step_id=step_id(self.bits),
            kind=self.kind,
            name=name,
            started_at=self.run.at_us(self.began_ns),
            duration_us=min(max(0, self.ended_ns - self.began_ns) // 1_000, events.DURATION_MAX_US),
            status=StepStatus.OK if self.evidence is None else StepStatus.ERROR,
            parent_step_id=step_id(self.parent_bits) if self.parent_bits else None,
            attempt=abs(self.attempt),
            evidence=evidence,
            cause_step_id=None if self.evidence is None or not self.cause_bits else step_id(self.cause_bits),
            work_digest=None if facts is None else facts.work_digest,
            returned_error=returned,
            redacted=redacted or None,
            metadata=metadata,
        )


class PendingFailure(NamedTuple):
    """A failure that the agent's own code recorded. It holds the length and the fingerprint of the message, not its text."""

    run: RunHead
    seq: int
    failure_bits: int
    step_bits: int
    occurred_ns: int
    failure_type: FailureType
    failure_code: str
    attempt: int | None
    message_chars: int | None
    message_fingerprint: str | None

    @property
    def metadata(self) -> None:
        """None."""

    def build(self, sanitizer: "Sanitizer") -> "FailureRecorded":
        """The failure as the contract has it."""
        from agenttracer.wire import events  # noqa: PLC0415 - see the module's opening

        return events.FailureRecorded(
            run_id=self.run.run_id,
            seq=self.seq,
            failure_id=step_id(self.failure_bits) if self.failure_bits else events.RUN_SCOPE_ID,
            occurred_at=self.run.at_us(self.occurred_ns),
            failure_type=self.failure_type,
            failure_code=sanitizer.code(self.failure_code),
            step_id=step_id(self.step_bits) if self.step_bits else None,
            attempt=None if self.attempt is None else abs(self.attempt),
            message_chars=None if self.message_chars is None else min(self.message_chars, events.COUNT_MAX),
            message_fingerprint=self.message_fingerprint,
        )


class PendingRunEnd:
    """The end of a run."""

    __slots__ = ("cause_bits", "emitted", "ended_ns", "evidence", "reason", "run", "seq", "status")

    metadata = None
    run: RunHead
    seq: int
    ended_ns: int
    status: RunEnd
    reason: EndReason
    emitted: int
    evidence: "Evidence | None"
    cause_bits: int
    """The step whose error ended the run, 0 for none."""

    def build(self, sanitizer: "Sanitizer") -> "RunFinished":
        """The end as the contract has it."""
        from agenttracer.wire import events  # noqa: PLC0415 - see the module's opening

        return events.RunFinished(
            run_id=self.run.run_id,
            seq=self.seq,
            ended_at=self.run.at_us(self.ended_ns),
            status=self.status,
            emitted=self.emitted,
            evidence=sanitizer.evidence(self.evidence),
            cause_step_id=step_id(self.cause_bits) if self.cause_bits else None,
            end_reason=self.reason,
        )
