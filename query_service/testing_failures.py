"""How the fake store groups failures and reads whole runs: what `store/failures.sql` and `tree.sql` say on PostgreSQL."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from query_service.store.rows import (
    EvidenceCount,
    FailureTrend,
    RunTree,
    StepName,
    StoredRun,
    TreeFailure,
    TreeStep,
    VersionFailures,
)
from query_service.store.step_order import with_depths
from query_service.store.store import FailureFilter, GroupOrder
from query_service.testing_rows import FailureSeed, StepSeed


def in_filter(row: FailureSeed, which: FailureFilter) -> bool:
    """Whether a failure is one of those that are grouped."""
    return (
        which.since <= row.occurred_at < which.until
        and which.agent in {None, row.agent}
        and which.agent_version in {None, row.agent_version}
        and which.failure_type in {None, row.failure_type}
        and which.failure_code in {None, row.failure_code}
        and which.outcome in {None, row.outcome}
    )


def trend(alike: Sequence[FailureSeed], which: FailureFilter, steps: Sequence[StepSeed]) -> FailureTrend:
    """One kind of failure, from all that are stored of it, in any window."""
    rows = [row for row in alike if in_filter(row, which)]
    newest = max(rows or alike, key=lambda row: (row.occurred_at, row.run_id, row.failure_id))
    named = {(step.run_id, step.step_id): StepName(kind=step.kind, name=step.name) for step in steps}
    counted = Counter(sum(row.occurred_at >= start for start in which.starts[1:]) for row in rows)
    return FailureTrend(
        fingerprint=newest.fingerprint or "",
        agent=newest.agent,
        failure_type=newest.failure_type,
        failure_code=newest.failure_code,
        error_class=newest.error_class,
        failures=len(rows),
        recovered=sum(row.outcome == "recovered" for row in rows),
        fatal=sum(row.outcome in {"fatal", "unrecovered"} for row in rows),
        runs=len({row.run_id for row in rows}),
        versions=sorted({row.agent_version for row in rows}),
        first_occurred_at=min(row.occurred_at for row in alike),
        last_occurred_at=newest.occurred_at,
        last_run_id=newest.run_id,
        rule_id=newest.rule_id,
        taxonomy_version=newest.taxonomy_version,
        step=named.get((newest.run_id, newest.step_id or "")),
        trend=[counted[bucket] for bucket in range(len(which.starts))],
    )


def ordered(groups: Sequence[FailureTrend], order: GroupOrder) -> list[FailureTrend]:
    """The most, or the newest, first."""

    def place(group: FailureTrend) -> Any:  # noqa: ANN401 - numbers or times, as the order says
        found: dict[GroupOrder, Any] = {
            GroupOrder.FAILURES: group.failures,
            GroupOrder.RUNS: group.runs,
            GroupOrder.LAST_SEEN: group.last_occurred_at,
            GroupOrder.FIRST_SEEN: group.first_occurred_at,
        }
        return found[order]

    return sorted(sorted(groups, key=lambda group: group.fingerprint), key=place, reverse=True)


def by_version(rows: Sequence[FailureSeed]) -> list[VersionFailures]:
    """By version, in its order."""
    return [
        VersionFailures(
            agent_version=version,
            failures=sum(row.agent_version == version for row in rows),
            runs=len({row.run_id for row in rows if row.agent_version == version}),
        )
        for version in sorted({row.agent_version for row in rows})
    ]


def by_evidence(rows: Sequence[FailureSeed]) -> list[EvidenceCount]:
    """By what the rules saw, the most frequent first."""
    counted = Counter((row.error_class, row.error_code, row.http_status, row.rule_id, row.taxonomy_version) for row in rows)
    names = ("error_class", "error_code", "http_status", "rule_id", "taxonomy_version")
    return [EvidenceCount(**dict(zip(names, key, strict=True)), failures=count) for key, count in counted.most_common()]  # type: ignore[arg-type]


def path(step_id: str | None, steps: Sequence[StepSeed]) -> list[StepName]:
    """The step and those around it, outermost first."""
    known = {step.step_id: step for step in steps}
    found: list[StepName] = []
    while step_id is not None and step_id in known and len(found) < len(known):
        found.insert(0, StepName(kind=known[step_id].kind, name=known[step_id].name))
        step_id = known[step_id].parent_step_id
    return found


def tree_of(
    runs: Sequence[StoredRun], parents: Sequence[UUID | None], steps: Sequence[StepSeed], failures: Sequence[FailureSeed]
) -> RunTree:
    """These runs with their steps and failures. Nothing is beyond a limit."""
    ids = {run.run_id for run in runs}
    ordered_failures = sorted(failures, key=lambda row: (row.occurred_at, row.seq, row.failure_id))
    return RunTree(
        runs=runs,
        parents=parents,
        steps=[
            [
                TreeStep(*_columns(replace(step, started_at=step.started_at + timedelta(microseconds=run.time_shift_us))))
                for _, step in in_order(step for step in steps if step.run_id == run.run_id)
            ]
            for run in runs
        ],
        failures=[
            TreeFailure(*(getattr(row, name) for name in TreeFailure._fields)) for row in ordered_failures if row.run_id in ids
        ],
        runs_more=False,
        steps_more=False,
        failures_more=False,
    )


def in_order(steps: Iterable[StepSeed]) -> list[tuple[int, StepSeed]]:
    """The steps of one run in their order, each with its depth."""
    return list(with_depths(sorted(steps, key=lambda row: (row.started_at, row.seq, row.step_id))))


def _columns(step: StepSeed) -> list[Any]:
    model = (step.metadata or {}).get("model")
    return [*(getattr(step, name) for name in TreeStep._fields[:-1]), None if model is None else str(model)]
