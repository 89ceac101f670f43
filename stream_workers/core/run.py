"""What is known of a run.

The rules of this file:

- A record contributes a `RunState`; states of one run merge. `merge` is commutative, associative and idempotent, so order,
  duplication and batching of records cannot matter.
- One start wins: where the run began before where it went on in another process, then the least (started_at, digest). One
  end wins: the greatest (ended_at, digest). All that an event says comes from the winner, never a mixture of two.
- Who ran: whoever sent the winning start; without one, or of several who sent it, the least (agent, version).
- A run without an end is `running`. Whether its silence makes it `abandoned` is judged by whoever looks, at that moment.
- Steps and failures are counted from their rows, not here: counting is not idempotent.

The workers' SQL (`-- name: write_runs`) merges the same way; a test holds both to `fold`.
"""

import hashlib
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from agenttracer.wire.envelope import Record
from agenttracer.wire.events import RunFinished, RunStarted
from stream_workers.core.rows import FailureRow

ABANDON_AFTER_S: Final = 1800
"""Silence after which a run counts as abandoned when its start did not say otherwise: SDKs send a sign of life every minute."""

Json = Callable[[object], str]
"""Canonical JSON: the same text for the same value, members sorted."""


class Who(NamedTuple):
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

    @property
    def goes_on(self) -> bool:
        """It names a step of its own run: the run began in another process. With `parent_run_id` the step is another run's."""
        return self.parent_step_id is not None and self.parent_run_id is None

    def order(self) -> tuple[bool, int, int]:
        """The least of this wins."""
        return self.goes_on, self.declared_started_at, self.start_digest


class End(NamedTuple):
    """The winning end."""

    ended_at: int
    end_digest: int
    end_status: str
    emitted: int

    def order(self) -> tuple[int, int]:
        """The greatest of this wins."""
        return self[:2]


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
    who: Who
    start: Start | None
    end: End | None
    first_failure: FirstFailure | None
    abandon_after_s: int | None
    first_ended_at: int | None
    first_event_at: int
    last_event_at: int
    last_received_at: int

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the run in the store."""
        return self[:2]


def merge(one: RunState, other: RunState) -> RunState:
    """What is known of a run from both. Commutative, associative, idempotent."""
    first = min(one, other, key=_beginning)
    return RunState(
        project=one.project,
        run_id=one.run_id,
        who=first.who,
        start=first.start,
        end=later_end(one.end, other.end),
        first_failure=least_failure(one.first_failure, other.first_failure),
        abandon_after_s=max(_present(one.abandon_after_s, other.abandon_after_s), default=None),
        first_ended_at=min(_present(one.first_ended_at, other.first_ended_at), default=None),
        first_event_at=min(one.first_event_at, other.first_event_at),
        last_event_at=max(one.last_event_at, other.last_event_at),
        last_received_at=max(one.last_received_at, other.last_received_at),
    )


def _beginning(state: RunState) -> tuple[int, tuple[int, ...], Who]:
    """The least of this says who ran, and how the run started."""
    return state.who.identity_rank, () if state.start is None else state.start.order(), state.who


def later_end(one: End | None, other: End | None) -> End | None:
    """The winner of two ends."""
    return max(_present(one, other), key=End.order, default=None)


def least_failure(one: FirstFailure | None, other: FirstFailure | None) -> FirstFailure | None:
    """The winner of two candidates for standing for a run."""
    return min(_present(one, other), default=None)


def start_of(event: RunStarted, json: Json) -> Start:
    """What a start says. `start_digest` makes the order of different starts at one time total."""
    metadata = json(event.metadata) if event.metadata else None
    said = (event.seq, event.parent_run_id, event.parent_step_id, event.abandon_after_s, metadata)
    return Start(
        declared_started_at=event.started_at,
        start_digest=_digest(said),
        parent_run_id=event.parent_run_id,
        parent_step_id=event.parent_step_id,
        metadata=metadata,
    )


def end_of(event: RunFinished) -> End:
    """What an end says."""
    status = str(event.status)
    return End(
        ended_at=event.ended_at,
        end_digest=_digest((status, event.emitted, event.seq)),
        end_status=status,
        emitted=event.emitted,
    )


def first_failure_of(failure: FailureRow) -> FirstFailure:
    """A failure as candidate for standing for its run."""
    return FirstFailure(
        failure_rank=failure.failure_rank,
        failure_at=failure.occurred_at,
        failure_id=failure.failure_id,
        failure_type=failure.failure_type,
        failure_code=failure.failure_code,
    )


def who_of(record: Record, *, started: bool) -> Who:
    """Who a record says ran."""
    return Who(0 if started else 1, record.producer.agent, record.producer.agent_version)


def _digest(said: tuple[object, ...]) -> int:
    return int.from_bytes(hashlib.blake2b(repr(said).encode(), digest_size=8).digest(), "big", signed=True)


_T = TypeVar("_T")


def _present(*values: _T | None) -> list[_T]:
    return [value for value in values if value is not None]
