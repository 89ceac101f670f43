"""The state of a run as far as its events are known.

The rules of this file:

- A record contributes a `RunState`; states of one run merge. `merge` is commutative, associative and idempotent, so order,
  duplication and batching of records cannot matter.
- One start wins: where the run began before where it went on in another process, then the least (started_at, digest). One
  end wins: the run's own before that of a part in another process, before that of an agent inside it, whatever their clocks
  say; then the greatest (ended_at, digest). All that an event says comes from the winner, never a mixture of two.
- The identity is that of the sender of the winning start; without one, or of several senders, the least (agent, version).
- A run without an end is `running`. Whether its silence makes it `abandoned` is judged when it is read.
- The session is the least of all digests that starts and steps say: usually they agree.
- The first receipt is the least one. It decides whether the run's times are believed (`effective_time.py`).
- Steps and failures are counted from their rows, not here: counting is not idempotent.

The workers' SQL (`-- name: write_runs`) merges the same way; a test holds both to `fold`.
"""

import hashlib
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from agenttracer.wire.envelope import Record
from agenttracer.wire.events import AgentExecution, RunFinished, RunStarted, StepFinished
from agenttracer.wire.vocabulary import END_STATUS, EndReason, RunEnd, RunKind, StepStatus
from stream_workers.core.effective_time import FirstReceipt, earlier
from stream_workers.core.rows import FailureRow

ABANDON_AFTER_S: Final = 1800
"""Silence after which a run counts as abandoned when its start did not say otherwise: SDKs send a sign of life every minute."""

Json = Callable[[object], str]
"""Canonical JSON: the same text for the same value, members sorted."""


class RunIdentity(NamedTuple):
    """Rank 0: said with a start."""

    identity_rank: int
    agent: str
    agent_version: str


class Start(NamedTuple):
    """The winning start."""

    declared_started_at: int
    start_digest: int
    parent_run_id: str | None
    parent_step_id: str | None
    metadata: str | None
    declared_kind: str | None = None

    @property
    def is_continuation(self) -> bool:
        """It names a step of its own run: the run began in another process. With `parent_run_id` the step is another run's."""
        return self.parent_step_id is not None and self.parent_run_id is None

    def order(self) -> tuple[bool, int, int]:
        """The least of this wins."""
        return self.is_continuation, self.declared_started_at, self.start_digest


END_OF_PART: Final = 1
"""Rank of the end of a part of the run in another process. The run's own has 0."""
END_OF_AGENT: Final = 2
"""Rank of the end of an agent inside the run: all that ends a run whose root is traced elsewhere, and is not said to be."""


class End(NamedTuple):
    """The winning end."""

    ended_at: int
    end_digest: int
    end_status: str
    emitted: int
    end_reason: str | None = None
    end_rank: int = 0

    def order(self) -> tuple[int, int, int]:
        """The greatest of this wins."""
        return -self.end_rank, self.ended_at, self.end_digest


class FirstFailure(NamedTuple):
    """The failure that stands for the run: recorded before found, then the earliest."""

    failure_rank: int
    failure_at: int
    failure_id: str
    failure_type: str
    failure_code: str


