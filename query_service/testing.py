"""A store reader in memory, for tests of programs that build on the query service.

It takes rows in the columns of the store's tables (`testing_rows.py`). One contract suite runs on it and on Postgres.
"""

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

from agenttracer.wire.vocabulary import FailureCode, FailureType, RunStatus
from query_service.api.stats import utc_now
from query_service.completeness import run_completeness
from query_service.errors import FailureNotFoundError, RunNotFoundError, StepNotFoundError
from query_service.store.failure_groups import RUNS_SHOWN
from query_service.store.rows import (
    ABANDONED_ID,
    ABANDONED_RULE,
    ABANDONED_SEQ,
    Contrast,
    CountedRuns,
    DrawnCohort,
    FacetCount,
    FailureStory,
    FailureTrend,
    ProducerAccount,
    RunChange,
    RunCount,
    RunTree,
    Seen,
    StatsCounts,
    StepCount,
    StepPage,
    StoredFailure,
    StoredRun,
    StoredSession,
    StoredStep,
)
from query_service.store.run_tree import TREE_STEPS_MAX
from query_service.store.store import (
    ChangePosition,
    CountFilter,
    DetailPosition,
    FailureFilter,
    GroupOrder,
    Population,
    RunFilter,
    RunOrder,
    RunPage,
    RunPosition,
    RunSearch,
    SessionPosition,
    SortPosition,
)
from query_service.testing_counts import abandoned, attributes, cohort, facets, groups, has_searched, merged, sessions
from query_service.testing_failures import by_evidence, by_version, in_filter, in_order, ordered, path, tree_of, trend
from query_service.testing_rows import (
    FailureSeed,
    LossSeed,
    ProducerSeed,
    Row,
    RunRollupSeed,
    RunSeed,
    StepRollupSeed,
    StepSeed,
)

if TYPE_CHECKING:
    from servicekit.http.errors import UnavailableError

_Row = TypeVar("_Row", bound=Row)
STEPS_MAX: Final = 1_000
FAILURES_MAX: Final = 200
"""Above these limits the statement `runs` calls a run truncated."""
RANK_DERIVED: Final = 3


