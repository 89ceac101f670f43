"""The diagnosis of a run from all of its steps: which failures were recovered, which followed from others, and the root cause.

A pure function of the run's stored rows: made again from them whenever an event may change it (`rediagnosis.py`), never patched,
so the order of events cannot matter. It looks at the first steps and failures of a run; further ones are stored and counted, but
not judged, and the run is `truncated`.

- **Outcome**: `recovered` when a later call at the same place made it good (`agenttracer.rules.recovery`), or made a step good
  that the error had passed through; of a failure without a step when the run ended in success. Else `fatal` in a run that ended
  in failure, and `unrecovered` in any other. None while the failure's step is not known.
- **Status** of a run that ended: `partial` where the end said success and an error of a step is unrecovered. Errors that a tool
  returned, and answers of no use, mark their steps alone.
- **Cause**: the failure further inside that this one only followed from.
- **Root cause** of a run that did not succeed: its first failure that is not recovered and followed from no other one.
- **Fingerprint** of a failure: agent, its step and the calls above it, kind, code and class. **Shape** of a run that ended: its
  steps in order.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from itertools import chain, islice
from operator import itemgetter
from typing import Final, NamedTuple

from agenttracer.rules.recovery import judged_end
from agenttracer.wire.vocabulary import RunEnd, StepKind, StepStatus
from stream_workers.core.failure_causes import causes
from stream_workers.core.fingerprint import collapsed, digest, shape_of
from stream_workers.core.loop_detection import IN_A_ROW, SAME_WORK, UNKNOWN_WORK, known_work, loops
from stream_workers.core.rediagnosis import RediagnosisTriggers, token_of, triggers_of
from stream_workers.core.rows import RANK_DERIVED, RUN_OF, FailureRow, Row, StepRow
from stream_workers.core.run import End, RunState
from stream_workers.core.step_tree import (
    STEPS_MAX,
    StepNode,
    StepSignature,
    StepTree,
    are_all_looked_at,
    looked_at,
    node_of,
    signature,
)

FAILURES_MAX: Final = 200
"""Failures of a run that are judged, its first ones: beyond, they are one and the same again. A run with more is truncated."""
PATH_MAX: Final = 8
"""Steps of a failure's path, the nearest ones."""


class Outcome(StrEnum):
    """The outcome of a failure."""

    RECOVERED = "recovered"
    UNRECOVERED = "unrecovered"
    FATAL = "fatal"


class FailureVerdict(NamedTuple):
    """The diagnosis of one failure. All None of one that was not judged."""

    outcome: str | None = None
    caused_by: str | None = None
    fingerprint: str | None = None


class RootCause(NamedTuple):
    """The failure that a run failed of."""

    failure_id: str
    failure_type: str
    failure_code: str


class RunVerdict(NamedTuple):
    """The diagnosis of the run as a whole. Shape and status are set when the run has ended."""

    root: RootCause | None = None
    shape: str | None = None
    status: str | None = None
    said_success: bool = False
    """The end said success, and the status says `partial`."""


class Diagnosis(NamedTuple):
    """All that a diagnosis says. `loops` are failures that no event reports."""

    run_verdict: RunVerdict
    triggers: RediagnosisTriggers
    verdicts: Mapping[str, FailureVerdict]
    loops: Sequence[FailureRow]


RunKey = tuple[str, str]
NOT_JUDGED: Final = FailureVerdict()
HEALTHY: Final = Diagnosis(RunVerdict(), RediagnosisTriggers(), {}, ())
"""The diagnosis of a run that has not ended and has no failure."""


def truncated(steps: int, failures: int) -> bool:
    """Whether a run with so many steps and failures, derived ones aside, has more of them than its diagnosis looks at.

    The store's view `runs_now` says the same.
    """
    return steps > STEPS_MAX or failures > FAILURES_MAX


def judged(failures: Iterable[FailureRow]) -> Sequence[FailureRow]:
    """The first `FAILURES_MAX` of those that events reported, in the order in which a run's failures are listed."""
    said = [row for row in failures if row.failure_rank != RANK_DERIVED]
    return sorted(said, key=lambda row: (row.occurred_at, row.seq, row.failure_id))[:FAILURES_MAX]


