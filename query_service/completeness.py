"""Whether all that a run's producer emitted has arrived. Pure: judges counters, reads nothing."""

from dataclasses import dataclass
from enum import StrEnum

from query_service.stored import Run


class Completeness(StrEnum):
    """What is known of a run's losses."""

    COMPLETE = "complete"
    LOST = "lost"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`lost_events` is above 0 only when the state is `lost`. `stored_events` are the sequenced events that were stored."""

    state: Completeness
    lost_events: int
    stored_events: int


def judge(run: Run) -> Verdict:
    """The run's end says how many events were emitted; each is stored as a start, a step, a recorded failure or the end.

    Without an end nothing can be said. Nor can it when more is stored than the end counted: it counts its own producer's
    events only, and others spoke for the same run. Events still on their way count as lost until they arrive.
    """
    stored = run.step_count + run.recorded_failure_count + run.start_seen + (run.ended_at is not None)
    if run.ended_at is None or run.emitted is None or run.emitted < stored:
        return Verdict(Completeness.UNKNOWN, 0, stored)
    missing = run.emitted - stored
    return Verdict(Completeness.LOST if missing else Completeness.COMPLETE, missing, stored)
