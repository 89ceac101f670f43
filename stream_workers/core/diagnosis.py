"""What a run's failures amount to, seen over all of its steps: which were got over, what followed from what, where it began.

A pure function of the run's stored rows: made anew from them whenever an event may change it (`watch.py`), never patched, so
the order of events cannot matter. It looks at the first steps and failures of a run; what lies beyond is stored and counted, but
not judged, and the run is `truncated`.

- **Outcome**: `recovered` when the same thing was tried again with success, or a step above that the error had passed through;
  of a failure without a step when the run ended in success. Else `fatal`. None while the failure's step is not known.
- **Cause**: the failure further inside that this one only followed from.
- **Root cause** of a run: its first failure that is not recovered and followed from no other one.
- **Fingerprint** of a failure: agent, path of its step, kind, code and class. **Shape** of a run that ended: its steps in order.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import chain, islice
from operator import itemgetter
from typing import Final, NamedTuple

from agenttracer.wire.vocabulary import RunEnd
from stream_workers.core.cascade import causes
from stream_workers.core.loop import REPEATS_MAX, loops
from stream_workers.core.path import collapsed, digest, shape_of
from stream_workers.core.rows import RANK_DERIVED, RUN_OF, FailureRow, Row, StepRow
from stream_workers.core.run import End, RunState
from stream_workers.core.tree import STEPS_MAX, Place, Tree, looked_at, place_of, shape, shapes_counted
from stream_workers.core.watch import Watch, token_of, warm, watch_of

FAILURES_MAX: Final = 200
"""Failures of a run that are judged, its first ones: beyond, they are one and the same again. A run with more is truncated."""
PATH_MAX: Final = 8
"""Steps of a failure's path, the nearest ones."""


class Outcome(StrEnum):
    """What became of a failure."""

    RECOVERED = "recovered"
    FATAL = "fatal"


class Verdict(NamedTuple):
    """What is said of a failure. All None of one that was not judged."""

    outcome: str | None = None
    caused_by: str | None = None
    fingerprint: str | None = None


class Root(NamedTuple):
    """The failure that a run failed of."""

    failure_id: str
    failure_type: str
    failure_code: str


class Standing(NamedTuple):
    """What is said of a run. The shape is there when the run has ended."""

    root: Root | None = None
    shape: str | None = None


class Diagnosis(NamedTuple):
    """Of one run. `loops` are failures that no event says."""

    standing: Standing
    watch: Watch
    verdicts: Mapping[str, Verdict]
    loops: Sequence[FailureRow]


RunKey = tuple[str, str]
NOT_JUDGED: Final = Verdict()
HEALTHY: Final = Diagnosis(Standing(), Watch(), {}, ())
"""Of a run that has not ended and of which nothing is to be said."""


def truncated(steps: int, failures: int) -> bool:
    """Whether a run with so many steps and failures, derived ones aside, has more of them than its diagnosis looks at.

    The store's view `runs_now` says the same.
    """
    return steps > STEPS_MAX or failures > FAILURES_MAX


def judged(failures: Iterable[FailureRow]) -> Sequence[FailureRow]:
    """The first `FAILURES_MAX` of those that events said, in the order in which a run's failures are listed."""
    said = [row for row in failures if row.failure_rank != RANK_DERIVED]
    return sorted(said, key=lambda row: (row.occurred_at, row.seq, row.failure_id))[:FAILURES_MAX]


def in_reach(failures: Sequence[FailureRow], last_judged_at: int | None) -> Sequence[FailureRow]:
    """Those of the failures that can be among the judged ones of their run, the last of which occurred then. None: all are."""
    return failures if last_judged_at is None else [row for row in failures if row.occurred_at <= last_judged_at]


def diagnose(
    places: Sequence[Place], failures: Sequence[FailureRow], *, project: str, run_id: str, end_status: str | None
) -> Diagnosis:
    """The diagnosis of a run that has these steps and failures. Rows of `RANK_DERIVED` are made anew, not read."""
    return _Judge(looked_at(places), judged(failures), project=project, run_id=run_id, end_status=end_status).diagnosis()


_IN_ORDER: Final = itemgetter(*(StepRow._fields.index(name) for name in ("started_at", "seq", "step_id")))
_KIND_AND_NAME: Final = itemgetter(*(StepRow._fields.index(name) for name in ("kind", "name")))


def _of_rows(state: RunState, steps: Sequence[StepRow], failures: Sequence[FailureRow]) -> Diagnosis | None:
    """As `diagnose`; the short way for most runs, which are short and have no failures. None when nothing is to be said."""
    if failures or len(steps) > REPEATS_MAX:
        end_status = None if state.end is None else state.end.end_status
        return diagnose(
            [place_of(row) for row in steps], failures, project=state.project, run_id=state.run_id, end_status=end_status
        )
    if state.end is None:
        return None
    in_order = map(_KIND_AND_NAME, sorted(steps, key=_IN_ORDER))
    return HEALTHY._replace(standing=Standing(None, shape_of(tuple(chain.from_iterable(in_order)))))


