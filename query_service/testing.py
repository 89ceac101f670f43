"""A store reader in memory, for tests of whoever builds on the query service.

It takes rows in the columns of the store's tables (`testing_rows.py`). One contract suite runs on it and on Postgres.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from agenttracer.wire.vocabulary import FailureCode, FailureType, RunStatus
from query_service.errors import RunNotFoundError, TooManyFiguresError, UnavailableError
from query_service.reader import FIGURES_MAX, GROUPS_MAX, CountFilter, DetailPosition, RunFilter, RunPosition
from query_service.stats import utc_now
from query_service.stored import (
    ABANDONED_ID,
    ABANDONED_RULE,
    ABANDONED_SEQ,
    AbandonedCount,
    Counts,
    Failure,
    FailureGroup,
    Producer,
    Run,
    RunCount,
    Step,
    StepCount,
    Steps,
)
from query_service.testing_rows import FailureRow, LossRow, ProducerRow, Row, RunRollupRow, RunRow, StepRollupRow, StepRow

_Row = TypeVar("_Row", bound=Row)
STEPS_MAX: Final = 1_000
FAILURES_MAX: Final = 200
"""What the store's view `runs_now` calls a truncated run."""
RANK_DERIVED: Final = 3


class FakeStore:
    """A `StoreReader`. Set `outage` to have every question answered with that error, as while Postgres is away."""

    def __init__(self, *rows: Row, clock: Callable[[], datetime] = utc_now) -> None:
        self.rows: list[Row] = list(rows)
        self.outage: UnavailableError | None = None
        self._clock = clock

    async def ready(self) -> str | None:
        """See `StoreReader`."""
        return self.outage.error_code if self.outage else None

    async def list_runs(self, project: str, which: RunFilter, *, after: RunPosition | None, limit: int) -> Sequence[Run]:
        """See `StoreReader`."""
        found = [row for row in self._of(RunRow, project) if self._wanted(row, which)]
        found.sort(key=lambda row: (row.started_at, row.run_id), reverse=True)
        if after is not None:
            found = [row for row in found if (row.started_at, row.run_id) < (after.started_at, after.run_id)]
        return [self._run(row) for row in found[:limit]]

    async def run(self, project: str, run_id: UUID) -> Run:
        """See `StoreReader`."""
        return self._run(self._found(project, run_id))

    async def list_steps(self, project: str, run_id: UUID, *, after: DetailPosition | None, limit: int) -> Steps:
        """See `StoreReader`."""
        run = self._found(project, run_id)
        places = {(row.started_at, row.seq, row.step_id): row for row in self._of(StepRow, project) if row.run_id == run_id}
        steps = [_picked(Step, places[place]) for place in _beyond(after, places)]
        return Steps(run_started_at=run.started_at, steps=steps[:limit])

    async def list_failures(self, project: str, run_id: UUID, *, after: DetailPosition | None, limit: int) -> Sequence[Failure]:
        """See `StoreReader`."""
        self._found(project, run_id)
        failures = self._failures(project, run_id)
        places = {(failure.occurred_at, failure.seq, failure.failure_id): failure for failure in failures}
        return [places[place] for place in _beyond(after, places)][:limit]

    async def counts(self, project: str, which: CountFilter) -> Counts:
        """See `StoreReader`."""
        runs = _merged(RunCount, "runs", [row for row in self._of(RunRollupRow, project) if _counted(row, row.minute, which)])
        steps = _merged(StepCount, "steps", [row for row in self._of(StepRollupRow, project) if _counted(row, row.minute, which)])
        if max(len(runs), len(steps)) > FIGURES_MAX:
            raise TooManyFiguresError
        abandoned: dict[tuple[str, str], list[RunRow]] = {}
        for row in self._of(RunRow, project):
            if row.status_at(self._clock()) == RunStatus.ABANDONED and _counted(row, row.started_at, which):
                abandoned.setdefault((row.agent, row.agent_version), []).append(row)
        failures = [row for row in self._of(FailureRow, project) if row.fingerprint and _counted(row, row.occurred_at, which)]
        return Counts(
            runs=runs, steps=steps, abandoned=[_abandoned(rows) for rows in abandoned.values()], groups=_groups(failures)
        )

    def _of(self, kind: type[_Row], project: str) -> Iterator[_Row]:
        if self.outage is not None:
            raise self.outage
        return (row for row in self.rows if isinstance(row, kind) and row.project == project)

    def _found(self, project: str, run_id: UUID) -> RunRow:
        for row in self._of(RunRow, project):
            if row.run_id == run_id:
                return row
        raise RunNotFoundError

    def _run(self, row: RunRow) -> Run:
        status, start_seen = row.status_at(self._clock()), row.declared_started_at is not None
        truncated, producers = self._truncated(row), self._producers(row)
        run: Run = _picked(Run, row, status=status, truncated=truncated, start_seen=start_seen, producers=producers)
        return run

    def _truncated(self, row: RunRow) -> bool:
        failures = (each for each in self._of(FailureRow, row.project) if each.run_id == row.run_id)
        derived = sum(each.failure_rank == RANK_DERIVED for each in failures)
        return row.step_count > STEPS_MAX or row.failure_count - derived > FAILURES_MAX

    def _producers(self, row: RunRow) -> list[Producer]:
        said = {each.producer: each for each in self._of(ProducerRow, row.project) if each.run_id == row.run_id}
        declared: dict[str, dict[str, int]] = {}
        for loss in self._of(LossRow, row.project):
            if loss.run_id == row.run_id:
                declared.setdefault(loss.producer, {})[loss.reason] = loss.total
        return [_producer(name, said.get(name), declared.get(name, {})) for name in sorted(said.keys() | declared.keys())]

    def _failures(self, project: str, run_id: UUID) -> list[Failure]:
        run = self._found(project, run_id)
        root = run.root_failure_id
        stored = [
            _picked(Failure, row, is_root=row.failure_id == root) for row in self._of(FailureRow, project) if row.run_id == run_id
        ]
        return [*stored, _silence(run)] if run.status_at(self._clock()) == RunStatus.ABANDONED else stored

    def _wanted(self, row: RunRow, which: RunFilter) -> bool:
        return (
            which.agent in {None, row.agent}
            and which.agent_version in {None, row.agent_version}
            and which.status in {None, row.status_at(self._clock())}
            and (which.since is None or row.started_at >= which.since)
            and (which.until is None or row.started_at < which.until)
            and (which.min_latency_us is None or (row.latency_us is not None and row.latency_us >= which.min_latency_us))
            and which.shape in {None, row.shape}
            and self._failed_so(row, which)
        )

    def _failed_so(self, row: RunRow, which: RunFilter) -> bool:
        if (which.failure_type, which.failure_code, which.fingerprint) == (None, None, None):
            return True
        return any(
            which.failure_type in {None, failure.failure_type}
            and which.failure_code in {None, failure.failure_code}
            and which.fingerprint in {None, failure.fingerprint}
            for failure in self._failures(row.project, row.run_id)
        )


