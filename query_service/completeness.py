"""Whether the store has every event that a run's producers emitted. Pure: it compares counters and reads nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from query_service.store.rows import ProducerAccount, StoredRun


class CompletenessState(StrEnum):
    """Whether events of a run are lost."""

    COMPLETE = "complete"
    LOST = "lost"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Completeness:
    """The state and its counts. `lost_events` is above 0 only in the state `lost`; `stored_events` counts numbered events."""

    state: CompletenessState
    lost_events: int
    stored_events: int


@dataclass(frozen=True, slots=True)
class ProducerCompleteness:
    """Completeness of one producer's part of a run.

    `unexplained` counts lost events for which the producer declared no reason: they are on their way, or were lost after it.
    `gaps` counts sequence numbers missing between its first and last stored event: lost, on their way, or of steps still open.
    """

    producer: str
    completeness: Completeness
    gaps: int
    declared: Mapping[str, int]
    unexplained: int


def run_completeness(run: StoredRun) -> Completeness:
    """The completeness of a run: the sum over its producers.

    It is lost if one producer lost an event, else unknown if one producer is unknown. Where no producer numbers its events, only
    the run's end says how many there were.
    """
    by_producer = producer_completeness(run.producers)
    if not any(each.stored is not None for each in run.producers):
        return _by_the_end(run, declared=sum(sum(each.declared.values()) for each in by_producer))
    lost = sum(each.completeness.lost_events for each in by_producer)
    stored = sum(each.completeness.stored_events for each in by_producer)
    if lost:
        return Completeness(CompletenessState.LOST, lost, stored)
    known = all(each.completeness.state is CompletenessState.COMPLETE for each in by_producer)
    return Completeness(CompletenessState.COMPLETE if known else CompletenessState.UNKNOWN, 0, stored)


def producer_completeness(producers: Sequence[ProducerAccount]) -> list[ProducerCompleteness]:
    """The completeness of each producer."""
    return [_of_producer(producer) for producer in producers]


def declared_losses(producers: Sequence[ProducerAccount]) -> dict[str, int]:
    """The losses that all producers declared, added up by reason."""
    declared: Counter[str] = Counter()
    for producer in producers:
        declared.update(producer.declared)
    return dict(declared)


def _of_producer(producer: ProducerAccount) -> ProducerCompleteness:
    """Events that the producer's end counted and the store lacks are lost until they arrive.

    Before its end only the losses that it declared are known.
    """
    declared = sum(producer.declared.values())
    stored = producer.stored or 0
    lost = declared if producer.emitted is None else max(0, producer.emitted - stored)
    if lost:
        state = CompletenessState.LOST
    elif producer.emitted is None or producer.emitted < stored:
        state = CompletenessState.UNKNOWN
    else:
        state = CompletenessState.COMPLETE
    return ProducerCompleteness(
        producer.producer, Completeness(state, lost, stored), producer.gaps, producer.declared, max(0, lost - declared)
    )


def _by_the_end(run: StoredRun, *, declared: int) -> Completeness:
    """The end counts its own producer's events; each is stored as a start, a step, a recorded failure or the end."""
    stored = run.step_count + run.recorded_failure_count + run.start_seen + (run.ended_at is not None)
    if run.ended_at is None or not run.emitted or run.emitted < stored:
        return Completeness(CompletenessState.LOST if declared else CompletenessState.UNKNOWN, declared, stored)
    missing = run.emitted - stored
    return Completeness(CompletenessState.LOST if missing else CompletenessState.COMPLETE, missing, stored)