class _Judge:
    """One run while it is diagnosed."""

    def __init__(
        self, places: Sequence[Place], failures: Sequence[FailureRow], *, project: str, run_id: str, end_status: str | None
    ) -> None:
        self._places = places
        self._end_status = end_status
        self._tries = shapes_counted(places)
        self._loops = loops(project, run_id, self._tries)
        self._failures = failures
        unsuccessful = frozenset(row.step_id for row in self._failures if row.step_id is not None)
        self._tree = Tree(places, unsuccessful=unsuccessful)
        self._causes = causes(self._failures, self._tree)

    def diagnosis(self) -> Diagnosis:
        """All that can be said."""
        verdicts = {row.failure_id: self._verdict(row) for row in (*self._failures, *self._loops)}
        return Diagnosis(Standing(self._root(verdicts), self._shape()), self._watch(verdicts), verdicts, self._loops)

    def _verdict(self, failure: FailureRow) -> Verdict:
        place = self._tree.find(failure.step_id)
        return Verdict(
            outcome=self._outcome(failure, place),
            caused_by=self._causes.get(failure.failure_id),
            fingerprint=self._fingerprint(failure, place),
        )

    def _outcome(self, failure: FailureRow, place: Place | None) -> Outcome | None:
        if failure.step_id is None or failure.failure_rank == RANK_DERIVED:
            return Outcome.RECOVERED if self._end_status == RunEnd.SUCCESS else Outcome.FATAL
        if place is None:
            return None
        recovered = any(self._tree.tried_again(carrier) for carrier in self._tree.carriers(place))
        return Outcome.RECOVERED if recovered else Outcome.FATAL

    def _fingerprint(self, failure: FailureRow, place: Place | None) -> str:
        above = list(islice(self._tree.upwards(place), PATH_MAX)) if place is not None else []
        path = collapsed([f"{each.kind} {each.name}" for each in reversed(above)])
        kind = "" if place is None else place.kind
        return digest((failure.agent, *path, kind, failure.failure_type, failure.failure_code, failure.error_class or ""))

    def _root(self, verdicts: Mapping[str, Verdict]) -> Root | None:
        open_ones = [
            (row.occurred_at, row.failure_id, row)
            for row in (*self._failures, *self._loops)
            if verdicts[row.failure_id].outcome != Outcome.RECOVERED and verdicts[row.failure_id].caused_by is None
        ]
        row = min(open_ones)[2] if open_ones else None
        return None if row is None else Root(row.failure_id, row.failure_type, row.failure_code)

    def _shape(self) -> str | None:
        if self._end_status is None:
            return None
        return shape_of(tuple(chain.from_iterable((place.kind, place.name) for place in self._places)))

    def _watch(self, verdicts: Mapping[str, Verdict]) -> Watch:
        tried = (token_of(each) for each, tries in self._tries.items() if warm(len(tries)))
        return watch_of(chain(self._rests_on(verdicts), tried), self._places, self._loops)

    def _rests_on(self, verdicts: Mapping[str, Verdict]) -> Iterator[int]:
        """Steps that were looked at or are missing, and things of which a further try would change an outcome."""
        for failure in (*self._failures, *self._loops):
            if failure.step_id is None:
                continue
            yield token_of(failure.step_id)
            place = self._tree.find(failure.step_id)
            if place is None:
                continue
            for above in self._tree.upwards(place):
                yield from (token_of(above.step_id), token_of(above.parent_step_id or ""))
            if verdicts[failure.failure_id].outcome != Outcome.RECOVERED:
                yield from (token_of(shape(carrier)) for carrier in self._tree.carriers(place))


class Known(NamedTuple):
    """What the store knows of a run before further rows of it are written."""

    steps: int
    end: End | None
    standing: Standing
    watch: Watch

    def outdated_by(self, state: RunState, steps: Sequence[StepRow], failures: Sequence[FailureRow]) -> bool:
        """Whether the run must be diagnosed anew for what is written of it now. `failures` are those `in_reach`."""
        return self.end is not None or state.end is not None or bool(failures) or self.watch.broken_by(steps, stored=self.steps)


def diagnoses(
    runs: Iterable[RunState], steps: Mapping[RunKey, Sequence[StepRow]], failures: Mapping[RunKey, Sequence[FailureRow]]
) -> dict[RunKey, Diagnosis]:
    """Of runs of which these rows are all there is. Runs that are healthy and open are left out."""
    found: dict[RunKey, Diagnosis] = {}
    for state in runs:
        diagnosis = _of_rows(state, steps.get(state.key, ()), failures.get(state.key, ()))
        if diagnosis is not None:
            found[state.key] = diagnosis
    return found


def grouped(rows: Iterable[Row]) -> dict[RunKey, list[Row]]:
    """Rows by run."""
    found: dict[RunKey, list[Row]] = {}
    for row in rows:
        found.setdefault(RUN_OF(row), []).append(row)
    return found