class FakeStore:
    """A `StoreReader`. While `outage` is set, every method raises that error, as if Postgres were down.

    `stored_to` is what `complete_to` answers.
    """

    def __init__(self, *rows: Row, clock: Callable[[], datetime] = utc_now) -> None:
        self.rows: list[Row] = list(rows)
        self.outage: UnavailableError | None = None
        self.stored_to: datetime | None = None
        self._clock = clock

    async def ready(self) -> str | None:
        """See `StoreReader`."""
        return self.outage.error_code if self.outage else None

    async def complete_to(self) -> datetime | None:
        """See `StoreReader`."""
        if self.outage is not None:
            raise self.outage
        return self.stored_to

    async def list_runs(self, project: str, which: RunFilter, *, after: RunPosition | None, limit: int) -> Sequence[StoredRun]:
        """See `StoreReader`."""
        found = [row for row in self._of(RunSeed, project) if self._matches(row, which)]
        found.sort(key=lambda row: (row.started_at, row.run_id), reverse=True)
        if after is not None:
            found = [row for row in found if (row.started_at, row.run_id) < (after.started_at, after.run_id)]
        return [self._run(row) for row in found[:limit]]

    async def scan_runs(
        self, project: str, which: RunFilter, search: RunSearch, *, after: RunPosition | None, limit: int
    ) -> RunPage:
        """See `StoreReader`. It looks at all runs."""
        found = self._searched(project, which, search)
        found.sort(key=lambda row: (row.started_at, row.run_id), reverse=True)
        if after is not None:
            found = [row for row in found if (row.started_at, row.run_id) < (after.started_at, after.run_id)]
        page = found[:limit]
        last = RunPosition(started_at=page[-1].started_at, run_id=page[-1].run_id) if len(found) > limit else None
        return RunPage(runs=[self._run(row) for row in page], after=last)

    async def sort_runs(
        self, project: str, which: RunFilter, search: RunSearch, *, order: RunOrder, after: SortPosition | None, limit: int
    ) -> Sequence[StoredRun]:
        """See `StoreReader`."""

        def key(row: RunSeed) -> int:
            if order is RunOrder.LATENCY:
                return -1 if row.latency_us is None else row.latency_us
            return row.failure_count if order is RunOrder.FAILURES else row.step_count

        found = sorted(self._searched(project, which, search), key=lambda row: (key(row), row.run_id), reverse=True)
        if after is not None:
            found = [row for row in found if (key(row), row.run_id) < (after.key, after.run_id)]
        return [self._run(row) for row in found[:limit]]

    async def count_facets(self, project: str, which: RunFilter, search: RunSearch) -> tuple[Sequence[FacetCount], bool]:
        """See `StoreReader`. It counts all runs."""
        rows = self._searched(project, which, search)
        return facets([(row, row.status_at(self._clock())) for row in rows]), True

    async def contrast(self, project: str, which: RunFilter, search: RunSearch, *, within: Population) -> Contrast:
        """See `StoreReader`. It looks at all runs."""
        selected = {row.run_id for row in self._searched(project, which, search)}
        sides = [
            (row, row.status_at(self._clock()), row.run_id in selected)
            for row in self._of(RunSeed, project)
            if _is_within(row, within)
        ]
        steps, failures = list(self._of(StepSeed, project)), list(self._of(FailureSeed, project))
        selection = sum(one for _, _, one in sides)
        known = 0 < selection < len(sides)
        return Contrast(
            selection=selection,
            rest=len(sides) - selection,
            selection_share=1.0,
            rest_share=1.0,
            attributes=attributes(sides, steps, failures) if known else [],
        )

    async def draw_cohort(self, project: str, which: RunFilter, search: RunSearch, *, within: Population) -> DrawnCohort:
        """See `StoreReader`. It draws all runs."""
        runs = [row for row in self._searched(project, which, search) if _is_within(row, within)]
        return cohort([(row, row.status_at(self._clock())) for row in runs], list(self._of(StepSeed, project)))

    async def list_changes(self, project: str, *, after: ChangePosition, limit: int) -> Sequence[RunChange]:
        """See `StoreReader`."""
        if self.outage is not None:
            raise self.outage
        found = [RunChange(row.run_id, row.last_received_at, row.end_status is not None) for row in self._of(RunSeed, project)]
        place = (after.received_at, after.run_id)
        return sorted((one for one in found if (one[1], one[0]) > place), key=lambda one: (one[1], one[0]))[:limit]

    async def pick_runs(self, project: str, run_ids: Sequence[UUID], which: RunFilter, search: RunSearch) -> Sequence[StoredRun]:
        """See `StoreReader`."""
        found = sorted(self._searched(project, which, search), key=lambda row: (row.started_at, row.run_id), reverse=True)
        return [self._run(row) for row in found if row.run_id in set(run_ids)]

    async def list_sessions(
        self, project: str, *, since: datetime, until: datetime, after: SessionPosition | None, limit: int
    ) -> Sequence[StoredSession]:
        """See `StoreReader`."""
        runs = [row for row in self._of(RunSeed, project) if row.session_digest and since <= row.started_at < until]
        found = sorted(sessions(runs), key=lambda one: (one.last_started_at, one.session), reverse=True)
        place = None if after is None else (after.started_at, after.session)
        return [one for one in found if place is None or (one.last_started_at, one.session) < place][:limit]

    def _searched(self, project: str, which: RunFilter, search: RunSearch) -> list[RunSeed]:
        plain = replace(which, since=None if search.active else which.since)
        steps = list(self._of(StepSeed, project))
        return [
            row
            for row in self._of(RunSeed, project)
            if self._matches(row, plain)
            and (search.outcome is None or self._has_outcome(row, which, search.outcome))
            and (not search.active or which.since is None or row.last_event_at >= which.since)
            and search.completeness in {None, run_completeness(self._run(row)).state}
            and has_searched(row, search, [step for step in steps if step.run_id == row.run_id])
        ]

    def _has_outcome(self, row: RunSeed, which: RunFilter, outcome: str) -> bool:
        return any(
            failure.outcome == outcome
            and which.failure_type in {None, failure.failure_type}
            and which.failure_code in {None, failure.failure_code}
            and which.fingerprint in {None, failure.fingerprint}
            for failure in self._failures(row.project, row.run_id)
        )

    async def run(self, project: str, run_id: UUID) -> StoredRun:
        """See `StoreReader`."""
        return self._run(self._row_of(project, run_id))

    async def list_steps(self, project: str, run_id: UUID, *, after: DetailPosition | None, limit: int) -> StepPage:
        """See `StoreReader`."""
        run = self._row_of(project, run_id)
        rows = [
            replace(row, started_at=row.started_at + run.time_shift)
            for row in self._of(StepSeed, project)
            if row.run_id == run_id
        ]
        place = None if after is None else (after.at, after.depth, after.seq, after.id)
        found = in_order(rows)
        known = {row.step_id for _, row in found}
        steps = [
            _step(row, depth, known)
            for depth, row in found
            if place is None or (row.started_at, depth, row.seq, row.step_id) > place
        ]
        return StepPage(run_started_at=run.started_at, steps=steps[:limit])

    async def list_failures(
        self, project: str, run_id: UUID, *, after: DetailPosition | None, limit: int
    ) -> Sequence[StoredFailure]:
        """See `StoreReader`."""
        self._row_of(project, run_id)
        failures = self._failures(project, run_id)
        by_position = {(failure.occurred_at, failure.seq, failure.failure_id): failure for failure in failures}
        return [by_position[position] for position in _positions_after(after, by_position)][:limit]

    async def counts(self, project: str, which: CountFilter) -> StatsCounts:
        """See `StoreReader`."""
        of_runs = await self.run_counts(project, which)
        failures = [row for row in self._of(FailureSeed, project) if row.fingerprint and _in_window(row, row.occurred_at, which)]
        return StatsCounts(
            runs=of_runs.runs,
            steps=await self.step_counts(project, which),
            abandoned=of_runs.abandoned,
            groups=groups(failures),
        )

    async def run_counts(self, project: str, which: CountFilter) -> CountedRuns:
        """See `StoreReader`."""
        rows = [
            row
            for row in self._of(RunRollupSeed, project)
            if _in_window(row, row.minute, which)
            and which.failure_type in {None, row.failure_type}
            and which.failure_code in {None, row.failure_code}
        ]
        silent = [
            row
            for row in self._of(RunSeed, project)
            if row.status_at(self._clock()) == RunStatus.ABANDONED
            and _in_window(row, row.started_at, which)
            and which.failure_type in {None, row.failure.failure_type if row.failure else FailureType.ORCHESTRATION}
            and which.failure_code in {None, row.failure.failure_code if row.failure else FailureCode.ABANDONED}
        ]
        return CountedRuns(runs=merged(RunCount, rows, which), abandoned=abandoned(silent, which))

    async def step_counts(self, project: str, which: CountFilter) -> Sequence[StepCount]:
        """See `StoreReader`."""
        rows = [
            row
            for row in self._of(StepRollupSeed, project)
            if _in_window(row, row.minute, which)
            and which.kind in {None, row.kind}
            and which.name in {None, row.name}
            and which.model in {None, row.model}
        ]
        return merged(StepCount, rows, which)

    async def seen(self, project: str, *, agent: str | None) -> Sequence[Seen]:
        """See `StoreReader`."""
        minutes: dict[tuple[str, str], list[datetime]] = {}
        for row in self._of(RunRollupSeed, project):
            if agent in {None, row.agent}:
                minutes.setdefault((row.agent, row.agent_version), []).append(row.minute)
        return [
            Seen(agent=key[0], agent_version=key[1], first=min(found), last=max(found)) for key, found in sorted(minutes.items())
        ]

    async def failure_groups(
        self, project: str, which: FailureFilter, *, order: GroupOrder, limit: int
    ) -> Sequence[FailureTrend]:
        """See `StoreReader`."""
        kinds = {row.fingerprint for row in self._of(FailureSeed, project) if row.fingerprint and in_filter(row, which)}
        groups = [trend(self._alike(project, kind), which, list(self._of(StepSeed, project))) for kind in kinds]
        return ordered(groups, order)[:limit]

    async def failure_story(self, project: str, fingerprint: str, which: FailureFilter) -> FailureStory:
        """See `StoreReader`."""
        alike = self._alike(project, fingerprint)
        if not alike:
            raise FailureNotFoundError
        steps = list(self._of(StepSeed, project))
        group = trend(alike, which, steps)
        inside = [row for row in alike if which.since <= row.occurred_at < which.until]
        newest_first = sorted((row for row in alike if row.occurred_at < which.until), key=lambda row: row.occurred_at)[::-1]
        newest = next((row for row in newest_first if row.run_id == group.last_run_id), alike[-1])
        run_ids = dict.fromkeys(row.run_id for row in newest_first)
        runs = [self._run(self._row_of(project, run_id)) for run_id in [*run_ids][:RUNS_SHOWN]]
        runs.sort(key=lambda run: (run.started_at, run.run_id), reverse=True)
        shape = next((run.shape for run in runs if run.shape is not None), None)
        peers = [
            row.run_id
            for row in self._of(RunSeed, project)
            if shape is not None and row.shape == shape and row.end_status == RunStatus.SUCCESS and row.run_id not in run_ids
        ]
        return FailureStory(
            group=group,
            by_version=by_version(inside),
            evidence=by_evidence(inside),
            path=path(newest.step_id, [step for step in steps if step.run_id == newest.run_id]),
            runs=runs,
            peer_run_id=peers[0] if peers else None,
        )

    async def children(self, project: str, run_id: UUID, *, after: RunPosition | None, limit: int) -> Sequence[StoredRun]:
        """See `StoreReader`."""
        self._row_of(project, run_id)
        found = sorted(
            (row for row in self._of(RunSeed, project) if row.parent_run_id == run_id),
            key=lambda row: (row.started_at, row.run_id),
        )
        place = None if after is None else (after.started_at, after.run_id)
        return [self._run(row) for row in found if place is None or (row.started_at, row.run_id) > place][:limit]

    async def step(self, project: str, run_id: UUID, step_id: str) -> StepPage:
        """See `StoreReader`."""
        page = await self.list_steps(project, run_id, after=None, limit=TREE_STEPS_MAX)
        steps = [step for step in page.steps if step.step_id == step_id]
        if not steps:
            raise StepNotFoundError
        return StepPage(run_started_at=page.run_started_at, steps=steps)

    async def tree(self, project: str, run_id: UUID) -> RunTree:
        """See `StoreReader`."""
        runs: list[StoredRun] = [await self.run(project, run_id)]
        parents: list[UUID | None] = [None]
        for run in runs:  # grows meanwhile
            known = {each.run_id for each in runs}
            below = await self.children(project, run.run_id, after=None, limit=TREE_STEPS_MAX)
            new = [each for each in below if each.run_id not in known]
            runs += new
            parents += [run.run_id] * len(new)
        return tree_of(runs, parents, list(self._of(StepSeed, project)), list(self._of(FailureSeed, project)))

    def _alike(self, project: str, fingerprint: str | None) -> list[FailureSeed]:
        return [row for row in self._of(FailureSeed, project) if row.fingerprint == fingerprint]

    def _of(self, kind: type[_Row], project: str) -> Iterator[_Row]:
        if self.outage is not None:
            raise self.outage
        return (row for row in self.rows if isinstance(row, kind) and row.project == project)

    def _row_of(self, project: str, run_id: UUID) -> RunSeed:
        for row in self._of(RunSeed, project):
            if row.run_id == run_id:
                return row
        raise RunNotFoundError

    def _run(self, row: RunSeed) -> StoredRun:
        status, start_seen = row.status_at(self._clock()), row.declared_started_at is not None
        truncated, producers = self._truncated(row), self._producers(row)
        ended_at = None if row.ended_at is None else row.ended_at + row.time_shift
        given = {"status": status, "ended_at": ended_at, "truncated": truncated, "start_seen": start_seen, "producers": producers}
        run: StoredRun = _copied(StoredRun, row, **given)
        return run

    def _truncated(self, row: RunSeed) -> bool:
        failures = (each for each in self._of(FailureSeed, row.project) if each.run_id == row.run_id)
        derived = sum(each.failure_rank == RANK_DERIVED for each in failures)
        return row.step_count > STEPS_MAX or row.failure_count - derived > FAILURES_MAX

    def _producers(self, row: RunSeed) -> list[ProducerAccount]:
        said = {each.producer: each for each in self._of(ProducerSeed, row.project) if each.run_id == row.run_id}
        declared: dict[str, dict[str, int]] = {}
        for loss in self._of(LossSeed, row.project):
            if loss.run_id == row.run_id:
                declared.setdefault(loss.producer, {})[loss.reason] = loss.total
        return [_producer(name, said.get(name), declared.get(name, {})) for name in sorted(said.keys() | declared.keys())]

    def _failures(self, project: str, run_id: UUID) -> list[StoredFailure]:
        run = self._row_of(project, run_id)
        root = run.root_failure_id
        stored = [
            _copied(StoredFailure, row, is_root=row.failure_id == root)
            for row in self._of(FailureSeed, project)
            if row.run_id == run_id
        ]
        return [*stored, _abandoned_failure(run)] if run.status_at(self._clock()) == RunStatus.ABANDONED else stored

    def _matches(self, row: RunSeed, which: RunFilter) -> bool:
        return (
            which.agent in {None, row.agent}
            and which.agent_version in {None, row.agent_version}
            and which.status in {None, row.status_at(self._clock())}
            and (which.since is None or row.started_at >= which.since)
            and (which.until is None or row.started_at < which.until)
            and (which.min_latency_us is None or (row.latency_us is not None and row.latency_us >= which.min_latency_us))
            and which.shape in {None, row.shape}
            and self._has_failure(row, which)
        )

    def _has_failure(self, row: RunSeed, which: RunFilter) -> bool:
        if (which.failure_type, which.failure_code, which.fingerprint) == (None, None, None):
            return True
        return any(
            which.failure_type in {None, failure.failure_type}
            and which.failure_code in {None, failure.failure_code}
            and which.fingerprint in {None, failure.fingerprint}
            for failure in self._failures(row.project, row.run_id)
        )


