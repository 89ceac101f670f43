"""Drafts: what the agent's thread leaves in the queue, unchecked and cheap, and how the sender's thread makes events of them.

A draft holds plain values only: never an exception, a message, or an object of the agent's. The contract's events are needed
only where they are built: importing this module does not load them, so that `import agenttracer` stays cheap.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from agenttracer._ids import step_id
from agenttracer.wire.metadata import MetadataValue
from agenttracer.wire.vocabulary import FailureType, RunEnd, StepKind, StepStatus

if TYPE_CHECKING:
    from agenttracer._fit import Fit
    from agenttracer.wire.events import Event, Evidence, FailureRecorded, RunFinished, StepFinished

MetadataInput = Mapping[str, MetadataValue]


class RunHead:
    """What every event of a run needs of it: the id, and the two clocks at its start."""

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


class Draft(Protocol):
    """Anything that the queue carries."""

    @property
    def run(self) -> RunHead:
        """The run it belongs to."""

    @property
    def metadata(self) -> Mapping[str, object] | None:
        """What was added to it, if anything: the part of it whose size is not known beforehand."""

    def event(self, fit: "Fit") -> "Event":
        """The contract object. Called once, in the sender's thread."""


class StepDraft:
    """A step. `agenttracer.Step` is one, so that ending a step queues the step itself and creates nothing."""

    __slots__ = (
        "attempt",
        "began_ns",
        "bits",
        "cause_bits",
        "ended_ns",
        "evidence",
        "kind",
        "metadata",
        "name",
        "parent_bits",
        "run",
        "seq",
    )

    run: RunHead
    kind: StepKind
    name: str
    """Fits already: no text waits in the queue."""
    attempt: int
    bits: int
    parent_bits: int
    seq: int
    began_ns: int
    ended_ns: int
    evidence: "Evidence | None"
    """Of the exception that ended the step; None says that it ended well."""
    cause_bits: int
    """The nested step in which that exception arose, 0 for this one."""
    metadata: dict[str, object] | None

    def event(self, fit: "Fit") -> "StepFinished":
        """The step as the contract has it."""
        from agenttracer.wire import events  # noqa: PLC0415 - see the module's opening

        return events.StepFinished(
            run_id=self.run.run_id,
            seq=self.seq,
            step_id=step_id(self.bits),
            kind=self.kind,
            name=self.name,
            started_at=self.run.at_us(self.began_ns),
            duration_us=min(max(0, self.ended_ns - self.began_ns) // 1_000, events.DURATION_MAX_US),
            status=StepStatus.OK if self.evidence is None else StepStatus.ERROR,
            parent_step_id=step_id(self.parent_bits) if self.parent_bits else None,
            attempt=self.attempt,
            evidence=self.evidence,
            cause_step_id=step_id(self.cause_bits) if self.cause_bits else None,
            metadata=fit.metadata(self.metadata),
        )


class FailureDraft(NamedTuple):
    """A failure that the agent's own code recorded. The message is gone already: only its length and fingerprint are here."""

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

    def event(self, _fit: "Fit") -> "FailureRecorded":
        """The failure as the contract has it."""
        from agenttracer.wire import events  # noqa: PLC0415 - see the module's opening

        return events.FailureRecorded(
            run_id=self.run.run_id,
            seq=self.seq,
            failure_id=step_id(self.failure_bits) if self.failure_bits else events.RUN_SCOPE_ID,
            occurred_at=self.run.at_us(self.occurred_ns),
            failure_type=self.failure_type,
            failure_code=self.failure_code,
            step_id=step_id(self.step_bits) if self.step_bits else None,
            attempt=self.attempt,
            message_chars=None if self.message_chars is None else min(self.message_chars, events.COUNT_MAX),
            message_fingerprint=self.message_fingerprint,
        )


class RunEndDraft:
    """The end of a run."""

    __slots__ = ("cause_bits", "emitted", "ended_ns", "evidence", "run", "seq", "status")

    metadata = None

    def __init__(
        self,
        run: RunHead,
        *,
        seq: int,
        ended_ns: int,
        status: RunEnd,
        emitted: int,
        evidence: "Evidence | None" = None,
        cause_bits: int = 0,
    ) -> None:
        self.run = run
        self.seq = seq
        self.ended_ns = ended_ns
        self.status = status
        self.emitted = emitted
        self.evidence = evidence
        self.cause_bits = cause_bits

    def event(self, _fit: "Fit") -> "RunFinished":
        """The end as the contract has it."""
        from agenttracer.wire import events  # noqa: PLC0415 - see the module's opening

        return events.RunFinished(
            run_id=self.run.run_id,
            seq=self.seq,
            ended_at=self.run.at_us(self.ended_ns),
            status=self.status,
            emitted=self.emitted,
            evidence=self.evidence,
            cause_step_id=step_id(self.cause_bits) if self.cause_bits else None,
        )