def in_reach(failures: Sequence[FailureRow], last_judged_at: int | None) -> Sequence[FailureRow]:
    """Those of the failures that can be among the judged ones of their run, the last of which occurred then. None: all are."""
    return failures if last_judged_at is None else [row for row in failures if row.occurred_at <= last_judged_at]


def diagnose(
    nodes: Sequence[StepNode], failures: Sequence[FailureRow], *, project: str, run_id: str, end_status: str | None
) -> Diagnosis:
    """The diagnosis of a run that has these steps and failures. Rows of `RANK_DERIVED` are made again, not read."""
    return _Judge(looked_at(nodes), judged(failures), project=project, run_id=run_id, end_status=end_status).diagnosis()


_IN_ORDER: Final = itemgetter(*(StepRow._fields.index(name) for name in ("started_at", "seq", "step_id")))
_KIND_AND_WORK: Final = itemgetter(*(StepRow._fields.index(name) for name in ("kind", "work_digest")))
_KIND_AND_NAME: Final = itemgetter(*(StepRow._fields.index(name) for name in ("kind", "name")))


def _of_rows(state: RunState, steps: Sequence[StepRow], failures: Sequence[FailureRow]) -> Diagnosis | None:
    """As `diagnose`; the short way for most runs, which are short and have no failures. None when it is healthy and open."""
    if failures or not are_all_looked_at(len(steps)) or _may_loop(steps):
        end_status = None if state.end is None else state.end.end_status
        return diagnose(
            [node_of(row) for row in steps], failures, project=state.project, run_id=state.run_id, end_status=end_status
        )
    if state.end is None:
        return None
    in_order = map(_KIND_AND_NAME, sorted(steps, key=_IN_ORDER))
    shape = shape_of(tuple(chain.from_iterable(in_order)))
    return _healthy(shape, state.end.end_status)


@lru_cache(maxsize=1_024)
def _healthy(shape: str, end_status: str) -> Diagnosis:
    return HEALTHY._replace(run_verdict=RunVerdict(None, shape, end_status))


def _may_loop(steps: Sequence[StepRow]) -> bool:
    """Whether the steps are worth a closer look. Of most runs they are too few or all different."""
    if len(steps) < SAME_WORK:
        return False
    calls = list(map(_KIND_AND_WORK, steps))
    if calls.count(UNKNOWN_WORK) >= IN_A_ROW:
        return True
    work = [(row.name, call[1]) for row, call in zip(steps, calls, strict=True) if call[1] is not None and known_work(*call)]
    return len(work) - len(set(work)) >= SAME_WORK - 1