class RunState(NamedTuple):
    """One run as far as known; see the rules above."""

    project: str
    run_id: str
    identity: RunIdentity
    start: Start | None
    end: End | None
    first_failure: FirstFailure | None
    abandon_after_s: int | None
    session_digest: str | None
    first_ended_at: int | None
    first_event_at: int
    last_event_at: int
    last_received_at: int
    receipt: FirstReceipt | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Its key in the store."""
        return self[:2]


def merge(one: RunState, other: RunState) -> RunState:
    """The merge of two states of one run. Commutative, associative, idempotent."""
    first = min(one, other, key=_beginning)
    return RunState(
        project=one.project,
        run_id=one.run_id,
        identity=first.identity,
        start=first.start,
        end=later_end(one.end, other.end),
        first_failure=least_failure(one.first_failure, other.first_failure),
        abandon_after_s=max(_present(one.abandon_after_s, other.abandon_after_s), default=None),
        session_digest=min(_present(one.session_digest, other.session_digest), default=None),
        first_ended_at=min(_present(one.first_ended_at, other.first_ended_at), default=None),
        first_event_at=min(one.first_event_at, other.first_event_at),
        last_event_at=max(one.last_event_at, other.last_event_at),
        last_received_at=max(one.last_received_at, other.last_received_at),
        receipt=earlier(one.receipt, other.receipt),
    )


def _beginning(state: RunState) -> tuple[int, tuple[int, ...], RunIdentity]:
    """The least of this says who ran, and how the run started."""
    return state.identity.identity_rank, () if state.start is None else state.start.order(), state.identity


def later_end(one: End | None, other: End | None) -> End | None:
    """The winner of two ends."""
    return max(_present(one, other), key=End.order, default=None)


def least_failure(one: FirstFailure | None, other: FirstFailure | None) -> FirstFailure | None:
    """The winner of two candidates for standing for a run."""
    return min(_present(one, other), default=None)


def start_of(event: RunStarted, json: Json) -> Start:
    """The values of a start. `start_digest` makes the order of different starts at one time total."""
    metadata = json(event.metadata) if event.metadata else None
    kind = None if event.kind == RunKind.AGENT else str(event.kind)
    said: tuple[object, ...] = (event.seq, event.parent_run_id, event.parent_step_id, event.abandon_after_s, metadata)
    # What an event of contract 1.0 cannot say is left out: its digest stays what it was.
    said = said if event.session_digest is None and kind is None else (*said, event.session_digest, kind)
    return Start(
        declared_started_at=event.started_at,
        start_digest=_digest(said),
        parent_run_id=event.parent_run_id,
        parent_step_id=event.parent_step_id,
        metadata=metadata,
        declared_kind=kind,
    )


def end_of(event: RunFinished) -> End:
    """The values of an end."""
    status = str(event.status)
    reason = _reason(event.end_reason, event.status)
    said = (status, event.emitted, event.seq)
    return End(
        ended_at=event.ended_at,
        end_digest=_digest(said if reason is None else (*said, reason)),  # unchanged for an end of contract 1.0
        end_status=status,
        emitted=event.emitted,
        end_reason=reason,
        end_rank=0 if event.parent_step_id is None else END_OF_PART,
    )


def end_of_agent(event: StepFinished, execution: AgentExecution) -> End:
    """The end of a run that a step is which executes an agent."""
    status = _status_of_agent(event.status, execution.end_reason)
    reason = _reason(execution.end_reason, status)
    return End(
        ended_at=event.started_at + event.duration_us,
        end_digest=_digest((str(status), event.step_id, reason)),
        end_status=str(status),
        emitted=0,
        end_reason=reason,
        end_rank=END_OF_AGENT,
    )


def _status_of_agent(status: StepStatus, reason: EndReason | None) -> RunEnd:
    """As the reason has it where it says more than that the agent came to its end, else as the step's status."""
    if reason is not None and reason != EndReason.COMPLETED:
        (said,) = END_STATUS[reason]
        return said
    return RunEnd.FAILURE if status == StepStatus.ERROR else RunEnd.SUCCESS


def _reason(reason: EndReason | None, status: RunEnd) -> str | None:
    """The reason of an end, unless it contradicts the status: then nobody knows which of the two is right."""
    return str(reason) if reason is not None and status in END_STATUS[reason] else None


def first_failure_of(failure: FailureRow) -> FirstFailure:
    """A failure as candidate for standing for its run."""
    return FirstFailure(
        failure_rank=failure.failure_rank,
        failure_at=failure.occurred_at,
        failure_id=failure.failure_id,
        failure_type=failure.failure_type,
        failure_code=failure.failure_code,
    )


def identity_of(record: Record, *, started: bool) -> RunIdentity:
    """The identity that a record gives to its run."""
    return RunIdentity(0 if started else 1, record.producer.agent, record.producer.agent_version)


def _digest(said: tuple[object, ...]) -> int:
    return int.from_bytes(hashlib.blake2b(repr(said).encode(), digest_size=8).digest(), "big", signed=True)


_T = TypeVar("_T")


def _present(*values: _T | None) -> list[_T]:
    return [value for value in values if value is not None]
