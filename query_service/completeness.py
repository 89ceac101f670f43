"""Whether all that a run's producers emitted has arrived. Pure: judges counters, reads nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from query_service.stored import Producer, Run


class Completeness(StrEnum):
    """What is known of losses."""

    COMPLETE = "complete"
    LOST = "lost"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`lost_events` is above 0 only when the state is `lost`. `stored_events` are the sequenced events that were stored."""

    state: Completeness
    lost_events: int
    stored_events: int


@dataclass(frozen=True, slots=True)
class Account:
    """One producer's part. `unexplained` of its lost events it declared no reason for: on their way, or lost behind it.

    `gaps` are sequence numbers missing between its first and last stored event: lost, on their way, or of steps still open.
    """

    producer: str
    verdict: Verdict
    gaps: int
    declared: Mapping[str, int]
    unexplained: int


def judge(run: Run) -> Verdict:
    """Of the run: the sum over its producers. Lost when one of them lost something, unknown when one of them is unknown.

    Without producers that number their events, the run's end alone can say how many there were.
    """
    accounts = accounts_of(run.producers)
    if not any(each.stored is not None for each in run.producers):
        return _by_the_end(run, declared=sum(sum(each.declared.values()) for each in accounts))
    lost = sum(account.verdict.lost_events for account in accounts)
    stored = sum(account.verdict.stored_events for account in accounts)
    if lost:
        return Verdict(Completeness.LOST, lost, stored)
    known = all(account.verdict.state is Completeness.COMPLETE for account in accounts)
    return Verdict(Completeness.COMPLETE if known else Completeness.UNKNOWN, 0, stored)


def accounts_of(producers: Sequence[Producer]) -> list[Account]:
    """One account a producer."""
    return [_account(producer) for producer in producers]


def declared_of(producers: Sequence[Producer]) -> dict[str, int]:
    """What all of them declared lost, by reason."""
    declared: Counter[str] = Counter()
    for producer in producers:
        declared.update(producer.declared)
    return dict(declared)


def _account(producer: Producer) -> Account:
    """What a producer's end counted and is not stored is lost until it arrives; before its end, what it declared itself."""
    declared = sum(producer.declared.values())
    stored = producer.stored or 0
    lost = declared if producer.emitted is None else max(0, producer.emitted - stored)
    if lost:
        state = Completeness.LOST
    elif producer.emitted is None or producer.emitted < stored:
        state = Completeness.UNKNOWN
    else:
        state = Completeness.COMPLETE
    return Account(producer.producer, Verdict(state, lost, stored), producer.gaps, producer.declared, max(0, lost - declared))


def _by_the_end(run: Run, *, declared: int) -> Verdict:
    """The end counts its own producer's events; each is stored as a start, a step, a recorded failure or the end."""
    stored = run.step_count + run.recorded_failure_count + run.start_seen + (run.ended_at is not None)
    if run.ended_at is None or not run.emitted or run.emitted < stored:
        return Verdict(Completeness.LOST if declared else Completeness.UNKNOWN, declared, stored)
    missing = run.emitted - stored
    return Verdict(Completeness.LOST if missing else Completeness.COMPLETE, missing, stored)