class _Judge:
    """One run while it is diagnosed."""

    def __init__(
        self, nodes: Sequence[StepNode], failures: Sequence[FailureRow], *, project: str, run_id: str, end_status: str | None
    ) -> None:
        self._nodes = nodes
        self._end_status = None if end_status is None else RunEnd(end_status)
        self._failures = failures
        unsuccessful = frozenset(row.step_id for row in self._failures if row.step_id is not None)
        self._tree = StepTree(nodes, unsuccessful=unsuccessful)
        self._loops = loops(project, run_id, nodes, self._tree.failed)
        self._causes = causes(self._failures, self._tree)
        self._status = self._judged_status()

    def diagnosis(self) -> Diagnosis:
        """All that can be said."""
        verdicts = {row.failure_id: self._verdict(row) for row in (*self._failures, *self._loops)}
        root = None if self._status is RunEnd.SUCCESS else self._root(verdicts)
        said_success = self._status is not self._end_status
        verdict = RunVerdict(root, self._shape(), self._status and self._status.value, said_success=said_success)
        return Diagnosis(verdict, self._triggers(), verdicts, self._loops)

    def _judged_status(self) -> RunEnd | None:
        if self._end_status is None:
            return None
        nodes = (self._tree.find(row.step_id) for row in self._failures)
        failed = (node for node in nodes if node is not None and node.status == StepStatus.ERROR)
        return judged_end(self._end_status, unrecovered=any(not self._made_good(node) for node in failed))

    def _made_good(self, node: StepNode) -> bool:
        return any(self._tree.made_good(carrier) for carrier in self._tree.carriers(node))

    def _verdict(self, failure: FailureRow) -> FailureVerdict:
        node = self._tree.find(failure.step_id)
        return FailureVerdict(
            outcome=self._outcome(failure, node),
            caused_by=self._causes.get(failure.failure_id),
            fingerprint=self._fingerprint(failure, node),
        )

    def _outcome(self, failure: FailureRow, node: StepNode | None) -> Outcome | None:
        if failure.step_id is None or failure.failure_rank == RANK_DERIVED:
            recovered = self._status is RunEnd.SUCCESS
        elif node is None:
            return None
        else:
            recovered = self._made_good(node)
        if recovered:
            return Outcome.RECOVERED
        return Outcome.FATAL if self._end_status is RunEnd.FAILURE else Outcome.UNRECOVERED

    def _fingerprint(self, failure: FailureRow, node: StepNode | None) -> str:
        above = list(islice(self._tree.upwards(node), PATH_MAX)) if node is not None else []
        calls = [each for each in above if each is node or each.kind != StepKind.OTHER]  # turns and nodes come and go
        path = collapsed([f"{each.kind} {each.name}" for each in reversed(calls)])
        kind = "" if node is None else node.kind
        return digest((failure.agent, *path, kind, failure.failure_type, failure.failure_code, failure.error_class or ""))

    def _root(self, verdicts: Mapping[str, FailureVerdict]) -> RootCause | None:
        open_ones = [
            (row.occurred_at, row.failure_id, row)
            for row in (*self._failures, *self._loops)
            if verdicts[row.failure_id].outcome != Outcome.RECOVERED and verdicts[row.failure_id].caused_by is None
        ]
        row = min(open_ones)[2] if open_ones else None
        return None if row is None else RootCause(row.failure_id, row.failure_type, row.failure_code)

    def _shape(self) -> str | None:
        if self._end_status is None:
            return None
        return shape_of(tuple(chain.from_iterable((node.kind, node.name) for node in self._nodes)))

    def _triggers(self) -> RediagnosisTriggers:
        return triggers_of(self._rests_on(), self._nodes, self._loops)

    def _rests_on(self) -> Iterator[int]:
        """Steps that were looked at or are missing, and signatures of which a further step could change an outcome."""
        seen: set[StepSignature] = set()
        for failure in (*self._failures, *self._loops):
            if failure.step_id is None:
                continue
            yield token_of(failure.step_id)
            node = self._tree.find(failure.step_id)
            if node is None:
                continue
            for above in self._tree.upwards(node):
                yield from (token_of(above.step_id), token_of(above.parent_step_id or ""))
            for carrier in self._tree.carriers(node):
                if signature(carrier) in seen:
                    continue
                seen.add(signature(carrier))
                yield token_of(signature(carrier))
                for alike in self._tree.alike(carrier):
                    *_, outermost = self._tree.upwards(alike)
                    yield token_of(outermost.parent_step_id or "")


class KnownRun(NamedTuple):
    """A run as the store has it before further rows of it are written."""

    steps: int
    end: End | None
    run_verdict: RunVerdict
    triggers: RediagnosisTriggers

    def outdated_by(self, state: RunState, steps: Sequence[StepRow], failures: Sequence[FailureRow]) -> bool:
        """Whether the run must be diagnosed again for the rows that are written now. `failures` are those `in_reach`."""
        return self.end is not None or state.end is not None or bool(failures) or self.triggers.hit_by(steps, stored=self.steps)


def diagnoses(
    runs: Iterable[RunState], steps: Mapping[RunKey, Sequence[StepRow]], failures: Mapping[RunKey, Sequence[FailureRow]]
) -> dict[RunKey, Diagnosis]:
    """Of runs of which these rows are all there is. Runs that are healthy and open are left out."""
    found: dict[RunKey, Diagnosis] = {}
    for state in runs:
        key = state.key
        diagnosis = _of_rows(state, steps.get(key, ()), failures.get(key, ()))
        if diagnosis is not None:
            found[key] = diagnosis
    return found


def grouped(rows: Iterable[Row]) -> dict[RunKey, list[Row]]:
    """Rows by run."""
    found: dict[RunKey, list[Row]] = {}
    for row in rows:
        found.setdefault(RUN_OF(row), []).append(row)
    return found