def _copied(target: Any, row: Row, **given: object) -> Any:  # noqa: ANN401 - any of the plain values, from any row
    """A value whose fields are copied from the row's columns of the same names."""
    values = {f.name: getattr(row, f.name) for f in fields(target) if f.name not in given}
    if "metadata" in values:
        values["metadata"] = values["metadata"] or {}
    return target(**values, **given)


def _step(row: StepSeed, depth: int, known: AbstractSet[str]) -> StoredStep:
    parent = row.parent_step_id
    there = parent is None or parent in known
    step: StoredStep = _copied(
        StoredStep, row, depth=depth, parent_step_id=parent if there else None, unknown_parent_id=None if there else parent
    )
    return step


def _abandoned_failure(run: RunSeed) -> StoredFailure:
    absent: dict[str, Any] = {f.name: None for f in fields(StoredFailure)}
    return StoredFailure(
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


def _positions_after(
    after: DetailPosition | None, by_position: dict[tuple[datetime, int, str], Any]
) -> list[tuple[datetime, int, str]]:
    return sorted(position for position in by_position if after is None or position > (after.at, after.seq, after.id))


def _in_window(row: RunSeed | FailureSeed | RunRollupSeed | StepRollupSeed, at: datetime, which: CountFilter) -> bool:
    return (
        which.since <= at < which.until and which.agent in {None, row.agent} and which.agent_version in {None, row.agent_version}
    )


def _producer(name: str, row: ProducerSeed | None, declared: dict[str, int]) -> ProducerAccount:
    if row is None:
        return ProducerAccount(producer=name, emitted=None, stored=None, gaps=0, declared=declared)
    stored = sum(end - begin for begin, end in row.seen)
    gaps = max(end for _, end in row.seen) - min(begin for begin, _ in row.seen) - stored
    return ProducerAccount(producer=name, emitted=row.emitted, stored=stored, gaps=gaps, declared=declared)


def _is_within(row: RunSeed, within: Population) -> bool:
    return (
        within.since <= row.started_at < within.until
        and within.agent in {None, row.agent}
        and within.agent_version in {None, row.agent_version}
    )