def _picked(target: Any, row: Row, **given: object) -> Any:  # noqa: ANN401 - any of the plain values, from any row
    """The value whose fields are the row's columns of the same names."""
    values = {f.name: getattr(row, f.name) for f in fields(target) if f.name not in given}
    if "metadata" in values:
        values["metadata"] = values["metadata"] or {}
    return target(**values, **given)


def _silence(run: RunRow) -> Failure:
    absent: dict[str, Any] = {f.name: None for f in fields(Failure)}
    return Failure(
        **absent
        | {
            "failure_id": ABANDONED_ID,
            "failure_type": FailureType.ORCHESTRATION,
            "failure_code": FailureCode.ABANDONED,
            "rule_id": ABANDONED_RULE,
            "occurred_at": run.silent_after,
            "seq": ABANDONED_SEQ,
            "is_root": False,
        }
    )


def _beyond(after: DetailPosition | None, places: dict[tuple[datetime, int, str], Any]) -> list[tuple[datetime, int, str]]:
    return sorted(place for place in places if after is None or place > (after.at, after.seq, after.id))


def _counted(row: RunRow | FailureRow | RunRollupRow | StepRollupRow, at: datetime, which: CountFilter) -> bool:
    return (
        which.since <= at < which.until and which.agent in {None, row.agent} and which.agent_version in {None, row.agent_version}
    )


def _merged(target: Any, figure: str, rows: Sequence[Row]) -> list[Any]:  # noqa: ANN401 - either of the two counts
    names = [f.name for f in fields(target) if f.name != figure]
    merged: Counter[tuple[object, ...]] = Counter()
    for row in rows:
        merged[tuple(getattr(row, name) for name in names)] += getattr(row, figure)
    return [target(**dict(zip(names, key, strict=True)), **{figure: count}) for key, count in merged.items() if count > 0]


def _abandoned(rows: Sequence[RunRow]) -> AbandonedCount:
    unexplained = sum(row.failure is None for row in rows)
    return AbandonedCount(agent=rows[0].agent, agent_version=rows[0].agent_version, runs=len(rows), unexplained=unexplained)


def _producer(name: str, row: ProducerRow | None, declared: dict[str, int]) -> Producer:
    if row is None:
        return Producer(producer=name, emitted=None, stored=None, gaps=0, declared=declared)
    stored = sum(end - begin for begin, end in row.seen)
    gaps = max(end for _, end in row.seen) - min(begin for begin, _ in row.seen) - stored
    return Producer(producer=name, emitted=row.emitted, stored=stored, gaps=gaps, declared=declared)


def _groups(rows: Sequence[FailureRow]) -> list[FailureGroup]:
    grouped: dict[tuple[Any, ...], list[FailureRow]] = {}
    for row in rows:
        grouped.setdefault((row.fingerprint, row.agent, row.failure_type, row.failure_code, row.error_class), []).append(row)
    groups = [_group(key, alike) for key, alike in grouped.items()]
    return sorted(groups, key=lambda group: (-group.failures, group.fingerprint))[:GROUPS_MAX]


def _group(key: tuple[Any, ...], rows: Sequence[FailureRow]) -> FailureGroup:
    last = max(rows, key=lambda row: (row.occurred_at, row.run_id))
    fingerprint, agent, failure_type, failure_code, error_class = key
    return FailureGroup(
        fingerprint=fingerprint,
        agent=agent,
        failure_type=failure_type,
        failure_code=failure_code,
        error_class=error_class,
        failures=len(rows),
        recovered=sum(row.outcome == "recovered" for row in rows),
        runs=len({row.run_id for row in rows}),
        last_occurred_at=last.occurred_at,
        last_run_id=last.run_id,
    )
