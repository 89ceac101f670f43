"""Records to a batch of rows, each key once, sorted: what one transaction writes. Pure; the order of records cannot matter."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agenttracer.wire.envelope import Record
from agenttracer.wire.events import (
    EventsDropped,
    FailureRecorded,
    RunFinished,
    RunHeartbeat,
    RunStarted,
    StepFinished,
)
from stream_workers.core.effective_time import receipt_of
from stream_workers.core.rows import FAILURE_KEY, STEP_KEY, FailureRow, LossRow, StepRow, settle
from stream_workers.core.run import (
    End,
    FirstFailure,
    Json,
    RunState,
    Start,
    end_of,
    end_of_agent,
    first_failure_of,
    identity_of,
    later_end,
    least_failure,
    merge,
    start_of,
)
from stream_workers.core.sequence_ranges import ProducerRow, merged, ranges_of
from stream_workers.core.step import failure_of_end, failure_of_step, recorded_failure, step_row


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of some records: one a key, sorted by key, so that transactions lock in one order and never twice."""

    steps: Sequence[StepRow]
    failures: Sequence[FailureRow]
    runs: Sequence[RunState]
    losses: Sequence[LossRow]
    producers: Sequence[ProducerRow]

    def __len__(self) -> int:
        return sum(map(len, (self.steps, self.failures, self.runs, self.losses, self.producers)))


NO_ROWS: Final = Rows((), (), (), (), ())


class Assembly:
    """Makes rows of records, one record at a time, so that a caller can do other things in between."""

    def __init__(self, json: Json) -> None:
        self._json = json
        self._steps: list[StepRow] = []
        self._failures: list[FailureRow] = []
        self._losses: list[LossRow] = []
        self._runs: dict[tuple[str, str], RunState] = {}
        self._producers: dict[tuple[str, str, str], list[ProducerRow]] = {}

    def add(self, record: Record) -> None:
        """Take one record."""
        reading = _Reading(record, self._json, self._steps, self._failures, self._losses)
        for event in record.events:
            _READ[event.type](reading, event)
        state = reading.state()
        seen = self._runs.get(state.key)
        self._runs[state.key] = state if seen is None else merge(seen, state)
        said = reading.producer()
        if said is not None:
            self._producers.setdefault(said.key, []).append(said)

    def rows(self) -> Rows:
        """The rows of all records taken."""
        return Rows(
            steps=settle(self._steps, STEP_KEY),
            failures=settle(self._failures, FAILURE_KEY),
            runs=[self._runs[key] for key in sorted(self._runs)],
            losses=_greatest_totals(self._losses),
            producers=[merged(said) for said in self._producers.values()],  # sorted by their statement: here it would cost more
        )


def assemble(records: Iterable[Record], json: Json) -> Rows:
    """The rows of these records. `json` writes canonical JSON."""
    assembly = Assembly(json)
    for record in records:
        assembly.add(record)
    return assembly.rows()


class _Reading:
    """One record while it is read, event by event; rows go straight to the batch's lists."""

    __slots__ = (
        "_json",
        "_losses",
        "abandon_after_s",
        "emitted",
        "end",
        "failures",
        "first",
        "first_end",
        "found",
        "last",
        "record",
        "session",
        "start",
        "starts",
        "steps",
    )

    def __init__(
        self, record: Record, json: Json, steps: list[StepRow], failures: list[FailureRow], losses: list[LossRow]
    ) -> None:
        self.record = record
        self._json = json
        self.steps = steps
        self.failures = failures
        self._losses = losses
        self.first = 0
        self.last = 0
        self.start: Start | None = None
        self.starts = 0
        self.end: End | None = None
        self.first_end: int | None = None
        self.found: FirstFailure | None = None
        self.abandon_after_s: int | None = None
        self.session: str | None = None
        self.emitted: int | None = None

    def step_finished(self, event: StepFinished) -> None:
        self.steps.append(step_row(event, self.record, self._json))
        if event.session_digest is not None:
            self._join(event.session_digest)
        if event.agent is not None:
            self.end = later_end(self.end, end_of_agent(event, event.agent))
        failure = failure_of_step(event, self.record)
        if failure is not None:
            self._fail(failure)
        began = event.started_at  # as `_span`, without a call for each step
        ended = began + event.duration_us
        if not self.first or began < self.first:
            self.first = began
        if ended > self.last:  # noqa: PLR1730 - nor for this
            self.last = ended

    def run_started(self, event: RunStarted) -> None:
        start = start_of(event, self._json)
        self.start = start if self.start is None else min(self.start, start, key=Start.order)
        self.starts += 1
        if event.session_digest is not None:
            self._join(event.session_digest)
        self.abandon_after_s = max(self.abandon_after_s or 0, event.abandon_after_s or 0) or None
        self._span(event.started_at, event.started_at)

    def run_finished(self, event: RunFinished) -> None:
        self.emitted = max(self.emitted or 0, event.emitted)
        self.end = later_end(self.end, end_of(event))
        self.first_end = event.ended_at if self.first_end is None else min(self.first_end, event.ended_at)
        self._fail(failure_of_end(event, self.record))
        self._span(event.ended_at, event.ended_at)

    def failure_recorded(self, event: FailureRecorded) -> None:
        self._fail(recorded_failure(event, self.record))
        self._span(event.occurred_at, event.occurred_at)

    def run_heartbeat(self, event: RunHeartbeat) -> None:
        self._span(event.at, event.at)

    def events_dropped(self, event: EventsDropped) -> None:
        self._losses.append(LossRow(self.record.project, event.run_id, self.record.producer.id, str(event.reason), event.total))

    def state(self) -> RunState:
        """The record's contribution to its run. A record without any timed event is dated by its receipt."""
        record = self.record
        return RunState(
            project=record.project,
            run_id=record.events[0].run_id,
            identity=identity_of(record, started=self.start is not None),
            start=self.start,
            end=self.end,
            first_failure=self.found,
            abandon_after_s=self.abandon_after_s,
            session_digest=self.session,
            first_ended_at=self.first_end,
            first_event_at=self.first or record.received_at,
            last_event_at=self.last or record.received_at,
            last_received_at=record.received_at,
            receipt=receipt_of(record.received_at, self.first, self.last) if self.first else None,
        )

    def producer(self) -> ProducerRow | None:
        """The producer's row, if it numbers its events: then only starts have the number 0, and ends count events."""
        record = self.record
        numbers = _numbers(record.events)
        if not numbers or self.emitted == 0 or numbers.count(0) > self.starts:
            return None
        return ProducerRow(record.project, record.events[0].run_id, record.producer.id, ranges_of(numbers), self.emitted)

    def _fail(self, failure: FailureRow | None) -> None:
        if failure is not None:
            self.failures.append(failure)
            self.found = least_failure(self.found, first_failure_of(failure))

    def _join(self, session: str) -> None:
        self.session = session if self.session is None else min(self.session, session)

    def _span(self, began: int, ended: int) -> None:
        if not self.first or began < self.first:
            self.first = began
        self.last = max(self.last, ended)


# By the literal tag and not by class: the fast codec's events have the same members but classes of their own.
_READ: Final[Mapping[str, Callable[[_Reading, Any], None]]] = {
    StepFinished.type: _Reading.step_finished,
    RunStarted.type: _Reading.run_started,
    RunFinished.type: _Reading.run_finished,
    FailureRecorded.type: _Reading.failure_recorded,
    RunHeartbeat.type: _Reading.run_heartbeat,
    EventsDropped.type: _Reading.events_dropped,
}
_UNNUMBERED: Final = frozenset({RunHeartbeat.type, EventsDropped.type})


def _numbers(events: Sequence[Any]) -> list[int]:
    """Sequence numbers of these events, as far as they have one."""
    try:
        return [event.seq for event in events]  # nearly always; asking each event first would cost as much again
    except AttributeError:
        return [event.seq for event in events if event.type not in _UNNUMBERED]


def _greatest_totals(losses: Iterable[LossRow]) -> list[LossRow]:
    greatest: dict[tuple[str, str, str, str], LossRow] = {}
    for loss in losses:
        seen = greatest.get(loss.key)
        greatest[loss.key] = loss if seen is None or loss.total > seen.total else seen
    return [greatest[key] for key in sorted(greatest)]
